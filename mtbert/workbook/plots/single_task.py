"""Figures of notebook 04: one task from its rows to its mistakes."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from mtbert.workbook.plots.style import (
    COLORS,
    DASHES,
    MARKERS,
    TASK_NAMES,
    finish,
    intervals,
    panels,
    plain_log_ticks,
    subplots,
)

DEV_ROWS = {"CFIMDB": 245, "SST": 1101, "Quora": 20212}  # of the real data


def classes(labels: Sequence[float], names: Sequence[str], title: str) -> Figure:
    """Draw the share of each class with its standard error, the majority class darker; labels (rows,) from 0."""
    shares = np.bincount(np.asarray(labels, dtype=int), minlength=len(names)) / len(labels)
    errors = standard_error(shares, len(labels))
    figure, axes = subplots(figsize=(10, 3.4))
    colors = [(*COLORS["sst"][:3], 1.0 if share == shares.max() else 0.5) for share in shares]
    axes.bar(list(names), shares, color=colors, yerr=errors, capsize=4)
    for place, (share, error) in enumerate(zip(shares, errors, strict=True)):
        axes.text(place, share + error + 0.01, f"{share:.0%}", ha="center", va="bottom")
    axes.set(title=title, ylabel="share of rows", ylim=(0, 1.3 * (shares + errors).max()))
    return figure


def standard_error(accuracy: ArrayLike, rows: ArrayLike) -> np.ndarray:
    """The standard error of an accuracy, or of several, measured on a number of rows."""
    accuracy = np.asarray(accuracy, dtype=float)
    return np.sqrt(accuracy * (1 - accuracy) / np.asarray(rows))


def smallest_difference(accuracy: float, disagreement: float) -> Figure:
    """Draw two standard errors of a difference of accuracies over the number of dev rows.

    Args:
        accuracy: Of both models, 0 to 1.
        disagreement: The share of rows on which exactly one model is right; at most twice the share of errors.
    """
    disagreement = min(disagreement, 2 * min(accuracy, 1 - accuracy))
    rows = np.geomspace(50, 40_000, 60)
    figure, axes = subplots(figsize=(10, 4.2))
    lines = {
        "difference, other rows": (2 * math.sqrt(2) * standard_error(accuracy, rows), COLORS["quora"], "--"),
        "difference, same rows": (2 * np.sqrt(disagreement / rows), COLORS["sst"], "-"),
    }
    for name, (values, color, line) in lines.items():
        axes.plot(rows, values, line, color=color, label=name, linewidth=2)
    for name, count in DEV_ROWS.items():
        axes.axvline(count, color="0.8", zorder=0)
        axes.text(count, 0.3, f" {name}", va="top", color="0.35")
    axes.set(xscale="log", yscale="log", ylim=(0.003, 0.3))
    plain_log_ticks(axes.yaxis, [0.003, 0.01, 0.03, 0.1, 0.3])
    plain_log_ticks(axes.xaxis, [100, 1000, 10_000])
    axes.set_title(f"Two standard errors: accuracy {accuracy:.2f}, disagreement {disagreement:.2f}")
    return finish(axes, xlabel="dev rows", ylabel="difference in accuracy")


def learning_rates(scores: Mapping[str, Mapping[float, float]], baselines: Mapping[str, float], rows: int) -> Figure:
    """Draw dev accuracy with its standard error over the learning rate.

    Args:
        scores: Way of training -> learning rate -> accuracy.
        baselines: Name -> accuracy of what has no learning rate.
        rows: The number of dev rows.
    """
    figure, axes = subplots(figsize=(10, 4))
    for (name, of_rate), marker in zip(scores.items(), MARKERS, strict=False):
        values = np.array(list(of_rate.values()))
        axes.errorbar(list(of_rate), values, standard_error(values, rows), marker=marker, capsize=4, label=name)
    for (name, value), line in zip(baselines.items(), DASHES[1:], strict=False):
        axes.axhline(value, color="0.4", linestyle=line, label=name)
    axes.set(title="How well each way of training is tuned", xscale="log")
    return finish(axes, xlabel="peak learning rate (log scale)", ylabel="accuracy on dev")


def lengths(lengths_by_set: Mapping[str, Sequence[int]], limit: int) -> Figure:
    """Draw a histogram of lengths in tokens per set, with the longest sequence that BERT can read."""
    figure, row = panels(len(lengths_by_set), (10, 3.6))
    for axes, (name, lengths) in zip(row, lengths_by_set.items(), strict=True):
        lengths = np.asarray(lengths)
        width = -(-(np.ptp(lengths) + 1) // 30)  # every bar covers the same number of whole lengths
        axes.hist(lengths, bins=np.arange(lengths.min(), lengths.max() + width + 1, width) - 0.5, color=COLORS[name])
        if lengths.max() > limit / 2:
            axes.axvline(limit, color="0.2", linestyle="--")
            axes.text(limit, axes.get_ylim()[1], f" limit {limit}", va="top")
        axes.set_title(f"{TASK_NAMES.get(name, name)}: mean {lengths.mean():.0f}, longest {lengths.max()}")
        axes.set(xlabel="tokens", ylabel="rows")
    return figure


def curves(histories: Mapping[str, pd.DataFrame], task: str, baseline: float | None, rows: int) -> Figure:
    """Draw training loss and dev accuracy, with its standard error, over the epochs.

    Args:
        histories: Run -> columns epoch, TASK, "loss TASK".
        task: The task's name.
        baseline: The accuracy of the majority class, if it is to be drawn.
        rows: The number of dev rows.
    """
    figure, (left, right) = panels(2, (11, 3.5))
    for (name, history), marker in zip(histories.items(), "os^Dv", strict=False):
        left.plot(history.epoch, history[f"loss {task}"], marker=marker, label=name)
        error = standard_error(history[task], rows)
        right.errorbar(history.epoch, history[task], error, marker=marker, capsize=3, label=name)
    if baseline is not None:
        right.axhline(baseline, color="0.4", linestyle=":", label="majority class")
    left.set(title="Training loss", xlabel="epoch", ylabel="cross-entropy")
    right.set(title="Dev accuracy", xlabel="epoch", ylabel="accuracy")
    longest = max(int(history.epoch.max()) for history in histories.values())
    for axes in (left, right):
        axes.set_xticks(range(1, longest + 1))
    return finish(right)


def distances(predicted: Sequence[int], labels: Sequence[float], classes: int) -> Figure:
    """Draw how many classes predictions are off, with correct ones in the middle; predicted, labels (rows,)."""
    differences = np.asarray(predicted, dtype=int) - np.asarray(labels, dtype=int)
    values = np.arange(1 - classes, classes)
    counts = [(differences == value).sum() for value in values]
    figure, axes = subplots(figsize=(10, 3.3))
    colors = [COLORS["sst"] if value == 0 else "0.6" for value in values]
    axes.bar_label(axes.bar(values, counts, color=colors), padding=2)
    axes.set(title="How far off predictions are", xlabel="predicted class minus true class", ylabel="dev rows")
    axes.set(xticks=values, ylim=(0, 1.15 * max(counts)))
    return figure


def truncation(table: pd.DataFrame, rows: int) -> Figure:
    """Draw accuracy by limit, with its standard error, and the share of cut texts where it is known.

    Args:
        table: A row per limit. Columns: max_length, accuracy and, if known, cut.
        rows: The number of dev rows.
    """
    figure, (left, *rest) = panels(1 + ("cut" in table), (10.5, 3.8))
    ticks = [str(length) for length in table.max_length]
    error = standard_error(table.accuracy, rows)
    left.errorbar(ticks, table.accuracy, yerr=error, marker="o", capsize=4, color=COLORS["cfimdb"])
    following = table.accuracy.shift(-1, fill_value=0)
    for tick, value, rises in zip(ticks, table.accuracy, following > table.accuracy, strict=True):
        offset, side = (-5, "top") if rises else (5, "bottom")  # beside the line to the next point
        left.annotate(f"{value:.3f}", (tick, value), xytext=(6, offset), textcoords="offset points", va=side)
    left.margins(x=0.15)
    left.set(title="Dev accuracy", xlabel="limit in tokens", ylabel="accuracy")
    for right in rest:
        _share_cut(right, ticks, table.cut)
    return figure


def _share_cut(right: Axes, ticks: Sequence[str], shares: pd.Series) -> None:
    right.bar_label(right.bar(ticks, shares, color="0.6"), fmt=lambda share: f"{share:.0%}", padding=2)
    right.set(title="Truncated reviews", xlabel="limit in tokens")
    right.set(ylabel="share of reviews", ylim=(0, 1.15))


def against_reports(table: pd.DataFrame, title: str) -> Figure:
    """Draw the scores of several sources per row; table: columns row, source, mean, half (of the interval, or NaN)."""
    rows, sources = list(dict.fromkeys(table.row)), list(dict.fromkeys(table.source))
    figure, axes = subplots(figsize=(10.5, 0.7 * len(rows) + 1.6))
    for index, (source, marker) in enumerate(zip(sources, MARKERS, strict=False)):
        part = table[table.source == source]
        height = [rows.index(row) + 0.18 * (index - (len(sources) - 1) / 2) for row in part.row]
        intervals(axes, part, height, fmt=marker, label=source)
    axes.set(title=title, xlabel="dev accuracy", yticks=range(len(rows)), yticklabels=rows)
    axes.grid(axis="x", color="0.9")
    axes.invert_yaxis()
    return finish(axes)
