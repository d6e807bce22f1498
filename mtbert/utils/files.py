"""Files written whole or not at all, their checksums, and folders that one process at a time writes to."""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mtbert.utils.errors import UserError

LOCK = ".lock"
_PART = re.compile(r"\.\d+\.part$")


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def atomic_write(path: Path, content: bytes | str) -> None:
    """Write beside the target, flush to the disk, then rename: a reader never sees half a file.

    Raises OSError (no space, no permission); the target is then as it was before.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    data = content.encode("utf-8") if isinstance(content, str) else content
    try:
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a full disk does not say which file it was
        raise


def remove_parts(folder: Path) -> None:
    """Remove what ``atomic_write`` left in a folder, and in those inside it, when a process died while writing."""
    for part in Path(folder).rglob("*.part"):
        if _PART.search(part.name):
            part.unlink(missing_ok=True)


def write_json(path: Path, record: Any) -> None:
    atomic_write(path, json.dumps(record, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Keep a folder, made if need be, to this process for as long as the block runs or the process lives.

    Raises UserError if another process holds it. What it is held by is the file LOCK inside.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise UserError(f"another process is training in {folder}: wait for it, or end it") from None
    try:
        yield
    finally:
        (folder / LOCK).unlink(missing_ok=True)  # before it is let go: whoever comes now makes one of its own
        lock.release()
