"""Figures of notebook 06: conflicting gradients in the plane, along an optimization path, and in a model."""

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
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
    losses: Sequence[Callable[[Tensor], Tensor]], panels: Mapping[str, Sequence[Tensor]], compromises: Tensor
) -> Figure:
    """Draw paths on two losses; panels: method -> paths, (points, 2), as is compromises."""
    figure, row = style.panels(len(panels), (10, 4), sharex=True, sharey=True, layout="constrained")
    every = torch.cat([*itertools.chain(*panels.values()), compromises])
    bounds = torch.stack([every.amin(0) - 0.5, every.amax(0) + 0.5], dim=1).tolist()
    x, y = torch.meshgrid(*(torch.linspace(low, high, 120, dtype=every.dtype) for low, high in bounds), indexing="xy")
    grid = torch.stack([x, y], dim=-1)  # (rows, columns, 2)
    handles: dict[str, Any] = {}
    for axes, (title, paths) in zip(row, panels.items(), strict=True):
        for index, (color, loss) in enumerate(zip(_TASKS, losses, strict=False)):
            height = loss(grid).numpy()
            levels = height.max() * np.array([0.04, 0.2, 0.5])
            axes.contour(x, y, height, levels=levels, colors=[color], linewidths=1.3, linestyles=DASHES[index])
            line = {"color": color, "linestyle": DASHES[index]}
            handles[f"loss {index + 1}"] = axes.plot([], [], **line)[0]
        wide = {"color": "0.8", "linewidth": 9, "solid_capstyle": "round", "zorder": 1}
        handles["Pareto-stationary"] = axes.plot(*compromises.T, **wide)[0]
        for path in paths:
            handles["path"] = axes.plot(*path.T, color="black", linewidth=2, zorder=3)[0]
            start = {"color": "white", "markeredgecolor": "black", "markersize": 9, "linestyle": "none", "zorder": 4}
            handles["start"] = axes.plot(*path[0], "o", **start)[0]
            end = start | {"color": COLORS["cfimdb"], "markersize": 19, "zorder": 5}
            handles["end"] = axes.plot(*path[-1], "*", **end)[0]
        axes.set(title=title, xlabel=r"$\theta_1$", ylabel=r"$\theta_2$", aspect="equal")
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=len(handles))
    return figure


def gramian(gradients: ArrayLike, weights: ArrayLike, title: str) -> Figure:
    """Draw gradients in the plane with a step, their Gramian, and what the step does to each loss.

    Args:
        gradients: (tasks, 2), two or three of them.
        weights: (tasks,), of the gradients in the step.
        title: Above all panels.
    """
    gradients, step = np.asarray(gradients, dtype=float), np.asarray(weights, dtype=float) @ np.asarray(gradients)
    figure, (plane, table, harm) = style.panels(3, (11, 3.8), layout="constrained")
    figure.suptitle(f"Method: {title}", x=0.01, ha="left", fontsize="medium", fontweight="bold")
    reach = 1.25 * np.abs([*gradients, step]).max()
    plane.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", title="Gradients and step")
    plane.set(xlabel=r"$\theta_1$", ylabel=r"$\theta_2$")
    _shade_agreement(plane, gradients)
    _arrow(plane, step, COLORS["plain"], "step", width=4)
    names = [f"$g_{i + 1}$" for i in range(len(gradients))]
    for gradient, name, color in zip(gradients, names, _TASKS, strict=False):
        _arrow(plane, gradient, color, name, away=step)
    products = gradients @ gradients.T
    limit = np.abs(products).max()
    table.imshow(products, cmap="RdBu", vmin=-limit, vmax=limit)
    written = np.array([[f"{value:.2f}" for value in row] for row in products])
    style.write_cells(table, written, np.abs(products) > 0.6 * limit, "black", style.FONT_SIZE)
    table.set(xticks=range(len(names)), xticklabels=names, yticks=range(len(names)), yticklabels=names)
    table.set(title="Gramian", xlabel="red: a conflict")
    changes = -gradients @ step
    bars = harm.barh(range(len(names)), changes, color=[*_TASKS][: len(names)])
    for bar, change in zip(bars, changes, strict=True):
        bar.set_hatch("//" if change > 1e-9 else "")
    harm.bar_label(bars, fmt="%+.2f", padding=5)
    harm.axvline(0, **_ZERO)
    span = 2.2 * max(np.abs(changes).max(), 1e-9)
    losses = [f"loss {i + 1}" for i in range(len(names))]
    harm.set(xlim=(-span, span), yticks=range(len(names)), yticklabels=losses, title="Change of loss (hatched: harm)")
    harm.set_xlabel("per unit of learning rate")
    harm.invert_yaxis()
    return figure


def targets(cosines: Sequence[float], lines: Mapping[str, Sequence[float]], title: str) -> Figure:
    """Draw the cosines of a pair, (steps,), as dots and running targets as lines; lines: name -> (steps,)."""
    figure, axes = subplots(figsize=(10, 3.6))
    steps = np.arange(1, len(cosines) + 1)
    axes.plot(steps, cosines, ".", color="0.7", label="cosine")
    line_per_name(axes, steps, lines, DASHES, (*_TASKS, "black"), linewidth=2)
    axes.axhline(0, **_ZERO)
    return finish(axes, xlabel="step", ylabel="cosine, target", title=title)


