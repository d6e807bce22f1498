"""Figures of notebook 07: where adapters are attached, how many parameters they have, and what they change."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtbert.workbook.plots.style import (
    DASHES,
    MARKERS,
    PALETTE,
    box,
    finish,
    line_per_name,
    panels,
    path,
    plus,
    subplots,
)

_KINDS = {"pal": PALETTE[1], "low_rank": PALETTE[0], "top": PALETTE[2], "houlsby": PALETTE[4], "lora": PALETTE[3]}
_GRAY = "0.55"
_MAIN = 2.5  # height of the encoder's own path
_SUMS = (5.25, 9.15)  # where its two sums are


def places(kinds: Sequence[str], title: str) -> Figure:
    """Draw a BERT layer from left to right in gray, and what adapters add to it in color."""
    figure, axes = subplots(figsize=(9.4, 3.0))
    axes.set(xlim=(0, 13.4), ylim=(0.1, 3.9), title=title)
    axes.axis("off")
    parts = [("q, k, v", 0.95, 1.0), ("attention", 2.3, 1.3), ("$W_o$", 3.95, 0.8), ("norm", 5.6, 0.9)]
    for name, x, width in [*parts, ("feed-\nforward", 7.25, 1.2), ("norm", 9.5, 0.9)]:
        box(axes, x, _MAIN, width, 0.8, name, "", _GRAY)
    for name, x in (("x", 0.25), ("h", 6.85), ("y", 10.75)):
        axes.text(x, _MAIN, name, ha="center", va="center", fontsize=15, style="italic")
    first = [(0.4, 0.95), (1.95, 2.3), (3.6, 3.95), (4.75, 5.08), (5.42, 5.6), (6.5, 6.72)]
    for start, end in [*first, (6.98, 7.25), (8.45, 8.98), (9.32, 9.5), (10.4, 10.6)]:
        path(axes, [(start, _MAIN), (end, _MAIN)])
    for start, end in ((0.6, _SUMS[0]), (6.85, _SUMS[1])):
        path(axes, [(start, _MAIN + (0.2 if start > 1 else 0)), (start, 3.4), (end, 3.4), (end, _MAIN + 0.17)])
        plus(axes, end, _MAIN)
    for kind in kinds:
        {"pal": _pal, "low_rank": _low_rank, "top": _top, "houlsby": _houlsby, "lora": _lora}[kind](axes, _KINDS[kind])
    return figure


def _beside(axes: Axes, color, height: float, aside: float, boxes: Sequence[tuple[str, str]], name: str) -> None:
    """A path from the layer's input to the sum before its last norm; ``aside`` keeps two of them apart."""
    x, end = 2.0, _SUMS[1] - aside
    path(axes, [(0.25 + aside, _MAIN - 0.25), (0.25 + aside, height), (x, height)], color)
    for text, note in boxes:
        box(axes, x, height, 1.5, 0.56, text, note, color)
        x += 1.5
        if (text, note) != boxes[-1]:
            path(axes, [(x, height), (x + 0.5, height)], color)
            x += 0.5
    path(axes, [(x, height), (end, height), (end, _MAIN - 0.17)], color)
    axes.text(_SUMS[1] + 0.3, height, name, color=color, fontweight="bold", va="center")


def _pal(axes: Axes, color) -> None:
    parts = [("$V^E$", "hidden → size"), ("attention", "q, k, v of this layer"), ("$V^D$", "size → hidden")]
    _beside(axes, color, 1.45, 0.06, parts, "PAL")


def _low_rank(axes: Axes, color) -> None:
    _beside(axes, color, 0.45, -0.06, [("$V^E$", ""), ("$V^D$", "")], "low-rank")


def _houlsby(axes: Axes, color) -> None:
    for start, end in ((4.86, _SUMS[0]), (8.62, _SUMS[1])):
        path(axes, [(start, _MAIN), (start, 1.4)], color)
        path(axes, [(end, 1.4), (end, _MAIN - 0.17)], color)
        box(axes, (start + end) / 2 - 0.75, 1.12, 1.5, 0.56, "bottleneck", "", color)
    axes.text((sum(_SUMS) - 0.5) / 2, 1.12, "Houlsby", color=color, fontweight="bold", va="center", ha="center")


def _lora(axes: Axes, color) -> None:
    path(axes, [(0.7, _MAIN), (0.7, 1.12), (0.95, 1.12)], color)
    box(axes, 0.95, 1.12, 1.0, 0.56, "$A$, $B$", "", color)
    path(axes, [(1.95, 1.12), (2.12, 1.12), (2.12, _MAIN - 0.03)], color)
    axes.text(2.3, 1.12, "LoRA", color=color, fontweight="bold", va="center")


