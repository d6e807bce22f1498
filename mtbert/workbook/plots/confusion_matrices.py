"""Figures of notebook 10: counts and shares, thresholds, calibration, two models side by side."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from mtbert.experiments.metrics import row_shares
from mtbert.workbook.plots.style import COLORS, FONT_SIZE, finish, panels, subplots, write_cells


def matrices(by_title: Mapping[str, ArrayLike], names: Sequence[str]) -> Figure:
    """Draw confusion matrices, a row per true class, colored by shares of the row; by_title: title -> counts."""
    figure, row = panels(len(by_title), (3.8 * len(by_title), 3.1))
    for axes, (title, matrix) in zip(row, by_title.items(), strict=True):
        draw_matrix(axes, matrix, names)
        axes.set_title(title)
    return figure


def draw_matrix(axes: Axes, matrix: ArrayLike, names: Sequence[str]) -> None:
    """Draw one confusion matrix on ``axes``; see ``matrices``."""
    shares = row_shares(matrix)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    write_cells(axes, np.vectorize("{:.0f}".format)(matrix), shares > 0.5, "0.15", FONT_SIZE)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted", ylabel="true")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def distances(shares: Mapping[str, ArrayLike], title: str) -> Figure:
    """Draw the share of rows by how many classes the prediction is off; shares: source -> (classes,)."""
    figure, axes = subplots(figsize=(8, 3))
    colors = [COLORS["sst"], COLORS["quora"], COLORS["sts"], "0.7"]
    pd.DataFrame(shares).plot.bar(ax=axes, rot=0, width=0.8, color=colors)
    axes.set(title=title, xlabel="classes off: |true - predicted|", ylabel="share of dev rows")
    axes.legend(loc="upper right")
    return figure


def thresholds(curve: pd.DataFrame, threshold: float) -> Figure:
    """Draw the matrix at a threshold; curve: columns threshold, tn, fp, fn, tp, precision, recall."""
    figure, (left, middle, right) = panels(3, (11, 3.3))
    now = curve.iloc[(curve.threshold - threshold).abs().argmin()]
    draw_matrix(left, [[now.tn, now.fp], [now.fn, now.tp]], ["different", "duplicate"])
    left.set_title(f"threshold {now.threshold:.2f}")
    for name, style in (("precision", "-"), ("recall", "--")):
        middle.plot(curve.threshold, curve[name], style, color=COLORS["quora"], label=name)
    middle.axvline(now.threshold, color="0.4", linewidth=1)
    middle.set(title="Two shares", xlabel="threshold", ylabel="share", xlim=(0, 1), ylim=(0, 1.02))
    middle.legend(loc="lower left")
    right.plot(curve.recall, curve.precision, color=COLORS["quora"])
    right.plot(now.recall, now.precision, "o", color="0.2")
    positives = (now.fn + now.tp) / (now.tn + now.fp + now.fn + now.tp)
    right.axhline(positives, color="0.5", linestyle=":", label="random")
    right.set(title="Precision and recall", xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))
    right.legend(loc="lower left")
    figure.tight_layout()
    return figure


def reliability(tables: Mapping[str, pd.DataFrame], title: str) -> Figure:
    """Draw how often predictions are right by confidence, a dot per bin; tables: see ``metrics.calibration``."""
    figure, axes = subplots(figsize=(6.4, 3.8))
    axes.plot([0, 1], [0, 1], color="0.5", linestyle=":", label="calibrated")
    for (name, table), task in zip(tables.items(), ("sst", "quora", "sts"), strict=False):
        axes.plot(table.confidence, table.true, color=COLORS[task], label=name)
        axes.scatter(table.confidence, table.true, s=400 * table.rows / table.rows.sum(), color=COLORS[task])
    return finish(axes, title=title, xlabel="confidence", ylabel="share that is true", xlim=(0, 1.02), ylim=(0, 1.02))


def intervals(table: pd.DataFrame, title: str, unit: str) -> Figure:
    """Draw differences with their intervals, one line each; table: columns name, difference, low, high."""
    figure, axes = subplots(figsize=(8, 0.45 * len(table) + 1.3))
    ends = [table.difference - table.low, table.high - table.difference]
    axes.errorbar(table.difference, range(len(table)), xerr=ends, fmt="o", capsize=4, color=COLORS["sst"])
    axes.axvline(0, color="0.5", linewidth=1)
    axes.set_yticks(range(len(table)), table.name)
    axes.set(title=title, xlabel=unit, ylabel="comparison", ylim=(len(table) - 0.5, -0.5))
    return figure
