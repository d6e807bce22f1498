"""Figures of notebook 03: optimizers on surfaces, and what their steps look like."""

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from mtbert.workbook.plots import style
from mtbert.workbook.plots.style import COLORS, DASHES, finish, legend_outside, running_mean, subplots

_NAMED = {"SGD": "sst", "momentum": "quora", "Adam": "sts", "AdamW": "cfimdb"}
_MARKERS = {"SGD": "o", "momentum": "s", "Adam": "^", "AdamW": "D"}
_OTHERS = ["sst", "quora", "sts", "cfimdb", "yelp"]


class Surface(NamedTuple):
    """A loss of two parameters, (..., 2) -> (...); window: left, right, bottom, top; goals: its lowest points."""

    value: Callable[[Tensor], Tensor]
    window: tuple[float, float, float, float]
    goals: Sequence[tuple[float, float]] = ((0.0, 0.0),)


def walks(surface: Surface | Sequence[Surface], panels: Mapping[str, Mapping[str, Tensor]]) -> Figure:
    """Draw paths of optimizers on one surface, or one for each panel; panels: title -> optimizer -> (points, 2)."""
    surfaces = [surface] * len(panels) if isinstance(surface, Surface) else list(surface)
    names = list(dict.fromkeys(name for paths in panels.values() for name in paths))
    width = 3.1 if len(panels) > 1 else 3.8
    windows = [one.window for one in surfaces]
    tallest = max((top - bottom) / (right - left) for left, right, bottom, top in windows)
    size = (width * len(panels) + (1.4 if len(names) > 1 else 0), (width - 0.8) * tallest + 0.9)
    figure, row = style.panels(len(panels), size)
    for axes, one, (title, paths) in zip(row, surfaces, panels.items(), strict=True):
        _contours(axes, one)
        for index, (name, path) in enumerate(paths.items()):
            _path(axes, name, index, path)
        axes.set(title=title, xlabel=r"$\theta_1$", ylabel=r"$\theta_2$")
    if len(names) > 1:
        lines = {line.get_label(): line for axes in row for line in axes.lines}
        legend_outside(row[-1], [lines[name] for name in names], names)
    return figure


def _contours(axes: Axes, surface: Surface) -> None:
    """Contour lines, closer together near the lowest point, and a star at each goal."""
    left, right, bottom, top = surface.window
    ranges = [torch.linspace(*ends, 140, dtype=torch.float64) for ends in ((left, right), (bottom, top))]
    x, y = torch.meshgrid(*ranges, indexing="xy")
    height = surface.value(torch.stack([x, y], dim=-1)).numpy()
    low, high = height.min(), height.max()
    levels = low + (high - low) * np.linspace(0.12, 0.98, 5) ** 2.5
    axes.contour(x, y, height, levels=levels, colors="0.75", linewidths=0.8, linestyles="-")
    for goal in surface.goals:
        axes.plot(*goal, "*", color="black", markersize=11, zorder=5, label="_goal")
    axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")


def _path(axes: Axes, name: str, index: int, path: Tensor) -> None:
    points = path[path.isfinite().all(1)].clamp(-1e4, 1e4)
    marker = {"marker": _MARKERS.get(name, "o"), "markersize": 3}
    axes.plot(points[:, 0], points[:, 1], color=_color(name, index), linewidth=1.2, label=name, **marker)


def _color(name: str, index: int):
    return COLORS[_NAMED.get(name, _OTHERS[index % len(_OTHERS)])]


def lines(
    series: Mapping[str, Sequence[float] | Tensor],
    title: str,
    axis_names: tuple[str, str],
    x: Sequence[float] | Tensor | None = None,
    scales: tuple[str, str] = ("linear", "linear"),
) -> Figure:
    """Draw one line per name over x, or over 1, 2, 3 ...; series: name -> (points,); scales: "linear" or "log"."""
    figure, axes = subplots(figsize=(6.6, 2.6))
    dashes = cycle([*DASHES, (0, (6, 1, 1, 1, 1, 1))])
    for index, ((name, values), line) in enumerate(zip(series.items(), dashes, strict=False)):
        values = np.asarray(values, dtype=float)
        positions = np.arange(1, len(values) + 1) if x is None else np.asarray(x, dtype=float)
        axes.plot(positions, values, label=name, color=_color(name, index), linestyle=line, linewidth=2)
    return finish(axes, title=title, xlabel=axis_names[0], ylabel=axis_names[1], xscale=scales[0], yscale=scales[1])


def sweep(losses: Mapping[str, Mapping[float, Sequence[float]]], last: int, constant: float) -> Figure:
    """Draw final losses by learning rate and the best curves; losses: optimizer -> rate -> the loss of each step."""
    figure, (left, right) = style.panels(2, (8.6, 2.9))
    length = max(len(run) for runs in losses.values() for run in runs.values())
    top = 1.35 * constant
    for name, runs in losses.items():
        line = {"color": _color(name, 0), "marker": _MARKERS.get(name, "o")}
        ends = {rate: _final_loss(run, last, length) for rate, run in runs.items()}
        converged = {rate: end for rate, end in ends.items() if end <= top}
        left.plot(list(converged), list(converged.values()), label=name, **line)
        diverged = [rate for rate in ends if rate not in converged]
        cross = {"color": line["color"], "markersize": 8, "markeredgewidth": 2, "label": f"_{name} diverged"}
        left.plot(diverged, [0.98 * top] * len(diverged), "x", **cross)
        best = min(ends, key=ends.__getitem__)
        if np.isfinite(ends[best]):  # averaged: a single batch says little
            means = running_mean(runs[best], last)
            right.plot(range(last, len(runs[best]) + 1), means, label=f"{name}, {best:g}", markevery=4, **line)
    for axes in (left, right):
        axes.axhline(constant, color="0.4", linestyle=":", label="constant answer")
        axes.set_ylim(0, top)
    left.set(xscale="log", xlabel="learning rate (log scale)", ylabel=f"loss, mean of {last} steps")
    left.set_title("Final loss by rate")
    right.set(xlabel="step", title="Over the steps, each at its best rate")
    return finish(right)


def _final_loss(run: Sequence[float], last: int, length: int) -> float:
    """The mean of the last losses; infinite for a run that diverged."""
    if len(run) < length or not np.isfinite(run).all():
        return float("inf")
    return float(np.mean(run[-last:]))
