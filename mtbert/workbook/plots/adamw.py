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
_HALF = 0.5**0.5


class Surface(NamedTuple):
    """A loss of two parameters, (..., 2) -> (...); window: left, right, bottom, top; goals: its lowest points."""

    value: Callable[[Tensor], Tensor]
    window: tuple[float, float, float, float]
    start: tuple[float, float] = (0.0, 0.0)
    goals: Sequence[tuple[float, float]] = ((0.0, 0.0),)


def valley(curvature: float = 100.0, rotated: bool = False) -> Surface:
    """A straight valley with curvature 1 along it and ``curvature`` across, along the axes or rotated by 45 degrees."""

    def value(x: Tensor) -> Tensor:
        return (x[..., 0] ** 2 + curvature * x[..., 1] ** 2) / 2

    def rotated_value(x: Tensor) -> Tensor:
        return value(torch.stack([x[..., 0] + x[..., 1], x[..., 1] - x[..., 0]], dim=-1) * _HALF)

    if rotated:
        return Surface(rotated_value, (-3.1, 0.7, -2.8, 0.7), (-3.5 * _HALF, -1.5 * _HALF))
    return Surface(value, (-3, 0.8, -1.3, 1.3), (-2.5, 1.0))


def _bend(x: Tensor) -> Tensor:
    return (1 - x[..., 0]) ** 2 / 4 + 2 * (x[..., 1] - x[..., 0] ** 2) ** 2


def _saddle(x: Tensor) -> Tensor:
    return (x[..., 0] ** 2 - x[..., 1] ** 2) / 2 + (x[..., 1] ** 4 + 1) / 4


SURFACES = {
    "valley": valley(),
    "rotated": valley(rotated=True),
    "bend": Surface(_bend, (-1.6, 1.6, -0.5, 1.9), (-1.2, 1.6), [(1, 1)]),
    "saddle": Surface(_saddle, (-2.2, 1.2, -1.3, 1.3), (-2.0, 1e-6), [(0, 1), (0, -1)]),
}
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "SGD": torch.optim.SGD,
    "momentum": lambda parameters, lr: torch.optim.SGD(parameters, lr, momentum=0.9),
    "Adam": torch.optim.Adam,
}


def descend(surface: Surface, optimizer: str, lr: float, steps: int = 100) -> Tensor:
    """The points that one of torch's optimizers visits on a surface, (steps + 1, 2)."""
    theta = torch.tensor(surface.start, dtype=torch.float64, requires_grad=True)
    run, points = OPTIMIZERS[optimizer]([theta], lr=lr), [theta.detach().clone()]
    for _ in range(steps):
        run.zero_grad()
        surface.value(theta).backward()
        run.step()
        points.append(theta.detach().clone())
    return torch.stack(points)


def race(surface: Surface, paths: Mapping[str, Tensor], title: str) -> Figure:
    """Draw paths on a surface, and the loss along them; paths: optimizer, or "label: optimizer, ..." -> (points, 2)."""
    figure, (left, right) = style.panels(2, (10, 4.2), title, width_ratios=(1.15, 1), layout="constrained")
    _contours(left, surface)
    optimizers = [name.split(": ")[-1].split(",")[0] for name in paths]
    if len(set(optimizers)) < len(optimizers):  # one optimizer against itself: two colors
        optimizers = list(paths)
    for index, (name, optimizer, path) in enumerate(zip(paths, optimizers, paths.values(), strict=True)):
        _path(left, optimizer, index, path)
        losses = surface.value(path).clamp(1e-8, 1e8).nan_to_num(1e8)
        right.plot(losses, color=_color(optimizer, index), linestyle=DASHES[index % 4], linewidth=2.2, label=name)
    left.set(title="The paths, from the circle to the star", xlabel=r"$\theta_1$", ylabel=r"$\theta_2$")
    right.set(title="The loss along them", xlabel="step", ylabel="loss (log scale)", yscale="log")
    right.legend()
    return figure


