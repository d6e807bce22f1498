"""Figures of notebook 06: gradients that meet on a plane, along a walk, and in a model."""

from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from scipy import stats
from torch import Tensor

from mtbert.workbook.plots.style import COLOURS, of_shape

_TASKS = [COLOURS[name] for name in ("sst", "quora", "sts")]
_MARKERS = "osD^v"


def before_after(gradients: ArrayLike, changed: ArrayLike, titles: tuple[str, str]) -> Figure:
    """Gradients and their sum, before and after surgery; shaded are the directions that no gradient speaks against.

    gradients, changed: (tasks, 2), at most three tasks.
    """
    gradients = of_shape(gradients, None, 2)
    changed = of_shape(changed, len(gradients), 2)
    ends = np.concatenate([gradients, changed, gradients.sum(0)[None], changed.sum(0)[None], np.zeros((1, 2))])
    middle, edge = (ends.max(0) + ends.min(0)) / 2, 0.66 * np.ptp(ends, axis=0).max()
    figure, panels = plt.subplots(1, 2, figsize=(7.4, 3.4), sharex=True, sharey=True)
    for axes, arrows, title in zip(panels, (gradients, changed), titles, strict=True):
        axes.set(xlim=(middle[0] - edge, middle[0] + edge), ylim=(middle[1] - edge, middle[1] + edge), aspect="equal")
        axes.set(title=title, xlabel=r"$\theta_1$", ylabel=r"$\theta_2$")
        _agreed(axes, gradients)
        _arrow(axes, arrows.sum(0), COLOURS["plain"], "sum", width=3.5)
        moved = ~np.isclose(arrows, gradients).all(1)
        for number, (before, now) in enumerate(zip(gradients, arrows, strict=True)):
            if moved[number]:
                _arrow(axes, before, _TASKS[number], alpha=0.3)
            name = f"$g_{number + 1}{chr(39) if moved[number] else ''}$"
            _arrow(axes, now, _TASKS[number], name, away=arrows.sum(0))
        axes.plot(0, 0, "o", color="black", markersize=4)
    return figure


def _agreed(axes: Axes, gradients: np.ndarray) -> None:
    x, y = np.meshgrid(np.linspace(*axes.get_xlim(), 300), np.linspace(*axes.get_ylim(), 300))
    worst = np.min([x * g[0] + y * g[1] for g in gradients], axis=0)
    axes.contourf(x, y, worst, levels=[0, max(worst.max(), 1e-9)], colors=["0.92"], zorder=0)


def _arrow(
    axes: Axes,
    end: np.ndarray,
    colour,
    name: str = "",
    alpha: float = 1.0,
    width: float = 2.5,
    away: np.ndarray | None = None,
) -> None:
    """From the origin; its name stands beyond the head, on the side turned away from another arrow."""
    style = {"arrowstyle": "-|>", "color": colour, "linewidth": width, "alpha": alpha, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, (0, 0), arrowprops=style)
    length = float(np.hypot(*end))
    if name and length > 0:
        along = end / length
        aside = np.zeros(2) if away is None else np.sign(away[0] * end[1] - away[1] * end[0]) * along[::-1] * (-1, 1)
        place = 10 * (along + aside)  # in points
        axes.annotate(
            name, end, place, textcoords="offset points", ha="center", va="center", color=colour, fontweight="bold"
        )


