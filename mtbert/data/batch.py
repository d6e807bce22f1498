"""PackedBatch: sequences end to end, with their lengths and no padding.

Random batches of these data sets are about half padding. Every layer of BERT but attention works on single
tokens, so a batch is simply the list of all its tokens; attention is told where each sequence begins.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor


def on_device(tensor: Tensor, device: torch.device | str) -> Tensor:
    """A host tensor on ``device``. On a GPU the copy is queued: the host goes on without waiting for it."""
    if torch.device(device).type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


@dataclass
class PackedBatch:
    """Word pieces of several sequences, one after the other.

    ids: (tokens,) int64, word-piece numbers.
    token_types: (tokens,) int64, 0 for the first sentence of a sequence and 1 for the second.
    lengths: tokens of each sequence, known on the host so that no device is asked for them.
    slices: which sequences belong to which task, when the batch holds several.
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
        return len(self.ids)

    @cached_property
    def max_seqlen(self) -> int:
        return max(self.lengths)

    @cached_property
    def seqlens(self) -> Tensor:
        """(sequences,) int64: ``lengths`` on the batch's device."""
        return on_device(torch.tensor(self.lengths), self.ids.device)

    @cached_property
    def cu_seqlens(self) -> Tensor:
        """(sequences + 1,) int32: sequence i holds tokens offsets[i] to offsets[i + 1]."""
        ends = self.seqlens.cumsum(0, dtype=torch.int32)
        return torch.cat([ends.new_zeros(1), ends])

    @cached_property
    def seq_ids(self) -> Tensor:
        """(tokens,) int64: the sequence that each token belongs to."""
        numbers = torch.arange(len(self), device=self.ids.device)
        return numbers.repeat_interleave(self.seqlens, output_size=self.tokens)

    @cached_property
    def positions(self) -> Tensor:
        """(tokens,) int64: each token's place in its own sequence, from 0."""
        return torch.arange(self.tokens, device=self.ids.device) - self.cu_seqlens[:-1][self.seq_ids]

    @cached_property
    def groups(self) -> "LengthGroups":
        return LengthGroups.of(self)

    def part(self, sequences: slice) -> "PackedBatch":
        """The batch of some neighbouring sequences; its tokens are those of ``tokens_of``."""
        tokens = self.tokens_of(sequences)
        return PackedBatch(self.ids[tokens], self.token_types[tokens], self.lengths[sequences])

    def tokens_of(self, sequences: slice) -> slice:
        """Which tokens neighbouring sequences hold."""
        first, last, _ = sequences.indices(len(self))
        before = sum(self.lengths[:first])
        return slice(before, before + sum(self.lengths[first:last]))

    @cached_property
    def parts(self) -> dict[str, tuple[slice, "PackedBatch"]]:
        """Of each task: which tokens are its own, and they as a batch. Raises ValueError unless ``slices`` name the
        task of every sequence, in order."""
        named = [number for where in self.slices.values() for number in range(*where.indices(len(self)))]
        if named != list(range(len(self))):
            raise ValueError(f"slices must name the task of all {len(self)} sequences, in order, not {self.slices}")
        return {task: (self.tokens_of(where), self.part(where)) for task, where in self.slices.items()}

    def to(self, device: torch.device | str) -> "PackedBatch":
        return PackedBatch(self.ids.to(device), self.token_types.to(device), self.lengths, self.slices)

    @staticmethod
    def join(batches: dict[str, "PackedBatch"]) -> "PackedBatch":
        """One batch that holds those of several tasks, each as a contiguous slice of its sequences."""
        slices, lengths = {}, []
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
class StaticShape:
    """The shape of one task's part of a batch, whatever its rows: kernels that were compiled or recorded for it serve
    every step.

    sequences: of the rows. tokens: of the rows and of fillers, which stand behind them and take up what is left.
    max_seqlen: no sequence has more tokens.
    """

    sequences: int
    tokens: int
    max_seqlen: int

    @property
    def dummy_sequences(self) -> int:
        """Sequences that fill what is left: so many that, were there no rows, none would be too long."""
        return -(-self.tokens // self.max_seqlen)

    def holds(self, lengths: Tensor) -> bool:
        """Whether sequences of these lengths leave each filler a token."""
        return int(lengths.sum()) + self.dummy_sequences <= self.tokens and int(lengths.max()) <= self.max_seqlen

    def spans(self, starts: Tensor, lengths: Tensor) -> Tensor:
        """(2, sequences + fillers) int64: starts and lengths of the rows' sequences, then of the fillers.

        A filler reads the first tokens of the table. Raises ValueError for sequences that the shape does not hold.
        """
        if len(lengths) != self.sequences or not self.holds(lengths):
            raise ValueError(f"{len(lengths)} sequences of {int(lengths.sum())} tokens do not fit into {self}")
        share, more = divmod(self.tokens - int(lengths.sum()), self.dummy_sequences)
        dummy_sequences = torch.full((self.dummy_sequences,), share)
        dummy_sequences[:more] += 1
        return torch.stack(
            [torch.cat([starts, torch.zeros_like(dummy_sequences)]), torch.cat([lengths, dummy_sequences])]
        )


class StaticBatch(PackedBatch):
    """A PackedBatch of fixed shape: of its sequences, only the device knows the lengths.

    seqlens: (sequences,) int64, on the device: each task's sequences, then its fillers. shapes: of each task's part.
    ``slices`` name the sequences without the fillers, which so reach no head and no loss. ``lengths`` can be asked for,
    but then the host waits for the device.
    """

    def __init__(self, ids: Tensor, token_types: Tensor, seqlens: Tensor, shapes: dict[str, StaticShape]):
        self.ids, self.token_types, self.seqlens, self.shapes = ids, token_types, seqlens, shapes
        self.max_seqlen = max(shape.max_seqlen for shape in shapes.values())
        self.slices, self.whole, sequences, tokens = {}, {}, 0, 0
        for task, shape in shapes.items():
            stop = sequences + shape.sequences + shape.dummy_sequences
            self.slices[task] = slice(sequences, sequences + shape.sequences)
            self.whole[task] = slice(tokens, tokens + shape.tokens), slice(sequences, stop)
            sequences, tokens = stop, tokens + shape.tokens
        if (sequences, tokens) != (len(seqlens), len(ids)):
            raise ValueError(f"{len(seqlens)} sequences of {len(ids)} tokens do not have the shapes {shapes}")

    def __len__(self) -> int:
        return len(self.seqlens)

    @property
    def lengths(self) -> list[int]:
        return self.seqlens.tolist()

    @cached_property
    def parts(self) -> dict[str, tuple[slice, PackedBatch]]:
        """Of each task: which tokens are its own or its fillers', and they as a batch."""
        return {
            task: (
                tokens,
                StaticBatch(self.ids[tokens], self.token_types[tokens], self.seqlens[where], {task: self.shapes[task]}),
            )
            for task, (tokens, where) in self.whole.items()
        }

    @staticmethod
    def join(batches: dict[str, "StaticBatch"]) -> "StaticBatch":
        """One batch that holds those of several tasks."""
        ids, types, seqlens = (
            torch.cat([getattr(batch, name) for batch in batches.values()])
            for name in ("ids", "token_types", "seqlens")
        )
        return StaticBatch(ids, types, seqlens, {task: batch.shapes[task] for task, batch in batches.items()})


@dataclass(frozen=True)
class LengthGroups:
    """Sequences of similar length, each group padded to its own longest: small dense blocks for dense kernels.

    shapes: (sequences, longest) of each group. The groups' cells stand one after the other.
    masks: per group (sequences, longest) bool, true where a cell holds a token; None if it has no padding.
    token_of: (cells,) the token in each cell; padding repeats the sequence's first token.
    cell_of: (tokens,) the cell of each token.
    """

    shapes: list[tuple[int, int]]
    masks: list[Tensor | None]
    token_of: Tensor
    cell_of: Tensor

    @staticmethod
    def of(batch: PackedBatch, stretch: float = 1.5) -> "LengthGroups":
        """Group so that no sequence is longer than ``stretch`` times (plus 4) the shortest of its group."""
        groups: list[list[int]] = []
        for sequence in sorted(range(len(batch)), key=batch.lengths.__getitem__):
            if groups and batch.lengths[sequence] <= stretch * batch.lengths[groups[-1][0]] + 4:
                groups[-1].append(sequence)
            else:
                groups.append([sequence])

        counts = torch.tensor(batch.lengths)  # laid out on the host, whatever the device: it knows all lengths
        begins = counts.cumsum(0) - counts
        shapes, masks, token_of, real = [], [], [], []
        for group in groups:
            members = torch.tensor(group)
            longest = batch.lengths[group[-1]]
            column = torch.arange(longest)
            mask = column < counts[members, None]  # (sequences, longest)
            shapes.append((len(group), longest))
            masks.append(None if batch.lengths[group[0]] == longest else mask)
            token_of.append((begins[members, None] + column * mask).flatten())
            real.append(mask.flatten())
        tokens = torch.cat(token_of)
        cells = torch.cat(real).nonzero().squeeze(1)
        cell_of = torch.empty(batch.tokens, dtype=torch.int64)
        cell_of[tokens[cells]] = cells
        device = batch.ids.device
        masks = [None if mask is None else on_device(mask, device) for mask in masks]
        return LengthGroups(shapes, masks, on_device(tokens, device), on_device(cell_of, device))


def pack(sequences: Sequence[Sequence[int]], token_types: Sequence[Sequence[int]] | None = None) -> PackedBatch:
    """Lists of word-piece numbers as one PackedBatch; token types are 0 unless given."""
    lengths = [len(sequence) for sequence in sequences]
    ids = torch.tensor([piece for sequence in sequences for piece in sequence], dtype=torch.int64)
    if token_types is None:
        types = torch.zeros_like(ids)
    else:
        types = torch.tensor([kind for sequence in token_types for kind in sequence], dtype=torch.int64)
    return PackedBatch(ids, types, lengths)
