"""Weights on the losses themselves: one backward pass of a weighted sum, with weights that are learned on the way."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


class Uncertainty(nn.Module):
    """UW (Kendall, Gal & Cipolla 2018, eq. 7 and 10): a learned noise level per task.

    With s = ln sigma^2, a classification loss L becomes exp(-s) L + s/2, and a squared error exp(-s) L / 2 + s/2. The s
    start at 0 and are trained with the model. Each belongs to its task: a step without the task leaves it as it is.
    ``squared`` names the tasks whose loss is a squared error.
    """

    def __init__(self, tasks: Sequence[str], squared: Sequence[str] = ()):
        super().__init__()
        self.log_variance = nn.ParameterDict({task: torch.zeros(()) for task in tasks})
        self.scale = {task: 0.5 if task in squared else 1.0 for task in tasks}

    def forward(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weighted loss of each task, from its loss; all are scalars."""
        return {
            task: self.scale[task] * (-self.log_variance[task]).exp() * loss + self.log_variance[task] / 2
            for task, loss in losses.items()
        }


LOSS_WEIGHTINGS = ("equal", "uw")


def build_loss_weighting(name: str, tasks: Sequence[str], squared: Sequence[str] = ()) -> nn.Module:
    """The loss weighting of that name, one of ``LOSS_WEIGHTINGS``; ``squared`` names tasks with a squared error."""
    return Uncertainty(tasks, squared) if name == "uw" else nn.Identity()
