"""Which tasks take part in each step, and with which rows.

A sampler is a pure function of its seed: pass p over task t is the permutation drawn from (seed, t, p), so every pass
is reshuffled, and a run resumes by the number of its next step alone.
"""

import hashlib
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor


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
        self._shuffled: tuple[int, Tensor] | None = None

    def batch(self, number: int) -> Tensor:
        """Rows of batch ``number``, counted from 0 over all passes."""
        turn, place = divmod(number, self.batches)
        if self._shuffled is None or self._shuffled[0] != turn:
            generator = torch.Generator().manual_seed(derived_seed(self.seed, self.task, turn))
            self._shuffled = turn, torch.randperm(self.rows, generator=generator)
        return self._shuffled[1][place * self.batch_size : (place + 1) * self.batch_size]


class Sampler:
    """Base of the samplers. A subclass says which tasks take part in each step of an epoch."""

    def __init__(self, rows: dict[str, int], batch_size: dict[str, int], seed: int = 0):
        self.seed = seed
        self.orders = {task: RowOrder(task, count, batch_size[task], seed) for task, count in rows.items()}

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
