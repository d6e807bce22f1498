"""Figures of notebook 07: where adapters sit, what they weigh, and what they change."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtbert.utils.errors import UserError
from mtbert.workbook.plots.boxes import box, path, plus
from mtbert.workbook.plots.style import PALETTE

_KINDS = {"pal": PALETTE[1], "low_rank": PALETTE[0], "top": PALETTE[2], "houlsby": PALETTE[4], "lora": PALETTE[3]}
_MARKERS = "osD^vPX*<>"
_GREY = "0.55"
_MAIN = 2.5  # height of the encoder's own path
_SUMS = (5.25, 9.15)  # places of its two sums


def places(kinds: Sequence[str], title: str) -> Figure:
    """A BERT layer from left to right, in grey, and what adapters of those kinds add to it, in colour.

    Raises UserError for a kind that has no drawing.
    """
    for kind in kinds:
        if kind not in _KINDS:
            raise UserError(f"there is no drawing of {kind!r}: choose from {', '.join(_KINDS)}")
    figure, axes = plt.subplots(figsize=(9.4, 3.0))
    axes.set(xlim=(0, 13.4), ylim=(0.1, 3.9), title=title)
    axes.axis("off")
    for name, x, width in (
        ("q, k, v", 0.95, 1.0),
        ("attention", 2.3, 1.3),
        ("$W_o$", 3.95, 0.8),
        ("norm", 5.6, 0.9),
        ("feed-\nforward", 7.25, 1.2),
        ("norm", 9.5, 0.9),
    ):
        box(axes, x, _MAIN, width, 0.8, name, "", _GREY)
    for name, x in (("x", 0.25), ("h", 6.85), ("y", 10.75)):
        axes.text(x, _MAIN, name, ha="center", va="center", fontsize=15, style="italic")
    for start, end in (
        (0.4, 0.95),
        (1.95, 2.3),
        (3.6, 3.95),
        (4.75, 5.08),
        (5.42, 5.6),
        (6.5, 6.72),
        (6.98, 7.25),
        (8.45, 8.98),
        (9.32, 9.5),
        (10.4, 10.6),
    ):
        path(axes, [(start, _MAIN), (end, _MAIN)])
    for start, end in ((0.6, _SUMS[0]), (6.85, _SUMS[1])):
        path(axes, [(start, _MAIN + (0.2 if start > 1 else 0)), (start, 3.4), (end, 3.4), (end, _MAIN + 0.17)])
        plus(axes, end, _MAIN)
    for kind in kinds:
        {"pal": _pal, "low_rank": _low_rank, "top": _top, "houlsby": _houlsby, "lora": _lora}[kind](axes, _KINDS[kind])
    return figure


def _beside(axes: Axes, colour, height: float, aside: float, boxes: Sequence[tuple[str, str]], name: str) -> None:
    """A path from the layer's input to the sum before its last norm; ``aside`` keeps two of them apart."""
    x, end = 2.0, _SUMS[1] - aside
    path(axes, [(0.25 + aside, _MAIN - 0.25), (0.25 + aside, height), (x, height)], colour)
    for text, note in boxes:
        box(axes, x, height, 1.5, 0.56, text, note, colour)
        x += 1.5
        if (text, note) != boxes[-1]:
            path(axes, [(x, height), (x + 0.5, height)], colour)
            x += 0.5
    path(axes, [(x, height), (end, height), (end, _MAIN - 0.17)], colour)
    axes.text(_SUMS[1] + 0.3, height, name, color=colour, fontweight="bold", va="center")


def _pal(axes: Axes, colour) -> None:
    parts = [("$V^E$", "hidden → size"), ("attention", "q, k, v of this layer"), ("$V^D$", "size → hidden")]
    _beside(axes, colour, 1.45, 0.06, parts, "PAL")


def _low_rank(axes: Axes, colour) -> None:
    _beside(axes, colour, 0.45, -0.06, [("$V^E$", ""), ("$V^D$", "")], "low-rank")


def _houlsby(axes: Axes, colour) -> None:
    for start, end in ((4.86, _SUMS[0]), (8.62, _SUMS[1])):
        path(axes, [(start, _MAIN), (start, 1.4)], colour)
        path(axes, [(end, 1.4), (end, _MAIN - 0.17)], colour)
        box(axes, (start + end) / 2 - 0.75, 1.12, 1.5, 0.56, "bottleneck", "", colour)
    axes.text((sum(_SUMS) - 0.5) / 2, 1.12, "Houlsby", color=colour, fontweight="bold", va="center", ha="center")


def _lora(axes: Axes, colour) -> None:
    path(axes, [(0.7, _MAIN), (0.7, 1.12), (0.95, 1.12)], colour)
    box(axes, 0.95, 1.12, 1.0, 0.56, "$A$, $B$", "", colour)
    path(axes, [(1.95, 1.12), (2.12, 1.12), (2.12, _MAIN - 0.03)], colour)
    axes.text(2.3, 1.12, "LoRA", color=colour, fontweight="bold", va="center")


