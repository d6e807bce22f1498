"""Attention kernels over sequences of various lengths, without padding the batch.

On CUDA one kernel call takes all sequences end to end. Elsewhere sequences of similar length form groups, and each
group is padded to its own longest sequence: a few small dense blocks.
"""

import functools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from mtbert.data.batch import LengthGroups, PackedBatch
from mtbert.nn.dropout import dropout_mask
from mtbert.utils.torch_private import VarlenKernel, flash_attention, memory_efficient_attention, softmax_backward

AttentionBackend = Literal["varlen", "groups"]
_BACKEND: ContextVar[AttentionBackend] = ContextVar("attention_backend", default="varlen")
_ALIGNMENT = 16  # bytes: the kernels read each head in pieces of this size


@contextmanager
def attention_backend(backend: AttentionBackend) -> Iterator[None]:
    """Attention on CUDA by one kernel call for a whole batch ("varlen", the default) or, inside the block, by torch's
    SDPA on groups of similar length ("groups"), to compare the two. A CPU always uses groups."""
    token = _BACKEND.set(backend)
    try:
        yield
    finally:
        _BACKEND.reset(token)


def varlen_kernel(device: torch.device, dtype: torch.dtype, head_size: int) -> VarlenKernel | None:
    """The kernel that takes sequences end to end on this device, or None if there is none."""
    if device.type != "cuda" or _BACKEND.get() == "groups":
        return None
    if dtype in (torch.bfloat16, torch.float16) and head_size <= 256:
        return flash_attention if _has_flash(device) else None
    return memory_efficient_attention if dtype == torch.float32 else None


@functools.cache
def _has_flash(device: torch.device) -> bool:
    return torch.cuda.get_device_capability(device) >= (8, 0)


def varlen_attention(kernel: VarlenKernel, qkv: Tensor, batch: PackedBatch, heads: int, p: float) -> Tensor:
    """``packed_attention`` by one kernel call: (tokens, 3 * hidden) -> (tokens, hidden)."""
    tokens, d = len(qkv), qkv.shape[1] // (3 * heads)
    padding = -d % (_ALIGNMENT // qkv.element_size())  # zeros, which change no product
    query, key, value = F.pad(qkv.view(tokens, 3, heads, d), (0, padding)).unbind(1)  # (tokens, heads, d + padding)
    out = kernel(query, key, value, batch.cu_seqlens, batch.max_seqlen, p, d**-0.5)  # (tokens, heads, d + padding)
    return out[..., :d].reshape(tokens, heads * d)


def grouped_attention(qkv: Tensor, groups: LengthGroups, heads: int, p: float) -> Tensor:
    """``packed_attention`` by groups of similar length: (tokens, 3 * hidden) -> (tokens, hidden)."""
    needs_gradient = torch.is_grad_enabled() and qkv.requires_grad
    if needs_gradient and not qkv.is_cuda and qkv.dtype != torch.float16:
        return _GroupedAttention.apply(qkv, groups, heads, p)
    outputs = []
    for block, mask in zip(_blocks(qkv.index_select(0, groups.cell_to_token), groups), groups.masks, strict=True):
        sequences, length, width = block.shape
        # (3, sequences, heads, length, d)
        query, key, value = block.view(sequences, length, 3, heads, -1).permute(2, 0, 3, 1, 4)
        mask = None if mask is None else mask[:, None, None, :]
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=p)
        outputs.append(out.transpose(1, 2).reshape(sequences * length, width // 3))
    return torch.cat(outputs).index_select(0, groups.token_to_cell)


class _GroupedAttention(torch.autograd.Function):
    """``attention`` over length groups, with a hand-written gradient.

    Autograd would record a dozen small steps for each group, copy the strided heads in most of them, and scatter-add
    the gradients of gathered rows. Here every token has one cell, so the backward pass is a gather as well.

    With A = softmax(S), S = Q K^T / sqrt(d), W = A * dropout and O = W V, and G the gradient of O:
    dV = W^T G, dA = (G V^T) * dropout, dS = A * (dA - rowsum(dA * A)), dQ = dS K / sqrt(d), dK = dS^T Q / sqrt(d).
    """

    @staticmethod
    def forward(ctx, qkv: Tensor, groups: LengthGroups, heads: int, p: float) -> Tensor:
        ctx.groups, ctx.heads, ctx.saved = groups, heads, []
        out = qkv.new_empty(len(groups.cell_to_token), qkv.shape[1] // 3)  # (cells, hidden)
        qkv_blocks = _blocks(qkv.index_select(0, groups.cell_to_token), groups)
        for block, out_block, mask in zip(qkv_blocks, _blocks(out, groups), groups.masks, strict=True):
            query, key, value = heads_first = _heads_first(block, 3, heads)
            scores = (query @ key.mT).mul_(1 / math.sqrt(query.shape[-1]))  # (sequences, heads, length, length)
            if mask is not None:
                scores.masked_fill_(~mask[:, None, None, :], torch.finfo(scores.dtype).min)
            weights = scores.softmax(dim=-1)
            dropout = dropout_mask(weights, p) if p else None
            mixed = (weights if dropout is None else weights * dropout) @ value  # (sequences, heads, length, d)
            out_block.unflatten(2, (heads, -1)).copy_(mixed.transpose(1, 2))
            ctx.saved.append((heads_first, weights, dropout))
        return out.index_select(0, groups.token_to_cell)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        groups, heads = ctx.groups, ctx.heads
        cells = grad.new_zeros(len(groups.cell_to_token), grad.shape[1])  # padding has no gradient
        cells.index_copy_(0, groups.token_to_cell, grad)
        d_qkv = grad.new_empty(len(cells), 3 * grad.shape[1])
        blocks = zip(_blocks(cells, groups), _blocks(d_qkv, groups), ctx.saved, strict=True)
        for block, d_block, ((query, key, value), weights, dropout) in blocks:
            (g,) = _heads_first(block, 1, heads)
            d_value = (weights if dropout is None else weights * dropout).mT @ g
            d_weights = g @ value.mT
            if dropout is not None:
                d_weights.mul_(dropout)
            d_scores = softmax_backward(d_weights, weights).mul_(1 / math.sqrt(query.shape[-1]))
            destination = d_block.unflatten(2, (3, heads, -1))  # (sequences, length, 3, heads, d)
            for index, d_part in enumerate((d_scores @ key, d_scores.mT @ query, d_value)):
                destination[:, :, index].copy_(d_part.transpose(1, 2))
        return d_qkv.index_select(0, groups.token_to_cell), None, None, None


def _blocks(cells: Tensor, groups: LengthGroups) -> list[Tensor]:
    """(cells, width) as one (sequences, length, width) view per group."""
    sizes = [sequences * length for sequences, length in groups.shapes]
    return [block.unflatten(0, shape) for block, shape in zip(cells.split(sizes), groups.shapes, strict=True)]


def _heads_first(block: Tensor, parts: int, heads: int) -> Tensor:
    """(sequences, length, parts * heads * d) as (parts, sequences, heads, length, d), contiguous."""
    return block.unflatten(2, (parts, heads, -1)).permute(2, 0, 3, 1, 4).contiguous()
