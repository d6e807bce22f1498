"""Dropout (Srivastava et al. 2014) with cheap random numbers.

On a CPU, drawing a random float per value takes longer than the matrix products around it. Sixteen random bits are
enough to decide whether a value stays, so one 64-bit draw serves four values.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

_STEPS = 2**16


def dropout(x: Tensor, p: float, training: bool = True) -> Tensor:
    """Zero each value with probability ``p`` and scale the others by 1 / (1 - p); the identity in evaluation.

    On a CPU ``p`` is rounded to a multiple of 2^-16 below 1, and the scale uses the rounded value, so the expectation
    is exact. ValueError for ``p`` outside [0, 1).
    """
    if not 0 <= p < 1:
        raise ValueError(f"dropout probability must be in [0, 1), not {p}")
    if not training or p == 0:
        return x
    if x.device.type != "cpu":
        return F.dropout(x, p)
    keep, scale = _draw(x, p)
    return (x * keep).mul_(scale)  # so that autograd keeps one byte for each value


def dropout_mask(x: Tensor, p: float) -> Tensor:
    """The factors of dropout on a CPU, in the shape of ``x``: 0 with probability ``p``, else 1 / (1 - p)."""
    keep, scale = _draw(x, p)
    return keep.to(x.dtype).mul_(scale)


def _draw(x: Tensor, p: float) -> tuple[Tensor, float]:
    """Which values stay, in the shape of ``x``, and their factor."""
    dropped = min(round(p * _STEPS), _STEPS - 1)
    draws = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    bits = draws.view(torch.int16)[: x.numel()].view(x.shape)  # uniform on [-2^15, 2^15)
    return bits >= dropped - _STEPS // 2, _STEPS / (_STEPS - dropped)
