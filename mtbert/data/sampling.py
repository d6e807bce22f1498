"""Which tasks take part in each training step.

To add a sampler, write a class here and add it to ``SAMPLERS``: recipes then accept its name. Most samplers derive from
``ApportionedSampler`` and only define ``weights(epoch)``, each task's share of the steps of an epoch; any other derives
from ``Sampler`` and defines ``epoch`` and ``steps_per_epoch``. If it puts several tasks into one step, or changes from
epoch to epoch, add its name to the rules in mtbert/training/compatibility.py and to ``_rows_per_step`` in
mtbert/experiments/recipes/scale.py as well.

A sampler is a pure function of its seed, so a run can resume from the number of its next step alone. The batch samplers
in ``mtbert.data.batch_samplers`` decide which rows of a task a step reads.
"""

import bisect
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from mtbert.data.batch_samplers import BatchSampler, derived_seed


class Step(NamedTuple):
    """One optimizer step.

    Attributes:
        number: the step's number in the run, from 0.
        rows: for each task that takes part, the (batch,) rows it reads.
        batch_indices: for each task that takes part, the number of batches it has read before.
    """

    number: int
    rows: dict[str, Tensor]
    batch_indices: dict[str, int]


@dataclass(frozen=True)
class SamplerConfig:
    """What a sampler may depend on besides the sizes of the training sets.

    Attributes:
        epochs: epochs in the whole run.
        steps_per_epoch: None for an epoch of the sampler's own length.
        temperature: for ``TemperatureSampler``.
        max_oversampling: how many times, at most, an epoch of ``OversamplingSampler`` repeats a small set.
    """

    epochs: int = 1
    steps_per_epoch: int | None = None
    temperature: float = 5.0
    max_oversampling: float = 5.0


class Sampler:
    """Base class of the samplers.

    Args:
        num_rows: rows in each task's training set, in the order of the tasks.
        batch_size: rows in a batch of each task.
        seed: the run's seed.
        config: see ``SamplerConfig``.
        batch_samplers: batch samplers of tasks that need other than plainly shuffled batches.
    """

    def __init__(
        self,
        num_rows: Mapping[str, int],
        batch_size: Mapping[str, int],
        seed: int = 0,
        config: SamplerConfig | None = None,
        batch_samplers: Mapping[str, BatchSampler] | None = None,
    ):
        self.num_rows, self.seed, self.config = dict(num_rows), seed, config or SamplerConfig()
        shuffled = {task: BatchSampler(task, rows, batch_size[task], seed) for task, rows in num_rows.items()}
        self.batch_samplers = {**shuffled, **(batch_samplers or {})}

    @property
    def num_batches(self) -> dict[str, int]:
        """Batches in one pass over each task."""
        return {task: sampler.num_batches for task, sampler in self.batch_samplers.items()}

    @property
    def steps_per_epoch(self) -> int:
        raise NotImplementedError

    def epoch(self, epoch: int) -> Iterator[tuple[str, ...]]:
        """The tasks of each step of an epoch, counted from 0."""
        raise NotImplementedError

    def steps(self, start: int = 0) -> Iterator[Step]:
        """Steps without end from number ``start``, the same as if those before had been drawn."""
        batches_read = dict.fromkeys(self.batch_samplers, 0)
        tasks_of_steps = itertools.chain.from_iterable(self.epoch(epoch) for epoch in itertools.count())
        for number, tasks in enumerate(tasks_of_steps):
            if number >= start:
                indices = {task: batches_read[task] for task in tasks}
                rows = {task: self.batch_samplers[task].batch(index) for task, index in indices.items()}
                yield Step(number, rows, indices)
            for task in tasks:
                batches_read[task] += 1


class RoundRobinSampler(Sampler):
    """One task a step, in turn, until the largest set has been read once; smaller sets are cycled."""

    @property
    def steps_per_epoch(self) -> int:
        return max(self.num_batches.values()) * len(self.batch_samplers)

    def epoch(self, epoch: int) -> Iterator[tuple[str, ...]]:
        for _ in range(max(self.num_batches.values())):
            for task in self.batch_samplers:
                yield (task,)


