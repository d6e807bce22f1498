"""Figures of notebook 10: counts and shares, thresholds, calibration, two models side by side."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from mtbert.experiments.metrics import column_shares, row_shares
from mtbert.workbook.plots.style import COLORS, FONT_SIZE, MARKERS, finish, panels, subplots, write_cells

DUPLICATE = ("different", "duplicate")
SENTIMENT = ("--", "-", "o", "+", "++")


def matrices(by_title: Mapping[str, ArrayLike], names: Sequence[str] | Mapping[str, Sequence[str]]) -> Figure:
    """Draw confusion matrices, a row per true class, colored by shares of the row.

    Args:
        by_title: Title -> counts.
        names: The classes, for all of them or by title.
    """
    figure, row = panels(len(by_title), (11, 3.9 if len(by_title) > 2 else 4.3))
    for axes, (title, matrix) in zip(row, by_title.items(), strict=True):
        draw_matrix(axes, matrix, names[title] if isinstance(names, Mapping) else names)
        axes.set_title(title)
    figure.tight_layout(w_pad=2)
    return figure


def two_ways(matrix: ArrayLike, names: Sequence[str]) -> Figure:
    """Draw the shares of one confusion matrix within its rows and within its columns."""
    figure, row = panels(2, (10, 4.2))
    draw_matrix(row[0], matrix, names, "rows", shares=True)
    draw_matrix(row[1], matrix, names, "columns", shares=True)
    row[0].set_title("Divided by row sums")
    row[1].set_title("Divided by column sums")
    figure.tight_layout(w_pad=3)
    return figure


def draw_matrix(
    axes: Axes, matrix: ArrayLike, names: Sequence[str], by: Literal["rows", "columns"] = "rows", shares: bool = False
) -> None:
    """Draw one confusion matrix on ``axes``, colored by the shares of its rows or columns.

    Args:
        axes: Where to draw.
        matrix: (classes, classes) counts.
        names: The classes.
        by: What the colors are shares of.
        shares: Write the shares into the cells instead of the counts.
    """
    divided = row_shares(matrix) if by == "rows" else column_shares(matrix)
    axes.imshow(divided, cmap="Blues", vmin=0, vmax=1)
    texts = np.vectorize("{:.2f}".format)(divided) if shares else np.vectorize("{:,.0f}".format)(matrix)
    write_cells(axes, texts, divided > 0.5, "0.15", FONT_SIZE)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted", ylabel="true")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    if max(map(len, names)) > 4:  # long names, one above the other, leave the matrix its room
        axes.tick_params(axis="y", labelrotation=90)
        for label in axes.get_yticklabels():
            label.set_va("center")


def distances(counts: Mapping[str, ArrayLike], title: str) -> Figure:
    """Draw the shares of rows by how many classes the prediction is off, each with one standard error.

    Args:
        counts: Source -> (classes,) rows.
        title: The figure's title.
    """
    figure, axes = subplots(figsize=(11, 4))
    colors = [COLORS["sst"], COLORS["quora"], COLORS["sts"], "0.7"]
    width = 0.8 / len(counts)
    for index, ((name, of_source), color) in enumerate(zip(counts.items(), colors, strict=False)):
        rows = np.asarray(of_source, dtype=float)
        shares = rows / rows.sum()
        places = np.arange(len(rows)) + (index - (len(counts) - 1) / 2) * width
        errors = np.sqrt(shares * (1 - shares) / rows.sum())
        axes.bar(places, shares, width, yerr=errors, color=color, label=name, error_kw={"capsize": 3, "ecolor": "0.2"})
    return finish(axes, title=title, xlabel="classes off: |true - predicted|", ylabel="share of dev rows")


def thresholds(curve: pd.DataFrame, threshold: float) -> Figure:
    """Draw the matrix at a threshold; curve: columns threshold, tn, fp, fn, tp, precision, recall, accuracy."""
    figure, (left, middle, right) = panels(3, (11, 4))
    now = curve.iloc[(curve.threshold - threshold).abs().argmin()]
    draw_matrix(left, [[now.tn, now.fp], [now.fn, now.tp]], DUPLICATE)
    left.set_title(f"threshold {now.threshold:.2f}")
    for name, style in (("precision", "-"), ("recall", "--"), ("accuracy", ":")):
        color = "0.3" if name == "accuracy" else COLORS["quora"]
        middle.plot(curve.threshold, curve[name], style, color=color, label=f"{name} {now[name]:.2f}", linewidth=2)
    middle.plot([now.threshold] * 2, [0, 1], color="0.4", linewidth=1)  # ends below the legend
    middle.set(title="All thresholds", xlabel="threshold", ylabel="share", ylim=(0, 1.55), yticks=(0, 0.5, 1))
    middle.legend(loc="upper left", borderaxespad=0)  # in the room above 1
    right.plot(curve.recall, curve.precision, color=COLORS["quora"], linewidth=2)
    right.plot(now.recall, now.precision, "o", color="0.2", markersize=9)
    positives = (now.fn + now.tp) / (now.tn + now.fp + now.fn + now.tp)
    right.axhline(positives, color="0.5", linestyle=":", label="random")
    right.set(title="Precision and recall", xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))
    right.legend(loc="lower left")
    figure.tight_layout()
    return figure


def reliability(by_title: Mapping[str, Mapping[str, pd.DataFrame]]) -> Figure:
    """Draw how often predictions are right by confidence, a mark per bin with one standard error.

    Args:
        by_title: Title of a panel -> name -> see ``metrics.calibration``. Bins of fewer than ten rows are left out.
    """
    figure, row = panels(len(by_title), (11, 4.8), sharey=True)
    styles = cycle(
        zip((COLORS["sst"], COLORS["quora"], COLORS["sts"]), MARKERS, strict=False)
    )  # on from panel to panel
    for axes, (title, tables) in zip(row, by_title.items(), strict=True):
        axes.plot([0, 1], [0, 1], color="0.5", linestyle=":", label="calibrated")
        for (name, bins), (color, marker) in zip(tables.items(), styles, strict=False):
            table = bins[bins.rows >= 10]
            errors = np.sqrt(table.true * (1 - table.true) / table.rows)
            style = {"color": color, "fmt": f"{marker}-", "capsize": 3, "markersize": 7, "label": name}
            axes.errorbar(table.confidence, table.true, yerr=errors, **style)
        axes.set(title=title, xlabel="confidence", xlim=(0, 1.02), ylim=(0, 1.02))
        axes.legend(loc="upper left")
    row[0].set_ylabel("share that is true")
    return figure


def intervals(table: pd.DataFrame, title: str, unit: str) -> Figure:
    """Draw differences with their intervals, one line each; table: columns name, difference, low, high."""
    figure, axes = subplots(figsize=(11, 0.55 * len(table) + 1.5))
    ends = [table.difference - table.low, table.high - table.difference]
    axes.errorbar(table.difference, range(len(table)), xerr=ends, fmt="o", capsize=5, markersize=7, color=COLORS["sst"])
    axes.axvline(0, color="0.5", linewidth=1)
    axes.set_yticks(range(len(table)), table.name)
    axes.set(title=title, xlabel=unit, ylabel="comparison", ylim=(len(table) - 0.5, -0.5))
    return figure