def walks(
    losses: Sequence[Callable[[Tensor], Tensor]],
    grid: Tensor,
    panels: Mapping[str, Sequence[Tensor]],
    compromises: Tensor,
) -> Figure:
    """Walks on the level lines of two losses, a panel per method.

    losses: each (..., 2) -> (...). grid: (rows, columns, 2), the places to draw. panels: title -> walks, (points, 2)
    each. compromises: (points, 2), the curve where one loss can only fall if the other rises.
    """
    figure, row = plt.subplots(1, len(panels), figsize=(6.8, 2.6), sharex=True, sharey=True, squeeze=False)
    x, y = grid[..., 0].numpy(), grid[..., 1].numpy()
    compromises = of_shape(compromises, None, 2)
    for axes, (title, paths) in zip(row[0], panels.items(), strict=True):
        for colour, loss in zip(_TASKS, losses, strict=False):
            height = loss(grid).numpy()
            axes.contour(
                x, y, height, levels=height.max() * np.array([0.04, 0.2, 0.5]), colors=[colour], linewidths=0.8
            )
        axes.plot(*compromises.T, color="0.75", linewidth=7, solid_capstyle="round", zorder=1)
        for path in paths:
            path = of_shape(path, None, 2)
            axes.plot(*path.T, color="black", linewidth=1.6, zorder=3, label="walk")
            axes.plot(*path[0], "o", color="white", markeredgecolor="black", zorder=4)
            axes.plot(*path[-1], "*", color=COLOURS["cfimdb"], markeredgecolor="black", markersize=15, zorder=5)
        axes.set(title=title, xlabel=r"$\theta_1$", ylabel=r"$\theta_2$", aspect="equal")
    return figure


def targets(cosines: Sequence[float], lines: Mapping[str, Sequence[float]], title: str) -> Figure:
    """Cosines of a pair step by step, as dots, and running targets as lines; one number per step each."""
    cosines = of_shape(cosines, None)
    figure, axes = plt.subplots(figsize=(7.6, 2.5))
    steps = np.arange(1, len(cosines) + 1)
    axes.plot(steps, cosines, ".", color="0.7", label="cosine")
    for (name, values), colour, dashes in zip(lines.items(), (*_TASKS, "black"), ("-", "--", "-.", ":"), strict=False):
        axes.plot(steps, of_shape(values, len(cosines)), dashes, color=colour, linewidth=2, label=name)
    axes.axhline(0, color="0.3", linewidth=0.8)
    axes.set(xlabel="step", ylabel="cosine, target", title=title)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def over_steps(cosines: Mapping[str, Sequence[float]], window: int = 5) -> Figure:
    """A panel per pair: the cosine of its gradients at every step, conflicts as crosses, and their running mean.

    cosines: pair -> one number per step. window: steps averaged.
    """
    figure, row = plt.subplots(1, len(cosines), figsize=(8, 2.3), sharex=True, sharey=True, squeeze=False)
    for axes, (pair, values) in zip(row[0], cosines.items(), strict=True):
        values = of_shape(values, None)
        steps = np.arange(1, len(values) + 1)
        for marker, colour, chosen, name in (
            ("o", COLOURS["sst"], values >= 0, "agree"),
            ("x", COLOURS["cfimdb"], values < 0, "conflict"),
        ):
            axes.plot(
                steps[chosen], values[chosen], marker, color=colour, markersize=5, markeredgewidth=1.5, label=name
            )
        means = np.convolve(values, np.full(window, 1 / window), mode="valid") if len(values) >= window else []
        axes.plot(steps[len(steps) - len(means) :], means, color="0.2", label=f"mean of {window}")
        axes.axhline(0, color="0.3", linewidth=0.8)
        axes.set(title=pair, xlabel="step")
    row[0][0].set_ylabel("cosine")
    return figure


def conflicts(counts: Mapping[str, int], steps: int) -> Figure:
    """A bar per pair: steps in which it conflicted, beside what fair coins would give in 95 of 100 cases."""
    low, high = stats.binom.interval(0.95, steps, 0.5)
    figure, axes = plt.subplots(figsize=(7, 0.4 * len(counts) + 1.3))
    axes.axvspan(low - 0.5, high + 0.5, color="0.9", label="fair coin, 95 %")
    axes.axvline(steps / 2, color="0.5", linestyle="--")
    drawn = axes.barh(list(counts), list(counts.values()), height=0.5, color=COLOURS["cfimdb"])
    axes.bar_label(drawn, padding=4)
    axes.set(xlim=(0, steps), xlabel=f"steps with a negative cosine, of {steps}", title="Conflicts per pair")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    axes.invert_yaxis()
    return figure


