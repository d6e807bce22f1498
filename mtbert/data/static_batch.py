"""Batches of fixed shapes, which CUDA graphs and compiled kernels need: real sequences, then dummy sequences."""

import itertools
import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from mtbert.data.batch import PackedBatch
from mtbert.data.tokens import EncodedDataset, span_indices

_GRANULARITY = 64  # the number of tokens is a multiple of this: matrix kernels work on tiles of rows
_MIN_MAX_SEQLEN = 16  # shorter dummy sequences would be too many


@dataclass(frozen=True)
class StaticShape:
    """The fixed shape of one task's part of a batch, so that compiled kernels and CUDA graphs serve every step.

    Attributes:
        sequences: number of real sequences.
        tokens: number of tokens, including those of the dummy sequences, which follow the real ones and use up the
            remaining tokens.
        max_seqlen: no sequence has more tokens.
    """

    sequences: int
    tokens: int
    max_seqlen: int

    @staticmethod
    def for_rows(dataset: EncodedDataset, rows: Tensor) -> "StaticShape":
        """The smallest of a few shapes, shared by all batches of as many rows, that these rows, (n,) int64, fit into.

        The smallest has room for two standard deviations more than as many random rows have on average; each larger
        one adds an eighth of that.
        """
        mean, deviation = dataset.row_length_statistics
        usual = len(rows) * mean + 2 * math.sqrt(len(rows)) * deviation
        _, lengths = dataset.spans(rows)
        sizes = (math.ceil(usual * eighths / 8 / _GRANULARITY) * _GRANULARITY for eighths in itertools.count(8))
        max_seqlen = max(dataset.max_seqlen, _MIN_MAX_SEQLEN)
        shapes = (StaticShape(len(lengths), tokens, max_seqlen) for tokens in sizes)
        return next(shape for shape in shapes if shape.fits(lengths))

    @property
    def dummy_sequences(self) -> int:
        """Number of dummy sequences: enough to take all tokens without one of them being too long."""
        return -(-self.tokens // self.max_seqlen)

    def fits(self, lengths: Tensor) -> bool:
        """Whether sequences of these lengths leave at least one token for each dummy sequence."""
        return int(lengths.sum()) + self.dummy_sequences <= self.tokens and int(lengths.max()) <= self.max_seqlen

    def spans(self, starts: Tensor, lengths: Tensor) -> Tensor:
        """Starts and lengths of the real sequences, then of the dummy sequences (which read the first tokens).

        Args:
            starts, lengths: (sequences,) int64, where each real sequence is in the data set.

        Returns:
            (2, sequences + dummy_sequences) int64.

        Raises:
            ValueError: if the sequences do not fit.
        """
        if len(lengths) != self.sequences or not self.fits(lengths):
            raise ValueError(f"{len(lengths)} sequences of {int(lengths.sum())} tokens do not fit into {self}")
        length, remainder = divmod(self.tokens - int(lengths.sum()), self.dummy_sequences)
        dummy_lengths = torch.full((self.dummy_sequences,), length)
        dummy_lengths[:remainder] += 1
        dummy_starts = torch.zeros_like(dummy_lengths)
        return torch.stack([torch.cat([starts, dummy_starts]), torch.cat([lengths, dummy_lengths])])


class StaticBatch(PackedBatch):
    """A PackedBatch of fixed shape; only the device knows the lengths of its sequences.

    ``slices`` leave out the dummy sequences, so that those reach no head and no loss. Reading ``lengths`` makes the
    host wait for the device.

    Args:
        ids, token_types: (tokens,) int64.
        seqlens: (sequences,) int64, on the device: the lengths of each task's sequences, then of its dummy sequences.
        shapes: the shape of each task's part.
    """

    def __init__(self, ids: Tensor, token_types: Tensor, seqlens: Tensor, shapes: dict[str, StaticShape]):
        self.ids, self.token_types, self.seqlens, self.shapes = ids, token_types, seqlens, shapes
        self.max_seqlen = max(shape.max_seqlen for shape in shapes.values())
        self.slices, self._spans, sequences, tokens = {}, {}, 0, 0
        for task, shape in shapes.items():
            stop = sequences + shape.sequences + shape.dummy_sequences
            self.slices[task] = slice(sequences, sequences + shape.sequences)
            self._spans[task] = slice(tokens, tokens + shape.tokens), slice(sequences, stop)
            sequences, tokens = stop, tokens + shape.tokens
        if (sequences, tokens) != (len(seqlens), len(ids)):
            raise ValueError(f"{len(seqlens)} sequences of {len(ids)} tokens do not have the shapes {shapes}")

    @staticmethod
    def from_spans(dataset: EncodedDataset, task: str, spans: Tensor, shape: StaticShape) -> "StaticBatch":
        """The batch of one task with these spans, (2, sequences), from ``shape.spans``, on the data set's device."""
        indices = span_indices(spans[0], spans[1], shape.tokens)
        indices = indices.clamp(max=len(dataset.ids) - 1)  # a dummy sequence may be longer than the data set
        return StaticBatch(dataset.ids[indices].long(), dataset.token_types[indices].long(), spans[1], {task: shape})

    def __len__(self) -> int:
        return len(self.seqlens)

    @property
    def lengths(self) -> list[int]:  # type: ignore[override]  # read-only: the device holds them
        return self.seqlens.tolist()

    @cached_property
    def by_task(self) -> dict[str, tuple[slice, PackedBatch]]:
        """Each task's tokens, including those of its dummy sequences, as a slice and as a batch."""
        return {
            task: (
                tokens,
                StaticBatch(self.ids[tokens], self.token_types[tokens], self.seqlens[seqs], {task: self.shapes[task]}),
            )
            for task, (tokens, seqs) in self._spans.items()
        }

    @staticmethod
    def join(batches: dict[str, "StaticBatch"]) -> "StaticBatch":  # type: ignore[override]  # static batches only
        """One batch of several tasks."""
        ids, types, seqlens = (
            torch.cat([getattr(batch, name) for batch in batches.values()])
            for name in ("ids", "token_types", "seqlens")
        )
        return StaticBatch(ids, types, seqlens, {task: batch.shapes[task] for task, batch in batches.items()})
