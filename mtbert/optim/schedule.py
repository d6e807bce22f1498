"""How the learning rate changes over a run."""

from typing import Literal

LRSchedule = Literal["linear", "constant"]


def learning_rate_factor(step: int, total: int, warmup_ratio: float, lr_schedule: LRSchedule) -> float:
    """The share of the full learning rate used in ``step`` (from 0) of ``total``.

    It rises linearly over the first ``warmup_ratio`` share of the steps, then falls linearly to 0 ("linear", as BERT's
    authors do) or stays ("constant").
    """
    rising = int(warmup_ratio * total)
    if step < rising:
        return (step + 1) / (rising + 1)
    return 1.0 if lr_schedule == "constant" else (total - step) / max(1, total - rising)
