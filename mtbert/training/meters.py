"""What is counted while an epoch runs."""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mtbert.data.tasks import TASKS
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
    """Losses, scores, examples, tokens, floating-point operations, seconds, and conflicts of surgery, over one epoch.

    Losses and scores are added up on ``device``, so that no step waits for them. ``config`` is the encoder's, to count
    FLOPs; None if not all of it is trained, because a backward pass then costs less.
    """

    def __init__(self, tasks: Sequence[str], device: torch.device, config: BertConfig | None):
        self.tasks, self.device, self.config = list(tasks), device, config
        self.loss_sums = torch.zeros(len(self.tasks), dtype=torch.float64, device=device)
        # (tasks, 3, 3): sums of products of 1, x and y over rows: y is the label, and x the prediction (regression), or
        # 1 for a correct class and 0 for a wrong one
        self.moments = torch.zeros(len(self.tasks), 3, 3, dtype=torch.float64, device=device)
        # the same of the current step, and of this process alone
        self.step_sums = torch.zeros_like(self.loss_sums), torch.zeros_like(self.moments)
        self._of_task = {task: [sums[i] for sums in self.step_sums] for i, task in enumerate(self.tasks)}
        self.reset()

    def reset(self) -> None:
        """Begin an epoch."""
        for sums in (self.loss_sums, self.moments, *self.step_sums):
            sums.zero_()
        self.loss_counts = dict.fromkeys(self.tasks, 0)
        self.examples = self.tokens = self.flops = 0
        self.conflicts = Conflicts(self.tasks)
        self.stopwatch = Stopwatch()

    def add_losses(self, losses: Mapping[str, Tensor], shares: Mapping[str, float]) -> None:
        """Add a micro-batch's mean losses, in place and on the device: a CUDA graph repeats it."""
        for task, loss in losses.items():
            self._of_task[task][0] += shares[task] * loss.detach().double()

    def add_predictions(self, task: str, logits: Tensor, labels: Tensor) -> None:
        """Add what the forward pass predicts, (rows, outputs), for labels (rows,); in place, like ``add_losses``."""
        kind, y = TASKS[task].kind, labels.double()
        if kind == "regression":
            x = logits.squeeze(1).double()
        else:
            x = ((logits.squeeze(1) > 0) if kind == "binary" else logits.argmax(1)).eq(y).double()
        rows = torch.stack([torch.ones_like(x), x, y])  # (3, rows)
        self._of_task[task][1] += rows @ rows.T

    def end_step(self) -> None:
        """Add ``step_sums``, by now those of all processes together, to the epoch's."""
        for sums, step_sums in zip((self.loss_sums, self.moments), self.step_sums, strict=True):
            sums += step_sums
            step_sums.zero_()

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

    def train_scores(self) -> dict[str, float]:
        """Each task's score on the rows trained on: accuracy, or Pearson's r for regression.

        The predictions are those of the forward passes in training, with dropout and with the weights of that step.
        """
        scores: dict[str, float] = {}
        for task, ((n, sx, sy), (_, sxx, sxy), (_, _, syy)) in zip(self.tasks, self.moments.tolist(), strict=True):
            if TASKS[task].kind != "regression":
                scores |= {task: sx / n} if n else {}
            elif n:
                variances = max(n * sxx - sx * sx, 0.0) * max(n * syy - sy * sy, 0.0)
                scores[task] = min(1.0, max(-1.0, (n * sxy - sx * sy) / math.sqrt(variances))) if variances else 0.0
        return scores

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
        losses = {"loss_sums": self.loss_sums, "loss_counts": dict(self.loss_counts), "moments": self.moments}
        counts = {"examples": self.examples, "tokens": self.tokens, "flops": self.flops}
        return losses | counts | {"conflicts": self.conflicts.state_dict(), "seconds": self.stopwatch.seconds}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.loss_sums.copy_(state["loss_sums"])
        self.moments.copy_(state["moments"])
        self.loss_counts = dict(state["loss_counts"])
        self.examples, self.tokens, self.flops = state["examples"], state["tokens"], state["flops"]
        self.conflicts.load_state_dict(state["conflicts"])
        self.stopwatch = Stopwatch(state["seconds"])
