"""Scaled dot-product attention (Vaswani et al. 2017, eq. 1): a readable reference, and the fast packed paths.

``attention`` is the definition. ``packed_attention`` computes the same for the sequences of a PackedBatch without
padding the batch: on CUDA with a kernel that takes sequences of any lengths end to end, else over groups of similar
length.
"""

import functools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from mtbert.data.batch import LengthGroups, PackedBatch
from mtbert.nn.dropout import dropout, dropout_mask

AttentionBackend = Literal["varlen", "groups"]
_WAY: ContextVar[AttentionBackend] = ContextVar("way of attention", default="varlen")


@contextmanager
def attention_backend(way: AttentionBackend) -> Iterator[None]:
    """Within it, attention on CUDA goes "varlen", one kernel call for a whole batch (as it does anyway), or by "groups"
    of similar length with torch's SDPA: to compare the two. On a CPU there are only groups."""
    token = _WAY.set(way)
    try:
        yield
    finally:
        _WAY.reset(token)


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


@torch.compiler.disable  # it is a kernel of its own, or several: nothing to compile
def packed_attention(qkv: Tensor, batch: PackedBatch, heads: int, p: float = 0.0) -> Tensor:
    """Every token attends to the tokens of its own sequence.

    qkv: (tokens, 3 * hidden), the query, key and value of each token side by side. p: dropout probability on the
    attention weights (0 in evaluation). Returns (tokens, hidden), the heads side by side.
    """
    kernel = varlen_kernel(qkv.device, qkv.dtype, qkv.shape[1] // (3 * heads))
    if kernel is not None:
        return _varlen_attention(kernel, qkv, batch, heads, p)
    needs_gradient = torch.is_grad_enabled() and qkv.requires_grad
    if needs_gradient and not qkv.is_cuda and qkv.dtype != torch.float16:
        return _GroupedAttention.apply(qkv, batch.groups, heads, p)
    return _sdpa_by_group(qkv, batch.groups, heads, p)


# (query, key and value (tokens, heads, d); offsets (sequences + 1,) int32; longest, or more; p; what scores are
# multiplied by) -> (tokens, heads, d)
VarlenKernel = Callable[[Tensor, Tensor, Tensor, Tensor, int, float, float], Tensor]
_WHOLE = 16  # bytes: the kernels read heads in such pieces


def varlen_kernel(device: torch.device, dtype: torch.dtype, width: int) -> VarlenKernel | None:
    """The kernel for sequences end to end, with heads of that width; None where there is none."""
    if device.type != "cuda" or _WAY.get() == "groups":
        return None
    if dtype in (torch.bfloat16, torch.float16) and width <= 256:
        return flash if _has_flash(device) else None
    return memory_efficient if dtype == torch.float32 else None


@functools.cache
def _has_flash(device: torch.device) -> bool:
    return torch.cuda.get_device_capability(device) >= (8, 0)


def flash(
    query: Tensor, key: Tensor, value: Tensor, cu_seqlens: Tensor, longest: int, p: float, scale: float
) -> Tensor:
    """FlashAttention-2 (Dao 2023), bfloat16 or float16.

    ``torch.nn.attention.varlen.varlen_attn`` calls the same operator, but leaves no place for dropout.
    """
    causal = debug = False
    found = torch.ops.aten._flash_attention_forward(
        query, key, value, cu_seqlens, cu_seqlens, longest, longest, p, causal, debug, scale=scale
    )
    return found[0]


def memory_efficient(
    query: Tensor, key: Tensor, value: Tensor, cu_seqlens: Tensor, longest: int, p: float, scale: float
) -> Tensor:
    """Memory-efficient attention (Rabe & Staats 2021) in float32."""
    bias, no_mask, for_backward = None, 0, True
    parts = (part.unsqueeze(0) for part in (query, key, value))  # one batch that holds all sequences
    found = torch.ops.aten._efficient_attention_forward(
        *parts, bias, cu_seqlens, cu_seqlens, longest, longest, p, no_mask, for_backward, scale=scale
    )
    return found[0].squeeze(0)


def _varlen_attention(kernel: VarlenKernel, qkv: Tensor, batch: PackedBatch, heads: int, p: float) -> Tensor:
    tokens, d = len(qkv), qkv.shape[1] // (3 * heads)
    parts = F.pad(qkv.view(tokens, 3, heads, d), (0, -d % (_WHOLE // qkv.element_size())))  # zeros add to no product
    out = kernel(*parts.unbind(1), batch.cu_seqlens, batch.max_seqlen, p, d**-0.5)  # (tokens, heads, d or a few more)
    return out[..., :d].reshape(tokens, heads * d)


def _sdpa_by_group(qkv: Tensor, groups: LengthGroups, heads: int, p: float) -> Tensor:
    mixed = []
    for block, mask in zip(_blocks(qkv.index_select(0, groups.token_of), groups), groups.masks, strict=True):
        sequences, longest, width = block.shape
        query, key, value = block.view(sequences, longest, 3, heads, -1).permute(
            2, 0, 3, 1, 4
        )  # (n, heads, longest, d)
        mask = None if mask is None else mask[:, None, None, :]
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=p)
        mixed.append(out.transpose(1, 2).reshape(sequences * longest, width // 3))
    return torch.cat(mixed).index_select(0, groups.cell_of)


class _GroupedAttention(torch.autograd.Function):
    """``attention`` over length groups, with its gradient by hand.

    Autograd would record a dozen small steps for each group, copy the strided heads in most of them, and add up the
    gradients of gathered rows; here every token has one cell, so the way back is a gather as well.

    With A = softmax(S), S = Q K^T / sqrt(d), W = A * dropout and O = W V, and G the gradient of O:
    dV = W^T G, dA = (G V^T) * dropout, dS = A * (dA - rowsum(dA * A)), dQ = dS K / sqrt(d), dK = dS^T Q / sqrt(d).
    """

    @staticmethod
    def forward(ctx, qkv: Tensor, groups: LengthGroups, heads: int, p: float) -> Tensor:
        ctx.groups, ctx.heads, ctx.kept = groups, heads, []
        out = qkv.new_empty(len(groups.token_of), qkv.shape[1] // 3)  # (cells, hidden)
        blocks = zip(
            _blocks(qkv.index_select(0, groups.token_of), groups), _blocks(out, groups), groups.masks, strict=True
        )
        for block, out_block, mask in blocks:
            query, key, value = parts = _heads_first(block, 3, heads)
            scores = (query @ key.mT).mul_(1 / math.sqrt(query.shape[-1]))  # (sequences, heads, longest, longest)
            if mask is not None:
                scores.masked_fill_(~mask[:, None, None, :], torch.finfo(scores.dtype).min)
            weights = scores.softmax(dim=-1)
            keep = dropout_mask(weights, p) if p else None
            mixed = (weights if keep is None else weights * keep) @ value
            out_block.unflatten(2, (heads, -1)).copy_(mixed.transpose(1, 2))
            ctx.kept.append((parts, weights, keep))
        return out.index_select(0, groups.cell_of)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        groups, heads = ctx.groups, ctx.heads
        cells = gradient.new_zeros(len(groups.token_of), gradient.shape[1])  # padding has no gradient
        cells.index_copy_(0, groups.cell_of, gradient)
        d_qkv = gradient.new_empty(len(cells), 3 * gradient.shape[1])
        blocks = zip(_blocks(cells, groups), _blocks(d_qkv, groups), ctx.kept, strict=True)
        for block, d_block, ((query, key, value), weights, keep) in blocks:
            (g,) = _heads_first(block, 1, heads)
            d_value = (weights if keep is None else weights * keep).mT @ g
            d_weights = g @ value.mT
            if keep is not None:
                d_weights.mul_(keep)
            d_scores = torch._softmax_backward_data(d_weights, weights, -1, weights.dtype)
            d_scores.mul_(1 / math.sqrt(query.shape[-1]))
            into = d_block.unflatten(2, (3, heads, -1))  # (sequences, longest, 3, heads, d)
            for part, value in enumerate((d_scores @ key, d_scores.mT @ query, d_value)):
                into[:, :, part].copy_(value.transpose(1, 2))
        return d_qkv.index_select(0, groups.cell_of), None, None, None


def _blocks(cells: Tensor, groups: LengthGroups) -> list[Tensor]:
    """(cells, width) as one (sequences, longest, width) view for each group."""
    sizes = [sequences * longest for sequences, longest in groups.shapes]
    return [part.unflatten(0, shape) for part, shape in zip(cells.split(sizes), groups.shapes, strict=True)]


def _heads_first(block: Tensor, parts: int, heads: int) -> Tensor:
    """(sequences, longest, parts * heads * d) as (parts, sequences, heads, longest, d), contiguous."""
    return block.unflatten(2, (parts, heads, -1)).permute(2, 0, 3, 1, 4).contiguous()
