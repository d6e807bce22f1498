"""What happens inside an encoder: the attention weights of its heads, and the hidden states between its layers."""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from mtbert.data.batch import PackedBatch
from mtbert.nn.bert import Bert, Layer


@torch.no_grad()
def attention_maps(bert: Bert, batch: PackedBatch) -> Tensor:
    """The attention weights of every head, computed from the layers' queries and keys.

    Args:
        bert: The encoder, in evaluation mode.
        batch: A single sequence.

    Returns:
        (layers, heads, tokens, tokens), each row adding up to 1.
    """
    if len(batch) != 1:
        raise ValueError(f"the batch has {len(batch)} sequences, but attention maps are for one")
    maps = []
    for layer, x in zip(cast(Sequence[Layer], bert.layers), hidden_states(bert, batch), strict=False):
        query, key, _ = layer.qkv(x).view(len(x), 3, layer.heads, -1).permute(1, 2, 0, 3)
        maps.append((query @ key.mT / math.sqrt(query.shape[-1])).softmax(-1))
    return torch.stack(maps)


@torch.no_grad()
def hidden_states(bert: Bert, batch: PackedBatch) -> list[Tensor]:
    """The embeddings and the output of every layer: layers + 1 tensors of (tokens, hidden)."""
    states = [bert.embeddings(batch)]
    for layer in bert.layers:
        states.append(layer(states[-1], batch))
    return states