def walks(surface: Surface | Sequence[Surface], panels: Mapping[str, Mapping[str, Tensor]]) -> Figure:
    """Draw paths of optimizers on one surface, or one for each panel; panels: title -> optimizer -> (points, 2)."""
    surfaces = [surface] * len(panels) if isinstance(surface, Surface) else list(surface)
    names = list(dict.fromkeys(name for paths in panels.values() for name in paths))
    width = 10 / len(panels)
    windows = [one.window for one in surfaces]
    tallest = max((top - bottom) / (right - left) for left, right, bottom, top in windows)
    figure, row = style.panels(len(panels), (10, min(5.5, (width - 0.9) * tallest + 1.1)))
    for axes, one, (title, paths) in zip(row, surfaces, panels.items(), strict=True):
        _contours(axes, one)
        for index, (name, path) in enumerate(paths.items()):
            _path(axes, name, index, path, every=1 if len(paths) == 1 else 3)
        axes.set(title=title, xlabel=r"$\theta_1$", ylabel=r"$\theta_2$")
    if len(names) > 1:
        lines = {line.get_label(): line for axes in row for line in axes.lines}
        legend_outside(row[-1], [lines[name] for name in names], names)
    return figure


def _contours(axes: Axes, surface: Surface) -> None:
    """Contour lines, closer together near the lowest point; a circle at the start and a star at each goal."""
    left, right, bottom, top = surface.window
    ranges = [torch.linspace(*ends, 140, dtype=torch.float64) for ends in ((left, right), (bottom, top))]
    x, y = torch.meshgrid(*ranges, indexing="xy")
    height = surface.value(torch.stack([x, y], dim=-1)).numpy()
    low, high = height.min(), height.max()
    levels = low + (high - low) * np.linspace(0.12, 0.98, 6) ** 2.5
    axes.contour(x, y, height, levels=levels, colors="0.7", linewidths=1.2, linestyles="-", zorder=0)
    for goal in surface.goals:
        axes.plot(*goal, "*", color="black", markersize=16, zorder=5, label="_goal")
    axes.plot(*surface.start, "o", color="white", markeredgecolor="black", markersize=10, zorder=5, label="_start")
    axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal", anchor="N")


def _path(axes: Axes, name: str, index: int, path: Tensor, every: int = 1) -> None:
    """A path with marks and a large one at its end; the first is above the others and smaller, so all stay visible."""
    points = path[path.isfinite().all(1)].clamp(-1e4, 1e4)
    style_of = {"color": _color(name, index), "marker": _MARKERS.get(name, "o"), "zorder": 4 - 0.5 * index}
    line = {"linestyle": DASHES[index % 4], "linewidth": 1.8, "markersize": 4 + 2 * index}
    axes.plot(*points.T, label=name, markevery=every, **style_of, **line)
    axes.plot(*points[-1], markersize=11, markeredgecolor="black", label="_end", **style_of)


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
    figure, axes = subplots(figsize=(10, 3.8))
    dashes = cycle([*DASHES, (0, (6, 1, 1, 1, 1, 1))])
    for index, ((name, values), line) in enumerate(zip(series.items(), dashes, strict=False)):
        values = np.asarray(values, dtype=float)
        positions = np.arange(1, len(values) + 1) if x is None else np.asarray(x, dtype=float)
        axes.plot(positions, values, label=name, color=_color(name, index), linestyle=line, linewidth=2.5)
    return finish(axes, title=title, xlabel=axis_names[0], ylabel=axis_names[1], xscale=scales[0], yscale=scales[1])


def decay(scale: Tensor, remaining: Mapping[str, Tensor], predicted: Mapping[str, Tensor]) -> Figure:
    """Draw weights after many steps of pure decay over the scale of their gradients, next to what a formula predicts.

    Args:
        scale: (groups,), the size of the gradients.
        remaining: Method -> (groups, weights).
        predicted: Method -> (groups,).
    """
    figure, axes = subplots(figsize=(10, 4.2))
    for index, (name, weights) in enumerate(remaining.items()):
        color, mean = _color(name, index), weights.mean(1)
        errors = 2 * weights.std(1) / weights.shape[1] ** 0.5
        style_of = {"marker": _MARKERS.get(name, "o"), "markersize": 8, "linestyle": "none", "capsize": 4}
        axes.errorbar(scale, mean, errors, color=color, label=f"{name}, measured", **style_of)
        axes.plot(scale, predicted[name], color=color, linestyle=DASHES[index % 4], label=f"{name}, predicted")
    axes.axhline(1, color="0.4", linestyle=":", label="at the start")
    labels = {"xlabel": "scale of the gradient (log scale)", "ylabel": "mean weight"}
    return finish(axes, title="Weights after 1,000 steps of decay", xscale="log", **labels)