def strips(groups: Mapping[str, Mapping[str, Sequence[float]]], xlabel: str, title: str) -> Figure:
    """A row of dots per name with a bar at their mean, the names in groups of one colour each.

    groups: name of the group -> name of the row -> its values.
    """
    rows = sum(map(len, groups.values()))
    figure, axes = plt.subplots(figsize=(7.6, 0.32 * rows + 1.2))
    names: list[str] = []
    for (group, members), colour in zip(groups.items(), (*_TASKS, COLOURS["cfimdb"]), strict=False):
        for number, (name, values) in enumerate(members.items()):
            values = of_shape(values, None)
            axes.plot(
                values,
                np.full(len(values), len(names)),
                "o",
                color=colour,
                fillstyle="none",
                markersize=6,
                label=group if number == 0 else None,
            )
            axes.plot(values.mean(), len(names), "|", color="black", markersize=18, markeredgewidth=2.5)
            names.append(name)
    axes.locator_params(axis="x", nbins=6)
    axes.axvline(0, color="0.3", linewidth=0.8)
    axes.set(yticks=range(rows), yticklabels=names, ylim=(rows - 0.5, -0.5), xlabel=xlabel, title=title)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def by_layer(cosines: Mapping[str, ArrayLike], groups: Sequence[str], dashed: Sequence[str] = ()) -> Figure:
    """Mean cosine per group of parameters, with two standard errors; a line per pair.

    cosines: pair -> (batches, groups). dashed: pairs that are a control.
    """
    figure, axes = plt.subplots(figsize=(7.6, 2.7))
    colours = (*_TASKS, *_TASKS)
    for number, ((pair, values), colour) in enumerate(zip(cosines.items(), colours, strict=False)):
        values = of_shape(values, None, len(groups))
        error = 2 * values.std(0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else None
        places = np.arange(len(groups)) + 0.06 * (number - (len(cosines) - 1) / 2)
        axes.errorbar(
            places,
            values.mean(0),
            error,
            color=colour,
            marker=_MARKERS[number % 3],
            capsize=3,
            label=pair,
            linestyle="--" if pair in dashed else "-",
            fillstyle="none" if pair in dashed else "full",
        )
    axes.axhline(0, color="0.3", linewidth=0.8)
    axes.set_xticks(range(len(groups)), groups)
    axes.set(xlabel="part of the encoder", ylabel="cosine", title="Agreement by layer")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def differences(table: pd.DataFrame, single: Mapping[str, Mapping[str, float]], title: str) -> Figure:
    """Differences to plain summing: an interval per method and metric, and single runs as hollow marks.

    table: columns method, metric, mean, half (NaN draws the dot alone); may be empty. single: name -> metric -> value.
    """
    metrics = list(dict.fromkeys([*table.get("metric", []), *(metric for of in single.values() for metric in of)]))
    methods = list(dict.fromkeys(table.get("method", [])))
    figure, axes = plt.subplots(figsize=(7.6, 0.5 * max(len(metrics), 2) + 1.2))
    total = len(methods) + len(single)
    shifts = np.linspace(-0.28, 0.28, total) if total > 1 else np.zeros(total)
    for method, colour, shift, marker in zip(methods, _TASKS, shifts, _MARKERS, strict=False):
        rows = table[table.method == method]
        places = [metrics.index(metric) + shift for metric in rows.metric]
        means, halves = rows["mean"].to_numpy(float), rows["half"].fillna(0).to_numpy(float)
        axes.errorbar(means, places, xerr=halves, fmt=marker, color=colour, capsize=3, label=method)
    for (name, values), shift, marker in zip(single.items(), shifts[len(methods) :], "^v<>", strict=False):
        places = [metrics.index(metric) + shift for metric in values]
        axes.plot(list(values.values()), places, marker, color="0.35", fillstyle="none", markersize=8, label=name)
    axes.axvline(0, color="0.3", linewidth=0.8)
    axes.set(yticks=range(len(metrics)), yticklabels=metrics, xlabel="score minus that of plain summing", title=title)
    axes.locator_params(axis="x", nbins=6)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    axes.invert_yaxis()
    return figure