def _top(axes: Axes, color) -> None:
    path(axes, [(10.9, _MAIN), (11.3, _MAIN)], color)
    box(axes, 11.3, _MAIN, 1.5, 0.8, "a layer of\nits own", "after the last layer", color)
    path(axes, [(12.8, _MAIN), (13.3, _MAIN)], color)
    axes.text(12.05, _MAIN + 0.6, "on top", color=color, fontweight="bold", ha="center")


def losses(curves: Mapping[str, Sequence[float]], floor: float) -> Figure:
    """Draw the loss over the steps on a logarithmic scale; curves: model -> loss at every step."""
    figure, axes = subplots(figsize=(6.4, 2.3))
    line_per_name(axes, None, curves, DASHES, linewidth=2.2)
    axes.axhline(floor, color=_GRAY, linewidth=1, label="best shared matrix")
    axes.set(yscale="log", xlabel="step", ylabel="mean squared error")
    return finish(axes, title="Two tasks that contradict each other")


def growth(sizes: Sequence[int], counts: Mapping[str, Sequence[int]], marks: Mapping[str, tuple[int, int]]) -> Figure:
    """Draw parameters by inner width; counts: kind -> (sizes,); marks: name -> (width, parameters), hollow."""
    figure, axes = subplots(figsize=(6.4, 2.3))
    millions = {kind: np.asarray(values) / 1e6 for kind, values in counts.items()}
    line_per_name(axes, sizes, millions, DASHES, _KINDS.values(), linewidth=2.2)
    for (name, (size, count)), marker in zip(marks.items(), MARKERS, strict=False):
        axes.plot(size, count / 1e6, marker, color="black", fillstyle="none", markersize=9, label=name)
    axes.set(xlabel="inner width of the adapter", ylabel="million parameters", ylim=(0, None))
    return finish(axes, title="Parameters of a task's adapter")


def trade(table: pd.DataFrame, score: str) -> Figure:
    """Draw a score against trainable parameters and time; table: columns trainable, milliseconds and the score."""
    figure, (left, right) = panels(2, (8, 2.5), sharey=True)
    for axes, column in ((left, "trainable"), (right, "milliseconds")):
        for index, (name, row) in enumerate(table.iterrows()):
            marker = MARKERS[index % len(MARKERS)]
            axes.plot(row[column], row[score], marker, markersize=9, label=name, color=PALETTE[index % len(PALETTE)])
    left.set(xscale="log", xlabel="trainable parameters", ylabel=score, title="Against parameters")
    right.set(xlabel="CPU milliseconds per round", title="Against time", xlim=(0, 1.1 * table.milliseconds.max()))
    left.margins(y=0.12)
    return finish(right)


def swaps(scores: pd.DataFrame) -> Figure:
    """Draw dev scores as cells: a row per task that is scored, a column per adapter in use."""
    figure, axes = subplots(figsize=(5.2, 2.1))
    sns.heatmap(scores.astype(float), annot=True, fmt=".3f", cmap="viridis", vmin=0, vmax=1, cbar=False, ax=axes)
    axes.set(xlabel="adapter in use", ylabel="task", title="Dev scores by adapter")
    axes.tick_params(axis="y", rotation=0)
    return figure


def differences(printed: pd.DataFrame, measured: pd.DataFrame, noise: Mapping[str, float], title: str) -> Figure:
    """Draw differences to the baseline, experiments by tasks; noise: task -> twice the standard error, shaded."""
    figure, row = panels(len(noise), (9, 0.28 * len(printed) + 1.3), title, sharey=True)
    y = np.arange(len(printed))
    for axes, (task, width) in zip(row, noise.items(), strict=True):
        axes.axvspan(-width, width, color="0.93", label="within noise")
        axes.axvline(0, color="0.3", linewidth=0.8)
        axes.plot(printed[task], y - 0.12, "o", color=PALETTE[1], fillstyle="none", markersize=8, label="printed")
        axes.plot(measured[task].reindex(printed.index), y + 0.12, "s", color=PALETTE[0], label="measured")
        axes.set(title=task, xlabel="difference in score", ylim=(-0.6, len(y) - 0.4))
        axes.set_yticks(y, printed.index)
        axes.locator_params(axis="x", nbins=3)
        axes.xaxis.set_major_formatter("{x:.3g}")
    row[0].invert_yaxis()
    return finish(row[-1])
