"""How often the tasks' gradients conflict, read off the Gramians that surgery computes anyway."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mtbert.optim.surgery import AggregationInfo
from mtbert.optim.weightings.gramian import cosines, relative_change


class Conflicts:
    """Statistics of the gradients of a run's T tasks over the steps of an epoch."""

    def __init__(self, tasks: list[str]):
        self.tasks = tasks
        self.steps: list[Tensor] = []  # of each step: its Gramian, flattened, and the relative change; on its device

    def update(self, info: AggregationInfo) -> None:
        """Add a step, unless fewer than two tasks shared parameters."""
        if info.gramians is None or info.weights is None:
            return
        gramian = info.gramians.sum(0)
        change = relative_change(info.gramians, info.weights.to(gramian))
        if info.tasks != self.tasks:
            rows = torch.tensor([self.tasks.index(task) for task in info.tasks], device=gramian.device)
            part, gramian = gramian, gramian.new_full((len(self.tasks), len(self.tasks)), torch.nan)
            gramian[rows[:, None], rows] = part
        self.steps.append(torch.cat([gramian.flatten(), change[None]]))

    def state_dict(self) -> dict[str, Tensor]:
        """{"steps": (steps, T * T + 1)}, on the CPU."""
        if not self.steps:
            return {"steps": torch.zeros(0, len(self.tasks) ** 2 + 1)}
        device = self.steps[-1].device  # those of a checkpoint are on the CPU
        return {"steps": torch.stack([step.to(device) for step in self.steps]).cpu()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.steps = list(state["steps"].unbind())

    def summary(self) -> dict[str, Any]:
        """The number of "steps" so far, and, if there are any, their statistics.

        For each pair such as "sst-quora": the cosine in every step ("cosines"), its mean ("mean_cosine") and the number
        of steps in which it was negative ("conflicts"). And the mean "relative_change" that the weights made to a step.

        Raises:
            FloatingPointError: If a task's gradient was not finite, naming the task and the step.
        """
        if not self.steps:
            return {"steps": 0}
        steps = self.state_dict()["steps"].double()
        gramians = steps[:, :-1].view(len(steps), len(self.tasks), len(self.tasks))
        not_finite = gramians.diagonal(dim1=1, dim2=2).isinf() | steps[:, -1:].isnan()
        if not_finite.any():
            step, task = not_finite.nonzero()[0].tolist()
            raise FloatingPointError(f"the gradient of {self.tasks[task]} was not finite {len(steps) - step} steps ago")
        cosine = cosines(gramians)
        by_pair = {
            f"{self.tasks[j]}-{self.tasks[i]}": cosine[:, j, i][~gramians[:, j, i].isnan()]
            for i in range(len(self.tasks))
            for j in range(i)
        }
        return {
            "steps": len(steps),
            "cosines": {pair: [round(value, 4) for value in values.tolist()] for pair, values in by_pair.items()},
            "mean_cosine": {pair: float(values.mean()) if len(values) else None for pair, values in by_pair.items()},
            "conflicts": {pair: int((values < 0).sum()) for pair, values in by_pair.items()},
            "relative_change": float(steps[:, -1].mean()),
        }
