"""Figures of notebook 06: conflicting gradients in the plane, along an optimization path, and in a model."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from scipy import stats
from torch import Tensor

from mtbert.workbook.plots import style
from mtbert.workbook.plots.style import (
    COLORS,
    DASHES,
    MARKERS,
    finish,
    intervals,
    line_per_name,
    running_mean,
    subplots,
)

_TASKS = [COLORS[name] for name in ("sst", "quora", "sts")]
_ZERO = {"color": "0.3", "linewidth": 0.8}


def before_after(gradients: ArrayLike, changed: ArrayLike, titles: tuple[str, str]) -> Figure:
    """Draw gradients, (tasks, 2), and their sum before and after surgery; shaded: what no gradient opposes."""
    gradients, changed = np.asarray(gradients, dtype=float), np.asarray(changed, dtype=float)
    ends = np.concatenate([gradients, changed, gradients.sum(0)[None], changed.sum(0)[None], np.zeros((1, 2))])
    middle, edge = (ends.max(0) + ends.min(0)) / 2, 0.66 * np.ptp(ends, axis=0).max()
    figure, row = style.panels(2, (7.4, 3.4), sharex=True, sharey=True)
    for axes, vectors, title in zip(row, (gradients, changed), titles, strict=True):
        axes.set(xlim=(middle[0] - edge, middle[0] + edge), ylim=(middle[1] - edge, middle[1] + edge), aspect="equal")
        axes.set(title=title, xlabel=r"$\theta_1$", ylabel=r"$\theta_2$")
        _shade_agreement(axes, gradients)
        _arrow(axes, vectors.sum(0), COLORS["plain"], "sum", width=3.5)
        moved = ~np.isclose(vectors, gradients).all(1)
        for index, (before, now) in enumerate(zip(gradients, vectors, strict=True)):
            if moved[index]:
                _arrow(axes, before, _TASKS[index], alpha=0.3)
            name = f"$g_{index + 1}{chr(39) if moved[index] else ''}$"
            _arrow(axes, now, _TASKS[index], name, away=vectors.sum(0))
        axes.plot(0, 0, "o", color="black", markersize=4)
    return figure


def _shade_agreement(axes: Axes, gradients: np.ndarray) -> None:
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    x, y = np.meshgrid(np.linspace(left, right, 300), np.linspace(bottom, top, 300))
    worst = np.min([x * g[0] + y * g[1] for g in gradients], axis=0)
    axes.contourf(x, y, worst, levels=[0, max(worst.max(), 1e-9)], colors=["0.92"], zorder=0)


def _arrow(axes: Axes, end: np.ndarray, color, name: str = "", alpha=1.0, width=2.5, away=None) -> None:
    """An arrow from the origin; its name stands beyond the head, on the side facing away from ``away``."""
    line = {"arrowstyle": "-|>", "color": color, "linewidth": width, "alpha": alpha, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, (0, 0), arrowprops=line)
    length = float(np.hypot(*end))
    if name and length > 0:
        along = end / length
        aside = np.zeros(2) if away is None else np.sign(away[0] * end[1] - away[1] * end[0]) * along[::-1] * (-1, 1)
        text = {"ha": "center", "va": "center", "color": color, "fontweight": "bold"}
        axes.annotate(name, end, 10 * (along + aside), textcoords="offset points", **text)


def walks(
    losses: Sequence[Callable[[Tensor], Tensor]],
    grid: Tensor,
    panels: Mapping[str, Sequence[Tensor]],
    compromises: Tensor,
) -> Figure:
    """Draw paths on two losses; grid (rows, columns, 2); panels: method -> paths, (points, 2), as is compromises."""
    figure, row = style.panels(len(panels), (6.8, 2.6), sharex=True, sharey=True)
    x, y = grid[..., 0].numpy(), grid[..., 1].numpy()
    for axes, (title, paths) in zip(row, panels.items(), strict=True):
        for color, loss in zip(_TASKS, losses, strict=False):
            height = loss(grid).numpy()
            axes.contour(x, y, height, levels=height.max() * np.array([0.04, 0.2, 0.5]), colors=[color], linewidths=0.8)
        axes.plot(*compromises.T, color="0.75", linewidth=7, solid_capstyle="round", zorder=1)
        for path in paths:
            axes.plot(*path.T, color="black", linewidth=1.6, zorder=3, label="path")
            axes.plot(*path[0], "o", color="white", markeredgecolor="black", zorder=4)
            axes.plot(*path[-1], "*", color=COLORS["cfimdb"], markeredgecolor="black", markersize=15, zorder=5)
        axes.set(title=title, xlabel=r"$\theta_1$", ylabel=r"$\theta_2$", aspect="equal")
    return figure


def targets(cosines: Sequence[float], lines: Mapping[str, Sequence[float]], title: str) -> Figure:
    """Draw the cosines of a pair, (steps,), as dots and running targets as lines; lines: name -> (steps,)."""
    figure, axes = subplots(figsize=(7.6, 2.5))
    steps = np.arange(1, len(cosines) + 1)
    axes.plot(steps, cosines, ".", color="0.7", label="cosine")
    line_per_name(axes, steps, lines, DASHES, (*_TASKS, "black"), linewidth=2)
    axes.axhline(0, **_ZERO)
    return finish(axes, xlabel="step", ylabel="cosine, target", title=title)


def over_steps(cosines: Mapping[str, Sequence[float]]) -> Figure:
    """Draw the cosine of two gradients over the steps, conflicts as crosses, with a running mean; pair -> (steps,)."""
    figure, row = style.panels(len(cosines), (8, 2.3), sharex=True, sharey=True)
    for axes, (pair, values) in zip(row, cosines.items(), strict=True):
        values = np.asarray(values, dtype=float)
        steps = np.arange(1, len(values) + 1)
        agree, conflict = ("o", "sst", values >= 0, "agree"), ("x", "cfimdb", values < 0, "conflict")
        for marker, color, mask, name in (agree, conflict):
            points = {"color": COLORS[color], "markersize": 5, "markeredgewidth": 1.5, "label": name}
            axes.plot(steps[mask], values[mask], marker, **points)
        means = running_mean(values, 5)
        axes.plot(steps[len(steps) - len(means) :], means, color="0.2", label="mean of 5")
        axes.axhline(0, **_ZERO)
        axes.set(title=pair, xlabel="step")
    row[0].set_ylabel("cosine")
    return figure


def conflicts(counts: Mapping[str, int], steps: int) -> Figure:
    """Draw in how many of all steps each pair conflicted, and the 95 % interval of a fair coin."""
    low, high = stats.binom.interval(0.95, steps, 0.5)
    figure, axes = subplots(figsize=(7, 0.4 * len(counts) + 1.3))
    axes.axvspan(low - 0.5, high + 0.5, color="0.9", label="fair coin, 95 %")
    axes.axvline(steps / 2, color="0.5", linestyle="--")
    bars = axes.barh(list(counts), list(counts.values()), height=0.5, color=COLORS["cfimdb"])
    axes.bar_label(bars, padding=4)
    axes.invert_yaxis()
    return finish(axes, xlim=(0, steps), xlabel=f"steps with a negative cosine, of {steps}", title="Conflicts per pair")


def strips(groups: Mapping[str, Mapping[str, Sequence[float]]], xlabel: str, title: str) -> Figure:
    """Draw a row of dots per name with a bar at their mean, in colored groups; groups: group -> name -> values."""
    rows = sum(map(len, groups.values()))
    figure, axes = subplots(figsize=(7.6, 0.32 * rows + 1.2))
    names: list[str] = []
    for (group, members), color in zip(groups.items(), (*_TASKS, COLORS["cfimdb"]), strict=False):
        for name, values in members.items():
            label = group if name == next(iter(members)) else None
            height = np.full(len(values), len(names))
            axes.plot(values, height, "o", color=color, fillstyle="none", markersize=6, label=label)
            axes.plot(np.mean(values), len(names), "|", color="black", markersize=18, markeredgewidth=2.5)
            names.append(name)
    axes.locator_params(axis="x", nbins=6)
    axes.axvline(0, **_ZERO)
    return finish(axes, yticks=range(rows), yticklabels=names, ylim=(rows - 0.5, -0.5), xlabel=xlabel, title=title)


def by_layer(cosines: Mapping[str, ArrayLike], groups: Sequence[str], dashed: Sequence[str] = ()) -> Figure:
    """Draw mean cosines with two standard errors; cosines: pair -> (batches, groups); pairs in dashed are a control."""
    figure, axes = subplots(figsize=(7.6, 2.7))
    for index, ((pair, values), color) in enumerate(zip(cosines.items(), (*_TASKS, *_TASKS), strict=False)):
        values = np.asarray(values, dtype=float)
        error = 2 * values.std(0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else None
        x = np.arange(len(groups)) + 0.06 * (index - (len(cosines) - 1) / 2)
        line = {"linestyle": "--", "fillstyle": "none"} if pair in dashed else {"linestyle": "-", "fillstyle": "full"}
        axes.errorbar(x, values.mean(0), error, color=color, marker=MARKERS[index % 3], capsize=3, label=pair, **line)
    axes.axhline(0, **_ZERO)
    axes.set_xticks(range(len(groups)), groups)
    return finish(axes, xlabel="part of the encoder", ylabel="cosine", title="Agreement by layer")


def differences(table: pd.DataFrame, single: Mapping[str, Mapping[str, float]], title: str) -> Figure:
    """Draw differences to plain summing; table: columns method, metric, mean, half; single: name -> metric -> value."""
    metrics = list(dict.fromkeys([*table.get("metric", []), *(name for values in single.values() for name in values)]))
    methods = list(dict.fromkeys(table.get("method", [])))
    figure, axes = subplots(figsize=(7.6, 0.5 * max(len(metrics), 2) + 1.2))
    total = len(methods) + len(single)
    shifts = np.linspace(-0.28, 0.28, total) if total > 1 else np.zeros(total)
    for method, color, shift, marker in zip(methods, _TASKS, shifts, MARKERS, strict=False):
        rows = table[table.method == method]
        heights = [metrics.index(metric) + shift for metric in rows.metric]
        intervals(axes, rows, heights, fmt=marker, color=color, label=method)
    for (name, values), shift, marker in zip(single.items(), shifts[len(methods) :], "^v<>", strict=False):
        heights = [metrics.index(metric) + shift for metric in values]
        axes.plot(list(values.values()), heights, marker, color="0.35", fillstyle="none", markersize=8, label=name)
    axes.axvline(0, **_ZERO)
    axes.set(yticks=range(len(metrics)), yticklabels=metrics, xlabel="score minus that of plain summing", title=title)
    axes.locator_params(axis="x", nbins=6)
    axes.invert_yaxis()
    return finish(axes)
