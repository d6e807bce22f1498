"""How the learning rate changes over a run."""

from typing import Literal

LRSchedule = Literal["linear", "constant"]


def learning_rate_factor(step: int, total: int, warmup_ratio: float, lr_schedule: LRSchedule) -> float:
    """What the learning rate is multiplied by in one step, in [0, 1].

    Args:
        step: From 0.
        total: Number of steps of the run.
        warmup_ratio: Share of the steps in which the factor rises linearly to 1.
        lr_schedule: How it goes on: "linear" falls to 0 by the end, as BERT's authors do; "constant" stays at 1.
    """
    warmup_steps = int(warmup_ratio * total)
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    return 1.0 if lr_schedule == "constant" else (total - step) / max(1, total - warmup_steps)
