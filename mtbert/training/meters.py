"""What is counted while an epoch runs."""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mtbert.nn.bert import BertConfig
from mtbert.nn.flops import device_mfu, training_flops
from mtbert.optim import Conflicts


class Stopwatch:
    """Seconds since the start, those of earlier sessions of the run included."""

    def __init__(self, seconds: float = 0.0):
        self.earlier, self.started = seconds, time.monotonic()

    @property
    def seconds(self) -> float:
        return self.earlier + time.monotonic() - self.started


class Meters:
    """Losses, examples, tokens, floating-point operations, seconds, and the conflicts of surgery, over one epoch.

    Losses are added up on ``device``, so that no step waits for them. ``config`` is the encoder's, to count FLOPs; None
    if not all of it is trained, because a backward pass then costs less.
    """

    def __init__(self, tasks: Sequence[str], device: torch.device, config: BertConfig | None):
        self.tasks, self.device, self.config = list(tasks), device, config
        self.loss_sums = torch.zeros(len(self.tasks), dtype=torch.float64, device=device)
        self.step_losses = torch.zeros_like(self.loss_sums)  # of the current step, and of this process alone
        self._step_loss = dict(zip(self.tasks, self.step_losses.unbind(), strict=True))
        self.reset()

    def reset(self) -> None:
        """Begin an epoch."""
        self.loss_sums.zero_()
        self.step_losses.zero_()
        self.loss_counts = dict.fromkeys(self.tasks, 0)
        self.examples = self.tokens = self.flops = 0
        self.conflicts = Conflicts(self.tasks)
        self.stopwatch = Stopwatch()

    def add_losses(self, losses: Mapping[str, Tensor], shares: Mapping[str, float]) -> None:
        """Add a micro-batch's mean losses, in place and on the device: a CUDA graph repeats it."""
        for task, loss in losses.items():
            self._step_loss[task] += shares[task] * loss.detach().double()

    def end_step(self, step_losses: Tensor) -> None:
        """Add a step's losses, (tasks,), those of all processes together."""
        self.loss_sums += step_losses
        self.step_losses.zero_()

    def add_rows(self, task: str, rows: int, lengths: list[int]) -> None:
        """Count what a step read of a task: rows, and the lengths of their sequences."""
        self.loss_counts[task] += 1
        self.examples += rows
        self.tokens += sum(lengths)
        if self.config is not None:
            self.flops += training_flops(self.config, lengths)

    def mean_losses(self) -> dict[str, float]:
        """Mean training loss of each task that has had a step in this epoch; FloatingPointError if not finite."""
        sums = dict(zip(self.tasks, self.loss_sums.tolist(), strict=True))
        means = {task: sums[task] / count for task, count in self.loss_counts.items() if count}
        for task, mean in means.items():
            if not math.isfinite(mean):
                raise FloatingPointError(f"the loss of {task} is {mean}")
        return means

    def throughput(self, processes: int) -> dict[str, float | int | None]:
        """Seconds, examples, and what was processed a second; mfu is None where it cannot be told."""
        seconds = self.stopwatch.seconds
        return {
            "seconds": round(seconds, 2),
            "examples": self.examples,
            "examples_per_second": round(self.examples / seconds, 1),
            "tokens_per_second": round(self.tokens / seconds, 1),
            "mfu": device_mfu(self.flops / processes, seconds, self.device) if self.flops else None,
        }

    def state_dict(self) -> dict[str, Any]:
        losses = {"loss_sums": self.loss_sums, "loss_counts": dict(self.loss_counts)}
        counts = {"examples": self.examples, "tokens": self.tokens, "flops": self.flops}
        return losses | counts | {"conflicts": self.conflicts.state_dict(), "seconds": self.stopwatch.seconds}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.loss_sums.copy_(state["loss_sums"])
        self.loss_counts = dict(state["loss_counts"])
        self.examples, self.tokens, self.flops = state["examples"], state["tokens"], state["flops"]
        self.conflicts.load_state_dict(state["conflicts"])
        self.stopwatch = Stopwatch(state["seconds"])
