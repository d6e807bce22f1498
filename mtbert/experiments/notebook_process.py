"""The process of one run of a sweep: papermill on a notebook, for as long as the sweep lives.

``python -m mtbert.experiments.notebook_process PARENT INPUT OUTPUT [NAME=VALUE ...]``, where PARENT is the sweep's
process id. However the sweep dies, even by ``kill -9``, this process then stops as if by ``kill``: it interrupts the
notebook, whose run writes a checkpoint.
"""

import os
import signal
import sys
import threading
import time
from pathlib import Path

_POLL_SECONDS = 0.5


def main(parent: str, notebook: str, output: str, *parameters: str) -> None:
    """Execute ``notebook`` with parameters such as "out=runs/demo", and write it to ``output``."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # papermill then shuts the notebook's kernel down
    if hasattr(os, "getppid"):
        threading.Thread(target=_end_with, args=(int(parent),), daemon=True).start()
    from papermill import execute_notebook  # type: ignore[import-untyped]

    values = dict(parameter.split("=", 1) for parameter in parameters)
    execute_notebook(_literal(notebook), _literal(output), values, progress_bar=False)


def _end_with(parent: int) -> None:
    """Wait until the parent process is gone, then end this one."""
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


def _literal(path: str) -> str:
    """A path in which papermill, which formats paths with the parameters, finds no field."""
    return str(Path(path)).replace("{", "{{").replace("}", "}}")


if __name__ == "__main__":
    main(*sys.argv[1:])