def gradients_by_depth(depths: Sequence[int], norms: Mapping[str, Sequence[Sequence[float]]]) -> Figure:
    """Draw the gradient of the top layer over the depth of the stack, a dot per seed and their mean as a line.

    Args:
        depths: Numbers of layers.
        norms: Kind of stack -> for each depth, the norm of each seed.
    """
    figure, axes = subplots(figsize=(10, 4))
    for index, (name, by_depth) in enumerate(norms.items()):
        color = _color(name, index)
        for depth, seeds in zip(depths, by_depth, strict=True):
            axes.plot([depth] * len(seeds), seeds, "o", color=color, alpha=0.45)
        axes.plot(depths, [np.mean(seeds) for seeds in by_depth], DASHES[index], color=color, linewidth=2.5, label=name)
    falling = np.mean(list(norms.values())[-1][0]) * np.sqrt(depths[0] / np.asarray(depths, dtype=float))
    axes.plot(depths, falling, ":", color="0.3", label=r"proportional to $1/\sqrt{L}$")
    axes.set(xscale="log", yscale="log", title="Gradient of the top layer before the first step")
    axes.set_xticks(depths, [str(depth) for depth in depths])
    axes.minorticks_off()
    ticks = [0.05, 0.1, 0.2, 0.4, 0.8]
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    return finish(axes, xlabel="layers L (log scale)", ylabel="gradient norm (log scale)")


def sweep(
    losses: Mapping[str, Mapping[float, Sequence[float]]],
    last: int,
    constant: float,
    repeats: Mapping[str, Sequence[Sequence[float]]] | None = None,
) -> Figure:
    """Draw final losses by learning rate, and over the steps the mean of all runs at each optimizer's best rate.

    Args:
        losses: Optimizer -> learning rate -> the loss of each step.
        last: Steps over which the final loss is a mean.
        constant: The loss of a constant answer.
        repeats: Optimizer -> the losses of more runs at its best rate; their range is drawn as a bar and as a band.
    """
    figure, (left, right) = style.panels(2, (10, 4.2), layout="constrained")
    length = max(len(run) for runs in losses.values() for run in runs.values())
    top = 1.35 * constant
    for name, runs in losses.items():
        line = {"color": _color(name, 0), "marker": _MARKERS.get(name, "o"), "markersize": 7, "linewidth": 2}
        ends = {rate: _final_loss(run, last, length) for rate, run in runs.items()}
        converged = {rate: end for rate, end in ends.items() if end <= top}
        left.plot(list(converged), list(converged.values()), label=name, **line)
        diverged = [rate for rate in ends if rate not in converged]
        cross = {"color": line["color"], "markersize": 10, "markeredgewidth": 2.5, "label": f"_{name} diverged"}
        left.plot(diverged, [0.95 * top] * len(diverged), "x", **cross)
        best = min(ends, key=ends.__getitem__)
        if np.isfinite(ends[best]):  # averaged: a single batch says little
            same_rate = [_padded(run, length) for run in (runs[best], *(repeats or {}).get(name, ()))]
            curves = np.array([running_mean(run, last) for run in same_rate])
            steps = range(last, length + 1)
            if len(curves) > 1:
                low, high = curves[:, -1].min(), min(curves[:, -1].max(), top)
                bar = {"color": line["color"], "capsize": 6, "linewidth": 2.5, "label": f"_{name} range"}
                left.errorbar([best], [(low + high) / 2], [(high - low) / 2], fmt="none", **bar)
                right.fill_between(steps, curves.min(0), curves.max(0), color=line["color"], alpha=0.2, linewidth=0)
            right.plot(steps, curves.mean(0), label=f"{name}, lr {best:g}", markevery=4, **line)
    for axes in (left, right):
        axes.axhline(constant, color="0.4", linestyle=":", label="class frequencies")
        axes.set_ylim(0, top)
    left.set(xscale="log", xlabel="learning rate (log scale)", ylabel=f"loss, mean of {last} steps")
    left.set_title("Final loss by learning rate")
    right.set(xlabel="step", title="Over the steps, each at its best rate")
    right.legend(loc="lower left")
    return figure


def _padded(run: Sequence[float], length: int) -> np.ndarray:
    """The losses of a run, infinite after it diverged."""
    return np.append(run, np.full(length - len(run), np.inf))


def _final_loss(run: Sequence[float], last: int, length: int) -> float:
    """The mean of the last losses; infinite for a run that diverged."""
    if len(run) < length or not np.isfinite(run).all():
        return float("inf")
    return float(np.mean(run[-last:]))
