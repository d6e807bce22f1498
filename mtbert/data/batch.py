"""PackedBatch: sequences end to end, without padding.

Random batches of these data sets would be about half padding. Every layer of BERT except attention works on single
tokens, so a batch is simply the list of all its tokens, and attention is told where each sequence begins.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor


def on_device(tensor: Tensor, device: torch.device | str) -> Tensor:
    """A host tensor on ``device``. A copy to a GPU is asynchronous: the CPU does not wait for it."""
    if torch.device(device).type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


@dataclass
class PackedBatch:
    """Tokens of several sequences, one sequence after the other.

    Attributes:
        ids: (tokens,) int64, token ids.
        token_types: (tokens,) int64, 0 for the first sentence of a sequence and 1 for the second.
        lengths: tokens in each sequence, on the CPU, so that reading them never waits for a GPU.
        slices: the sequences of each task, if the batch holds several tasks.

    Raises:
        ValueError: for no sequences, an empty sequence, or lengths that do not add up to the number of tokens.
    """

    ids: Tensor
    token_types: Tensor
    lengths: list[int]
    slices: dict[str, slice] = field(default_factory=dict)

    def __post_init__(self):
        if not self.lengths or min(self.lengths) < 1:
            raise ValueError("a batch needs at least one sequence, and every sequence at least one token")
        if sum(self.lengths) != len(self.ids):
            raise ValueError(f"lengths add up to {sum(self.lengths)}, but the batch has {len(self.ids)} tokens")

    def __len__(self) -> int:
        """Number of sequences."""
        return len(self.lengths)

    @property
    def tokens(self) -> int:
        """Number of tokens."""
        return len(self.ids)

    @cached_property
    def max_seqlen(self) -> int:
        """Tokens in the longest sequence."""
        return max(self.lengths)

    @cached_property
    def seqlens(self) -> Tensor:
        """(sequences,) int64: ``lengths`` on the batch's device."""
        return on_device(torch.tensor(self.lengths), self.ids.device)

    @cached_property
    def cu_seqlens(self) -> Tensor:
        """(sequences + 1,) int32: sequence i holds tokens ``cu_seqlens[i]`` up to ``cu_seqlens[i + 1]``."""
        ends = self.seqlens.cumsum(0, dtype=torch.int32)
        return torch.cat([ends.new_zeros(1), ends])

    @property
    def first_tokens(self) -> Tensor:
        """(sequences,) int32: the index of each sequence's first token."""
        return self.cu_seqlens[:-1]

    @cached_property
    def seq_ids(self) -> Tensor:
        """(tokens,) int64: the index of each token's sequence."""
        indices = torch.arange(len(self), device=self.ids.device)
        return indices.repeat_interleave(self.seqlens, output_size=self.tokens)

    @cached_property
    def positions(self) -> Tensor:
        """(tokens,) int64: each token's position in its sequence, from 0."""
        return torch.arange(self.tokens, device=self.ids.device) - self.cu_seqlens[:-1][self.seq_ids]

    @cached_property
    def length_groups(self) -> "LengthGroups":
        return LengthGroups.from_batch(self)

    def segment_reduce(self, x: Tensor, how: Literal["sum", "mean", "max"]) -> Tensor:
        """Reduce (tokens, ...) over the tokens of each sequence: (sequences, ...)."""
        # unsafe: the lengths are not checked, so that they need not come back from the device
        return torch.segment_reduce(x, how, lengths=self.seqlens, unsafe=True)

    def select(self, sequences: slice) -> "PackedBatch":
        """The batch of consecutive sequences; its tokens are those of ``token_slice``."""
        tokens = self.token_slice(sequences)
        return PackedBatch(self.ids[tokens], self.token_types[tokens], self.lengths[sequences])

    def token_slice(self, sequences: slice) -> slice:
        """The tokens of consecutive sequences."""
        first, last, _ = sequences.indices(len(self))
        start = sum(self.lengths[:first])
        return slice(start, start + sum(self.lengths[first:last]))

    @cached_property
    def by_task(self) -> dict[str, tuple[slice, "PackedBatch"]]:
        """Each task's tokens, as a slice and as a batch.

        Raises:
            ValueError: unless ``slices`` assign every sequence to a task, in order.
        """
        assigned = [index for sequences in self.slices.values() for index in range(*sequences.indices(len(self)))]
        if assigned != list(range(len(self))):
            raise ValueError(f"slices must name the task of all {len(self)} sequences, in order, not {self.slices}")
        return {task: (self.token_slice(seqs), self.select(seqs)) for task, seqs in self.slices.items()}

    def to(self, device: torch.device | str) -> "PackedBatch":
        return PackedBatch(self.ids.to(device), self.token_types.to(device), self.lengths, self.slices)

    @staticmethod
    def join(batches: dict[str, "PackedBatch"]) -> "PackedBatch":
        """One batch of several tasks, each a contiguous slice of its sequences."""
        slices: dict[str, slice] = {}
        lengths: list[int] = []
        for task, batch in batches.items():
            slices[task] = slice(len(lengths), len(lengths) + len(batch))
            lengths += batch.lengths
        return PackedBatch(
            torch.cat([batch.ids for batch in batches.values()]),
            torch.cat([batch.token_types for batch in batches.values()]),
            lengths,
            slices,
        )


