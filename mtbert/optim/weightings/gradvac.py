"""Gradient Vaccine: raise the cosine of each pair of gradients to its running mean."""

from collections.abc import Mapping

import torch
from torch import Tensor

from mtbert.optim.weightings.gramian import cosines
from mtbert.optim.weightings.permutations import RandomOrder, identity_coefficients, visits


class GradVac:
    """Gradient Vaccine (Wang et al. 2021): raise each pair's cosine to its running mean, the target.

    For every task i, and every other task j in random order: if cos(g_i', g_j) is below the pair's target, the
    multiple of g_j that makes it equal to the target (eq. 4) is added to g_i'. Then each target is updated: it is the
    exponential moving average, with rate ``beta``, of the cosine of the original pair. Targets start at 0, so the first
    step is that of PCGrad.

    ``beta`` is in [0, 1], 0.01 in the paper's runs. By default torch's global generator draws the random order.

    Raises:
        ValueError: If beta is out of range; on a call, if the Gramian's shape differs from the last step's.
    """

    def __init__(self, beta: float = 0.01, generator: RandomOrder = None):
        if not 0 <= beta <= 1:
            raise ValueError(f"beta is {beta}, but must be from 0 to 1")
        self.beta, self.generator = beta, generator
        self.targets: Tensor | None = None  # (..., T, T)

    def __call__(self, gramian: Tensor) -> Tensor:
        """Weights (..., T) from a Gramian (..., T, T)."""
        if self.targets is None:
            self.targets = torch.zeros_like(gramian)
        if self.targets.shape != gramian.shape:
            raise ValueError(f"the Gramian is {tuple(gramian.shape)}, but the targets are {tuple(self.targets.shape)}")
        coefficients = identity_coefficients(gramian)  # C: g_i' = sum_k C_ik g_k
        tasks = torch.arange(gramian.shape[-1], device=gramian.device)
        for others in visits(gramian, self.generator):  # (T,): the j of every i
            products = coefficients @ gramian  # [..., i, k]: g_i' . g_k
            norm = (products * coefficients).sum(-1).clamp(min=0).sqrt()  # |g_i'|
            other_norm = gramian.diagonal(dim1=-2, dim2=-1)[..., others].sqrt()
            product, target = products[..., tasks, others], self.targets[..., tasks, others]
            coefficients[..., tasks, others] += _amount_to_add(product, norm, other_norm, target)
        self.targets.lerp_(cosines(gramian), self.beta)
        return coefficients.sum(-2)

    def state_dict(self) -> dict[str, Tensor]:
        return {} if self.targets is None else {"targets": self.targets.clone()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        targets = state.get("targets")
        self.targets = None if targets is None else targets.clone()


def _amount_to_add(product: Tensor, norm: Tensor, other_norm: Tensor, target: Tensor) -> Tensor:
    """The multiple of g_j that raises cos(g_i', g_j) to the target; 0 if it is not below, or if a gradient is zero."""
    norms = norm * other_norm
    cosine = torch.where(norms > 0, product / norms, 0).clamp(-1, 1)
    sine, target_sine = (1 - cosine.square()).sqrt(), (1 - target.square()).sqrt()
    amount = norm * (target * sine - cosine * target_sine) / (other_norm * target_sine)
    return torch.where((cosine < target) & (norms > 0) & (target_sine > 0), amount, 0)
