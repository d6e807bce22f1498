"""Runs on disk: what they take, and removing those that nobody needs any more."""

import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mtbert.training.run import Run, read_run
from mtbert.utils.errors import UserError
from mtbert.utils.files import LOCK, folder_lock
from mtbert.utils.logging import logger

_DAY = 24 * 60 * 60
# what a run writes into its folder; a folder with anything else in it is left alone
_OWN = re.compile(
    r"(run|recipe)\.json|(heads|adapters)\.safetensors|encoder|predictions|checkpoint-\d+\.safetensors"
    rf"|{re.escape(LOCK)}|.*\.part"
)


@dataclass(frozen=True)
class StoredRun:
    """A run on disk.

    Attributes:
        run: the run.
        bytes: the size of its files.
        days: days since its record last changed.
    """

    run: Run
    bytes: int
    days: float

    @property
    def folder(self) -> Path:
        return self.run.folder


def stored_runs(root: Path) -> Iterator[StoredRun]:
    """The runs in and below a folder, the largest first. Logs those whose record cannot be read.

    Raises:
        UserError: if there is no such folder.
    """
    if not root.is_dir():
        raise UserError(f"{root} is no folder: give one that holds runs")
    found = []
    for record in root.rglob("run.json"):
        folder = record.parent
        try:
            run = read_run(folder)
        except UserError as error:
            logger.warning(str(error))
            continue
        if run is not None and not folder.is_symlink():
            size = sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
            found.append(StoredRun(run, size, (time.time() - record.stat().st_mtime) / _DAY))
    yield from sorted(found, key=lambda stored: -stored.bytes)


def remove_run(folder: Path) -> None:
    """Remove a run's folder.

    Raises:
        UserError: if a process is training in it, or it holds files that no run writes; it is then left as it is.
    """
    others = sorted(path.name for path in folder.iterdir() if not _OWN.fullmatch(path.name))
    if others:
        raise UserError(f"{folder} also holds {', '.join(others[:3])}: move that elsewhere first")
    with folder_lock(folder):
        shutil.rmtree(folder)