def _top(axes: Axes, colour) -> None:
    path(axes, [(10.9, _MAIN), (11.3, _MAIN)], colour)
    box(axes, 11.3, _MAIN, 1.5, 0.8, "a layer of\nits own", "after the last layer", colour)
    path(axes, [(12.8, _MAIN), (13.3, _MAIN)], colour)
    axes.text(12.05, _MAIN + 0.6, "on top", color=colour, fontweight="bold", ha="center")


def losses(curves: Mapping[str, Sequence[float]], floor: float) -> Figure:
    """Loss (log scale) against the step, a line per model, and the best that one shared matrix can do."""
    figure, axes = plt.subplots(figsize=(6.4, 2.3))
    for (name, values), line, colour in zip(curves.items(), ("-", "--", "-.", ":"), PALETTE, strict=False):
        axes.plot(range(len(values)), values, line, color=colour, linewidth=2.2, label=name)
    axes.axhline(floor, color=_GREY, linewidth=1, label="best shared matrix")
    axes.set(yscale="log", xlabel="step", ylabel="mean squared error", title="Two tasks that contradict each other")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def growth(sizes: Sequence[int], counts: Mapping[str, Sequence[int]], marks: Mapping[str, tuple[int, int]]) -> Figure:
    """Parameters of one task's adapter against its inner width, a line per kind.

    marks: name -> (size, parameters), points to show.
    """
    figure, axes = plt.subplots(figsize=(6.4, 2.3))
    for (name, values), colour, line in zip(counts.items(), _KINDS.values(), ("-", "--", "-."), strict=False):
        axes.plot(sizes, np.asarray(values) / 1e6, line, color=colour, linewidth=2.2, label=name)
    for (name, (size, count)), marker in zip(marks.items(), _MARKERS, strict=False):
        axes.plot(size, count / 1e6, marker, color="black", fillstyle="none", markersize=9, label=name)
    axes.set(
        xlabel="inner width of the adapter",
        ylabel="million parameters",
        title="What a task's room costs",
        ylim=(0, None),
    )
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def trade(table: pd.DataFrame, score: str) -> Figure:
    """Score against trainable parameters (left, log scale) and against the cost of a step (right); a mark per row.

    table: columns trainable, milliseconds and score, of the CPU and of the name given.
    """
    figure, panels = plt.subplots(1, 2, figsize=(8, 2.5), sharey=True)
    for axes, column in zip(panels, ("trainable", "milliseconds"), strict=True):
        for number, (name, row) in enumerate(table.iterrows()):
            axes.plot(
                row[column],
                row[score],
                _MARKERS[number % len(_MARKERS)],
                markersize=9,
                label=name,
                color=PALETTE[number % len(PALETTE)],
            )
    panels[0].set(xscale="log", xlabel="trainable parameters", ylabel=score, title="Against parameters")
    panels[1].set(xlabel="CPU milliseconds a round", title="Against time", xlim=(0, 1.1 * table.milliseconds.max()))
    panels[0].margins(y=0.12)
    panels[1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def swaps(scores: pd.DataFrame) -> Figure:
    """Dev scores: a row per task that is scored, a column per adapter in use."""
    figure, axes = plt.subplots(figsize=(5.2, 2.1))
    sns.heatmap(scores.astype(float), annot=True, fmt=".3f", cmap="viridis", vmin=0, vmax=1, cbar=False, ax=axes)
    axes.set(xlabel="adapter in use", ylabel="task", title="Dev scores: whose adapter?")
    axes.tick_params(axis="y", rotation=0)
    return figure


def differences(printed: pd.DataFrame, measured: pd.DataFrame, noise: Mapping[str, float], title: str) -> Figure:
    """A panel per task: each row's score minus the baseline's, as printed (hollow) and as measured here (full).

    printed, measured: a row per experiment, a column per task; NaN where nothing was measured. noise: per task, twice
    the standard error of a difference, shaded.
    """
    figure, panels = plt.subplots(1, len(noise), figsize=(9, 0.28 * len(printed) + 1.3), sharey=True, squeeze=False)
    rows = np.arange(len(printed))
    for axes, (task, width) in zip(panels[0], noise.items(), strict=True):
        axes.axvspan(-width, width, color="0.93", label="within chance")
        axes.axvline(0, color="0.3", linewidth=0.8)
        axes.plot(printed[task], rows - 0.12, "o", color=PALETTE[1], fillstyle="none", markersize=8, label="printed")
        axes.plot(measured[task].reindex(printed.index), rows + 0.12, "s", color=PALETTE[0], label="measured")
        axes.set(
            title=task,
            xlabel="difference in score",
            yticks=rows,
            yticklabels=printed.index,
            ylim=(-0.6, len(rows) - 0.4),
        )
        axes.locator_params(axis="x", nbins=3)
        axes.xaxis.set_major_formatter("{x:.3g}")
    panels[0][0].invert_yaxis()
    panels[0][-1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    figure.suptitle(title, fontweight="bold", fontsize="medium")
    return figure
