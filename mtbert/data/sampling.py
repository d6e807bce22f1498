"""Which tasks take part in each step, and with which rows.

A sampler is a pure function of its seed: pass p over task t is the permutation drawn from (seed, t, p), so every pass
is reshuffled, and a run resumes by the number of its next step alone.
"""

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from mtbert.data.read import Rows
from mtbert.errors import UserError

Make = Literal["all", "positives", "one positive"]  # of a batch, by the rows in it


class Step(NamedTuple):
    """One optimiser step: its number from 0, and for each task that takes part the (batch,) rows it reads."""

    number: int
    rows: dict[str, Tensor]


def derived_seed(*parts: object) -> int:
    """A 63-bit seed from any printable parts, the same on every machine."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1


class RowOrder:
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


class DistinctPairs(RowOrder):
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


class OnePositive(RowOrder):
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


def row_order(make: Make, rows: Rows, batch_size: int, seed: int, positive_from: float) -> RowOrder:
    """The order in which a loss that needs batches of this make reads a file's rows.

    positive_from: the label from which a row is a positive. Raises UserError if the file lacks positives or negatives.
    """
    if make == "all":
        return RowOrder(rows.task.name, len(rows), batch_size, seed)
    positives = [number for number, label in enumerate(rows.labels) if label >= positive_from]
    negatives = [number for number, label in enumerate(rows.labels) if label < positive_from]
    if not positives or (make == "one positive" and not negatives):
        missing, bound = ("from", "lower") if not positives else ("below", "raise")
        raise UserError(f"{rows.path}: no row has a {rows.task.label_column} {missing} {positive_from:g}: "
                        f"{bound} positive_from")  # fmt: skip
    if make == "positives":
        return DistinctPairs(rows.task.name, positives, rows.keys, batch_size, seed)
    return OnePositive(rows.task.name, positives, negatives, batch_size, seed)


class Sampler:
    """Base of the samplers. A subclass says which tasks take part in each step of an epoch.

    orders: of the tasks whose rows do not come all in turn.
    """

    def __init__(
        self,
        rows: dict[str, int],
        batch_size: dict[str, int],
        seed: int = 0,
        orders: Mapping[str, RowOrder] | None = None,
    ):
        self.seed = seed
        self.orders = {task: RowOrder(task, count, batch_size[task], seed) for task, count in rows.items()}
        self.orders |= orders or {}

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
                yield Step(number, {task: self.orders[task].batch(taken[task]) for task in tasks})
            for task in tasks:
                taken[task] += 1


class Sequential(Sampler):
    """All batches of the first task, then all of the second, and so on, in the order the tasks are given."""

    @property
    def steps_per_epoch(self) -> int:
        return sum(order.batches for order in self.orders.values())

    def epoch(self, number: int) -> Iterator[tuple[str, ...]]:
        for task, order in self.orders.items():
            yield from itertools.repeat((task,), order.batches)


class RoundRobin(Sampler):
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


class Mixed(RoundRobin):
    """One batch of every task in every step, losses summed: "max size cycle". Shorter tasks are cycled, reshuffled."""

    @property
    def steps_per_epoch(self) -> int:
        return self._turns

    def epoch(self, number: int) -> Iterator[tuple[str, ...]]:
        yield from itertools.repeat(tuple(self.orders), self._turns)


SAMPLERS: dict[str, type[Sampler]] = {"sequential": Sequential, "round_robin": RoundRobin, "mixed": Mixed}
