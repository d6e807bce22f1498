"""PCGrad: project conflicting gradients."""

import torch
from torch import Tensor

from mtbert.optim.weightings.permutations import RandomOrder, identity_coefficients, visits


def pcgrad(gramian: Tensor, generator: RandomOrder = None) -> Tensor:
    """PCGrad (Yu et al. 2020, Algorithm 1): remove from each gradient what conflicts with another task's.

    For every task i, and every other task j in random order: if g_i' . g_j < 0, then g_i' loses its component along the
    original g_j. The step is the sum of the g_i'. A zero gradient conflicts with none. The loop handles the first j of
    all tasks at once, then the second, and so on: g_i' depends on the original g_j only, never on another g_j'.

    Maps a Gramian (..., T, T) to weights (..., T). The random order is drawn from torch's global generator by default.
    """
    coefficients = identity_coefficients(gramian)  # C: g_i' = sum_k C_ik g_k
    tasks = torch.arange(gramian.shape[-1], device=gramian.device)
    for others in visits(gramian, generator):  # (T,): the j of every i
        products_with_j = gramian.mT[..., others, :]  # [..., i, k]: g_k . g_j
        product = (coefficients * products_with_j).sum(-1)  # g_i' . g_j
        squared_norm = gramian.diagonal(dim1=-2, dim2=-1)[..., others]
        coefficients[..., tasks, others] -= torch.where(squared_norm > 0, product.clamp(max=0) / squared_norm, 0)
    return coefficients.sum(-2)
