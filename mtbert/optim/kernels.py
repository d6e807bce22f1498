"""Triton kernels for the flat vectors on a GPU, with as few passes over memory as possible.

Memory traffic is all that takes time, and as tensor operations a step of AdamW has a dozen passes. Here theta, g, m and
v are read once, and theta, m and v written once. In surgery the Gramian reads each gradient once, as does the sum.
"""

import torch
from torch import Tensor

from mtbert.utils.extras import missing_extra

try:
    import triton
    import triton.language as tl
except ImportError:
    raise missing_extra("triton", "gpu") from None

_BLOCK = 1024
_PIECE = 1 << 14  # columns whose products one program sums in float32; the programs' sums are added in float64


def adamw(theta: Tensor, g: Tensor, m: Tensor, v: Tensor, coefficients: Tensor) -> None:
    """One step of ``mtbert.optim.AdamW``, in place. The vectors have one type and, but for ``g``, are contiguous.

    coefficients: (6,) float64 on the device: lr * weight_decay, 1 - beta1, beta2, 1 - beta2, alpha_t, eps_t.
    """
    blocks = triton.cdiv(theta.numel(), _BLOCK)
    with torch.cuda.device_of(theta):
        _adamw[(blocks,)](theta, g.contiguous(), m, v, coefficients, theta.numel(), BLOCK=_BLOCK)


def gramian(rows: Tensor) -> Tensor:
    """(T, T) float64: inner products of the rows of (T, n); each row is contiguous."""
    tasks, size = rows.shape
    sums = torch.empty(triton.cdiv(size, _PIECE), tasks * tasks, dtype=rows.dtype, device=rows.device)
    with torch.cuda.device_of(rows):
        _products[(tasks * tasks, len(sums))](rows, sums, size, rows.stride(0), TASKS=tasks, PIECE=_PIECE, BLOCK=_BLOCK)
    return sums.double().sum(0).view(tasks, tasks)


def weighted_sum(rows: Tensor, weights: Tensor, destination: Tensor) -> None:
    """destination = weights @ rows, of (T,) and (T, n)."""
    tasks, size = rows.shape
    with torch.cuda.device_of(rows):
        _weighted_sum[(triton.cdiv(size, _BLOCK),)](
            rows, weights.contiguous(), destination, size, rows.stride(0), TASKS=tasks, BLOCK=_BLOCK
        )


@triton.jit
def _adamw(theta_at, g_at, m_at, v_at, coefficients_at, size, BLOCK: tl.constexpr):
    index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = index < size
    theta = tl.load(theta_at + index, mask=inside)
    g = tl.load(g_at + index, mask=inside)
    m = tl.load(m_at + index, mask=inside)
    v = tl.load(v_at + index, mask=inside)
    decay = tl.load(coefficients_at).to(theta.dtype)
    one_minus_beta1 = tl.load(coefficients_at + 1).to(theta.dtype)
    beta2 = tl.load(coefficients_at + 2).to(theta.dtype)
    one_minus_beta2 = tl.load(coefficients_at + 3).to(theta.dtype)
    alpha = tl.load(coefficients_at + 4).to(theta.dtype)
    eps = tl.load(coefficients_at + 5).to(theta.dtype)

    m = m + one_minus_beta1 * (g - m)
    v = beta2 * v + one_minus_beta2 * g * g
    theta = theta - decay * theta - alpha * m / (tl.sqrt(v) + eps)
    tl.store(theta_at + index, theta, mask=inside)
    tl.store(m_at + index, m, mask=inside)
    tl.store(v_at + index, v, mask=inside)


@triton.jit
def _products(rows_at, sums_at, size, stride, TASKS: tl.constexpr, PIECE: tl.constexpr, BLOCK: tl.constexpr):
    pair = tl.program_id(0)  # pairs of one piece run next to each other: the cache has what the last one read
    piece = tl.program_id(1).to(tl.int64)
    left_at = rows_at + (pair // TASKS).to(tl.int64) * stride
    right_at = rows_at + (pair % TASKS).to(tl.int64) * stride
    products = tl.zeros([BLOCK], dtype=rows_at.dtype.element_ty)
    for start in range(0, PIECE, BLOCK):
        index = piece * PIECE + start + tl.arange(0, BLOCK)
        inside = index < size
        products += tl.load(left_at + index, mask=inside, other=0) * tl.load(right_at + index, mask=inside, other=0)
    tl.store(sums_at + piece * TASKS * TASKS + pair, tl.sum(products, axis=0))


@triton.jit
def _weighted_sum(rows_at, weights_at, destination_at, size, stride, TASKS: tl.constexpr, BLOCK: tl.constexpr):
    index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = index < size
    total = tl.zeros([BLOCK], dtype=rows_at.dtype.element_ty)
    for task in range(TASKS):
        row = tl.load(rows_at + tl.cast(task, tl.int64) * stride + index, mask=inside, other=0)
        total += tl.load(weights_at + task) * row
    tl.store(destination_at + index, total, mask=inside)
