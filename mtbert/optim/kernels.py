"""What a GPU does with the flat vectors, in as few passes as there can be: Triton kernels.

Written as tensor operations, a step of AdamW reads and writes the vectors a dozen times, and reading and writing is all
that takes time. Here each value of theta, g, m and v is read once, and theta, m and v are written once: 28 bytes a
weight. So it is with surgery: the Gramian reads each task's gradient once, and so does the weighted sum.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 1024
_PIECE = 1 << 14  # values whose products are summed by one program in float32; the programs' sums are added in float64


def adamw(theta: Tensor, g: Tensor, m: Tensor, v: Tensor, numbers: Tensor) -> None:
    """One step of ``mtbert.optim.AdamW`` in place. The vectors are of one type and contiguous but for ``g``.

    numbers: (6,) float64 on the device: lr * weight_decay, 1 - beta1, beta2, 1 - beta2, alpha_t, eps_t.
    """
    blocks = triton.cdiv(theta.numel(), _BLOCK)
    with torch.cuda.device_of(theta):
        _adamw[(blocks,)](theta, g.contiguous(), m, v, numbers, theta.numel(), BLOCK=_BLOCK)


def gramian(rows: Tensor) -> Tensor:
    """(T, T) float64: inner products of the rows of (T, n), whose values stand side by side."""
    tasks, size = rows.shape
    sums = torch.empty(triton.cdiv(size, _PIECE), tasks * tasks, dtype=rows.dtype, device=rows.device)
    with torch.cuda.device_of(rows):
        _products[(tasks * tasks, len(sums))](rows, sums, size, rows.stride(0), TASKS=tasks, PIECE=_PIECE, BLOCK=_BLOCK)
    return sums.double().sum(0).view(tasks, tasks)


def weighted_sum(rows: Tensor, weights: Tensor, into: Tensor) -> None:
    """into = weights @ rows, of (T,) and (T, n)."""
    tasks, size = rows.shape
    with torch.cuda.device_of(rows):
        _weighted_sum[(triton.cdiv(size, _BLOCK),)](
            rows, weights.contiguous(), into, size, rows.stride(0), TASKS=tasks, BLOCK=_BLOCK
        )


@triton.jit
def _adamw(theta_at, g_at, m_at, v_at, numbers_at, size, BLOCK: tl.constexpr):
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < size
    theta = tl.load(theta_at + place, mask=inside)
    g = tl.load(g_at + place, mask=inside)
    m = tl.load(m_at + place, mask=inside)
    v = tl.load(v_at + place, mask=inside)
    decay = tl.load(numbers_at).to(theta.dtype)
    rise1 = tl.load(numbers_at + 1).to(theta.dtype)
    beta2 = tl.load(numbers_at + 2).to(theta.dtype)
    rise2 = tl.load(numbers_at + 3).to(theta.dtype)
    alpha = tl.load(numbers_at + 4).to(theta.dtype)
    eps = tl.load(numbers_at + 5).to(theta.dtype)

    m = m + rise1 * (g - m)
    v = beta2 * v + rise2 * g * g
    theta = theta - decay * theta - alpha * m / (tl.sqrt(v) + eps)
    tl.store(theta_at + place, theta, mask=inside)
    tl.store(m_at + place, m, mask=inside)
    tl.store(v_at + place, v, mask=inside)


@triton.jit
def _products(rows_at, sums_at, size, stride, TASKS: tl.constexpr, PIECE: tl.constexpr, BLOCK: tl.constexpr):
    pair = tl.program_id(0)  # the pairs of a piece run side by side, so that what one read is in the cache for the next
    piece = tl.program_id(1).to(tl.int64)
    left_at = rows_at + (pair // TASKS).to(tl.int64) * stride
    right_at = rows_at + (pair % TASKS).to(tl.int64) * stride
    products = tl.zeros([BLOCK], dtype=rows_at.dtype.element_ty)
    for start in range(0, PIECE, BLOCK):
        place = piece * PIECE + start + tl.arange(0, BLOCK)
        inside = place < size
        products += tl.load(left_at + place, mask=inside, other=0) * tl.load(right_at + place, mask=inside, other=0)
    tl.store(sums_at + piece * TASKS * TASKS + pair, tl.sum(products, axis=0))


@triton.jit
def _weighted_sum(rows_at, weights_at, into_at, size, stride, TASKS: tl.constexpr, BLOCK: tl.constexpr):
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < size
    total = tl.zeros([BLOCK], dtype=rows_at.dtype.element_ty)
    for task in range(TASKS):
        row = tl.load(rows_at + tl.cast(task, tl.int64) * stride + place, mask=inside, other=0)
        total += tl.load(weights_at + task) * row
    tl.store(into_at + place, total, mask=inside)
