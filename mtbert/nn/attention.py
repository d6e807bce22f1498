"""Scaled dot-product attention (Vaswani et al. 2017, "Attention is all you need", eq. 1).

``attention`` is the definition. ``packed_attention`` computes the same for all sequences and heads of a PackedBatch;
its kernels are in ``mtbert.nn.varlen``.
"""

import math

import torch
from torch import Tensor

from mtbert.data.batch import PackedBatch
from mtbert.nn.dropout import dropout
from mtbert.nn.varlen import grouped_attention, varlen_attention, varlen_kernel


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, p: float = 0.0) -> Tensor:
    """softmax(Q K^T / sqrt(d) + mask) V, with dropout on the attention weights.

    A query whose keys are all masked gets the mean of the values rather than NaN: the mask sets its scores to the
    smallest finite number, not to minus infinity.

    Args:
        query: (..., queries, d).
        key: (..., keys, d).
        value: (..., keys, d).
        mask: bool, broadcastable to (..., queries, keys); true where a query may attend to a key.
        p: dropout probability.

    Returns:
        (..., queries, d).
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])  # (..., queries, keys)
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    weights = scores.softmax(dim=-1)  # (..., queries, keys)
    return dropout(weights, p) @ value  # (..., queries, d)


def packed_attention(qkv: Tensor, batch: PackedBatch, heads: int, p: float = 0.0) -> Tensor:
    """Multi-head self-attention in which every token attends to the tokens of its own sequence.

    It equals ``attention`` per head under the mask ``batch.seq_ids[:, None] == batch.seq_ids[None, :]``, but computes
    no score between tokens of different sequences.

    Args:
        qkv: (tokens, 3 * hidden), the query, key and value of each token side by side; hidden is heads * d.
        p: dropout probability on the attention weights (0 in evaluation).

    Returns:
        (tokens, hidden), the heads side by side.
    """
    kernel = varlen_kernel(qkv.device, qkv.dtype, qkv.shape[1] // (3 * heads))
    if kernel is not None:  # one kernel call for the whole batch
        return varlen_attention(kernel, qkv, batch, heads, p)
    return grouped_attention(qkv, batch.length_groups, heads, p)  # one small dense block per group of similar lengths


def first_token_attention(qkv: Tensor, batch: PackedBatch, heads: int, p: float = 0.0) -> Tensor:
    """The rows of ``packed_attention`` that belong to the first token of each sequence: (sequences, hidden).

    One query per sequence has one score per token and head, so no block of scores needs padding: the softmax runs over
    segments of one tensor, (tokens, heads).

    Args:
        qkv: (tokens, 3 * hidden), as for ``packed_attention``.
        p: dropout probability on the attention weights (0 in evaluation).
    """
    query, key, value = qkv.view(len(qkv), 3, heads, -1).unbind(1)  # (tokens, heads, d)
    query = query[batch.first_tokens][batch.seq_ids]  # (tokens, heads, d): each token meets its sequence's query
    scores = (query * key).sum(-1) / math.sqrt(query.shape[-1])  # (tokens, heads)
    largest = batch.segment_reduce(scores.detach(), "max")[batch.seq_ids]
    exponentials = (scores - largest).exp()
    weights = exponentials / batch.segment_reduce(exponentials, "sum")[batch.seq_ids]  # sum to 1 in every sequence
    return batch.segment_reduce(dropout(weights, p)[..., None] * value, "sum").flatten(1)
