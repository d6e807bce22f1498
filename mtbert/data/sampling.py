"""Which tasks take part in each step, and with which rows.

A sampler is a pure function of its seed: pass p over task t is the permutation drawn from (seed, t, p), so every pass
is reshuffled, and a run resumes by the number of its next step alone.
"""

import bisect
import hashlib
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from mtbert.data.read import Rows
from mtbert.utils.errors import UserError

Make = Literal["all", "positives", "one positive"]  # of a batch, by the rows in it


class Step(NamedTuple):
    """One optimiser step: its number from 0, for each task that takes part the (batch,) rows it reads, and the number
    of batches that the task has read before."""

    number: int
    rows: dict[str, Tensor]
    turns: dict[str, int]


@dataclass(frozen=True)
class SamplerConfig:
    """What a sampler may go by beside the rows.

    epochs: of the whole run. steps_per_epoch: None for an epoch of the sampler's own length. temperature: of
    ``TemperatureSampler``. oversample: how often, at most, an epoch of ``OversamplingSampler`` repeats a set.
    """

    epochs: int = 1
    steps_per_epoch: int | None = None
    temperature: float = 5.0
    oversample: float = 5.0


PLAIN = SamplerConfig()


def derived_seed(*parts: object) -> int:
    """A 63-bit seed from any printable parts, the same on every machine."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1


class BatchSampler:
    """Batches of one task, pass after pass, each pass a new permutation; a pass ends with a short batch if need be."""

    def __init__(self, task: str, rows: int, batch_size: int, seed: int):
        self.task, self.rows, self.batch_size, self.seed = task, rows, batch_size, seed
        self.batches = -(-rows // batch_size)
        self._drawn: tuple[int, Sequence[Tensor]] | None = None

    def batch(self, number: int) -> Tensor:
        """Rows of batch ``number``, counted from 0 over all passes."""
        turn, place = divmod(number, self.batches)
        if self._drawn is None or self._drawn[0] != turn:
            generator = torch.Generator().manual_seed(derived_seed(self.seed, self.task, turn))
            self._drawn = turn, self._pass(generator)
        return self._drawn[1][place]

    def _pass(self, generator: torch.Generator) -> Sequence[Tensor]:
        """All batches of one pass."""
        return torch.randperm(self.rows, generator=generator).split(self.batch_size)


class NoDuplicatesBatchSampler(BatchSampler):
    """Batches of some rows in which no text stands in two rows: every other row's text is then a true negative.

    Rows are dealt like cards, each to the next batch that has room and none of its texts; one that finds no place waits
    for the next pass. A text that many rows share makes as many batches.
    """

    def __init__(self, task: str, rows: Sequence[int], texts: Sequence[tuple[str, ...]], batch_size: int, seed: int):
        super().__init__(task, len(rows), batch_size, seed)
        self.members, self.texts = torch.tensor(rows), [set(texts[row]) for row in rows]
        most_common = Counter(itertools.chain.from_iterable(self.texts)).most_common(1)
        self.batches = max(self.batches, most_common[0][1])

    def _pass(self, generator: torch.Generator) -> Sequence[Tensor]:
        hands: list[list[int]] = [[] for _ in range(self.batches)]
        on_hand: list[set[str]] = [set() for _ in range(self.batches)]
        turn = 0
        for card in torch.randperm(self.rows, generator=generator).tolist():
            for place in itertools.chain(range(turn, self.batches), range(turn)):
                if len(hands[place]) < self.batch_size and on_hand[place].isdisjoint(self.texts[card]):
                    hands[place].append(card)
                    on_hand[place] |= self.texts[card]
                    turn = (place + 1) % self.batches
                    break
        return [self.members[hand] for hand in hands]


class SinglePositiveBatchSampler(BatchSampler):
    """Batches of one positive and negatives (Marchini, Callon & Cussen); a pass reads every negative once.

    Each batch has another positive; where they are fewer than the batches they come again.
    """

    def __init__(self, task: str, positives: Sequence[int], negatives: Sequence[int], batch_size: int, seed: int):
        self.positives, self.negatives = torch.tensor(positives), torch.tensor(negatives)
        super().__init__(task, len(negatives), batch_size - 1, seed)

    def _pass(self, generator: torch.Generator) -> Sequence[Tensor]:
        positives = self.positives[torch.randperm(len(self.positives), generator=generator)]
        negatives = [self.negatives[places] for places in super()._pass(generator)]
        return [torch.cat([positives[[i % len(positives)]], batch]) for i, batch in enumerate(negatives)]


def batch_sampler(make: Make, rows: Rows, batch_size: int, seed: int, positive_threshold: float) -> BatchSampler:
    """The order in which a loss that needs batches of this make reads a file's rows.

    positive_threshold: the label from which a row is a positive. Raises UserError if the file lacks positives or negatives.
    """
    if make == "all":
        return BatchSampler(rows.task.name, len(rows), batch_size, seed)
    positives = [number for number, label in enumerate(rows.labels) if label >= positive_threshold]
    negatives = [number for number, label in enumerate(rows.labels) if label < positive_threshold]
    if not positives or (make == "one positive" and not negatives):
        missing, bound = ("from", "lower") if not positives else ("below", "raise")
        raise UserError(
            f"{rows.path}: no row has a {rows.task.label_column} {missing} {positive_threshold:g}: {bound} positive_threshold"
        )
    if make == "positives":
        return NoDuplicatesBatchSampler(rows.task.name, positives, rows.keys, batch_size, seed)
    return SinglePositiveBatchSampler(rows.task.name, positives, negatives, batch_size, seed)


class LengthGroupedBatchSampler(BatchSampler):
    """Batches of rows of similar length, of about as many tokens each as the budget says; every row once a pass.

    A pass ranks the rows by length, blurred by up to a fifth so that each pass groups others, cuts the ranking into
    stretches of equally many tokens, and shuffles the stretches. A batch is off its stretch by less than the longest
    row: by less than a tenth where no row is longer than a tenth of the budget. A stretch is never shorter than the
    longest row, whatever the budget.

    lengths: (rows,) int64, tokens of each row. tokens: the budget of a batch.
    """

    def __init__(self, task: str, lengths: Tensor, tokens: int, seed: int):
        super().__init__(task, len(lengths), len(lengths), seed)
        self.lengths, total = lengths, int(lengths.sum())
        self.batches = max(1, min(round(total / tokens), total // int(lengths.max())))
        self.batch_size = self.rows / self.batches  # on average

    def _pass(self, generator: torch.Generator) -> Sequence[Tensor]:
        blurred = self.lengths * (1 + 0.2 * torch.rand(len(self.lengths), generator=generator))
        ranked = blurred.argsort(stable=True)
        lengths = self.lengths[ranked]
        ends = lengths.cumsum(0)
        stretch = (2 * ends - lengths) * self.batches // (2 * ends[-1])  # a row belongs where its middle falls
        pieces = ranked.split(torch.bincount(stretch, minlength=self.batches).tolist())
        return [pieces[place] for place in torch.randperm(self.batches, generator=generator).tolist()]


class Sampler:
    """Base of the samplers. A subclass says which tasks take part in each step of an epoch.

    rows, batch_size: per task. orders: of tasks whose rows come in another order than shuffled batches of that size.
    """

    def __init__(
        self,
        rows: Mapping[str, int],
        batch_size: Mapping[str, int],
        seed: int = 0,
        pace: SamplerConfig = PLAIN,
        orders: Mapping[str, BatchSampler] | None = None,
    ):
        self.rows, self.seed, self.pace = dict(rows), seed, pace
        shuffled = {task: BatchSampler(task, count, batch_size[task], seed) for task, count in rows.items()}
        self.orders = {**shuffled, **(orders or {})}

    def epoch(self, number: int) -> Iterator[tuple[str, ...]]:
        """The tasks of each step of epoch ``number``."""
        raise NotImplementedError

    @property
    def steps_per_epoch(self) -> int:
        raise NotImplementedError

    def steps(self, start: int = 0) -> Iterator[Step]:
        """Steps without end, from number ``start``: the same as if the ones before had been drawn."""
        taken = dict.fromkeys(self.orders, 0)
        plan = itertools.chain.from_iterable(self.epoch(number) for number in itertools.count())
        for number, tasks in enumerate(plan):
            if number >= start:
                rows = {task: self.orders[task].batch(taken[task]) for task in tasks}
                yield Step(number, rows, {task: taken[task] for task in tasks})
            for task in tasks:
                taken[task] += 1


class RoundRobinSampler(Sampler):
    """One task a step, each in its turn, until the largest has been read once; shorter ones are cycled."""

    @property
    def _turns(self) -> int:
        return max(order.batches for order in self.orders.values())

    @property
    def steps_per_epoch(self) -> int:
        return self._turns * len(self.orders)

    def epoch(self, number: int) -> Iterator[tuple[str, ...]]:
        for _ in range(self._turns):
            for task in self.orders:
                yield (task,)


class MixedSampler(RoundRobinSampler):
    """One batch of every task in every step, losses summed: "max size cycle". Shorter tasks are cycled, reshuffled."""

    @property
    def steps_per_epoch(self) -> int:
        return self._turns

    def epoch(self, number: int) -> Iterator[tuple[str, ...]]:
        yield from itertools.repeat(tuple(self.orders), self._turns)


def apportion(weights: Mapping[str, float], total: int) -> dict[str, int]:
    """``total`` steps shared out by weight: each task has its exact share rounded down, and what is left over goes to
    the largest remainders (Hamilton's method). So no task is a whole step away from its share.
    """
    whole = sum(weights.values())
    shares = {task: total * weight / whole for task, weight in weights.items()}
    counts = {task: int(share) for task, share in shares.items()}
    by_remainder = sorted(shares, key=lambda task: counts[task] - shares[task])
    for task in by_remainder[: total - sum(counts.values())]:
        counts[task] += 1
    return counts


class PlannedSampler(Sampler):
    """One task a step; an epoch has as many steps of each task as its weight asks for, not just on average.

    Its own length is the number of batches that all tasks have together, so that samplers compare at equal work.
    """

    @property
    def steps_per_epoch(self) -> int:
        return self.pace.steps_per_epoch or sum(order.batches for order in self.orders.values())

    def weights(self, number: int) -> dict[str, float]:
        """How much of epoch ``number`` each task gets, in any unit."""
        raise NotImplementedError

    def counts(self, number: int) -> dict[str, int]:
        """Steps of each task in epoch ``number``."""
        return apportion(self.weights(number), self.steps_per_epoch)

    def epoch(self, number: int) -> Iterator[tuple[str, ...]]:
        """The steps of an epoch in an order drawn from (seed, epoch)."""
        tasks = list(Counter(self.counts(number)).elements())
        generator = torch.Generator().manual_seed(derived_seed(self.seed, "order of tasks", number))
        for place in torch.randperm(len(tasks), generator=generator).tolist():
            yield (tasks[place],)


class SequentialSampler(PlannedSampler):
    """All batches of the first task, then all of the second, and so on, in the order the tasks are given.

    In an epoch of a given number of steps every block is shorter, or longer, in proportion.
    """

    def weights(self, number: int) -> dict[str, float]:
        return {task: order.batches for task, order in self.orders.items()}

    def epoch(self, number: int) -> Iterator[tuple[str, ...]]:
        for task, count in self.counts(number).items():
            yield from itertools.repeat((task,), count)


class StagesSampler(PlannedSampler):
    """One task after the other over the whole run, in the order given: each has its share of the epochs to itself."""

    @property
    def steps_per_epoch(self) -> int:
        return self.pace.steps_per_epoch or -(-super().steps_per_epoch // len(self.orders))

    def weights(self, number: int) -> dict[str, float]:
        number %= self.pace.epochs
        current = number * len(self.orders) // self.pace.epochs
        return {task: float(place == current) for place, task in enumerate(self.orders)}


class AloneFirstSampler(Sampler):
    """The small sets alone, one after the other, each read in half of the run's epochs; then all mixed, where the
    largest is read in the other half (Ahmed & Karamardian).

    Both parts are planned over the whole run, whose epochs are of one length; in epochs of a given number of steps
    both are shorter, or longer, in proportion.
    """

    @property
    def _parts(self) -> tuple[dict[str, int], int]:
        """Steps of each small set alone, and mixed steps, before any scaling."""
        batches = {task: order.batches for task, order in self.orders.items()}
        alone = self.pace.epochs // 2
        largest = max(self.rows, key=self.rows.__getitem__)
        small = {task: alone * count for task, count in batches.items() if task != largest}
        return small, (self.pace.epochs - alone) * max(batches.values())

    @property
    def steps_per_epoch(self) -> int:
        small, mixed = self._parts
        return self.pace.steps_per_epoch or -(-(sum(small.values()) + mixed) // self.pace.epochs)

    def epoch(self, number: int) -> Iterator[tuple[str, ...]]:
        small, mixed = self._parts
        counts = apportion({**small, "mixed": mixed}, self.pace.epochs * self.steps_per_epoch)
        ends = list(itertools.accumulate(counts[task] for task in small))
        for place in range(number * self.steps_per_epoch, (number + 1) * self.steps_per_epoch):
            part = bisect.bisect_right(ends, place)
            yield (list(small)[part],) if part < len(ends) else tuple(self.orders)


class PowerLawSampler(PlannedSampler):
    """Task i with a probability p_i proportional to N_i ** alpha, N_i its rows (Stickland & Murray 2019, section 4).

    p_i is a share of the steps; where all batches have the same size it is the share of rows as well.
    """

    def alpha(self, number: int) -> float:
        """The exponent in epoch ``number``, counted from 0."""
        raise NotImplementedError

    def weights(self, number: int) -> dict[str, float]:
        return {task: rows ** self.alpha(number) for task, rows in self.rows.items()}


class SquareRootSampler(PowerLawSampler):
    """alpha = 1/2."""

    def alpha(self, number: int) -> float:
        return 0.5


class AnnealedSampler(PowerLawSampler):
    """alpha falls from 1 in the first epoch to .2 in the last: 1 - .8 (e - 1) / (E - 1); 1 if there is only one."""

    def alpha(self, number: int) -> float:
        return 1 - 0.8 * min(number / max(self.pace.epochs - 1, 1), 1)


class TemperatureSampler(PowerLawSampler):
    """alpha = 1 / temperature: 1 is by rows, 2 the square root, infinity the same for all (1907.05019)."""

    def alpha(self, number: int) -> float:
        return 1 / self.pace.temperature


class ProportionalSampler(PlannedSampler):
    """By rows, each set about once an epoch: alpha = 1 where all batches have the same size."""

    @property
    def sizes(self) -> dict[str, float]:
        """The rows that each set counts as."""
        return dict(self.rows)

    def weights(self, number: int) -> dict[str, float]:
        """In steps: the smaller a set's batches, the more it takes to read so many rows."""
        batches = {task: order.batch_size for task, order in self.orders.items()}
        largest = max(batches.values())
        return {task: size * (largest / batches[task]) for task, size in self.sizes.items()}


class OversamplingSampler(ProportionalSampler):
    """Small sets are repeated up to ``pace.oversample`` times an epoch, at most to the size of the largest."""

    @property
    def sizes(self) -> dict[str, float]:
        most = max(self.rows.values())
        return {task: min(self.pace.oversample * rows, most) for task, rows in self.rows.items()}

    @property
    def steps_per_epoch(self) -> int:
        repeated = {task: size / self.rows[task] for task, size in self.sizes.items()}
        return self.pace.steps_per_epoch or round(
            sum(repeated[task] * order.batches for task, order in self.orders.items())
        )


class CurriculumSampler(ProportionalSampler):
    """The largest set first; the others join one by one, the larger ones earlier, at equal distances over the epochs
    and no later than in the last. Those that have joined share an epoch by size.
    """

    def weights(self, number: int) -> dict[str, float]:
        ranked = sorted(self.rows, key=self.rows.__getitem__, reverse=True)
        epochs = self.pace.epochs
        joins = {task: min(-(-rank * epochs // len(ranked)), epochs - 1) for rank, task in enumerate(ranked)}
        weights = super().weights(number)
        return {task: weight if number >= joins[task] else 0.0 for task, weight in weights.items()}


class OversamplingCurriculumSampler(CurriculumSampler, OversamplingSampler):
    """The largest set first, then the others join, oversampled (Yin, Table 5)."""


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
