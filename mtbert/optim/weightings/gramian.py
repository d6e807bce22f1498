"""What a Gramian tells under any weighting: cosines, and how far the weights change the step."""

from collections.abc import Callable

import torch
from torch import Tensor

Weighting = Callable[[Tensor], Tensor]  # (..., T, T) -> (..., T)


def sum_weights(gramian: Tensor) -> Tensor:
    """The plain sum, the baseline for all other weightings: weights of one, (..., T, T) -> (..., T)."""
    return torch.ones_like(gramian[..., 0])


def cosines(gramian: Tensor) -> Tensor:
    """The cosine of every pair of gradients, (..., T, T) -> (..., T, T); 0 where either gradient is zero."""
    norms = gramian.diagonal(dim1=-2, dim2=-1).sqrt()
    products = norms.unsqueeze(-1) * norms.unsqueeze(-2)
    return torch.where(products > 0, gramian / products, 0).clamp(-1, 1)


def relative_change(gramians: Tensor, weights: Tensor) -> Tensor:
    """How far the weights move the step from the plain sum: |w J - 1 J| / |1 J|, over all groups together.

    Gramians are (groups, T, T), weights (groups, T).
    """
    change = (weights - 1).unsqueeze(1)
    squared_change = (change @ gramians @ change.mT).sum().clamp(min=0)
    return (squared_change / gramians.sum().clamp(min=torch.finfo(gramians.dtype).tiny)).sqrt()
