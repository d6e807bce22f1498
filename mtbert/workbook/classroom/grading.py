"""Grading in parallel: processes that grade, fed with jobs, restarted if one dies."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, NamedTuple

from mtbert.utils.errors import UserError
from mtbert.workbook.classroom.limits import Limits

_KEPT = ("PATH", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR", "MTBERT_DATA")
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "CUDA_VISIBLE_DEVICES": "",
    "PYTHONHASHSEED": "0",
    "MPLBACKEND": "agg",
    "HF_HUB_OFFLINE": "1",
}


class Job(NamedTuple):
    """An exercise of a student, with the code cells of the notebook."""

    student: str
    notebook: str
    exercise: str
    cells: Sequence[str]


class Verdict(NamedTuple):
    """Whether an exercise is solved; if not, the first failing property and a message; the check's lines."""

    passed: bool
    property: str
    message: str
    lines: Sequence[str] = ()


class _Worker:
    """A process of ``worker.py``, started when it is needed and again after it died."""

    def __init__(self, limits: Limits):
        self.limits = limits
        self.process: subprocess.Popen | None = None

    def grade(self, job: Job) -> Verdict:
        question = {"notebook": job.notebook, "exercise": job.exercise, "cells": list(job.cells)}
        try:
            process = self.process or self._start()
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(json.dumps(question).encode() + b"\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            return Verdict(answer["passed"], answer["property"], answer["message"], answer["lines"])
        except (OSError, ValueError, KeyError):  # it is gone
            self.close()
            return Verdict(False, "", "the code ended the process that grades it")

    def _start(self) -> subprocess.Popen:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        command = [sys.executable, "-m", "mtbert.workbook.classroom.worker"]
        command += [str(self.limits.seconds), str(self.limits.memory)]
        with tempfile.TemporaryFile() as errors:
            self.process = process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=kept | _ENVIRONMENT
            )
            assert process.stdout is not None
            if not process.stdout.readline():
                process.wait()
                errors.seek(0)
                last = errors.read().decode(errors="replace").strip().splitlines()[-1:]
                raise UserError(f"the grading process does not start: {' '.join(last) or process.returncode}")
        return process

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


def grade(jobs: Iterable[Job], limits: Limits | None = None, workers: int = 1) -> Iterator[tuple[Job, Verdict]]:
    """Grade exercises, each in a process of its own; the verdicts come in the order in which they are found.

    Raises:
        UserError: where processes cannot be forked, or the workers do not start.
    """
    if not hasattr(os, "fork"):
        raise UserError("grading needs Linux or macOS: on Windows, run it in WSL or in a container")
    local, started = threading.local(), []

    def in_a_thread(job: Job) -> Verdict:
        if not hasattr(local, "worker"):
            local.worker = _Worker(limits or Limits())
            started.append(local.worker)
        return local.worker.grade(job)

    with ThreadPoolExecutor(max(1, workers)) as pool:
        try:
            futures: dict[Any, Job] = {pool.submit(in_a_thread, job): job for job in jobs}
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in started:
                worker.close()