@dataclass(frozen=True)
class LengthGroups:
    """Sequences grouped by similar length, each group padded to its longest: small dense blocks for dense kernels.

    Attributes:
        shapes: (sequences, length) of each group. Cells are numbered group by group.
        masks: for each group, (sequences, length) bool, true where a cell holds a token; None if it has no padding.
        cell_to_token: (cells,) int64, the token in each cell; padding repeats the sequence's first token.
        token_to_cell: (tokens,) int64, the cell of each token.
    """

    shapes: list[tuple[int, int]]
    masks: list[Tensor | None]
    cell_to_token: Tensor
    token_to_cell: Tensor

    @staticmethod
    def from_batch(batch: PackedBatch, stretch: float = 1.5) -> "LengthGroups":
        """Group so that no sequence has more than ``stretch`` * (tokens of the shortest in its group) + 4 tokens."""
        groups: list[list[int]] = []
        for sequence in sorted(range(len(batch)), key=batch.lengths.__getitem__):
            if groups and batch.lengths[sequence] <= stretch * batch.lengths[groups[-1][0]] + 4:
                groups[-1].append(sequence)
            else:
                groups.append([sequence])

        lengths = torch.tensor(batch.lengths)  # laid out on the CPU, which knows all lengths
        starts = lengths.cumsum(0) - lengths
        shapes, masks, tokens, is_token = [], [], [], []
        for group in groups:
            sequences, length = torch.tensor(group), batch.lengths[group[-1]]
            column = torch.arange(length)
            mask = column < lengths[sequences, None]  # (sequences, length)
            shapes.append((len(group), length))
            masks.append(None if batch.lengths[group[0]] == length else on_device(mask, batch.ids.device))
            tokens.append((starts[sequences, None] + column * mask).flatten())
            is_token.append(mask.flatten())
        cell_to_token = torch.cat(tokens)
        cells = torch.cat(is_token).nonzero().squeeze(1)
        token_to_cell = torch.empty(batch.tokens, dtype=torch.int64)
        token_to_cell[cell_to_token[cells]] = cells
        device = batch.ids.device
        return LengthGroups(shapes, masks, on_device(cell_to_token, device), on_device(token_to_cell, device))


def pack_sequences(
    sequences: Sequence[Sequence[int]], token_types: Sequence[Sequence[int]] | None = None
) -> PackedBatch:
    """A PackedBatch from lists of token ids; token types are 0 unless given."""
    ids = torch.tensor([token for sequence in sequences for token in sequence], dtype=torch.int64)
    if token_types is None:
        types = torch.zeros_like(ids)
    else:
        types = torch.tensor([kind for sequence in token_types for kind in sequence], dtype=torch.int64)
    return PackedBatch(ids, types, [len(sequence) for sequence in sequences])
