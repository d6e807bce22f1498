"""Scaled dot-product attention (Vaswani et al. 2017, eq. 1): a readable reference, and the fast packed paths.

``attention`` is the definition. ``packed_attention`` computes the same for the sequences of a PackedBatch without
padding the batch: on a CPU over groups of similar length, on CUDA with a variable-length flash kernel.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from mtbert.data.batch import LengthGroups, PackedBatch
from mtbert.nn.dropout import dropout

try:
    from torch.nn.attention.varlen import varlen_attn
except ImportError:  # this build of torch does not have the kernel
    varlen_attn = None


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, p: float = 0.0) -> Tensor:
    """softmax(Q K^T / sqrt(d) + mask) V, with dropout of probability ``p`` on the weights.

    query: (..., queries, d). key, value: (..., keys, d). mask: bool, true where a query may look at a key,
    broadcastable to (..., queries, keys). Returns (..., queries, d). A query that may look at nothing gets the
    mean of the values rather than NaN: the mask adds the smallest finite number, not minus infinity.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])  # (..., queries, keys)
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    weights = scores.softmax(dim=-1)
    return dropout(weights, p) @ value


def packed_attention(qkv: Tensor, batch: PackedBatch, heads: int, p: float = 0.0) -> Tensor:
    """Every token attends to the tokens of its own sequence.

    qkv: (tokens, 3 * hidden), the query, key and value of each token side by side. p: dropout probability on the
    attention weights (0 in evaluation). Returns (tokens, hidden), the heads side by side.
    """
    if varlen_attn is not None and qkv.is_cuda and qkv.dtype in (torch.bfloat16, torch.float16) and p == 0:
        return _varlen_attention(qkv, batch, heads)
    return _grouped_attention(qkv, batch.groups, heads, p)


def _varlen_attention(qkv: Tensor, batch: PackedBatch, heads: int) -> Tensor:
    tokens, width = qkv.shape
    query, key, value = qkv.view(tokens, 3, heads, width // (3 * heads)).unbind(1)  # (tokens, heads, d)
    mixed = varlen_attn(query, key, value, batch.offsets, batch.offsets, batch.longest, batch.longest)
    return mixed.reshape(tokens, width // 3)


def _grouped_attention(qkv: Tensor, groups: LengthGroups, heads: int, p: float) -> Tensor:
    width = qkv.shape[1]
    cells = _ToCells.apply(qkv, groups.token_of, groups.cell_of)  # (cells, 3 * hidden)
    mixed = []
    sizes = [sequences * longest for sequences, longest in groups.shapes]
    for block, (sequences, longest), mask in zip(cells.split(sizes), groups.shapes, groups.masks, strict=True):
        block = block.view(sequences, longest, 3, heads, width // (3 * heads))
        query, key, value = block.permute(2, 0, 3, 1, 4)  # each (sequences, heads, longest, d)
        mask = None if mask is None else mask[:, None, None, :]
        if p:
            out = attention(query, key, value, mask, p)
        else:
            out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        mixed.append(out.transpose(1, 2).reshape(sequences * longest, width // 3))
    return _ToTokens.apply(torch.cat(mixed), groups.cell_of)


class _ToCells(torch.autograd.Function):
    """Tokens to padded cells. Each token fills one real cell and padding has no gradient, so the way back is a
    plain gather too, where autograd would have to add up repeated rows."""

    @staticmethod
    def forward(ctx, tokens, token_of, cell_of):
        ctx.save_for_backward(cell_of)
        return tokens.index_select(0, token_of)

    @staticmethod
    def backward(ctx, gradient):
        (cell_of,) = ctx.saved_tensors
        return gradient.index_select(0, cell_of), None, None


class _ToTokens(torch.autograd.Function):
    """Padded cells back to tokens; padding receives no gradient."""

    @staticmethod
    def forward(ctx, cells, cell_of):
        ctx.save_for_backward(cell_of)
        ctx.cells = len(cells)
        return cells.index_select(0, cell_of)

    @staticmethod
    def backward(ctx, gradient):
        (cell_of,) = ctx.saved_tensors
        return gradient.new_zeros(ctx.cells, gradient.shape[1]).index_copy_(0, cell_of, gradient), None
