"""What a graded process may use: time, memory, its own folder; no network and no other processes.

This stops accidents and pranks. It is no sandbox against malice: code in the same process can get around all of it.
"""

import builtins
import contextlib
import ctypes
import math
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

_SPARE_TASKS = 256  # processes and threads beyond those the user has when grading begins
_FILE_BYTES = 100 * 2**20
_SET_CHILD_SUBREAPER, _SET_PARENT_DEATH_SIGNAL = 36, 1  # prctl
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_PROCESSES = ("os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.system", "subprocess.Popen", "pty.spawn")
_CHANGES = (
    *(f"os.{call}" for call in ["remove", "rename", "rmdir", "mkdir", "link", "symlink", "truncate", "chmod", "chown"]),
    *(f"shutil.{call}" for call in ("rmtree", "move", "copyfile")),
)


@dataclass(frozen=True)
class Limits:
    """What one exercise may use.

    Attributes:
        seconds: CPU time. By the clock, it may take six times as long.
        memory: Gigabytes beyond what Python and torch take.
    """

    seconds: float = 10.0
    memory: float = 2.0


def confine(folder: Path, limits: Limits, tasks: int | None) -> None:
    """Limit this process for good, and make ``folder`` its home, working and temporary folder.

    Args:
        folder: An empty folder.
        limits: Time and memory.
        tasks: How many processes and threads the user may have in all; None for any number.
    """
    import resource

    with contextlib.suppress(AttributeError, OSError):
        _prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    seconds = math.ceil(limits.seconds)
    bounds = {
        resource.RLIMIT_CPU: (seconds, seconds + 1),
        resource.RLIMIT_FSIZE: (_FILE_BYTES, _FILE_BYTES),
        resource.RLIMIT_CORE: (0, 0),
    }
    used = _address_space()
    if used is not None:
        bytes_ = used + int(limits.memory * 2**30)
        bounds[resource.RLIMIT_AS] = (bytes_, bytes_)
    if tasks is not None:
        bounds[resource.RLIMIT_NPROC] = (tasks, tasks)
    for kind, bound in bounds.items():
        with contextlib.suppress(ValueError, OSError):  # a lower limit holds already
            resource.setrlimit(kind, bound)
    os.chdir(folder)
    os.environ.update(HOME=str(folder), TMPDIR=str(folder), MTBERT_CACHE=str(folder / "cache"))
    tempfile.tempdir = str(folder)
    sys.dont_write_bytecode = True
    sys.addaudithook(_refuse_outside(os.path.realpath(folder)))


def _refuse_outside(folder: str) -> Callable[[str, tuple[Any, ...]], None]:
    """An audit hook that refuses the network, other processes, and changes to files outside of a folder."""
    me = os.getpid()

    def is_inside(path: Any) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return True  # a file that is open already
        real = os.path.realpath(os.fsdecode(path))
        return real == "/dev/null" or real == folder or real.startswith(folder + os.sep)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith("socket.") and event not in ("socket.__new__", "socket.gethostname"):
            raise PermissionError("there is no network while an exercise is graded")
        if event in _PROCESSES or (event in ("os.kill", "os.killpg") and arguments[0] != me):
            raise PermissionError("an exercise may not start or end other processes")
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES
        if writes and not is_inside(arguments[0]):
            raise PermissionError("an exercise may write to its own temporary folder only")
        if event in _CHANGES and not all(map(is_inside, arguments[:2] if event != "os.mkdir" else arguments[:1])):
            raise PermissionError("an exercise may change files in its own temporary folder only")

    return hook


def allowed_tasks() -> int | None:
    """The user's processes and threads now, and some to spare; None where that cannot be counted."""
    me, tasks = os.getuid(), 0
    for folder in Path("/proc").glob("[0-9]*/task"):
        with contextlib.suppress(OSError):
            tasks += len(os.listdir(folder)) if folder.stat().st_uid == me else 0
    return tasks + _SPARE_TASKS if tasks else None


def adopt_orphans() -> None:
    """On Linux, become the parent of whatever a child leaves behind, so that it can be ended."""
    with contextlib.suppress(AttributeError, OSError):
        _prctl(_SET_CHILD_SUBREAPER, 1)


def end_children(group: int) -> None:
    """Kill a process group and every child of this process, again and again until there is none."""
    with contextlib.suppress(OSError):
        os.killpg(group, signal.SIGKILL)
    while True:
        for child in _children():
            with contextlib.suppress(OSError):
                os.kill(child, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children() -> list[int]:
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except OSError:  # not Linux
        return []


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _address_space() -> int | None:
    """This process's address space in bytes; None where /proc does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None


class Tampering:
    """Notices functions that were replaced: those of mtbert, torch, NumPy, and Python itself."""

    def __init__(self) -> None:
        self.before = {name: _identities(owner) for name, owner in _owners()}

    def first(self) -> str:
        """The name of a function that is another one than before; "" if there is none."""
        for name, owner in _owners():
            now = _identities(owner)
            for attribute, identity in self.before.get(name, {}).items():
                if now.get(attribute) != identity and not _is_its_own(getattr(owner, attribute, None), attribute, name):
                    return f"{name}.{attribute}"
        return ""


def _is_its_own(value: Any, attribute: str, owner: str) -> bool:
    """Whether a library replaced its own function, as torch does when torch.compile is first loaded."""
    library, package = owner.partition(".")[0], str(getattr(value, "__module__", "")).partition(".")[0]
    return library == package != "mtbert" and getattr(value, "__name__", "") == attribute


def _owners() -> list[tuple[str, Any]]:
    import numpy as np
    import torch

    others = (builtins, math, np, torch, torch.nn.functional)
    named: list[tuple[str, Any]] = [(module.__name__, module) for module in others]
    named.append(("torch.Tensor", torch.Tensor))
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "mtbert" and isinstance(module, ModuleType):
            named.append((name, module))
            if name.startswith("mtbert.workbook.checks"):
                classes = [value for value in vars(module).values() if isinstance(value, type)]
                named += [(f"{name}.{value.__name__}", value) for value in classes if value.__module__ == name]
    return named


def _identities(owner: Any) -> dict[str, tuple[int, ...]]:
    """Functions and classes by name, as the object, its code and its default values."""
    parts = ("__code__", "__defaults__", "__kwdefaults__")
    items = list(vars(owner).items())
    return {
        name: (id(value), *(id(getattr(value, part, None)) for part in parts))
        for name, value in items
        if callable(value)
    }
