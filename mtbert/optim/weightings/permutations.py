"""The random order in which PCGrad and GradVac visit the pairs of tasks."""

import torch
from torch import Tensor


class TaskPermutations:
    """For every task, the other tasks in random order, drawn on the CPU; by default from torch's global generator.

    On a GPU the result is always the same tensor, and ``redraw`` refills it by an asynchronous copy, so a CUDA graph
    that was captured with it can be replayed with a new order. Nothing is drawn during the capture itself.
    """

    def __init__(self, generator: torch.Generator | None = None):
        self.generator = generator
        self._on_device: dict[tuple[int, torch.device], Tensor] = {}

    def __call__(self, tasks: int, device: torch.device) -> Tensor:
        """(tasks, tasks - 1) int64 on ``device``: row i is the order in which task i visits the others."""
        capturing = device.type == "cuda" and torch.cuda.is_current_stream_capturing()
        return self._on_device[tasks, device] if capturing else self._draw(tasks, device)

    def redraw(self, tasks: int, device: torch.device) -> None:
        """Draw again for this many tasks, if they have been drawn on this GPU before."""
        if (tasks, device) in self._on_device:
            self._draw(tasks, device)

    def _draw(self, tasks: int, device: torch.device) -> Tensor:
        permutations = [torch.randperm(tasks, generator=self.generator).tolist() for _ in range(tasks)]
        others = [[j for j in order if j != i] for i, order in enumerate(permutations)]
        drawn = torch.tensor(others, dtype=torch.int64).view(tasks, tasks - 1)
        if device.type == "cpu":
            return drawn
        fixed = self._on_device.setdefault((tasks, device), torch.empty_like(drawn, device=device))
        return fixed.copy_(drawn.pin_memory(), non_blocking=True)


RandomOrder = torch.Generator | TaskPermutations | None


def visits(gramian: Tensor, order: RandomOrder) -> tuple[Tensor, ...]:
    """T - 1 tensors (T,) int64: the j that every task i visits first, second, and so on up to the last."""
    permutations = order if isinstance(order, TaskPermutations) else TaskPermutations(order)
    return permutations(gramian.shape[-1], gramian.device).unbind(1)


def identity_coefficients(gramian: Tensor) -> Tensor:
    """The initial C, (..., T, T): every gradient is unchanged."""
    return torch.eye(gramian.shape[-1], dtype=gramian.dtype, device=gramian.device).expand_as(gramian).clone()
