"""How benchmarks measure: interleaved timing, memory, operator counts; and where their figures are recorded.

Absolute times on a shared machine say little. Two programs that take turns on the same batches are slowed down alike,
so their ratio can be trusted.
"""

import itertools
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import torch

from mtbert.experiments.results import read_table
from mtbert.utils import paths
from mtbert.utils.device import environment_info
from mtbert.utils.tables import upsert_csv
from mtbert.utils.torch_private import TorchDispatchMode, allocations

_NO_WORK = {"_unsafe_view", "empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided"}


class Side(Protocol):
    """One of several implementations that are timed side by side."""

    def step(self, rows: Any) -> Any:
        """Train on the rows of one batch."""


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def interleave(
    sides: Mapping[str, Callable[[Any], Any]],
    batches: Sequence[Any],
    device: torch.device,
    warm_up: int = 1,
    turn_length: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Time several functions on the same batches, in turns, so that other work on the machine slows them down alike.

    Every other turn the order is reversed. The first ``warm_up`` batches do not count.

    Args:
        turn_length: batches that a side processes in one turn. On a GPU, waiting for every single step would be timed
            as well: see ``steps_per_turn``.
        clock: what gives the seconds; see ``busy_machine_clock``.

    Returns:
        name -> seconds per batch, one value per turn.
    """
    for batch in batches[:warm_up]:
        for function in sides.values():
            function(batch)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn, start in enumerate(range(warm_up, len(batches), turn_length)):
        chunk = batches[start : start + turn_length]
        for name in list(sides) if turn % 2 else list(sides)[::-1]:
            _synchronize(device)
            began = clock()
            for batch in chunk:
                sides[name](batch)
            _synchronize(device)
            seconds[name].append((clock() - began) / len(chunk))
    return seconds


def busy_machine_clock() -> Callable[[], float]:
    """A clock for steps on a CPU that stops while another program has the core, where there is one.

    That is the CPU time of this process as long as torch computes with one thread. The CPU time of several threads adds
    up, and on Windows it is counted in steps of 16 ms: there it is the time on the wall.
    """
    return time.process_time if os.name == "posix" and torch.get_num_threads() == 1 else time.perf_counter


def steps_per_turn(device: torch.device) -> int:
    """Training steps in a turn of ``interleave``."""
    return 10 if device.type == "cuda" else 1


class MemoryTracker:
    """Wraps a side to track ``memory_mb``, the most memory in MB that it has held on a GPU.

    None on a CPU, where sides in one process cannot be told apart.
    """

    def __init__(self, build: Callable[[], Side], device: torch.device):
        self.device, self._held = device, 0
        self.memory_mb: float | None = None
        with self._tracking():
            self.side = build()

    def step(self, rows: Any) -> None:
        with self._tracking():
            self.side.step(rows)

    @contextmanager
    def _tracking(self) -> Iterator[None]:
        if self.device.type != "cuda":
            yield
            return
        others = torch.cuda.memory_allocated(self.device) - self._held
        torch.cuda.reset_peak_memory_stats(self.device)
        yield
        self._held = torch.cuda.memory_allocated(self.device) - others
        peak = (torch.cuda.max_memory_allocated(self.device) - others) / 2**20
        self.memory_mb = max(self.memory_mb or 0.0, peak)


def step_memory_mb(function: Callable[[], Any], device: torch.device) -> float | None:
    """MB that a call allocates at its peak, beyond what is held before it; None if it cannot be measured."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        function()
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        function()
    sizes = allocations(profile)
    return max(itertools.accumulate(sizes, initial=0)) / 2**20 if sizes else None


class _OperatorCounter(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        name = operator.overloadpacket.__name__
        if not operator.is_view and name not in _NO_WORK:
            self.counts[name] += 1
        return operator(*args, **(kwargs or {}))


def operator_calls(function: Callable[[], Any]) -> Counter[str]:
    """How often a call runs each of torch's operators, backward passes included: on a GPU each is a launch, or several.

    Views and allocations are not counted.
    """
    with _OperatorCounter() as counter:
        function()
    return counter.counts


def read_records(path: Path) -> pd.DataFrame:
    """A benchmark's recorded figures; an empty table if there are none."""
    return read_table(path) if path.exists() else pd.DataFrame()


def record_throughput(rows: Iterable[Mapping[str, Any]]) -> Path:
    """Add rows to data/results/throughput.csv.

    A row of the same bench, device, encoder, task, batch, precision and side replaces the older one.
    """
    about = environment_info(torch.device("cpu"))
    versions = {"torch": about["versions"]["torch"], "revision": about["revision"]}
    key = ["bench", "device", "encoder", "task", "batch", "precision", "side"]
    return upsert_csv(paths.RESULTS / "throughput.csv", [{**row, **versions} for row in rows], key)
