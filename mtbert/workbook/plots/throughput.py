"""Figures of notebook 12: the roofline, the cells of a batch, and what each optimization gains."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtbert.nn import flops
from mtbert.nn.bert import BertConfig
from mtbert.nn.flops import DeviceSpec
from mtbert.workbook.padding import Batches, fill, padded
from mtbert.workbook.plots.style import (
    FONT_SIZE,
    MARKED_LINES,
    MARKERS,
    PALETTE,
    finish,
    labelled_bars,
    line_per_name,
    panels,
    subplots,
)

NAMES = {"sst": "SST", "quora": "Quora", "sts": "STS"}
_DOTTED = {"color": "0.35", "linewidth": 1.2, "linestyle": ":"}


def padding(batches: Batches, config: BertConfig, title: str) -> Figure:
    """Draw the cells of some batches, and the FLOPs of a training step on all of them, with padding and packed."""
    figure, (left, right) = panels(2, (11, 4), title, width_ratios=(2, 1))
    _cells(left, batches)
    left.set(title=f"fill {fill(batches):.2f}", ylabel="token")
    left.legend(loc="upper left", bbox_to_anchor=(0, -0.25), ncols=2)
    bottom = np.zeros(2)
    cases = [[length for batch in form for length in batch] for form in (padded(batches), batches)]
    matrices = [6 * flops.matrix_parameters(config) * sum(lengths) / 1e9 for lengths in cases]
    totals = [flops.training_flops(config, lengths) / 1e9 for lengths in cases]
    attention = [total - part for total, part in zip(totals, matrices, strict=True)]
    for (name, heights), color in zip(
        {"matrices": matrices, "attention": attention}.items(), PALETTE[1:], strict=False
    ):
        right.bar(["padded", "packed"], heights, bottom=bottom, label=name, color=color, width=0.6)
        bottom += heights
    right.set(title=f"padded / packed: {totals[0] / totals[1]:.2f}", ylabel="GFLOPs", ylim=(0, 1.1 * totals[0]))
    right.legend(loc="upper left", bbox_to_anchor=(-0.2, -0.25), ncols=2)
    return figure


def _cells(axes: Axes, batches: Batches) -> None:
    """A column of cells per sequence, tokens dark, padding light; a line between batches."""
    lengths = np.array([length for batch in batches for length in batch])
    x = np.arange(len(lengths))
    axes.bar(
        x, [cells for batch in padded(batches) for cells in batch], 1.0, color="0.85", linewidth=0, label="padding"
    )
    axes.bar(x, lengths, 1.0, color=PALETTE[0], linewidth=0, label="tokens")
    for edge in np.cumsum([len(batch) for batch in batches])[:-1]:
        axes.axvline(edge - 0.5, color="black", linewidth=1)
    axes.set(xlabel="sequence", xlim=(-0.5, len(lengths) - 0.5), ylim=(0, 1.05 * lengths.max()))


def roofline(device: DeviceSpec, points: Mapping[str, tuple[float, float]]) -> Figure:
    """Draw the attainable rate by arithmetic intensity, and work; points: name -> (FLOPs per byte, per second)."""
    figure, axes = subplots(figsize=(10, 4.6))
    ridge = device.peak_flops / device.bandwidth
    low = min([ridge, *(intensity for intensity, _ in points.values())]) / 3
    high = max([ridge, *(intensity for intensity, _ in points.values())]) * 3
    axes.plot([low, ridge, high], [device.rate(x) / 1e9 for x in (low, ridge, high)], color="black", linewidth=2)
    axes.axvline(ridge, **_DOTTED)
    for index, (name, (intensity, rate)) in enumerate(points.items()):
        color, marker = PALETTE[index % len(PALETTE)], MARKERS[index % len(MARKERS)]
        axes.plot(intensity, rate / 1e9, marker, markersize=11, label=name, color=color)
    axes.set(xscale="log", yscale="log", title="The roofline of this machine")
    return finish(axes, xlabel="FLOPs per byte", ylabel="GFLOP/s")


def shares(seconds: Mapping[str, Mapping[str, float]], title: str) -> Figure:
    """Draw how the time of each bar divides among the parts of a step; seconds: bar -> part -> seconds."""
    table = pd.DataFrame(seconds).T
    table = 100 * table.div(table.sum(axis=1), axis=0)
    figure, axes = subplots(figsize=(11, 0.8 * len(table) + 1.8))
    left = np.zeros(len(table))
    for index, part in enumerate(table):
        axes.barh(table.index, table[part], left=left, color=PALETTE[index % len(PALETTE)], label=part)
        left += table[part].to_numpy()
    axes.invert_yaxis()
    return finish(axes, xlim=(0, 100), xlabel="% of the time", title=title)


def fills(table: pd.DataFrame, title: str) -> Figure:
    """Draw the share of cells that hold a token; table: data sets (rows) by ways to form batches (columns)."""
    figure, axes = subplots(figsize=(10, 3.8))
    width = 0.84 / table.shape[1]
    for index, name in enumerate(table):
        x = np.arange(len(table)) + (index - (table.shape[1] - 1) / 2) * width
        bars = axes.bar(x, table[name], width=width, color=PALETTE[index % len(PALETTE)], label=name)
        axes.bar_label(bars, fmt="%.2f", fontsize=FONT_SIZE, padding=1)
    axes.set_xticks(range(len(table)), [NAMES.get(name, name) for name in table.index])
    return finish(axes, ylim=(0, 1.15), ylabel="fill", title=title, xlabel="data set")


def chunks(sizes: Sequence[float], nanoseconds: Mapping[str, Sequence[float]]) -> Figure:
    """Draw the time of an optimizer step by bytes per chunk; nanoseconds: name -> ns per weight, (sizes,)."""
    figure, axes = subplots(figsize=(10, 3.8))
    line_per_name(axes, np.asarray(sizes) / 2**20, nanoseconds, MARKED_LINES)
    axes.set(xscale="log", xlabel=r"MB of $\theta$, g, m and v in a chunk", title="AdamW, chunk by chunk")
    return finish(axes, ylabel="ns per weight", ylim=(0, None))


def ladder(table: pd.DataFrame, title: str) -> Figure:
    """Draw the speedup over the first rung and over the one before, with quartiles; see ``bench.ladder.speedups``."""
    figure, (left, right) = panels(2, (11, 0.46 * len(table) + 1.8), title, sharey=True)
    labelled_bars(left, table.index, table.speedup, PALETTE[0], "%.2f")
    left.set(title="Together", xlabel="speedup over the first rung", xlim=(0, 1.25 * table.speedup.max()))
    right.axvline(1, **_DOTTED)
    right.hlines(table.index, table.low, table.high, color=PALETTE[1], linewidth=3)
    right.plot(table.gain, table.index, "o", color=PALETTE[1], markersize=9)
    right.set(title="Each one", xlabel="speedup over the rung before")
    left.invert_yaxis()
    return figure


def ratios(values: Mapping[str, Sequence[float]], title: str) -> Figure:
    """Draw the ratio of two times in every round as dots, their median as a line; comparison -> one ratio a round."""
    figure, axes = subplots(figsize=(10, 0.6 * len(values) + 1.6))
    for row, (name, rounds) in enumerate(values.items()):
        color = PALETTE[row % len(PALETTE)]
        axes.plot(rounds, np.full(len(rounds), row), "o", color=color, alpha=0.6, markersize=9, label=name)
        axes.plot([np.median(rounds)] * 2, [row - 0.3, row + 0.3], color=color, linewidth=3)
    axes.axvline(1, **_DOTTED)
    axes.set_yticks(range(len(values)), list(values))
    axes.set(xlabel="time of the first / time of the second", title=title, ylim=(len(values) - 0.5, -0.5))
    return figure
