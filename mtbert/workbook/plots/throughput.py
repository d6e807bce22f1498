"""Figures of notebook 12: the roofline, the cells of a batch, and what each optimization gains."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mtbert.nn.flops import DeviceSpec
from mtbert.workbook.plots.style import (
    MARKED_LINES,
    MARKERS,
    PALETTE,
    finish,
    labelled_bars,
    line_per_name,
    panels,
    subplots,
)

_DOTTED = {"color": "0.35", "linewidth": 0.8, "linestyle": ":"}


def roofline(device: DeviceSpec, points: Mapping[str, tuple[float, float]]) -> Figure:
    """Draw the attainable rate by arithmetic intensity, and work; points: name -> (FLOPs per byte, per second)."""
    figure, axes = subplots(figsize=(7.4, 3.2))
    ridge = device.peak_flops / device.bandwidth
    low = min([ridge, *(intensity for intensity, _ in points.values())]) / 3
    high = max([ridge, *(intensity for intensity, _ in points.values())]) * 3
    axes.plot([low, ridge, high], [device.rate(x) / 1e9 for x in (low, ridge, high)], color="black", linewidth=2)
    axes.axvline(ridge, **_DOTTED)
    for index, (name, (intensity, rate)) in enumerate(points.items()):
        marker = MARKERS[index % 8]
        axes.plot(intensity, rate / 1e9, marker, markersize=9, label=name, color=PALETTE[index % len(PALETTE)])
    axes.set(xscale="log", yscale="log", title="The roofline of this machine")
    return finish(axes, xlabel="FLOPs per byte", ylabel="GFLOP/s")


def shares(seconds: Mapping[str, Mapping[str, float]], title: str) -> Figure:
    """Draw how each machine's time divides among the parts of a step; seconds: machine -> part -> seconds."""
    table = pd.DataFrame(seconds).T
    table = 100 * table.div(table.sum(axis=1), axis=0)
    figure, axes = subplots(figsize=(7.4, 0.5 * len(table) + 1.1))
    left = np.zeros(len(table))
    for index, part in enumerate(table):
        axes.barh(table.index, table[part], left=left, color=PALETTE[index % len(PALETTE)], label=part)
        left += table[part].to_numpy()
    axes.invert_yaxis()
    return finish(axes, xlim=(0, 100), xlabel="% of the time", title=title)


def cells(batches: Mapping[str, Sequence[Sequence[int]]]) -> Figure:
    """Draw a column of cells per sequence, tokens dark, padding light; batches: name -> batches of lengths."""
    longest = max(max(batch) for group in batches.values() for batch in group)
    figure, row = panels(len(batches), (9, 2.4), sharey=True)
    for axes, (name, group) in zip(row, batches.items(), strict=True):
        lengths = np.array([length for batch in group for length in batch])
        tops = np.array([max(batch) for batch in group for _ in batch])
        x = np.arange(len(lengths))
        axes.bar(x, tops, width=1.0, color="0.85", linewidth=0, label="padding")
        axes.bar(x, lengths, width=1.0, color=PALETTE[0], linewidth=0, label="tokens")
        for edge in np.cumsum([len(batch) for batch in group])[:-1] if len(group) < len(lengths) else []:
            axes.axvline(edge - 0.5, color="black", linewidth=0.8)
        axes.set(title=f"{name}: fill {lengths.sum() / tops.sum():.2f}", xlabel="sequence", ylim=(0, 1.05 * longest))
    row[0].set_ylabel("token")
    return finish(row[-1])


def fills(table: pd.DataFrame) -> Figure:
    """Draw the share of cells that hold a token; table: data sets (rows) by ways to form batches (columns)."""
    figure, axes = subplots(figsize=(7.4, 2.4))
    width = 0.8 / table.shape[1]
    for index, name in enumerate(table):
        x = np.arange(len(table)) + (index - (table.shape[1] - 1) / 2) * width
        bars = axes.bar(x, table[name], width=width, color=PALETTE[index % len(PALETTE)], label=name)
        axes.bar_label(bars, fmt="%.2f", fontsize=8, padding=1)
    axes.set_xticks(range(len(table)), table.index)
    return finish(axes, ylim=(0, 1.15), ylabel="fill", title="Share of a batch that is tokens", xlabel="data set")


def counts(values: Mapping[str, int], title: str, xlabel: str) -> Figure:
    """Draw a bar for each name, with its count."""
    figure, axes = subplots(figsize=(7.4, 0.32 * len(values) + 1.1))
    labelled_bars(axes, values, values.values(), PALETTE[0], "%d")
    axes.set(title=title, xlabel=xlabel, xlim=(0, 1.15 * max(values.values())))
    axes.invert_yaxis()
    return figure


def chunks(sizes: Sequence[float], nanoseconds: Mapping[str, Sequence[float]]) -> Figure:
    """Draw the time of an optimizer step by bytes per chunk; nanoseconds: name -> ns per weight, (sizes,)."""
    figure, axes = subplots(figsize=(6.4, 2.6))
    line_per_name(axes, np.asarray(sizes) / 2**20, nanoseconds, MARKED_LINES)
    axes.set(xscale="log", xlabel="MB of theta, g, m and v in a chunk", title="AdamW, chunk by chunk")
    return finish(axes, ylabel="ns per weight", ylim=(0, None))


def ladder(table: pd.DataFrame, title: str) -> Figure:
    """Draw the speedup over the first rung and over the one before, with quartiles; see ``bench.ladder.speedups``."""
    figure, (left, right) = panels(2, (9, 0.34 * len(table) + 1.2), sharey=True)
    labelled_bars(left, table.index, table.speedup, PALETTE[0], "%.2f")
    left.set(title=title, xlabel="speedup over the first rung", xlim=(0, 1.18 * table.speedup.max()))
    right.axvline(1, **_DOTTED)
    right.hlines(table.index, table.low, table.high, color=PALETTE[1], linewidth=2.5)
    right.plot(table.gain, table.index, "o", color=PALETTE[1], markersize=7)
    right.set(title="Gain of each rung", xlabel="speedup over the rung before")
    left.invert_yaxis()
    return figure


def ratios(values: Mapping[str, Sequence[float]], title: str) -> Figure:
    """Draw the ratio of two times in every round as dots, their median as a line; comparison -> one ratio a round."""
    figure, axes = subplots(figsize=(7.4, 0.36 * len(values) + 1.2))
    for row, (name, rounds) in enumerate(values.items()):
        color = PALETTE[row % len(PALETTE)]
        axes.plot(rounds, np.full(len(rounds), row), "o", color=color, alpha=0.6, label=name)
        axes.plot([np.median(rounds)] * 2, [row - 0.3, row + 0.3], color=color, linewidth=2.5)
    axes.axvline(1, **_DOTTED)
    axes.set_yticks(range(len(values)), list(values))
    axes.set(xlabel="first time / second time", title=title, ylim=(len(values) - 0.5, -0.5))
    return figure
