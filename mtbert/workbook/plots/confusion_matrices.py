"""Figures of 10_confusion_matrices: counts and shares, thresholds, calibration, two models beside each other."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from mtbert.experiments.metrics import row_shares
from mtbert.workbook.plots.style import COLOURS


def matrices(of: Mapping[str, ArrayLike], names: Sequence[str], counts: bool = True) -> Figure:
    """Confusion matrices side by side, coloured by the shares of their rows: each row is one true class.

    counts: what is written into the cells, counts or else the shares.
    """
    figure, all_axes = plt.subplots(1, len(of), figsize=(3.8 * len(of), 3.1), squeeze=False)
    for axes, (title, matrix) in zip(all_axes[0], of.items(), strict=True):
        draw_matrix(axes, matrix, names, counts)
        axes.set_title(title)
    return figure


def draw_matrix(axes: Axes, matrix: ArrayLike, names: Sequence[str], counts: bool = True) -> None:
    """One matrix on ``axes``; see ``matrices``."""
    matrix, shares = np.asarray(matrix), row_shares(matrix)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        text = f"{matrix[row, column]:.0f}" if counts else f"{share:.2f}"
        axes.text(column, row, text, ha="center", va="center", color="white" if share > 0.5 else "0.15", fontsize=10)
    axes.set(
        xticks=range(len(names)),
        yticks=range(len(names)),
        xticklabels=names,
        yticklabels=names,
        xlabel="predicted",
        ylabel="true",
    )
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def distances(shares: Mapping[str, ArrayLike], title: str) -> Figure:
    """Share of rows by how many classes the prediction is off: a group of bars per distance, a bar per source."""
    figure, axes = plt.subplots(figsize=(8, 3))
    table = pd.DataFrame(shares)
    table.plot.bar(ax=axes, rot=0, width=0.8, color=[COLOURS["sst"], COLOURS["quora"], COLOURS["sts"], "0.7"])
    axes.set(title=title, xlabel="classes off: |true - predicted|", ylabel="share of dev rows")
    axes.legend(loc="upper right")
    return figure


def thresholds(curve: pd.DataFrame, threshold: float) -> Figure:
    """What a threshold decides: the matrix at that threshold, both shares against it, and precision against recall.

    curve: columns threshold, tn, fp, fn, tp, precision, recall, one row per threshold.
    """
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.3))
    now = curve.iloc[(curve.threshold - threshold).abs().argmin()]
    draw_matrix(left, [[now.tn, now.fp], [now.fn, now.tp]], ["different", "duplicate"])
    left.set_title(f"threshold {now.threshold:.2f}")
    for name, style in (("precision", "-"), ("recall", "--")):
        middle.plot(curve.threshold, curve[name], style, color=COLOURS["quora"], label=name)
    middle.axvline(now.threshold, color="0.4", linewidth=1)
    middle.set(title="Two shares", xlabel="threshold", ylabel="share", xlim=(0, 1), ylim=(0, 1.02))
    middle.legend(loc="lower left")
    right.plot(curve.recall, curve.precision, color=COLOURS["quora"])
    right.plot(now.recall, now.precision, "o", color="0.2")
    right.axhline((now.fn + now.tp) / (now.tn + now.fp + now.fn + now.tp), color="0.5", linestyle=":", label="chance")
    right.set(title="Precision and recall", xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))
    right.legend(loc="lower left")
    figure.tight_layout()
    return figure


def reliability(tables: Mapping[str, pd.DataFrame], title: str) -> Figure:
    """How often claims come true against how sure they were, a dot per bin, as large as the bin has rows.

    tables: by name, from ``mtbert.experiments.metrics.calibration``.
    """
    figure, axes = plt.subplots(figsize=(6.4, 3.8))
    axes.plot([0, 1], [0, 1], color="0.5", linestyle=":", label="as sure as right")
    for (name, table), colour in zip(tables.items(), ("sst", "quora", "sts"), strict=False):
        axes.plot(table.claimed, table.true, color=COLOURS[colour], label=name)
        axes.scatter(table.claimed, table.true, s=400 * table.rows / table.rows.sum(), color=COLOURS[colour])
    axes.set(title=title, xlabel="probability claimed", ylabel="share that is true", xlim=(0, 1.02), ylim=(0, 1.02))
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def intervals(table: pd.DataFrame, title: str, unit: str) -> Figure:
    """Differences with their intervals, one line each. table: columns name, difference, low, high."""
    figure, axes = plt.subplots(figsize=(8, 0.45 * len(table) + 1.3))
    ends = [table.difference - table.low, table.high - table.difference]
    axes.errorbar(table.difference, range(len(table)), xerr=ends, fmt="o", capsize=4, color=COLOURS["sst"])
    axes.axvline(0, color="0.5", linewidth=1)
    axes.set(
        title=title,
        xlabel=unit,
        ylabel="two models",
        yticks=range(len(table)),
        yticklabels=table.name,
        ylim=(len(table) - 0.5, -0.5),
    )
    return figure