class MixedSampler(Sampler):
    """A batch of every task in every step, losses summed, until the largest set has been read once ("max size cycle").

    Smaller sets are cycled and reshuffled.
    """

    @property
    def steps_per_epoch(self) -> int:
        return max(self.num_batches.values())

    def epoch(self, epoch: int) -> Iterator[tuple[str, ...]]:
        yield from itertools.repeat(tuple(self.batch_samplers), self.steps_per_epoch)


def apportion(weights: Mapping[str, float], total: int) -> dict[str, int]:
    """Divide ``total`` steps among tasks in proportion to their weights, by the largest-remainder (Hamilton) method.

    Each task gets its exact share rounded down; the steps left over go to the largest remainders. No task is a whole
    step away from its share.
    """
    total_weight = sum(weights.values())
    shares = {task: total * weight / total_weight for task, weight in weights.items()}
    counts = {task: int(share) for task, share in shares.items()}
    by_remainder = sorted(shares, key=lambda task: counts[task] - shares[task])
    for task in by_remainder[: total - sum(counts.values())]:
        counts[task] += 1
    return counts


class ApportionedSampler(Sampler):
    """One task a step; the number of steps of each task in an epoch follows its weight exactly, not just on average.

    An epoch has as many steps as one pass over all tasks has batches, so that samplers are compared at equal work.
    """

    @property
    def steps_per_epoch(self) -> int:
        return self.config.steps_per_epoch or sum(self.num_batches.values())

    def weights(self, epoch: int) -> dict[str, float]:
        """Each task's share of an epoch, in any unit."""
        raise NotImplementedError

    def counts(self, epoch: int) -> dict[str, int]:
        """Steps of each task in an epoch."""
        return apportion(self.weights(epoch), self.steps_per_epoch)

    def epoch(self, epoch: int) -> Iterator[tuple[str, ...]]:
        """The tasks of each step of an epoch, in an order drawn from (seed, epoch)."""
        tasks = list(Counter(self.counts(epoch)).elements())
        generator = torch.Generator().manual_seed(derived_seed(self.seed, "order of tasks", epoch))
        for index in torch.randperm(len(tasks), generator=generator).tolist():
            yield (tasks[index],)


class SequentialSampler(ApportionedSampler):
    """In every epoch, all batches of the first task, then all of the second, and so on.

    If ``steps_per_epoch`` is set, each task's block shrinks or grows in proportion.
    """

    def weights(self, epoch: int) -> dict[str, float]:
        return dict(self.num_batches)

    def epoch(self, epoch: int) -> Iterator[tuple[str, ...]]:
        for task, count in self.counts(epoch).items():
            yield from itertools.repeat((task,), count)


