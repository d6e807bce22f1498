"""Automatic checks of the workbook's exercises, one module per notebook: ``checks.attention`` and so on.

``checks.attention.weights(my_weights)`` tries the learner's function on fresh inputs and names the first property that
fails. It returns a Result and never raises, so that a notebook with open exercises runs to its end.
"""

from mtbert.checks import (
    adamw,
    attention,
    confusion_matrices,
    data_strategies,
    multitask,
    pals,
    reports,
    single_task,
    start,
    sts_heads,
    surgery,
    throughput,
    transformer_layer,
)

__all__ = [
    "adamw",
    "attention",
    "confusion_matrices",
    "data_strategies",
    "multitask",
    "pals",
    "reports",
    "single_task",
    "start",
    "sts_heads",
    "surgery",
    "throughput",
    "transformer_layer",
]
