"""One vector per sequence from one vector per token."""

from typing import Literal, get_args

import torch
from torch import Tensor

from mtbert.data.batch import PackedBatch
from mtbert.utils.errors import UserError

Pooling = Literal["cls", "mean", "max"]


def pool(hidden: Tensor, batch: PackedBatch, how: Pooling) -> Tensor:
    """The first token's vector ("cls"), or the mean or the maximum over a sequence's tokens.

    hidden: (tokens, width). Returns (sequences, width). Raises UserError for another ``how``. BERT's fourth kind,
    "pooler", has weights of its own: see ``Encoder.pool``.
    """
    if how == "cls":
        return hidden[batch.cu_seqlens[:-1]]
    if how in ("mean", "max"):
        # unsafe: not looked at, the lengths need not come back from the device; a batch's own add up
        return torch.segment_reduce(hidden, how, lengths=batch.seqlens, unsafe=True)
    raise UserError(f"unknown pooling {how!r}: choose from {', '.join(get_args(Pooling))}")
