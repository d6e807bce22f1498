"""Methods written out on vectors, for notebooks that compare them with the package's form."""

from collections.abc import Sequence

import torch
from torch import Tensor


def pcgrad_on_vectors(gradients: Tensor, order: Sequence[Sequence[int]]) -> Tensor:
    """The gradients as PCGrad changes them (Yu et al. 2020, Algorithm 1); their sum is the step.

    Args:
        gradients: (tasks, parameters).
        order: For each task, the others in the order in which it visits them.
    """
    changed = gradients.clone()
    for i, others in enumerate(order):
        for j in others:
            product = changed[i] @ gradients[j]
            if product < 0:
                changed[i] -= product / (gradients[j] @ gradients[j]) * gradients[j]
    return changed


def pareto_curve(centers: Tensor, curvatures: Tensor, count: int = 101) -> Tensor:
    """The points at which two losses, each sum(curvature (x - center)^2) / 2, have opposite gradients: (count, 2).

    They are the minima of all weighted sums of the losses.

    Args:
        centers: (2 losses, 2), where each is smallest.
        curvatures: (2 losses, 2), positive.
        count: The number of points, from the first loss's minimum to that of the second.
    """
    share = torch.linspace(0, 1, count, dtype=centers.dtype)[:, None]  # weight of the second loss
    pulls = curvatures * centers
    return torch.lerp(pulls[0], pulls[1], share) / torch.lerp(curvatures[0], curvatures[1], share)
