"""One vector per sequence from one vector per token."""

from typing import Literal, get_args

from torch import Tensor

from mtbert.data.batch import PackedBatch
from mtbert.utils.errors import UserError, shorten

Pooling = Literal["cls", "mean", "max"]


def pool(hidden: Tensor, batch: PackedBatch, how: Pooling) -> Tensor:
    """One vector per sequence: (tokens, hidden) -> (sequences, hidden).

    It is the first token's vector ("cls"), or the "mean" or "max" over the sequence's tokens; UserError for any other
    ``how``. BERT's fourth kind, "pooler", has weights of its own: see ``Encoder.pool``.
    """
    if how == "cls":
        return hidden[batch.first_tokens]
    if how in ("mean", "max"):
        return batch.segment_reduce(hidden, how)
    raise UserError(f"unknown pooling {shorten(how)}: choose from {', '.join(get_args(Pooling))}")
