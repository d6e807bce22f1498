"""Rows to numbers: word pieces once per file, then batches by index arithmetic.

TokenTable holds the word pieces of every text of a file, without special tokens. SequenceTable holds what BERT reads:
[CLS] a [SEP] for a sentence, [CLS] a [SEP] b [SEP] for a cross-encoded pair, truncated. Both are a few flat tensors,
so they move to a device in one copy and a batch is a gather.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import tokenizers
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor
from tqdm.auto import tqdm

from mtbert.data.batch import PackedBatch, StaticBatch, StaticShape, on_device
from mtbert.data.read import Rows
from mtbert.utils import paths
from mtbert.utils.errors import UserError
from mtbert.utils.files import atomic_write

Encoding = Literal["cross", "bi"]
_CHUNK = 4096
_GRAIN = 64  # tokens of a shape come in multiples of this: matrix kernels work on tiles of rows
_FILLER = 16  # tokens that a filler may have at least: with fillers too short, there would be too many


class Tokenizer:
    """A WordPiece tokenizer with neither truncation nor padding, whatever its file asks for."""

    def __init__(self, backend: tokenizers.Tokenizer):
        backend.no_truncation()
        backend.no_padding()
        self.backend = backend
        self.cls, self.sep = backend.token_to_id("[CLS]"), backend.token_to_id("[SEP]")
        if self.cls is None or self.sep is None:
            raise UserError("the tokenizer has no [CLS] and [SEP]: give one that was made for BERT")
        self.fingerprint = hashlib.sha256(backend.to_str().encode()).hexdigest()

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        """Word-piece numbers of each text, without special tokens."""
        return [coded.ids for coded in self.backend.encode_batch(list(texts), add_special_tokens=False)]

    def pieces(self, ids: Sequence[int] | Tensor) -> list[str]:
        """The word pieces with these numbers."""
        return [self.backend.id_to_token(int(number)) for number in ids]


@dataclass(frozen=True)
class TokenizedDataset:
    """Word pieces of every text of a file.

    ids: (pieces,) int32. offsets: (texts + 1,) int64. per_row: texts in a row, 1 or 2. labels: (rows,) float32, NaN
    where there is none.
    """

    ids: Tensor
    cu_seqlens: Tensor
    per_row: int
    labels: Tensor

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.labels)

    @staticmethod
    def of_texts(texts: Sequence[tuple[str, ...]], tokenizer: Tokenizer, labels=None, progress=False):
        """Tokenise rows of one or two texts each."""
        per_row = len(texts[0])
        flat = [text for row in texts for text in row]
        ids, lengths = [], [0]
        starts = range(0, len(flat), _CHUNK)
        for start in tqdm(starts, desc="tokenise", unit="chunk", leave=False, disable=not progress or len(starts) < 4):
            for pieces in tokenizer(flat[start : start + _CHUNK]):
                ids += pieces
                lengths.append(len(pieces))
        labels = [float("nan")] * len(texts) if labels is None else labels
        return TokenizedDataset(
            torch.tensor(ids, dtype=torch.int32),
            torch.tensor(lengths).cumsum(0),
            per_row,
            torch.tensor(labels, dtype=torch.float32),
        )

    @staticmethod
    def of_rows(rows: Rows, tokenizer: Tokenizer, cache: Path | None = None, progress=False) -> "TokenizedDataset":
        """Tokenise rows, or read them from the cache (kept by the checksums of their contents and the tokenizer)."""
        key = _key(rows, tokenizer)
        path = (cache or paths.cache_folder()) / f"{rows.task.name}-{rows.split}-{key[:16]}.safetensors"
        table = _cached(path, len(rows.task.text_columns))
        if table is None or len(table) != len(rows):
            texts = [example.texts for example in rows.examples]
            table = TokenizedDataset.of_texts(texts, tokenizer, rows.labels, progress)
            atomic_write(path, save({"ids": table.ids, "offsets": table.cu_seqlens, "labels": table.labels}))
        return table

    def sequences(self, encoding: Encoding, max_length: int, tokenizer: Tokenizer) -> "EncodedDataset":
        """What BERT reads. A pair in "cross" encoding is one sequence, in "bi" two (left, right, left, right ...).

        Sequences longer than ``max_length`` tokens lose pieces at the end of their longer text first.
        """
        lengths = self.cu_seqlens.diff()
        if self.per_row == 2 and encoding == "cross":
            left, right = lengths[0::2], lengths[1::2]
            kept = torch.stack(_longest_first(left, right, max_length - 3), dim=1)  # (rows, 2)
            per_row = 1
        else:
            kept = lengths.clamp(max=max_length - 2)[:, None]  # (texts, 1)
            per_row = self.per_row
        starts = self.cu_seqlens[:-1].view_as(kept)
        truncated = int((kept < lengths.view_as(kept)).any(1).sum())
        return _with_special_tokens(self.ids, starts, kept, tokenizer, per_row, truncated)


@dataclass(frozen=True)
class EncodedDataset:
    """Every sequence of a file, ready for BERT.

    ids: (tokens,) int32. token_types: (tokens,) uint8. offsets: (sequences + 1,) int64. per_row: sequences a row has.
    truncated: sequences that lost word pieces.
    """

    ids: Tensor
    token_types: Tensor
    cu_seqlens: Tensor
    per_row: int
    truncated: int

    def __len__(self) -> int:
        """Number of rows."""
        return (len(self.cu_seqlens) - 1) // self.per_row

    @property
    def lengths(self) -> Tensor:
        """(sequences,) int64."""
        return self.cu_seqlens.diff()

    def notes(self, file: str, max_length: int) -> list[str]:
        """What a reader should know of these sequences, a sentence each."""
        if not self.truncated:
            return []
        count = len(self.cu_seqlens) - 1
        return [f"{file}: {self.truncated} of {count} sequences are longer than {max_length} tokens and are truncated"]

    def to(self, device: torch.device | str) -> "EncodedDataset":
        """The tokens on ``device``; the offsets stay on the host, where batches are laid out."""
        return replace(self, ids=self.ids.to(device), token_types=self.token_types.to(device))

    @cached_property
    def max_seqlen(self) -> int:
        """Tokens of the longest sequence."""
        return int(self.lengths.max())

    @cached_property
    def _row_tokens(self) -> tuple[float, float]:
        """Tokens of a row: mean and standard deviation."""
        per_row = self.lengths.view(-1, self.per_row).sum(1).double()
        return float(per_row.mean()), float(per_row.std(correction=0))

    def spans(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Where each sequence of these rows begins, and its length: (sequences,) int64 each, on the host."""
        sequences = (rows[:, None] * self.per_row + torch.arange(self.per_row)).flatten()
        starts = self.cu_seqlens[sequences]
        return starts, self.cu_seqlens[sequences + 1] - starts

    def batch(self, rows: Tensor) -> PackedBatch:
        """The sequences of these rows, (n,) int64, packed in the order given."""
        starts, lengths = self.spans(rows)
        if not self.ids.is_cuda:
            places = _spans(starts, lengths).to(self.ids.device)
            return PackedBatch(self.ids[places].long(), self.token_types[places].long(), lengths.tolist())
        # only where sequences begin and how long they are goes to the device; the rest is arithmetic there
        spans = on_device(torch.stack([starts, lengths]), self.ids.device)
        places = places_of(*spans, int(lengths.sum()))
        return PackedBatch(self.ids[places].long(), self.token_types[places].long(), lengths.tolist())

    def static_shape(self, rows: Tensor) -> StaticShape:
        """The smallest shape that holds these rows, of a few that batches of as many rows have in common.

        The first has room for two standard deviations more than so many random rows hold on average, the next ones for
        an eighth more each.
        """
        mean, deviation = self._row_tokens
        usual = len(rows) * mean + 2 * math.sqrt(len(rows)) * deviation
        eighths, needed = 8, self.spans(rows)[1]
        while True:
            tokens = math.ceil(usual * eighths / 8 / _GRAIN) * _GRAIN
            shape = StaticShape(len(needed), tokens, max(self.max_seqlen, _FILLER))
            if shape.holds(needed):
                return shape
            eighths += 1

    def static_batch(self, task: str, spans: Tensor, shape: StaticShape) -> StaticBatch:
        """A batch of a fixed shape. spans: (2, sequences), what ``shape.spans`` made, on the table's device."""
        places = places_of(*spans, shape.tokens).clamp(
            max=len(self.ids) - 1
        )  # a filler may be longer than all there is
        return StaticBatch(self.ids[places].long(), self.token_types[places].long(), spans[1], {task: shape})

    def batches(self, tokens: int):
        """(rows, batch) over the whole table, rows of similar length together, about ``tokens`` tokens each."""
        per_row = self.lengths.view(-1, self.per_row).sum(1)
        order = per_row.argsort(stable=True)
        bins = (per_row[order].cumsum(0) - 1) // tokens
        for rows in order.split(bins.unique_consecutive(return_counts=True)[1].tolist()):
            yield rows, self.batch(rows)