class StagesSampler(ApportionedSampler):
    """One task after another over the whole run: each has an equal share of the epochs to itself."""

    @property
    def steps_per_epoch(self) -> int:
        return self.config.steps_per_epoch or -(-super().steps_per_epoch // len(self.batch_samplers))

    def weights(self, epoch: int) -> dict[str, float]:
        epoch %= self.config.epochs
        current = epoch * len(self.batch_samplers) // self.config.epochs
        return {task: float(index == current) for index, task in enumerate(self.batch_samplers)}


class AloneFirstSampler(Sampler):
    """The small sets alone, one after another, each for half of the run's epochs; then all tasks mixed for the other
    half of the largest set's epochs (Ahmed & Karamardian).

    Both phases are planned over the whole run, in epochs of equal length. If ``steps_per_epoch`` is set, both shrink
    or grow in proportion.
    """

    def _phases(self) -> tuple[dict[str, int], int]:
        """Steps of each small set alone, and mixed steps, before scaling."""
        epochs_alone = self.config.epochs // 2
        largest = max(self.num_rows, key=self.num_rows.__getitem__)
        alone = {task: epochs_alone * batches for task, batches in self.num_batches.items() if task != largest}
        return alone, (self.config.epochs - epochs_alone) * max(self.num_batches.values())

    @property
    def steps_per_epoch(self) -> int:
        alone, mixed = self._phases()
        return self.config.steps_per_epoch or -(-(sum(alone.values()) + mixed) // self.config.epochs)

    def epoch(self, epoch: int) -> Iterator[tuple[str, ...]]:
        alone, mixed = self._phases()
        counts = apportion({**alone, "mixed": mixed}, self.config.epochs * self.steps_per_epoch)
        ends = list(itertools.accumulate(counts[task] for task in alone))
        for step in range(epoch * self.steps_per_epoch, (epoch + 1) * self.steps_per_epoch):
            phase = bisect.bisect_right(ends, step)
            yield (list(alone)[phase],) if phase < len(ends) else tuple(self.batch_samplers)


class PowerLawSampler(ApportionedSampler):
    """Task i with probability p_i proportional to N_i ** alpha, N_i its number of rows (Stickland & Murray 2019,
    section 4).

    p_i is a share of the steps. It is also the share of the rows if all batches have the same size.
    """

    def alpha(self, epoch: int) -> float:
        """The exponent in an epoch, counted from 0."""
        raise NotImplementedError

    def weights(self, epoch: int) -> dict[str, float]:
        return {task: rows ** self.alpha(epoch) for task, rows in self.num_rows.items()}


class SquareRootSampler(PowerLawSampler):
    """alpha = 1/2."""

    def alpha(self, epoch: int) -> float:
        return 0.5


class AnnealedSampler(PowerLawSampler):
    """alpha falls from 1 in the first epoch to .2 in the last: 1 - .8 (e - 1) / (E - 1). It is 1 if there is only one
    epoch."""

    def alpha(self, epoch: int) -> float:
        return 1 - 0.8 * min(epoch / max(self.config.epochs - 1, 1), 1)


class TemperatureSampler(PowerLawSampler):
    """alpha = 1 / temperature (Arivazhagan et al. 2019, 1907.05019): 1 is proportional sampling, 2 the square root,
    infinity equal shares."""

    def alpha(self, epoch: int) -> float:
        return 1 / self.config.temperature


class ProportionalSampler(ApportionedSampler):
    """Each set about once an epoch. This is alpha = 1 if all batches have the same size."""

    @property
    def effective_rows(self) -> dict[str, float]:
        """How many rows of each set an epoch should read, in any unit."""
        return dict(self.num_rows)

    def weights(self, epoch: int) -> dict[str, float]:
        """Shares of the steps: the smaller a task's batches, the more steps it takes to read as many rows."""
        batch_sizes = {task: sampler.batch_size for task, sampler in self.batch_samplers.items()}
        largest = max(batch_sizes.values())
        return {task: rows * (largest / batch_sizes[task]) for task, rows in self.effective_rows.items()}


class OversamplingSampler(ProportionalSampler):
    """Small sets are repeated, up to ``config.max_oversampling`` times an epoch and up to the size of the largest."""

    @property
    def effective_rows(self) -> dict[str, float]:
        largest = max(self.num_rows.values())
        return {task: min(self.config.max_oversampling * rows, largest) for task, rows in self.num_rows.items()}

    @property
    def steps_per_epoch(self) -> int:
        repeats = {task: rows / self.num_rows[task] for task, rows in self.effective_rows.items()}
        return self.config.steps_per_epoch or round(
            sum(repeats[task] * batches for task, batches in self.num_batches.items())
        )


class CurriculumSampler(ProportionalSampler):
    """The largest set first. The others join in order of size, evenly spaced over the epochs and no later than the
    last one; the sets that have joined share an epoch by size."""

    def weights(self, epoch: int) -> dict[str, float]:
        by_size = sorted(self.num_rows, key=self.num_rows.__getitem__, reverse=True)
        epochs = self.config.epochs
        first_epoch = {task: min(-(-rank * epochs // len(by_size)), epochs - 1) for rank, task in enumerate(by_size)}
        return {task: weight if epoch >= first_epoch[task] else 0.0 for task, weight in super().weights(epoch).items()}


class OversamplingCurriculumSampler(CurriculumSampler, OversamplingSampler):
    """The curriculum with oversampling of the sets that have joined (Yin, Table 5)."""


SAMPLERS: dict[str, type[Sampler]] = {
    "sequential": SequentialSampler,
    "round_robin": RoundRobinSampler,
    "mixed": MixedSampler,
    "proportional": ProportionalSampler,
    "square_root": SquareRootSampler,
    "annealed": AnnealedSampler,
    "temperature": TemperatureSampler,
    "oversampled": OversamplingSampler,
    "curriculum": CurriculumSampler,
    "oversampled_curriculum": OversamplingCurriculumSampler,
    "stages": StagesSampler,
    "alone_first": AloneFirstSampler,
}
