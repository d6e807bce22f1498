"""Figures of notebook 03: optimisers that walk on surfaces, and what their steps look like."""

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from mtbert.workbook.plots.style import COLOURS

_NAMED = {"SGD": "sst", "momentum": "quora", "Adam": "sts", "AdamW": "cfimdb"}
_MARKERS = {"SGD": "o", "momentum": "s", "Adam": "^", "AdamW": "D"}
_OTHERS = ["sst", "quora", "sts", "cfimdb", "yelp"]
_DASHES = ["-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1))]


class Surface(NamedTuple):
    """A loss of two parameters that can be drawn.

    value: (..., 2) -> (...). window: the part to draw, (left, right, bottom, top). goals: where the loss is lowest.
    """

    value: Callable[[Tensor], Tensor]
    window: tuple[float, float, float, float]
    goals: Sequence[tuple[float, float]] = ((0.0, 0.0),)


def walks(surface: Surface | Sequence[Surface], panels: Mapping[str, Mapping[str, Tensor]]) -> Figure:
    """Level lines of a surface with the walks of optimisers on it, a panel per title.

    surface: one for all panels, or one for each. panels: title -> name -> (steps + 1, 2), the points visited. A walk
    may leave the window or stop being a number; what lies inside is drawn. ValueError for points of another shape.
    """
    surfaces = [surface] * len(panels) if isinstance(surface, Surface) else list(surface)
    names = list(dict.fromkeys(name for paths in panels.values() for name in paths))
    width = 3.1 if len(panels) > 1 else 3.8
    tallest = max((of.window[3] - of.window[2]) / (of.window[1] - of.window[0]) for of in surfaces)
    size = (width * len(panels) + (1.4 if len(names) > 1 else 0), (width - 0.8) * tallest + 0.9)
    figure, row = plt.subplots(1, len(panels), figsize=size, squeeze=False)
    for axes, of, (title, paths) in zip(row[0], surfaces, panels.items(), strict=True):
        _levels(axes, of)
        for number, (name, path) in enumerate(paths.items()):
            _walk(axes, name, number, path)
        axes.set(title=title, xlabel=r"$\theta_1$", ylabel=r"$\theta_2$")
    if len(names) > 1:
        drawn = {line.get_label(): line for axes in row[0] for line in axes.lines}
        row[0][-1].legend([drawn[name] for name in names], names, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _levels(axes: Axes, surface: Surface) -> None:
    """Level lines, closer together near the lowest point, and a star at each goal."""
    left, right, bottom, top = surface.window
    x, y = torch.meshgrid(
        torch.linspace(left, right, 140, dtype=torch.float64),
        torch.linspace(bottom, top, 140, dtype=torch.float64),
        indexing="xy",
    )
    height = surface.value(torch.stack([x, y], dim=-1)).numpy()
    low, high = height.min(), height.max()
    axes.contour(
        x,
        y,
        height,
        levels=low + (high - low) * np.linspace(0.12, 0.98, 5) ** 2.5,
        colors="0.75",
        linewidths=0.8,
        linestyles="-",
    )
    for place in surface.goals:
        axes.plot(*place, "*", color="black", markersize=11, zorder=5, label="_goal")
    axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")


def _walk(axes: Axes, name: str, number: int, path: Tensor) -> None:
    if path.ndim != 2 or path.shape[1] != 2:
        raise ValueError(f"{name}: a walk is (points, 2), not {tuple(path.shape)}")
    points = path[path.isfinite().all(1)].clamp(-1e4, 1e4)
    axes.plot(
        points[:, 0],
        points[:, 1],
        color=_colour(name, number),
        marker=_MARKERS.get(name, "o"),
        markersize=3,
        linewidth=1.2,
        label=name,
    )


def _colour(name: str, number: int):
    return COLOURS[_NAMED.get(name, _OTHERS[number % len(_OTHERS)])]


def lines(
    series: Mapping[str, Sequence[float] | Tensor],
    title: str,
    axis_names: tuple[str, str],
    x: Sequence[float] | Tensor | None = None,
    scales: tuple[str, str] = ("linear", "linear"),
) -> Figure:
    """One line per name over the same places.

    x: (points,), where the values stand (default: 1, 2, 3 ...). axis_names, scales: of x and y; "linear" or "log".
    ValueError if a series has another number of points than ``x``.
    """
    figure, axes = plt.subplots(figsize=(6.6, 2.6))
    for number, ((name, values), dashes) in enumerate(zip(series.items(), cycle(_DASHES), strict=False)):
        values = np.asarray(values, dtype=float)
        places = np.arange(1, len(values) + 1) if x is None else np.asarray(x, dtype=float)
        if values.shape != places.shape:
            raise ValueError(f"{name}: {values.shape} values for {places.shape} places")
        axes.plot(places, values, label=name, color=_colour(name, number), linestyle=dashes, linewidth=2)
    axes.set(title=title, xlabel=axis_names[0], ylabel=axis_names[1], xscale=scales[0], yscale=scales[1])
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def sweep(losses: Mapping[str, Mapping[float, Sequence[float]]], last: int, constant: float) -> Figure:
    """Left: the mean loss of the last steps, by learning rate. Right: the same mean on the way, at the best rate.

    losses: optimiser -> learning rate -> the loss of each step. A run that diverged may be shorter than the others or
    hold numbers that are not finite; it is a cross at the upper edge. last: steps averaged. constant: the loss of the
    best constant answer.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 2.9))
    length = max(len(run) for runs in losses.values() for run in runs.values())
    top = 1.35 * constant
    for name, runs in losses.items():
        style = {"color": _colour(name, 0), "marker": _MARKERS.get(name, "o")}
        ends = {rate: _end(run, last, length) for rate, run in runs.items()}
        fine = {rate: end for rate, end in ends.items() if end <= top}
        left.plot(list(fine), list(fine.values()), label=name, **style)
        left.plot(
            [rate for rate in ends if rate not in fine],
            [0.98 * top] * (len(ends) - len(fine)),
            "x",
            color=style["color"],
            markersize=8,
            markeredgewidth=2,
            label=f"_{name} diverged",
        )
        best = min(ends, key=ends.get)
        if not np.isfinite(ends[best]):
            continue
        means = np.convolve(runs[best], np.full(last, 1 / last), mode="valid")  # a batch alone says little
        right.plot(range(last, len(runs[best]) + 1), means, label=f"{name}, {best:g}", markevery=4, **style)
    for axes in (left, right):
        axes.axhline(constant, color="0.4", linestyle=":", label="constant answer")
        axes.set_ylim(0, top)
    left.set(
        xscale="log",
        xlabel="learning rate (log scale)",
        ylabel=f"loss, mean of {last} steps",
        title="At the end, by rate",
    )
    right.set(xlabel="step", title="On the way, each at its best rate")
    right.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _end(run: Sequence[float], last: int, length: int) -> float:
    """The mean of the last losses; infinite for a run that diverged."""
    if len(run) < length or not np.isfinite(run).all():
        return float("inf")
    return float(np.mean(run[-last:]))
