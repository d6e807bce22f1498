"""Figures of notebook 05: the multitask model, and the two ways to encode a pair."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtbert.workbook.plots.style import COLORS, PALETTE, TASK_NAMES, box, panels, path, plus, subplots

_GRAY, _ENCODER = (0.45, 0.45, 0.45), PALETTE[4]
_TASKS = (  # task, input, head, loss
    ("sst", "a review", "linear: 5 logits", "cross-entropy"),
    ("quora", "two questions", "(u, v, |u − v|): 1 logit", "binary\ncross-entropy"),
    ("sts", "two sentences", "5 · relu(cos(u, v))", "squared error"),
)


def architecture() -> Figure:
    """Draw one encoder under three heads, from the three inputs to the sum of the losses."""
    figure, axes = subplots(figsize=(11, 3.6), layout="constrained")
    _blank(axes, (0, 11), (0, 3.6), "One encoder, three heads, one loss")
    box(axes, 2.35, 1.8, 1.5, 3.1, "encoder,\nshared by\nall tasks", "", _ENCODER)
    box(axes, 4.25, 1.8, 1.1, 3.1, "mean\nof the\ntokens", "", _GRAY)
    path(axes, [(3.85, 1.8), (4.25, 1.8)])
    for height, (task, inputs, head, loss) in zip((2.95, 1.8, 0.65), _TASKS, strict=True):
        color = COLORS[task]
        box(axes, 0, height, 1.85, 0.8, f"{TASK_NAMES[task]}:\n{inputs}", "", color)
        box(axes, 5.75, height, 2.4, 0.8, head, "", color)
        box(axes, 8.5, height, 1.5, 0.8, loss, "", color)
        path(axes, [(1.85, height), (2.35, height)], color)
        path(axes, [(5.35, height), (5.75, height)], color)
        path(axes, [(8.15, height), (8.5, height)], color)
        end = 10.46 if height == 1.8 else 10.6
        path(axes, [(10, height), (end, height), (end, 1.8 + 0.14 * (height > 1.8) - 0.14 * (height < 1.8))], color)
    plus(axes, 10.6, 1.8)
    return figure


def cross_and_bi() -> Figure:
    """Draw a pair as one sequence, and as two sequences whose vectors meet in the head."""
    figure, (left, right) = panels(2, (11, 4.4), layout="constrained")
    _blank(left, (0, 5.4), (0, 4), "cross-encoder: one sequence")
    box(left, 0.2, 0.45, 5, 0.7, "[CLS] left [SEP] right [SEP]", "", _GRAY)
    box(left, 0.7, 1.65, 4, 0.8, "encoder: all tokens see each other", "", _ENCODER)
    box(left, 1.45, 2.7, 2.5, 0.6, "one vector", "", _GRAY)
    box(left, 1.45, 3.6, 2.5, 0.6, "linear head", "", COLORS["quora"])
    for low, high in ((0.8, 1.25), (2.05, 2.4), (3.0, 3.3)):
        path(left, [(2.7, low), (2.7, high)])
    _blank(right, (0, 5.4), (0, 4), "bi-encoder: two sequences")
    for x, name, vector in ((0.1, "left", "u"), (2.9, "right", "v")):
        middle = x + 1.2
        box(right, x, 0.45, 2.4, 0.7, f"[CLS] {name} [SEP]", "", _GRAY)
        box(right, x, 1.65, 2.4, 0.8, "the same encoder", "", _ENCODER)
        box(right, x + 0.6, 2.7, 1.2, 0.6, vector, "", _GRAY)
        path(right, [(middle, 0.8), (middle, 1.25)])
        path(right, [(middle, 2.05), (middle, 2.4)])
        path(right, [(middle, 3.0), (2.7 + (middle - 2.7) * 0.5, 3.3)])
    box(right, 1.2, 3.6, 3, 0.6, "a head that compares", "", COLORS["sts"])
    return figure


def _blank(axes: Axes, xlim: tuple[float, float], ylim: tuple[float, float], title: str) -> None:
    axes.set(xlim=xlim, ylim=ylim, title=title)
    axes.axis("off")
