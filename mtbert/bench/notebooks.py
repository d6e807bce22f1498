"""Time and memory of every notebook, measured by running it under papermill in a process of its own."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from mtbert.bench.timing import read_records
from mtbert.utils import paths
from mtbert.utils.device import available_cpus, environment_info
from mtbert.utils.errors import UserError
from mtbert.utils.tables import upsert_csv

NOTEBOOKS = paths.ROOT / "notebooks"


def notebooks(only: str | None = None) -> list[Path]:
    """The numbered notebooks, or those whose names begin with ``only``; UserError if there is none."""
    selected = sorted(NOTEBOOKS.glob(f"{only or '[0-9]'}*.ipynb"))
    if not selected:
        raise UserError(f"no notebook in {paths.display_path(NOTEBOOKS)} begins with {only!r}")
    return selected


def measure(notebooks: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """Run notebooks with their default settings; a record for each: seconds, user CPU seconds, peak memory, machine.

    Raises:
        UserError: a notebook fails, or memory cannot be measured on this system.
    """
    if not hasattr(os, "wait4"):
        raise UserError("the memory of notebooks cannot be measured on this system")
    about = environment_info(torch.device("cpu"))
    for path in notebooks:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "papermill", str(path), str(Path(folder) / path.name), "--no-progress-bar"]
            env, start = {**os.environ, "TQDM_DISABLE": "1"}, time.monotonic()
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env)
            assert process.stderr  # a pipe
            errors = process.stderr.read().decode(errors="replace").strip()
            _, status, usage = os.wait4(process.pid, 0)  # the usage of papermill, and of the kernel it waited for
            process.returncode = os.waitstatus_to_exitcode(status)
            seconds = time.monotonic() - start
        if process.returncode:
            raise UserError(f"{path.name} fails: {errors.splitlines()[-1] if errors else 'no message'}")
        unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, kilobytes elsewhere
        yield {
            "notebook": path.stem,
            "seconds": round(seconds, 1),
            "cpu_seconds": round(usage.ru_utime, 1),  # of all cores; other work on the machine hardly changes it
            "peak_memory_mb": round(usage.ru_maxrss / unit),
            "device": about["device"],
            "cores": available_cpus(),
            "torch": about["versions"]["torch"],
            "revision": about["revision"],
        }


def recorded() -> pd.DataFrame:
    """The records in data/results/notebooks.csv, by notebook; an empty table if there are none."""
    table = read_records(paths.RESULTS / "notebooks.csv")
    return table if table.empty else table.sort_values("notebook", ignore_index=True)


def record(row: dict[str, Any]) -> Path:
    """Add a record of ``measure`` to data/results/notebooks.csv, in place of an older one of the same notebook."""
    return upsert_csv(paths.RESULTS / "notebooks.csv", [row], ["notebook"])
