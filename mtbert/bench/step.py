"""A training step of mtbert beside one of transformers: examples per second, share of the matrix peak, memory."""

import math
import multiprocessing
import statistics
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from mtbert.bench.sides import Job, MatrixProducts, Ours, Peer
from mtbert.bench.timing import MemoryTracker, Side, interleave, steps_per_turn
from mtbert.bench.workload import MAX_LENGTH, task_inputs
from mtbert.data.tokens import TokenizedDataset
from mtbert.nn.flops import device_mfu, mfu, training_flops
from mtbert.nn.pretrained import load_encoder
from mtbert.training.cuda_graphs import Execution
from mtbert.utils.device import peak_memory_mb

PACKAGES = ("mtbert", "transformers")


@dataclass(frozen=True)
class Timing:
    """A task's training steps, by side."""

    task: str
    rates: dict[str, float]  # examples per second
    peak_share: dict[str, float]  # of the device's matrix peak, if every side did the textbook step's FLOPs
    memory_mb: dict[str, float | None]  # peak on a GPU; None on a CPU (see ``bench_memory``)

    def fastest(self, package: str) -> float:
        """The rate of a package's fastest side."""
        return max(rate for side, rate in self.rates.items() if side.startswith(package))

    def lead(self, side: str) -> float:
        """How many times faster than a side of transformers mtbert's fastest side is."""
        return self.fastest("mtbert") / self.rates[side]


@dataclass(frozen=True)
class Variant:
    """A side of ``bench_step``: whose step, and how its rows reach it."""

    package: str  # "mtbert" or "transformers"
    grouped: bool = False  # batches of similar lengths, rather than random ones
    compiled: bool = False
    packed: bool = False  # transformers without padding

    @property
    def name(self) -> str:
        traits = {"compiled": self.compiled, "packed": self.packed, "grouped": self.grouped}
        return ", ".join([self.package, *(trait for trait, present in traits.items() if present)])


def variants(compiled: bool, gpu: bool = False) -> list[Variant]:
    """The sides: both packages on random and on length-grouped batches, and transformers without padding.

    With ``compiled``, also under torch.compile; on a GPU mtbert always runs as its ``Execution`` says.
    """
    sides = [Variant(package, grouped) for package in PACKAGES for grouped in (False, True)]
    sides.append(Variant("transformers", packed=True))
    if compiled:
        packages = PACKAGES[1:] if gpu else PACKAGES
        sides += [Variant(package, grouped, compiled=True) for package in packages for grouped in (False, True)]
    return sides


def bench_step(
    folder: Path,
    encoder: str,
    tasks: list[str],
    batch_size: int,
    steps: int,
    device: torch.device,
    warm_up: int = 3,
    precision: str = "float32",
    execution: Execution | None = None,
    compiled: bool = False,
    peak: float | None = None,
    passes: int = 1,
) -> Iterator[Timing]:
    """Time training steps of mtbert and transformers on the same rows, all sides in turns.

    Every side reads the rows ``passes`` times; each batch counts with the median of its times.

    Args:
        batch_size, steps, warm_up: rows per step, steps in a pass, and steps before the first pass.
        execution: compiled layers and CUDA graphs of mtbert's side on a GPU.
        compiled: add both packages under torch.compile.
        peak: the device's peak in FLOP/s; by default that of its datasheet, or measured in turn with the sides
            (``MatrixProducts``) where there is none.
    """
    config = load_encoder(encoder).config
    products = MatrixProducts(config, device, torch.bfloat16 if precision == "bfloat16" else torch.float32)
    for name in tasks:
        task, dataset, batches = task_inputs(folder, encoder, name, batch_size, steps)
        job, lengths = Job(encoder, task, dataset, device, precision), _token_counts(encoder, dataset)
        grouped = length_grouped(torch.cat(batches), lengths, batch_size)
        tokens = [int(lengths[rows].sum()) for rows in batches]
        trackers: dict[str, MemoryTracker] = {}
        functions = {"": partial(_run, products, tokens)}
        for variant in variants(compiled, device.type == "cuda"):
            build = partial(_build, variant, job, execution)
            trackers[variant.name] = tracker = MemoryTracker(build, device)
            rows = grouped if variant.grouped else batches
            functions[variant.name] = partial(_run, tracker, rows)
        order = [*range(warm_up := min(warm_up, steps)), *list(range(steps)) * passes]
        turns = interleave(functions, order, device, warm_up)
        seconds = {side: _one_pass(times, steps) for side, times in turns.items()}
        measured = sum(map(products.flops, tokens)) / seconds.pop("")
        flops = training_flops(config, lengths[torch.cat(batches)].tolist())
        yield Timing(
            name,
            {side: batch_size * steps / spent for side, spent in seconds.items()},
            {
                side: device_mfu(flops, spent, device, peak) or mfu(flops, spent, measured)
                for side, spent in seconds.items()
            },
            {side: tracker.memory_mb for side, tracker in trackers.items()},
        )


