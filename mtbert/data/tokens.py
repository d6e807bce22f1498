"""Rows to token ids: each file is tokenized once, and a batch is then index arithmetic.

``TokenizedDataset`` holds the tokens of every text of a file, without special tokens. ``EncodedDataset`` holds what
BERT reads, truncated: [CLS] a [SEP] for a sentence, [CLS] a [SEP] b [SEP] for a cross-encoded pair. Both are a few flat
tensors, so that they move to a device in one copy and a batch is a gather.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

import tokenizers
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from tqdm.auto import tqdm

from mtbert.data.batch import PackedBatch, on_device
from mtbert.data.read import Rows
from mtbert.utils import paths
from mtbert.utils.errors import UserError, shorten
from mtbert.utils.files import atomic_write
from mtbert.utils.logging import logger

Encoding = Literal["cross", "bi", "both"]
_CHUNK = 4096
_CACHE_FORMAT = 2


class Tokenizer:
    """A WordPiece tokenizer that neither truncates nor pads, whatever its file says.

    A text that spells a special token, such as "[SEP]", gets that token, as in transformers; ``EncodedDataset.notes``
    says so.

    Args:
        backend: a tokenizer of the tokenizers library.

    Raises:
        UserError: if the vocabulary lacks [CLS], [SEP] or the token for unknown words.
    """

    def __init__(self, backend: tokenizers.Tokenizer):
        backend.no_truncation()
        backend.no_padding()
        self.backend = backend
        unknown = getattr(backend.model, "unk_token", None) or "[UNK]"
        names = ("[CLS]", "[SEP]", unknown, "[PAD]", "[MASK]")
        ids = {name: token_id for name in names if (token_id := backend.token_to_id(name)) is not None}
        for name in names[:3]:
            if name not in ids:
                raise UserError(f"the tokenizer has no {name}: give one that was made for BERT")
        self.cls, self.sep = ids["[CLS]"], ids["[SEP]"]
        del ids[unknown]  # which stands for unknown words
        self.special_ids = torch.tensor(list(ids.values()), dtype=torch.int32)
        self.fingerprint = hashlib.sha256(backend.to_str().encode()).hexdigest()

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        """The token ids of each text, without special tokens."""
        return [encoding.ids for encoding in self.backend.encode_batch(list(texts), add_special_tokens=False)]

    def convert_ids_to_tokens(self, ids: Sequence[int] | Tensor) -> list[str | None]:
        """The WordPiece tokens with these ids; None for an id that the vocabulary does not have."""
        return [self.backend.id_to_token(int(token_id)) for token_id in ids]


@dataclass(frozen=True)
class TokenizedDataset:
    """The tokens of every text of a file, without special tokens.

    Attributes:
        ids: (tokens,) int32, token ids.
        cu_seqlens: (texts + 1,) int64, where each text begins and ends in ``ids``.
        texts_per_row: 1, or 2 for pairs.
        labels: (rows,) float32, NaN where there is none.
    """

    ids: Tensor
    cu_seqlens: Tensor
    texts_per_row: int
    labels: Tensor

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.labels)

    @staticmethod
    def from_texts(
        texts: Sequence[tuple[str, ...]], tokenizer: Tokenizer, labels: Sequence[float] | None = None, progress=False
    ) -> "TokenizedDataset":
        """Tokenize rows of one or two texts each."""
        flat = [text for row in texts for text in row]
        ids, lengths = [], [0]
        starts = range(0, len(flat), _CHUNK)
        for start in tqdm(starts, desc="tokenize", unit="chunk", leave=False, disable=not progress or len(starts) < 4):
            for tokens in tokenizer(flat[start : start + _CHUNK]):
                ids += tokens
                lengths.append(len(tokens))
        labels = [float("nan")] * len(texts) if labels is None else labels
        return TokenizedDataset(
            torch.tensor(ids, dtype=torch.int32),
            torch.tensor(lengths).cumsum(0),
            len(texts[0]),
            torch.tensor(labels, dtype=torch.float32),
        )

    @staticmethod
    def from_rows(rows: Rows, tokenizer: Tokenizer, cache: Path | None = None, progress=False) -> "TokenizedDataset":
        """Tokenize rows, or load their tokens from a cache, keyed by the texts and the tokenizer.

        A cache that cannot be read or written is logged and done without.
        """
        texts = [example.texts for example in rows.examples]
        key = hashlib.sha256(f"{_CACHE_FORMAT} {tokenizer.fingerprint} {texts!r}".encode()).hexdigest()
        path = (cache or paths.cache_folder()) / f"{rows.task.name}-{rows.split}-{key[:16]}.safetensors"
        cached = _load_cached(path, key)
        if cached is not None:
            labels = torch.tensor(rows.labels, dtype=torch.float32)
            return TokenizedDataset(*cached, len(rows.task.text_columns), labels)
        dataset = TokenizedDataset.from_texts(texts, tokenizer, rows.labels, progress)
        _save_cached(path, key, dataset)
        return dataset

    def encode(self, encoding: Encoding, max_length: int, tokenizer: Tokenizer) -> "EncodedDataset":
        """The sequences that BERT reads.

        Args:
            encoding: "cross" for a pair as one sequence, "bi" for two (left, right, left, right, ...), "both" for three
                (left, right, the pair, ...).
            max_length: tokens in the longest sequence allowed. A longer one loses tokens at the end of its text, a pair
                those of its longer text first.
            tokenizer: gives the ids of [CLS] and [SEP].
        """
        if self.texts_per_row == 2 and encoding == "both":
            bi, cross = (self.encode(each, max_length, tokenizer) for each in ("bi", "cross"))
            return _row_by_row(bi, cross)
        lengths = self.cu_seqlens.diff()
        if self.texts_per_row == 2 and encoding == "cross":
            lengths = lengths.view(-1, 2)  # (rows, 2)
            truncated = torch.stack(_longest_first(lengths[:, 0], lengths[:, 1], max_length - 3), dim=1)
            sequences_per_row = 1
        else:
            lengths = lengths[:, None]  # (texts, 1)
            truncated = lengths.clamp(max=max_length - 2)
            sequences_per_row = self.texts_per_row
        starts = self.cu_seqlens[:-1].view_as(lengths)
        num_truncated = int((truncated < lengths).any(1).sum())
        num_special = int(torch.isin(self.ids, tokenizer.special_ids).sum())
        sequences = _with_special_tokens(self.ids, starts, truncated, tokenizer, sequences_per_row)
        return replace(sequences, num_truncated=num_truncated, num_special=num_special)


@dataclass(frozen=True)
class EncodedDataset:
    """Every sequence of a file, ready for BERT.

    Attributes:
        ids: (tokens,) int32, token ids.
        token_types: (tokens,) uint8, 0 for the first sentence of a sequence and 1 for the second.
        cu_seqlens: (sequences + 1,) int64, where each sequence begins and ends.
        sequences_per_row: 1, or for pairs 2 in "bi" and 3 in "both" encoding.
        num_truncated: sequences that lost tokens.
        num_special: special tokens, such as [SEP], that the texts themselves spell.
    """

    ids: Tensor
    token_types: Tensor
    cu_seqlens: Tensor
    sequences_per_row: int
    num_truncated: int = 0
    num_special: int = 0

    def __len__(self) -> int:
        """Number of rows."""
        return (len(self.cu_seqlens) - 1) // self.sequences_per_row

    @property
    def lengths(self) -> Tensor:
        """(sequences,) int64, tokens in each sequence."""
        return self.cu_seqlens.diff()

    @cached_property
    def row_lengths(self) -> Tensor:
        """(rows,) int64, tokens in each row."""
        return self.lengths.view(-1, self.sequences_per_row).sum(1)

    @cached_property
    def row_length_statistics(self) -> tuple[float, float]:
        """Mean and standard deviation of ``row_lengths``."""
        lengths = self.row_lengths.double()
        return float(lengths.mean()), float(lengths.std(correction=0))

    def notes(self, file: str, max_length: int) -> list[str]:
        """Sentences about the sequences for the log."""
        count, notes = len(self.cu_seqlens) - 1, []
        if self.num_truncated:
            longer = f"{self.num_truncated} of {count} sequences are longer than {max_length} tokens"
            notes.append(f"{file}: {longer} and are truncated")
        if self.num_special:
            notes.append(special_tokens_note(file, self.num_special))
        return notes

    def to(self, device: torch.device | str) -> "EncodedDataset":
        """The tokens on ``device``; ``cu_seqlens`` stay on the host, where batches are laid out."""
        return replace(self, ids=self.ids.to(device), token_types=self.token_types.to(device))

    @cached_property
    def max_seqlen(self) -> int:
        """Tokens in the longest sequence."""
        return int(self.lengths.max())

    def spans(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Where each sequence of these rows begins, and its length: (sequences,) int64 each, on the host."""
        sequences = (rows[:, None] * self.sequences_per_row + torch.arange(self.sequences_per_row)).flatten()
        starts = self.cu_seqlens[sequences]
        return starts, self.cu_seqlens[sequences + 1] - starts

    def batch(self, rows: Tensor) -> PackedBatch:
        """The sequences of these rows, (n,) int64, packed in the order given."""
        starts, lengths = self.spans(rows)
        spans = on_device(torch.stack([starts, lengths]), self.ids.device)  # all else is arithmetic on the device
        indices = span_indices(spans[0], spans[1], int(lengths.sum()))
        return PackedBatch(self.ids[indices].long(), self.token_types[indices].long(), lengths.tolist())

    def batches(self, tokens_per_batch: int) -> Iterator[tuple[Tensor, PackedBatch]]:
        """(rows, batch) for all rows, those of similar length together, about ``tokens_per_batch`` tokens each."""
        order = self.row_lengths.argsort(stable=True)
        bins = (self.row_lengths[order].cumsum(0) - 1) // tokens_per_batch
        for rows in order.split(bins.unique_consecutive(return_counts=True)[1].tolist()):
            yield rows, self.batch(rows)


