"""Minutes and memory of every notebook, measured by running it under papermill in a process of its own."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
import torch

from mtbert.utils import paths
from mtbert.utils.device import environment_info, processors
from mtbert.utils.errors import UserError
from mtbert.utils.files import atomic_write

NOTEBOOKS = paths.ROOT / "notebooks"
TABLE = paths.RESULTS / "notebooks.csv"


def notebooks(only: str | None = None) -> list[Path]:
    """The numbered notebooks, or those whose name begins with ``only``. UserError if there is none."""
    found = sorted(NOTEBOOKS.glob(f"{only or '[0-9]'}*.ipynb"))
    if not found:
        raise UserError(f"no notebook in {paths.shown(NOTEBOOKS)} begins with {only!r}")
    return found


def measure(chosen: Iterable[Path]) -> Iterator[dict]:
    """Run each notebook with its own settings; one record for each. Raises UserError for a notebook that fails."""
    if not hasattr(os, "wait4"):
        raise UserError("memory of notebooks cannot be measured on this system")
    about = environment_info(torch.device("cpu"))
    for path in chosen:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "papermill", str(path), str(Path(folder) / path.name)]
            start = time.monotonic()
            process = subprocess.Popen(
                [*command, "--no-progress-bar"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={**os.environ, "TQDM_DISABLE": "1"},
            )
            said = process.stderr.read().decode(errors="replace").strip()
            _, status, usage = os.wait4(process.pid, 0)  # the usage of papermill and of the kernel it waited for
            process.returncode = os.waitstatus_to_exitcode(status)
            seconds = time.monotonic() - start
        if process.returncode:
            raise UserError(f"{path.name} fails: {said.splitlines()[-1] if said else 'no message'}")
        unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, kilobytes elsewhere
        yield {
            "notebook": path.stem,
            "seconds": round(seconds, 1),
            "peak_memory_mb": round(usage.ru_maxrss / unit),
            "device": about["device"],
            "cores": processors(),
            "torch": about["versions"]["torch"],
            "revision": about["revision"],
        }


def recorded() -> pd.DataFrame:
    """The records in data/results/notebooks.csv; an empty table if there are none."""
    return pd.read_csv(TABLE) if TABLE.exists() else pd.DataFrame()


def record(found: dict) -> None:
    """Put a record into data/results/notebooks.csv, in place of an older one of the same notebook."""
    table = pd.concat([recorded(), pd.DataFrame([found])]).drop_duplicates("notebook", keep="last")
    atomic_write(TABLE, table.sort_values("notebook").to_csv(index=False))
