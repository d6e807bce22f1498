"""Weights on the losses themselves: one backward of a weighted sum, the weights learnt or adapted on the way."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


class Equal(nn.Module):
    """Every loss counts once."""

    def forward(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return dict(losses)


class Uncertainty(nn.Module):
    """UW (Kendall, Gal & Cipolla 2018, eq. 7 and 10): a learnt noise level per task.

    With s = ln sigma^2: exp(-s) L + s/2 for a classification loss, exp(-s) L / 2 + s/2 for a squared error. The s begin
    at 0 and are parameters like any other, each its task's own: a step without the task leaves it as it is.

    squared: the tasks whose loss is a squared error.
    """

    def __init__(self, tasks: Sequence[str], squared: Sequence[str] = ()):
        super().__init__()
        self.log_variance = nn.ParameterDict({task: torch.zeros(()) for task in tasks})
        self.scale = {task: 0.5 if task in squared else 1.0 for task in tasks}

    def forward(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {
            task: self.scale[task] * (-self.log_variance[task]).exp() * loss + self.log_variance[task] / 2
            for task, loss in losses.items()
        }


class DynamicAverage(nn.Module):
    """DWA (Liu, Johns & Davison 2019, eq. 7): a task whose loss fell less in the last two epochs counts more.

    w = T softmax(r / temperature) with r the ratio of a task's mean losses in the last two epochs; 1 before that.
    """

    def __init__(self, tasks: Sequence[str], temperature: float = 2.0):
        super().__init__()
        self.temperature = temperature
        self.weights = dict.fromkeys(tasks, 1.0)

    def look_back(self, epochs: Sequence[Mapping[str, float]]) -> None:
        """Set the weights from the mean losses of the epochs so far; they stay if one of the last two lacks a task."""
        tasks = list(self.weights)
        if len(epochs) < 2 or not all(epoch.get(task, 0) > 0 for epoch in epochs[-2:] for task in tasks):
            return
        ratios = torch.tensor([epochs[-1][task] / epochs[-2][task] for task in tasks], dtype=torch.float64)
        shares = len(tasks) * (ratios / self.temperature).softmax(0)
        self.weights = dict(zip(tasks, shares.tolist(), strict=True))

    def forward(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {task: self.weights[task] * loss for task, loss in losses.items()}


class Famo(nn.Module):
    """FAMO (Liu, Feng, Stone & Liu 2023, algorithm 1): let the logarithms of all losses fall at the same rate.

    With z = softmax(w), task i counts T (z_i / L_i) / sum_j (z_j / L_j). After the step the losses of the same rows are
    computed once more (``after``), and w follows the change of their logarithms, by Adam.
    """

    looks_again = True

    def __init__(self, tasks: Sequence[str], rate: float = 0.025, decay: float = 1e-3):
        super().__init__()
        self.tasks = list(tasks)
        self.register_buffer("logits", torch.zeros(len(self.tasks)))
        self.register_buffer("exp_avg", torch.zeros(len(self.tasks)))
        self.register_buffer("exp_avg_sq", torch.zeros(len(self.tasks)))
        self.register_buffer("steps", torch.zeros(()))
        self.rate, self.decay = rate, decay
        self._before: dict[str, Tensor] = {}

    def forward(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        self._before = {task: loss.detach() for task, loss in losses.items()}
        chosen = [self.tasks.index(task) for task in losses]
        values = torch.stack(list(self._before.values())).clamp(min=1e-8)
        shares = torch.stack([self.logits.softmax(0)[number] for number in chosen]) / values
        weights = len(chosen) * shares / shares.sum()
        return {task: weight * loss for (task, loss), weight in zip(losses.items(), weights, strict=True)}

    @torch.no_grad()
    def after(self, losses: Mapping[str, Tensor]) -> None:
        """Move w by how the losses of the step's rows changed."""
        fell = torch.zeros_like(self.logits)
        for task, loss in losses.items():
            fell[self.tasks.index(task)] = (self._before[task].clamp(min=1e-8) / loss.clamp(min=1e-8)).log()
        shares = self.logits.softmax(0)
        gradient = shares * (fell - (shares * fell).sum()) + self.decay * self.logits
        self.steps += 1
        self.exp_avg.lerp_(gradient, 0.1)
        self.exp_avg_sq.lerp_(gradient.square(), 0.001)
        mean = self.exp_avg / (1 - 0.9**self.steps)
        square = self.exp_avg_sq / (1 - 0.999**self.steps)
        self.logits -= self.rate * mean / (square.sqrt() + 1e-8)


LOSS_WEIGHTINGS = {"equal": Equal, "uw": Uncertainty, "dwa": DynamicAverage, "famo": Famo}


def build_loss_weighting(name: str, tasks: Sequence[str], squared: Sequence[str] = ()) -> nn.Module:
    """The loss weighting of that name for these tasks; ``squared`` names those with a squared error."""
    if name == "equal":
        return Equal()
    return Uncertainty(tasks, squared) if name == "uw" else LOSS_WEIGHTINGS[name](tasks)