def special_tokens_note(source: str, count: int) -> str:
    """A sentence for the log about texts that spell special tokens."""
    names = "[CLS], [SEP], [PAD] or [MASK]"
    return f"{source}: texts spell {count} special tokens ({names}), which the encoder reads as such, not as words"


def span_indices(starts: Tensor, lengths: Tensor, tokens: int) -> Tensor:
    """(tokens,) int64: starts[0], starts[0] + 1, ... for lengths[0] indices, then the same for the next span.

    tokens: the sum of the lengths, which a GPU need not be asked for.
    """
    shifts = starts - (lengths.cumsum(0) - lengths)
    return torch.arange(tokens, device=starts.device) + shifts.repeat_interleave(lengths, output_size=tokens)


def _longest_first(left: Tensor, right: Tensor, max_tokens: int) -> tuple[Tensor, Tensor]:
    """Shorten pairs of lengths to a sum of at most ``max_tokens``, the longer one first (as tokenizers do)."""
    shorter = torch.minimum(left, right).clamp(max=max_tokens // 2)
    longer = torch.minimum(torch.maximum(left, right), max_tokens - shorter)
    left_is_shorter = left <= right
    return torch.where(left_is_shorter, shorter, longer), torch.where(left_is_shorter, longer, shorter)


def _with_special_tokens(
    ids: Tensor, starts: Tensor, lengths: Tensor, tokenizer: Tokenizer, sequences_per_row: int
) -> EncodedDataset:
    """[CLS], then each text of a sequence followed by [SEP].

    starts, lengths: (sequences, texts), where a text begins in ``ids`` and how many of its tokens are read.
    """
    sizes = lengths + 1
    sizes[:, 0] += 1  # the first text also carries [CLS]
    ends = sizes.flatten().cumsum(0)
    begins = (ends - sizes.flatten()).view_as(sizes)
    tokens = torch.full((int(ends[-1]),), tokenizer.sep, dtype=torch.int32)
    tokens[begins[:, 0]] = tokenizer.cls
    first_tokens = begins.clone()
    first_tokens[:, 0] += 1
    num_tokens = int(lengths.sum())
    sources = span_indices(starts.flatten(), lengths.flatten(), num_tokens)
    tokens[span_indices(first_tokens.flatten(), lengths.flatten(), num_tokens)] = ids[sources]
    types = torch.arange(lengths.shape[1], dtype=torch.uint8).repeat(len(lengths)).repeat_interleave(sizes.flatten())
    cu_seqlens = torch.cat([ends.new_zeros(1), ends.view_as(sizes)[:, -1]])
    return EncodedDataset(tokens, types, cu_seqlens, sequences_per_row)


def _row_by_row(first: EncodedDataset, second: EncodedDataset) -> EncodedDataset:
    """For each row, its sequences in ``first`` and then those in ``second``; special tokens are counted once."""
    lengths, rows, offset = torch.cat([first.lengths, second.lengths]), len(first), len(first.lengths)
    parts = torch.arange(offset).view(rows, -1), offset + torch.arange(len(second.lengths)).view(rows, -1)
    order = torch.cat(parts, dim=1).flatten()  # (sequences,)
    cu_seqlens = torch.cat([lengths.new_zeros(1), lengths[order].cumsum(0)])
    indices = span_indices((lengths.cumsum(0) - lengths)[order], lengths[order], int(lengths.sum()))
    return EncodedDataset(
        torch.cat([first.ids, second.ids])[indices],
        torch.cat([first.token_types, second.token_types])[indices],
        cu_seqlens,
        first.sequences_per_row + second.sequences_per_row,
        first.num_truncated + second.num_truncated,
        first.num_special,
    )


def _save_cached(path: Path, key: str, dataset: TokenizedDataset) -> None:
    tensors = {"ids": dataset.ids, "offsets": dataset.cu_seqlens}
    try:
        atomic_write(path, save(tensors, {"checksum": _checksum(key, tensors)}))
    except OSError as error:
        _log_unusable(path.parent, error.strerror or str(error))


@cache
def _log_unusable(folder: Path, reason: str) -> None:
    logger.warning(
        f"the token cache {shorten(str(folder))} cannot be written ({reason}), so texts are tokenized again in each "
        "command: set MTBERT_CACHE to a folder of yours"
    )


def _load_cached(path: Path, key: str) -> tuple[Tensor, Tensor] | None:
    """(ids, cu_seqlens) from the cache; None if they are not there, damaged, or of other texts or another tokenizer."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in ("ids", "offsets")}
    except (OSError, SafetensorError):
        return None
    intact = metadata.get("checksum") == _checksum(key, tensors)
    return (tensors["ids"], tensors["offsets"]) if intact else None


def _checksum(key: str, tensors: dict[str, Tensor]) -> str:
    """A checksum of tokens and of what they are the tokens of."""
    digest = hashlib.sha256(key.encode())
    for name, tensor in tensors.items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