def _build(variant: Variant, job: Job, execution: Execution | None) -> Side:
    if variant.package == "transformers":
        return Peer(job, variant.compiled, variant.packed)
    return Ours(job, execution=Execution(compile=True) if variant.compiled else execution)


def _token_counts(encoder: str, dataset: TokenizedDataset) -> Tensor:
    """Tokens in the sequence of each row, (rows,)."""
    return dataset.encode("cross", MAX_LENGTH, load_encoder(encoder).tokenizer).lengths


def length_grouped(rows: Tensor, lengths: Tensor, batch_size: int) -> list[Tensor]:
    """The rows in batches of similar lengths, in random order; ``lengths``: those of all rows, by row."""
    batches = rows[lengths[rows].argsort(stable=True)].split(batch_size)
    order = torch.randperm(len(batches), generator=torch.Generator().manual_seed(0))
    return [batches[index] for index in order.tolist()]


def _run(side: Side, inputs: Sequence, step: int) -> None:
    side.step(inputs[step])


def _one_pass(seconds: list[float], steps: int) -> float:
    """Seconds of one pass, from those of every step of several passes."""
    return sum(statistics.median(seconds[step::steps]) for step in range(steps))


def bench_adapters(
    folder: Path,
    encoder: str,
    tasks: list[str],
    adapters: list[str],
    batch_size: int,
    steps: int,
    device: torch.device,
    warm_up: int = 3,
) -> Iterator[tuple[str, dict[str, float]]]:
    """Each task, and the seconds of a training step with each adapter and, as "none", without one."""
    for name in tasks:
        task, dataset, batches = task_inputs(folder, encoder, name, batch_size, warm_up + steps)
        job = Job(encoder, task, dataset, device)
        sides = {adapter: Ours(job, adapter) for adapter in ("none", *adapters)}
        yield name, _median_seconds(sides, batches, warm_up, device)


def bench_memory(folder: Path, encoder: str, task: str, batch_size: int, steps: int, device: str) -> dict[str, float]:
    """Peak memory in MB of each side on a CPU, each in a process of its own that trains ``steps`` steps."""
    peaks = {}
    for side in ("mtbert", "transformers"):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            peaks[side] = pool.submit(_peak_memory, side, folder, encoder, task, batch_size, steps, device).result()
    return peaks


def _peak_memory(side: str, folder: Path, encoder: str, name: str, batch_size: int, steps: int, device: str) -> float:
    task, dataset, batches = task_inputs(folder, encoder, name, batch_size, steps)
    trainer = (Ours if side == "mtbert" else Peer)(Job(encoder, task, dataset, torch.device(device)))
    for rows in batches:
        trainer.step(rows)
    return peak_memory_mb(torch.device(device)) or math.nan


def _median_seconds(sides: dict, batches: list[Tensor], warm_up: int, device: torch.device) -> dict[str, float]:
    functions = {name: side.step for name, side in sides.items()}
    seconds = interleave(functions, batches, device, warm_up, steps_per_turn(device))
    return {name: statistics.median(turns) for name, turns in seconds.items()}
