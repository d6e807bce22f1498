"""The process that grades: it loads torch and the checks once, and forks a process of its own for each exercise.

``python -m mtbert.workbook.classroom.worker SECONDS MEMORY`` reads a job a line and answers a verdict a line, in JSON.
"""

import contextlib
import gc
import importlib
import json
import os
import secrets
import select
import shutil
import signal
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

from mtbert.workbook import checks
from mtbert.workbook.checks.engine import error_text
from mtbert.workbook.classroom.exercises import NOTEBOOKS, code_cells, exercises, read
from mtbert.workbook.classroom.extraction import ExtractionError, Statement, program, statements
from mtbert.workbook.classroom.limits import Limits, Tampering, adopt_orphans, allowed_tasks, confine, end_children

SEEDS = range(3)
CLOCK = 6  # how much longer than its CPU time an exercise may take by the clock
_LONGEST = 400  # characters of a message


def main(seconds: str, memory: str) -> None:
    """Answer jobs until standard input ends."""
    limits, answers = Limits(float(seconds), float(memory)), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)  # nothing else may write between the answers
    import torch
    import torch._dynamo  # else every exercise that builds an encoder would load it
    from IPython.core import inputtransformer2  # noqa: F401

    torch.set_num_threads(1)
    for name in vars(checks)["__all__"]:
        importlib.import_module(f"mtbert.workbook.checks.{name}")
    for path in NOTEBOOKS.glob("*.ipynb"):
        _original(path)
    gc.collect()
    gc.freeze()  # so that children do not copy what the collector would touch
    adopt_orphans()
    tasks = allowed_tasks()
    _answer(answers, {"ready": True})
    for line in sys.stdin:
        _answer(answers, _in_a_process(json.loads(line), limits, tasks, answers))


@cache
def _original(path: Path) -> list[Statement]:
    return statements(code_cells(read(path)), "original cell")[0]


def _answer(pipe: int, verdict: dict[str, Any]) -> None:
    content = json.dumps(verdict).encode() + b"\n"
    while content:
        content = content[os.write(pipe, content) :]


def _in_a_process(job: dict[str, Any], limits: Limits, tasks: int | None, answers: int) -> dict[str, Any]:
    """The verdict on a job, whatever its code does."""
    folder = tempfile.mkdtemp(prefix="mtbert-grade-")
    reading, writing = os.pipe()
    token = secrets.token_hex(8)  # code that writes to every open file does not forge a verdict
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            os.close(reading)
            os.close(answers)
            for descriptor in (0, 1, 2):
                os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
            verdict = _confined(job, Path(folder), limits, tasks)
            os.write(writing, json.dumps({"token": token, **verdict}).encode() + b"\n")
        finally:
            os._exit(0)
    os.close(writing)
    try:
        verdict, status = _wait(child, reading, token, limits.seconds * CLOCK)
    finally:
        os.close(reading)
        end_children(child)
        shutil.rmtree(folder, ignore_errors=True)
    return verdict or _failed(_ending(status, limits.seconds))


def _confined(job: dict[str, Any], folder: Path, limits: Limits, tasks: int | None) -> dict[str, Any]:
    try:
        confine(folder, limits, tasks)
    except Exception as error:
        return _failed(f"the limits of the process cannot be set: {error_text(error)}")
    return judge(job)


def _wait(child: int, pipe: int, token: str, seconds: float) -> tuple[dict[str, Any] | None, int | None]:
    """A child's verdict, if it writes one in time, and how it ended; None if it was still running."""
    received, status, end = b"", None, time.monotonic() + seconds
    while status is None and time.monotonic() < end:
        done, ended = os.waitpid(child, os.WNOHANG)
        status = ended if done else None
        while select.select([pipe], [], [], 0 if done else 0.05)[0]:
            part = os.read(pipe, 65536)
            received = (received + part)[-(2**20) :]
            if not part:  # closed: the child ends, or waits for something
                time.sleep(0.02)
            if not part or time.monotonic() > end:
                break
        for line in received.splitlines():
            with contextlib.suppress(ValueError, AttributeError):
                verdict = json.loads(line)
                if verdict.pop("token", None) == token:
                    return verdict, status
    return None, status


def _ending(status: int | None, seconds: float) -> str:
    """Why there is no verdict."""
    if status is None or (os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGALRM)):
        return f"not finished within {seconds:g} s: is there an endless loop?"
    if os.WIFSIGNALED(status):
        return f"crashed: {signal.Signals(os.WTERMSIG(status)).name}"
    return f"ended its process (exit code {os.WEXITSTATUS(status)}) before the check was done"


def _failed(message: str, property: str = "") -> dict[str, Any]:
    return {"passed": False, "property": property, "message": message, "lines": []}


def judge(job: dict[str, Any]) -> dict[str, Any]:
    """Take the exercise out of the notebook, run it, and check it, in this process.

    Args:
        job: "notebook", "exercise" (its id), and "cells", the sources of the code cells.

    Returns:
        "passed"; the first failing "property"; a "message"; the check's "lines".
    """
    try:
        verdict = _judge(job)
    except BaseException as error:  # whatever a learner's code raises
        verdict = _failed(f"{type(error).__name__}: {error_text(error)}".rstrip(": "))
        if isinstance(error, SystemExit):
            verdict = _failed("the code calls exit: a function should return")
    for key in ("message", "property"):
        verdict[key] = " ".join(str(verdict[key]).split())[:_LONGEST]
    return verdict


def _judge(job: dict[str, Any]) -> dict[str, Any]:
    path = NOTEBOOKS / f"{job['notebook']}.ipynb"
    exercise = next(exercise for exercise in exercises(path) if exercise.id == job["exercise"])
    module, _, name = exercise.id.partition(".")
    check = getattr(getattr(checks, module), name)
    tampering = Tampering()
    try:
        needed, function = program(job["cells"], _original(path), exercise.id, exercise.function)
    except ExtractionError as error:
        return _failed(str(error))
    names: dict[str, Any] = {"__name__": "__main__"}
    for statement in needed:
        try:
            exec(statement, names)  # noqa: S102
        except Exception as error:
            return _failed(f"{type(error).__name__}: {error_text(error)} ({_line(error, statement.co_filename)})")
    result = None
    for seed in SEEDS:
        result = check(names.get(function), seed=seed)
        if not result.passed:
            break
    changed = tampering.first()
    if changed:
        return _failed(f"the submission replaces {changed}: the check cannot be trusted")
    assert result is not None
    return {"passed": result.passed is True, "property": result.failed, "message": result.reason, "lines": result.lines}


def _line(error: Exception, filename: str) -> str:
    """The place in a cell where an exception was raised, as "line 3: x = y"."""
    import linecache
    import traceback

    lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == filename]
    return f"line {lines[-1]}: {linecache.getline(filename, lines[-1]).strip()}" if lines else "while it was defined"


if __name__ == "__main__":
    main(*sys.argv[1:])
