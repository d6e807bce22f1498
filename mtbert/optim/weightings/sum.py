"""The plain sum, the baseline for all other weightings."""

import torch
from torch import Tensor


def sum_weights(gramian: Tensor) -> Tensor:
    """Weights of one: (..., T, T) -> (..., T)."""
    return torch.ones_like(gramian[..., 0])
