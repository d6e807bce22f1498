"""Figures of notebook 12: the roofline, the cells of a batch, and what each optimisation gains."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtbert.nn.flops import DeviceSpec
from mtbert.workbook.plots.style import PALETTE

_MARKERS = "osD^vPX*"
_GREY = "0.35"


def roofline(ceiling: DeviceSpec, points: Mapping[str, tuple[float, float]]) -> Figure:
    """What is within reach at so many operations a byte, and where measured work stands. Both axes are logarithmic.

    points: name -> (operations a byte, operations a second).
    """
    figure, axes = plt.subplots(figsize=(7.4, 3.2))
    ridge = ceiling.operations / ceiling.bandwidth
    low = min([ridge, *(intensity for intensity, _ in points.values())]) / 3
    high = max([ridge, *(intensity for intensity, _ in points.values())]) * 3
    axes.plot([low, ridge, high], [ceiling.rate(x) / 1e9 for x in (low, ridge, high)], color="black", linewidth=2)
    axes.axvline(ridge, color=_GREY, linewidth=0.8, linestyle=":")
    for number, (name, (intensity, rate)) in enumerate(points.items()):
        axes.plot(
            intensity,
            rate / 1e9,
            _MARKERS[number % len(_MARKERS)],
            markersize=9,
            label=name,
            color=PALETTE[number % len(PALETTE)],
        )
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="operations a byte",
        ylabel="billion operations a second",
        title="The roofline of this machine",
    )
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def shares(seconds: Mapping[str, Mapping[str, float]], title: str) -> Figure:
    """A bar for each machine: how its time falls to the parts of a step, in percent.

    seconds: machine -> part -> seconds; the same parts for all of them.
    """
    table = pd.DataFrame(seconds).T
    table = 100 * table.div(table.sum(axis=1), axis=0)
    figure, axes = plt.subplots(figsize=(7.4, 0.5 * len(table) + 1.1))
    left = np.zeros(len(table))
    for number, part in enumerate(table):
        axes.barh(table.index, table[part], left=left, color=PALETTE[number % len(PALETTE)], label=part)
        left += table[part].to_numpy()
    axes.set(xlim=(0, 100), xlabel="% of the time", title=title)
    axes.invert_yaxis()
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def cells(batches: Mapping[str, Sequence[Sequence[int]]]) -> Figure:
    """A panel for each way to form batches: a column of cells for every sequence, tokens dark and padding light.

    batches: name -> batches, each the lengths of its sequences; a batch is padded to its longest. A way whose batches
    hold one sequence each has no padding.
    """
    longest = max(max(batch) for ways in batches.values() for batch in ways)
    figure, panels = plt.subplots(1, len(batches), figsize=(9, 2.4), sharey=True, squeeze=False)
    for axes, (name, ways) in zip(panels[0], batches.items(), strict=True):
        lengths = np.array([length for batch in ways for length in batch])
        tops = np.array([max(batch) for batch in ways for _ in batch])
        places = np.arange(len(lengths))
        axes.bar(places, tops, width=1.0, color="0.85", linewidth=0, label="padding")
        axes.bar(places, lengths, width=1.0, color=PALETTE[0], linewidth=0, label="tokens")
        for edge in np.cumsum([len(batch) for batch in ways])[:-1] if len(ways) < len(lengths) else []:
            axes.axvline(edge - 0.5, color="black", linewidth=0.8)
        axes.set(title=f"{name}: fill {lengths.sum() / tops.sum():.2f}", xlabel="sequence", ylim=(0, 1.05 * longest))
    panels[0][0].set_ylabel("token")
    panels[0][-1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def fills(table: pd.DataFrame) -> Figure:
    """Share of cells that hold a token: a group of bars for each data set (row), a bar for each way (column)."""
    figure, axes = plt.subplots(figsize=(7.4, 2.4))
    width = 0.8 / table.shape[1]
    for number, way in enumerate(table):
        places = np.arange(len(table)) + (number - (table.shape[1] - 1) / 2) * width
        bars = axes.bar(places, table[way], width=width, color=PALETTE[number % len(PALETTE)], label=way)
        axes.bar_label(bars, fmt="%.2f", fontsize=8, padding=1)
    axes.set(
        xticks=range(len(table)),
        xticklabels=table.index,
        ylim=(0, 1.15),
        ylabel="fill",
        title="How much of a batch is text",
        xlabel="data set",
    )
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def counts(values: Mapping[str, int], title: str, xlabel: str) -> Figure:
    """A bar for each name, with its count."""
    figure, axes = plt.subplots(figsize=(7.4, 0.32 * len(values) + 1.1))
    axes.bar_label(axes.barh(list(values), list(values.values()), color=PALETTE[0]), fmt="%d", padding=3, fontsize=9)
    axes.set(title=title, xlabel=xlabel, xlim=(0, 1.15 * max(values.values())))
    axes.invert_yaxis()
    return figure


def chunks(sizes: Sequence[float], nanoseconds: Mapping[str, Sequence[float]]) -> Figure:
    """Time of an optimiser step for each weight, against the bytes worked on at a time (both axes logarithmic)."""
    figure, axes = plt.subplots(figsize=(6.4, 2.6))
    for number, (name, values) in enumerate(nanoseconds.items()):
        axes.plot(np.asarray(sizes) / 2**20, values, _MARKERS[number] + "-", color=PALETTE[number], label=name)
    axes.set(
        xscale="log",
        xlabel="MB of theta, g, m and v in a piece",
        ylabel="ns a weight",
        ylim=(0, None),
        title="AdamW, piece by piece",
    )
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def ladder(table: pd.DataFrame, title: str) -> Figure:
    """Left: how many times faster than the first each rung is. Right: its gain over the one before, with quartiles.

    table: a row for each rung, columns speedup, gain, low and high (see ``mtbert.bench.ladder.speedups``).
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 0.34 * len(table) + 1.2), sharey=True)
    bars = left.barh(table.index, table.speedup, color=PALETTE[0])
    left.bar_label(bars, fmt="%.2f", padding=3, fontsize=9)
    left.set(title=title, xlabel="times as fast as the first", xlim=(0, 1.18 * table.speedup.max()))
    _gains(right, table)
    right.set(title="Each one's own gain", xlabel="times as fast as the one before")
    left.invert_yaxis()
    return figure


def _gains(axes: Axes, table: pd.DataFrame) -> None:
    axes.axvline(1, color=_GREY, linewidth=0.8, linestyle=":")
    axes.hlines(table.index, table.low, table.high, color=PALETTE[1], linewidth=2.5)
    axes.plot(table.gain, table.index, "o", color=PALETTE[1], markersize=7)


def ratios(values: Mapping[str, Sequence[float]], title: str) -> Figure:
    """A row of dots for each comparison: the ratio of every round, its median as a line; dotted, no difference."""
    figure, axes = plt.subplots(figsize=(7.4, 0.36 * len(values) + 1.2))
    for place, (name, each) in enumerate(values.items()):
        colour = PALETTE[place % len(PALETTE)]
        axes.plot(each, np.full(len(each), place), "o", color=colour, alpha=0.6, label=name)
        axes.plot([np.median(each)] * 2, [place - 0.3, place + 0.3], color=colour, linewidth=2.5)
    axes.axvline(1, color=_GREY, linewidth=0.8, linestyle=":")
    axes.set(
        yticks=range(len(values)),
        yticklabels=list(values),
        xlabel="first time / second time",
        title=title,
        ylim=(len(values) - 0.5, -0.5),
    )
    return figure