def places_of(starts: Tensor, lengths: Tensor, tokens: int) -> Tensor:
    """(tokens,) int64: as ``_spans``, where only the number of tokens is known on the host."""
    numbers = torch.arange(tokens, device=starts.device)
    ends = lengths.cumsum(0)
    seq_ids = torch.searchsorted(ends, numbers, right=True)
    return numbers + (starts - (ends - lengths))[seq_ids]


def _spans(starts: Tensor, lengths: Tensor) -> Tensor:
    """starts[0], starts[0] + 1, ... for lengths[0] numbers, then the same for the next start, and so on."""
    shift = starts - (lengths.cumsum(0) - lengths)
    return torch.arange(int(lengths.sum())) + shift.repeat_interleave(lengths)


def _longest_first(left: Tensor, right: Tensor, room: int) -> tuple[Tensor, Tensor]:
    """Shorten pairs of lengths to ``room`` in sum, the longer one first (as tokenizers do)."""
    shorter = torch.minimum(left, right).clamp(max=room // 2)
    longer = torch.minimum(torch.maximum(left, right), room - shorter)
    left_is_shorter = left <= right
    return torch.where(left_is_shorter, shorter, longer), torch.where(left_is_shorter, longer, shorter)


def _with_special_tokens(ids, starts, kept, tokenizer, per_row, truncated) -> EncodedDataset:
    """[CLS], then each part of a sequence followed by its [SEP].

    starts, kept: (sequences, parts), where in ``ids`` a part begins and how many pieces of it stay.
    """
    sizes = kept + 1
    sizes[:, 0] += 1  # the first part also carries [CLS]
    ends = sizes.flatten().cumsum(0)
    begins = ends - sizes.flatten()
    tokens = torch.full((int(ends[-1]),), tokenizer.sep, dtype=torch.int32)
    tokens[begins.view_as(sizes)[:, 0]] = tokenizer.cls
    first = begins.view_as(sizes).clone()
    first[:, 0] += 1
    tokens[_spans(first.flatten(), kept.flatten())] = ids[_spans(starts.flatten(), kept.flatten())]
    types = torch.arange(kept.shape[1], dtype=torch.uint8).repeat(len(kept)).repeat_interleave(sizes.flatten())
    cu_seqlens = torch.cat([ends.new_zeros(1), ends.view_as(sizes)[:, -1]])
    return EncodedDataset(tokens, types, cu_seqlens, per_row, truncated)


def _key(rows: Rows, tokenizer: Tokenizer) -> str:
    contents = repr(rows.examples)  # not the file's checksum: rows may have been left out, or copies added
    return hashlib.sha256((tokenizer.fingerprint + contents).encode()).hexdigest()


def _cached(path: Path, per_row: int) -> TokenizedDataset | None:
    """The table at ``path``; None if there is none or it cannot be read (it is then made anew)."""
    try:
        kept = load_file(path)
        return TokenizedDataset(kept["ids"], kept["offsets"], per_row, kept["labels"])
    except (FileNotFoundError, SafetensorError, KeyError):
        return None