def over_steps(cosines: Mapping[str, Sequence[float]]) -> Figure:
    """Draw the cosine of two gradients over the steps, conflicts as crosses, with a running mean; pair -> (steps,)."""
    figure, row = style.panels(len(cosines), (10, 3), sharex=True, sharey=True)
    for axes, (pair, values) in zip(row, cosines.items(), strict=True):
        values = np.asarray(values, dtype=float)
        steps = np.arange(1, len(values) + 1)
        agree, conflict = ("o", "sst", values >= 0, "agree"), ("x", "cfimdb", values < 0, "conflict")
        for marker, color, mask, name in (agree, conflict):
            points = {"color": COLORS[color], "markersize": 7, "markeredgewidth": 2, "label": name}
            axes.plot(steps[mask], values[mask], marker, **points)
        means = running_mean(values, 5)
        axes.plot(steps[len(steps) - len(means) :], means, color="0.2", linewidth=2, label="mean of 5")
        axes.axhline(0, **_ZERO)
        axes.set(title=pair_title(pair), xlabel="step")
    row[0].set_ylabel("cosine")
    style.legend_outside(row[-1])
    return figure


def pair_title(pair: str) -> str:
    """The proper names of two tasks: "sst-sts" becomes "SST–STS".

    "sst, sst again" becomes "two batches of SST", and "sst, sts shuffled" becomes "SST–shuffled STS".
    """
    if again := re.fullmatch(r"(\w+), \1 again", pair):
        return f"two batches of {pair_title(again[1])}"
    words = (
        style.TASK_NAMES.get(word, word)
        for word in re.split(r"([-, ]+)", re.sub(r"(\w+) shuffled", r"shuffled \1", pair))
    )
    return "".join(words).replace("-", "–").replace(", ", "–")


def conflicts(counts: Mapping[str, int], steps: int) -> Figure:
    """Draw in how many of all steps each pair conflicted, and the 95% interval of a fair coin."""
    low, high = stats.binom.interval(0.95, steps, 0.5)
    figure, axes = subplots(figsize=(10, 0.5 * len(counts) + 1.4))
    axes.axvspan(low - 0.5, high + 0.5, color="0.9", label="fair coin, 95%")
    axes.axvline(steps / 2, color="0.5", linestyle="--")
    bars = axes.barh([pair_title(pair) for pair in counts], list(counts.values()), height=0.5, color=COLORS["cfimdb"])
    axes.bar_label(bars, padding=4)
    axes.invert_yaxis()
    return finish(axes, xlim=(0, steps), xlabel=f"steps with a negative cosine, of {steps}", title="Conflicts per pair")


def strips(groups: Mapping[str, Mapping[str, Sequence[float]]], xlabel: str, title: str) -> Figure:
    """Draw a row of dots per name with a bar at their mean, in colored groups; groups: group -> name -> values."""
    rows = sum(map(len, groups.values()))
    figure, axes = subplots(figsize=(10, 0.42 * rows + 1.4))
    names: list[str] = []
    for (group, members), color in zip(groups.items(), (*_TASKS, COLORS["cfimdb"]), strict=False):
        for name, values in members.items():
            label = group if name == next(iter(members)) else None
            height = np.full(len(values), len(names))
            axes.plot(values, height, "o", color=color, fillstyle="none", markersize=8, label=label)
            axes.plot(np.mean(values), len(names), "|", color="black", markersize=18, markeredgewidth=2.5)
            names.append(pair_title(name))
    axes.locator_params(axis="x", nbins=6)
    axes.axvline(0, **_ZERO)
    return finish(axes, yticks=range(rows), yticklabels=names, ylim=(rows - 0.5, -0.5), xlabel=xlabel, title=title)


def differences(table: pd.DataFrame, single: Mapping[str, Mapping[str, float]], title: str) -> Figure:
    """Draw differences to plain summing; table: columns method, metric, mean, half; single: name -> metric -> value."""
    single = {name: dict(values) for name, values in single.items()}  # a row of a table is iterated by its values
    metrics = list(dict.fromkeys([*table.get("metric", []), *(name for values in single.values() for name in values)]))
    methods = list(dict.fromkeys(table.get("method", [])))
    figure, axes = subplots(figsize=(10, 0.75 * max(len(metrics), 2) + 1.5))
    total = len(methods) + len(single)
    shifts = np.linspace(-0.28, 0.28, total) if total > 1 else np.zeros(total)
    for method, color, shift, marker in zip(methods, _TASKS, shifts, MARKERS, strict=False):
        rows = table[table.method == method]
        heights = [metrics.index(metric) + shift for metric in rows.metric]
        intervals(axes, rows, heights, fmt=marker, color=color, label=method, markersize=8, linewidth=2)
    for (name, values), shift, marker in zip(single.items(), shifts[len(methods) :], "^v<>", strict=False):
        heights = [metrics.index(metric) + shift for metric in values]
        axes.plot(list(values.values()), heights, marker, color="0.35", fillstyle="none", markersize=10, label=name)
    axes.axvline(0, **_ZERO)
    labels = [pair_title(metric) for metric in metrics]
    axes.set(yticks=range(len(metrics)), yticklabels=labels, xlabel="score minus that of plain summing", title=title)
    axes.locator_params(axis="x", nbins=6)
    axes.set_ylim(len(metrics) - 0.5, -0.5)
    return finish(axes)
