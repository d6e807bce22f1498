"""Which rows of one task form each batch, pass after pass.

A batch sampler is a pure function of its seed: pass p over task t is drawn from (seed, t, p) alone. Every pass is
therefore shuffled differently, and any batch can be drawn again from its index, which is how a run resumes.
"""

import hashlib
import itertools
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from mtbert.data.read import Rows
from mtbert.data.text_keys import letters
from mtbert.utils.errors import UserError

BatchKind = Literal["all", "positives", "one positive"]  # the rows that a batch of a loss consists of
Pass = Callable[[int], Tensor]  # the rows of a pass's batch by its index, cut from one tensor: no object per batch
_CHUNK = 1 << 16  # rows to hold as Python numbers at a time


def derived_seed(*parts: object) -> int:
    """A 63-bit seed from any printable parts, the same on every machine."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1


class BatchSampler:
    """Shuffled batches of one task. Each pass is a new permutation of the rows; its last batch may be short.

    A subclass overrides ``_draw_pass`` and, if a pass has another number of batches, sets ``num_batches``.

    Args:
        task: the task's name; it is part of every pass's seed.
        num_rows: rows in the task's training set.
        batch_size: rows in a batch.
        seed: the run's seed.

    Attributes:
        num_batches: batches in a pass.
    """

    def __init__(self, task: str, num_rows: int, batch_size: int, seed: int):
        self.task, self.num_rows, self.seed = task, num_rows, seed
        self.batch_size: float = batch_size
        self.num_batches = -(-num_rows // batch_size)
        self._cached_pass: tuple[int, Pass] | None = None

    def batch(self, index: int) -> Tensor:
        """The rows of a batch, (rows,) int64; ``index`` counts batches from 0 over all passes."""
        pass_index, index_in_pass = divmod(index, self.num_batches)
        if self._cached_pass is None or self._cached_pass[0] != pass_index:
            self._cached_pass = None  # its memory is free for the next one
            generator = torch.Generator().manual_seed(derived_seed(self.seed, self.task, pass_index))
            self._cached_pass = pass_index, self._draw_pass(generator)
        return self._cached_pass[1](index_in_pass)

    def _draw_pass(self, generator: torch.Generator) -> Pass:
        """The ``num_batches`` batches of one pass."""
        rows, size = torch.randperm(self.num_rows, generator=generator), int(self.batch_size)
        return lambda index: rows[index * size : (index + 1) * size]


class NoDuplicatesBatchSampler(BatchSampler):
    """Batches in which no text occurs in two rows, so that every other row's text is a true negative.

    Rows are dealt in turn, each to the next batch that has room and none of the row's texts. A row that fits nowhere
    is left out of this pass. A text that occurs in many rows makes a pass of at least as many batches.

    Args:
        task, batch_size, seed: as for ``BatchSampler``; a batch may have fewer rows.
        rows: the rows to draw from, as indices into ``texts``.
        texts: the texts of every row of the training set.
    """

    def __init__(
        self, task: str, rows: Sequence[int] | Tensor, texts: Sequence[tuple[str, ...]], batch_size: int, seed: int
    ):
        super().__init__(task, len(rows), batch_size, seed)
        self.rows = torch.as_tensor(rows)
        counts = Counter(text for row in self.rows.tolist() for text in set(texts[row]))
        self.num_batches = max(self.num_batches, max(counts.values()))
        # a text of one row alone keeps it out of no batch; a tuple takes a quarter of a set's memory
        repeated = (tuple(text for text in texts[row] if counts[text] > 1) for row in self.rows.tolist())
        self.repeated_texts = {index: texts_of_row for index, texts_of_row in enumerate(repeated) if texts_of_row}

    def _draw_pass(self, generator: torch.Generator) -> Pass:
        order = torch.randperm(self.num_rows, generator=generator)
        batch_of = array("q")  # for each row in that order; num_batches if it fits nowhere
        sizes, batch_texts = [0] * self.num_batches, [set[str]() for _ in range(self.num_batches)]
        next_batch = 0
        for row in itertools.chain.from_iterable(chunk.tolist() for chunk in order.split(_CHUNK)):
            texts = self.repeated_texts.get(row, ())
            for index in itertools.chain(range(next_batch, self.num_batches), range(next_batch)):
                if sizes[index] < self.batch_size and batch_texts[index].isdisjoint(texts):
                    batch_of.append(index)
                    batch_texts[index].update(texts)
                    sizes[index] += 1
                    next_batch = (index + 1) % self.num_batches
                    break
            else:
                batch_of.append(self.num_batches)
        rows = self.rows[order[torch.frombuffer(batch_of, dtype=torch.int64).argsort(stable=True)]]
        ends = list(itertools.accumulate(sizes))
        return lambda index: rows[ends[index] - sizes[index] : ends[index]]


class SinglePositiveBatchSampler(BatchSampler):
    """Batches of one positive row and negatives (Marchini, Callon & Cussen). A pass reads every negative once.

    The positives are shuffled and dealt one to a batch; if there are fewer positives than batches, they repeat.
    """

    def __init__(
        self,
        task: str,
        positives: Sequence[int] | Tensor,
        negatives: Sequence[int] | Tensor,
        batch_size: int,
        seed: int,
    ):
        self.positives, self.negatives = torch.as_tensor(positives), torch.as_tensor(negatives)
        super().__init__(task, len(negatives), batch_size - 1, seed)

    def _draw_pass(self, generator: torch.Generator) -> Pass:
        positives = self.positives[torch.randperm(len(self.positives), generator=generator)]
        negatives = super()._draw_pass(generator)
        return lambda index: torch.cat([positives[[index % len(positives)]], self.negatives[negatives(index)]])


class LengthGroupedBatchSampler(BatchSampler):
    """Batches of rows of similar length, each with about the same number of tokens; a pass reads every row once.

    A pass ranks the rows by length times a random factor from 1 to 1.2, so that the groups differ between passes, cuts
    the ranking into segments of equally many tokens, and shuffles the segments. A batch misses an equal share of the
    tokens by less than the longest row. A share is at least as long as the longest row, whatever the budget.

    Args:
        task, seed: as for ``BatchSampler``.
        lengths: (rows,) int64, the number of tokens in each row.
        tokens_per_batch: the budget of a batch.
    """

    def __init__(self, task: str, lengths: Tensor, tokens_per_batch: int, seed: int):
        super().__init__(task, len(lengths), len(lengths), seed)
        self.lengths, total = lengths, int(lengths.sum())
        self.num_batches = max(1, min(round(total / tokens_per_batch), total // int(lengths.max())))
        self.batch_size = self.num_rows / self.num_batches  # on average

    def _draw_pass(self, generator: torch.Generator) -> Pass:
        # Steps in place where they can be: ten million rows are 80 MB a tensor.
        noise = torch.rand(len(self.lengths), generator=generator).mul_(0.2).add_(1)
        ranked = noise.mul_(self.lengths).argsort(stable=True)
        del noise
        lengths = self.lengths[ranked]
        ends = lengths.cumsum(0)
        total = int(ends[-1])
        # the segment of a row's middle token
        segment = ends.mul_(2).sub_(lengths).mul_(self.num_batches).floor_divide_(2 * total)
        sizes = torch.bincount(segment, minlength=self.num_batches)
        stops, order = sizes.cumsum(0), torch.randperm(self.num_batches, generator=generator)
        starts = stops - sizes
        return lambda index: ranked[starts[order[index]] : stops[order[index]]]


def build_batch_sampler(
    kind: BatchKind, rows: Rows, batch_size: int, seed: int, positive_threshold: float
) -> BatchSampler:
    """The batch sampler for a loss that needs batches of this kind.

    Args:
        kind: "all" rows, "positives" without duplicates, or "one positive" with negatives.
        rows: the task's training set.
        batch_size, seed: as for ``BatchSampler``.
        positive_threshold: the lowest label of a positive row.

    Raises:
        UserError: if the training set lacks positives or negatives.
    """
    if kind == "all":
        return BatchSampler(rows.task.name, len(rows), batch_size, seed)
    labels = torch.tensor(rows.labels, dtype=torch.float64)
    positives = (labels >= positive_threshold).nonzero()[:, 0]
    negatives = (labels < positive_threshold).nonzero()[:, 0]
    if not len(positives) or (kind == "one positive" and not len(negatives)):
        missing, fix = ("from", "lower") if not len(positives) else ("below", "raise")
        raise UserError(
            f"{rows.path}: no row has a {rows.task.label_column} {missing} {positive_threshold:g}: "
            f"{fix} positive_threshold"
        )
    if kind == "positives":
        texts = [tuple(map(letters, example.texts)) for example in rows.examples]  # near copies are no true negatives
        return NoDuplicatesBatchSampler(rows.task.name, positives, texts, batch_size, seed)
    return SinglePositiveBatchSampler(rows.task.name, positives, negatives, batch_size, seed)
