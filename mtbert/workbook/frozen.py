"""Heads on the cached vectors of a frozen encoder, tuned fairly and without gradient steps."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

PENALTIES = (0.1, 1.0, 10.0, 100.0, 1000.0)


def ridge(features: Tensor, targets: Tensor, others: Tensor, penalty: float) -> Tensor:
    """Predictions of the linear layer that fits the targets best, found in closed form.

    It minimizes the squared error plus ``penalty`` times the squared weights; the bias is not penalized.

    Args:
        features: (rows, width) to fit.
        targets: (rows, outputs).
        others: (other rows, width) to predict.
        penalty: at least 0.

    Returns:
        (other rows, outputs).
    """
    center, mean = features.mean(0), targets.mean(0)
    x = features - center
    gram = x.T @ x + penalty * torch.eye(x.shape[1], dtype=x.dtype)
    return (others - center) @ torch.linalg.solve(gram, x.T @ (targets - mean)) + mean


def tuned_ridge(
    features: Tensor,
    targets: Tensor,
    others: Tensor,
    score: Callable[[Tensor, Tensor], float],
    penalties: Sequence[float] = PENALTIES,
) -> Tensor:
    """The same with the penalty that scores best on every fifth row, after a fit to the remaining ones.

    Args:
        features, targets, others: as in ``ridge``.
        score: (predictions, targets) of the same shape -> a number, the higher the better.
        penalties: what to choose from.
    """
    features, targets, others = features.double(), targets.double(), others.double()
    held_out = torch.arange(len(features)) % 5 == 0
    fit, held = (features[~held_out], targets[~held_out], features[held_out]), targets[held_out]
    best = max(penalties, key=lambda penalty: score(ridge(*fit, penalty), held))
    return ridge(features, targets, others, best)
