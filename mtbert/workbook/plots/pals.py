"""Figures of notebook 07: where adapters are attached, how many parameters they have, and what they change."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtbert.workbook.plots.style import (
    COLORS,
    DASHES,
    MARKERS,
    PALETTE,
    TASK_NAMES,
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
    figure, axes = subplots(figsize=(11, 3.6))
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
    figure, axes = subplots(figsize=(10, 3.6))
    line_per_name(axes, None, curves, DASHES, linewidth=2.4)
    axes.axhline(floor, color=_GRAY, linewidth=1.4, label="best shared matrix")
    axes.set(yscale="log", xlabel="step", ylabel="mean squared error")
    return finish(axes, title="Two tasks that contradict each other")


def growth(sizes: Sequence[int], counts: Mapping[str, Sequence[int]], crossing: tuple[float, float]) -> Figure:
    """Draw parameters by inner width; counts: kind -> (sizes,); crossing: where a PAL and low-rank layers are equal."""
    figure, axes = subplots(figsize=(10, 3.8))
    millions = {kind: np.asarray(values) / 1e6 for kind, values in counts.items()}
    line_per_name(axes, sizes, millions, DASHES, _KINDS.values(), linewidth=2.4)
    axes.plot(crossing[0], crossing[1] / 1e6, "o", color="black", fillstyle="none", markersize=11, label="equal")
    axes.set(xlabel="inner width of the adapter", ylabel="million parameters", ylim=(0, None))
    return finish(axes, title=f"Parameters of a task's adapter: equal at a width of {crossing[0]:.0f}")


def trade(table: pd.DataFrame, score: str) -> Figure:
    """Draw a score and its standard error against the trained parameters; table: columns trainable, error, and score.

    The row "constant prediction" is drawn as a line.
    """
    figure, axes = subplots(figsize=(10, 3.2))
    for index, (name, row) in enumerate(table.drop("constant prediction", errors="ignore").iterrows()):
        look = {"color": PALETTE[index % len(PALETTE)], "markersize": 10, "capsize": 4}
        axes.errorbar(row.trainable, row[score], row.error, marker=MARKERS[index], linestyle="", label=name, **look)
    if "constant prediction" in table.index:
        axes.axhline(table.loc["constant prediction", score], color=_GRAY, linestyle="--", label="constant prediction")
    axes.set(xscale="log", xlabel="trained parameters", ylabel=score)
    axes.margins(x=0.08, y=0.2)
    return finish(axes, title="Score against trained parameters")


def swaps(effects: pd.DataFrame) -> Figure:
    """Draw what each task's score gains from each adapter; effects: columns task, adapter, difference, low and high."""
    tasks = list(dict.fromkeys(effects.task))
    figure, row = panels(len(tasks), (11, 3.6), "Dev score minus the score without an adapter", sharey=True)
    adapters = list(dict.fromkeys(effects.adapter))
    for axes, task in zip(row, tasks, strict=True):
        axes.axvline(0, color="0.3", linewidth=1)
        for at, effect in zip(map(adapters.index, effects.adapter), effects.itertuples(), strict=True):
            if effect.task == task:
                color = COLORS[task] if effect.adapter == task else _GRAY
                axes.plot([effect.low, effect.high], [at, at], color=color, linewidth=2.4)
                axes.plot(effect.difference, at, "o", color=color, markersize=10)
        axes.set(
            title=f"scored on {TASK_NAMES[task]}", xlabel="difference, 95% interval", ylim=(len(adapters) - 0.5, -0.5)
        )
        axes.set_yticks(range(len(adapters)), [TASK_NAMES.get(name, name) for name in adapters])
        axes.locator_params(axis="x", nbins=4)
    row[0].set_ylabel("adapter in use")
    return figure


def differences(
    printed: pd.DataFrame, measured: pd.DataFrame, noise: Mapping[str, tuple[float, float]], title: str
) -> Figure:
    """Draw differences to the baseline, experiments by tasks.

    Args:
        printed: What a report prints.
        measured: What we measured; experiments may be missing.
        noise: Task -> twice the standard error of a printed and of a measured difference.
        title: The figure's title.
    """
    figure, row = panels(len(noise), (11, 0.42 * len(printed) + 1.8), title, sharey=True)
    y = np.arange(len(printed))
    ours = measured.reindex(printed.index)
    for axes, (task, (half_printed, half_measured)) in zip(row, noise.items(), strict=True):
        axes.axvline(0, color="0.3", linewidth=1)
        look = {"markersize": 8, "capsize": 3, "elinewidth": 1.2}
        axes.errorbar(
            printed[task], y - 0.15, xerr=half_printed, fmt="o", color=PALETTE[1], mfc="white", label="printed", **look
        )
        axes.errorbar(ours[task], y + 0.15, xerr=half_measured, fmt="s", color=PALETTE[0], label="measured", **look)
        axes.set(title=TASK_NAMES[task], xlabel="difference in score", ylim=(-0.6, len(y) - 0.4))
        axes.set_yticks(y, printed.index)
        axes.locator_params(axis="x", nbins=4)
        axes.xaxis.set_major_formatter("{x:.3g}")
    row[0].invert_yaxis()
    return finish(row[-1])
