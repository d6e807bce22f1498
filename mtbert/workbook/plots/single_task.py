"""Figures of notebook 04: one task from its rows to its mistakes."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mtbert.workbook.plots.style import COLORS, MARKERS, finish, intervals, panels, subplots


def classes(labels: Sequence[float], names: Sequence[str], title: str) -> Figure:
    """Draw the share of each class, the majority class darker; labels (rows,) whole numbers from 0."""
    shares = np.bincount(np.asarray(labels, dtype=int), minlength=len(names)) / len(labels)
    figure, axes = subplots(figsize=(8, 2.6))
    colors = [(*COLORS["sst"][:3], 1.0 if share == shares.max() else 0.5) for share in shares]
    axes.bar_label(axes.bar(list(names), shares, color=colors), fmt=lambda share: f"{share:.0%}", padding=2)
    axes.set(title=title, ylabel="share of rows", ylim=(0, 1.2 * shares.max()))
    return figure


def lengths(lengths_by_set: Mapping[str, Sequence[int]], limit: int) -> Figure:
    """Draw a histogram of lengths in tokens per set, with the longest sequence that BERT can read."""
    figure, row = panels(len(lengths_by_set), (10, 2.8))
    for axes, (name, lengths) in zip(row, lengths_by_set.items(), strict=True):
        lengths = np.asarray(lengths)
        width = -(-(np.ptp(lengths) + 1) // 30)  # every bar covers the same number of whole lengths
        axes.hist(lengths, bins=np.arange(lengths.min(), lengths.max() + width + 1, width) - 0.5, color=COLORS[name])
        if lengths.max() > limit / 2:
            axes.axvline(limit, color="0.2", linestyle="--")
            axes.text(limit, axes.get_ylim()[1], f" limit {limit}", va="top", fontsize=9)
        axes.set_title(f"{name}: mean {lengths.mean():.0f}, longest {lengths.max()}")
        axes.set(xlabel="tokens", ylabel="rows")
    return figure


def curves(histories: Mapping[str, pd.DataFrame], task: str, baseline: float) -> Figure:
    """Draw training loss and dev accuracy over the epochs; histories: run -> columns epoch, TASK, "loss TASK"."""
    figure, (left, right) = panels(2, (10, 3.2))
    for (name, history), marker in zip(histories.items(), "os^Dv", strict=False):
        left.plot(history.epoch, history[f"loss {task}"], marker=marker, label=name)
        right.plot(history.epoch, history[task], marker=marker, label=name)
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
    figure, axes = subplots(figsize=(8, 2.8))
    colors = [COLORS["sst"] if value == 0 else "0.6" for value in values]
    axes.bar_label(axes.bar(values, counts, color=colors), padding=2, fontsize=9)
    axes.set(title="How far off predictions are", xlabel="predicted class minus true class", ylabel="dev rows")
    axes.set(xticks=values, ylim=(0, 1.15 * max(counts)))
    return figure


def truncation(table: pd.DataFrame, rows: int) -> Figure:
    """Draw accuracy and the share of cut texts by limit; table: columns max_length, accuracy, cut; rows: dev rows."""
    figure, (left, right) = panels(2, (10, 2.9))
    ticks = [str(length) for length in table.max_length]
    error = np.sqrt(table.accuracy * (1 - table.accuracy) / rows)
    left.errorbar(ticks, table.accuracy, yerr=error, marker="o", capsize=4, color=COLORS["cfimdb"])
    left.set(title="Dev accuracy", xlabel="maximum length in tokens", ylabel="accuracy")
    right.bar_label(right.bar(ticks, table.cut, color="0.6"), fmt=lambda share: f"{share:.0%}", padding=2)
    right.set(title="Truncated reviews", xlabel="maximum length in tokens")
    right.set(ylabel="share of reviews", ylim=(0, 1.15))
    return figure


def against_reports(table: pd.DataFrame, title: str) -> Figure:
    """Draw the scores of several sources per row; table: columns row, source, mean, half (of the interval, or NaN)."""
    rows, sources = list(dict.fromkeys(table.row)), list(dict.fromkeys(table.source))
    figure, axes = subplots(figsize=(10, 0.55 * len(rows) + 1.4))
    for index, (source, marker) in enumerate(zip(sources, MARKERS, strict=False)):
        part = table[table.source == source]
        height = [rows.index(row) + 0.18 * (index - (len(sources) - 1) / 2) for row in part.row]
        intervals(axes, part, height, fmt=marker, label=source)
    axes.set(title=title, xlabel="dev accuracy", yticks=range(len(rows)), yticklabels=rows)
    axes.grid(axis="x", color="0.9")
    axes.invert_yaxis()
    return finish(axes)
