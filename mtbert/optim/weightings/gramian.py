"""What can be read off a Gramian, whatever the weighting."""

from collections.abc import Callable

import torch
from torch import Tensor

Weighting = Callable[[Tensor], Tensor]  # (..., T, T) -> (..., T)


def cosines(gramian: Tensor) -> Tensor:
    """The cosine of every pair of gradients, (..., T, T) -> (..., T, T); 0 where one of the two is zero."""
    norms = gramian.diagonal(dim1=-2, dim2=-1).sqrt()
    products = norms.unsqueeze(-1) * norms.unsqueeze(-2)
    return torch.where(products > 0, gramian / products, 0).clamp(-1, 1)


def relative_change(gramians: Tensor, weights: Tensor) -> Tensor:
    """How far weights move the step away from the plain sum: |w J - 1 J| / |1 J|, over all groups together.

    Args:
        gramians: (groups, T, T).
        weights: (groups, T).
    """
    change = (weights - 1).unsqueeze(1)
    squared_change = (change @ gramians @ change.mT).sum().clamp(min=0)
    return (squared_change / gramians.sum().clamp(min=torch.finfo(gramians.dtype).tiny)).sqrt()
