"""Figures of 04_sst_cfimdb: one task from its rows to its mistakes."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mtbert.workbook.plots.style import COLOURS


def classes(labels: Sequence[float], names: Sequence[str], title: str) -> Figure:
    """Share of each class among ``labels``, (rows,) whole numbers from 0; the largest class is drawn darker."""
    shares = np.bincount(np.asarray(labels, dtype=int), minlength=len(names)) / len(labels)
    figure, axes = plt.subplots(figsize=(8, 2.6))
    alphas = [1.0 if share == shares.max() else 0.5 for share in shares]
    colours = [(*COLOURS["sst"][:3], alpha) for alpha in alphas]
    drawn = axes.bar(list(names), shares, color=colours)
    axes.bar_label(drawn, fmt=lambda share: f"{share:.0%}", padding=2)
    axes.set(title=title, ylabel="share of rows", ylim=(0, 1.2 * shares.max()))
    return figure


def lengths(of: Mapping[str, Sequence[int]], limit: int) -> Figure:
    """Histograms of sequence lengths in word pieces, a panel per set, with the longest that BERT can read."""
    figure, all_axes = plt.subplots(1, len(of), figsize=(10, 2.8))
    for axes, (name, numbers) in zip(np.atleast_1d(all_axes), of.items(), strict=True):
        numbers = np.asarray(numbers)
        width = -(-(np.ptp(numbers) + 1) // 30)  # whole lengths in every bar, equally many
        axes.hist(numbers, bins=np.arange(numbers.min(), numbers.max() + width + 1, width) - 0.5, color=COLOURS[name])
        if numbers.max() > limit / 2:
            axes.axvline(limit, color="0.2", linestyle="--")
            axes.text(limit, axes.get_ylim()[1], f" limit {limit}", va="top", fontsize=9)
        axes.set(
            title=f"{name}: mean {numbers.mean():.0f}, longest {numbers.max()}", xlabel="word pieces", ylabel="rows"
        )
    return figure


def curves(histories: Mapping[str, pd.DataFrame], task: str, chance: float) -> Figure:
    """Training loss and dev accuracy over the epochs, one line per run. chance: accuracy of the largest class."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2))
    for (name, history), marker in zip(histories.items(), "os^Dv", strict=False):
        left.plot(history.epoch, history[f"loss {task}"], marker=marker, label=name)
        right.plot(history.epoch, history[task], marker=marker, label=name)
    right.axhline(chance, color="0.4", linestyle=":", label="largest class")
    left.set(title="Training loss", xlabel="epoch", ylabel="cross-entropy")
    right.set(title="Dev accuracy", xlabel="epoch", ylabel="accuracy")
    longest = max(int(history.epoch.max()) for history in histories.values())
    for axes in (left, right):
        axes.set_xticks(range(1, longest + 1))
    right.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def distances(predicted: Sequence[int], labels: Sequence[float], classes: int) -> Figure:
    """How far off predictions are, in classes: predicted minus true, right answers in the middle."""
    apart = np.asarray(predicted, dtype=int) - np.asarray(labels, dtype=int)
    values = np.arange(1 - classes, classes)
    counts = [(apart == value).sum() for value in values]
    figure, axes = plt.subplots(figsize=(8, 2.8))
    colours = [COLOURS["sst"] if value == 0 else "0.6" for value in values]
    axes.bar_label(axes.bar(values, counts, color=colours), padding=2, fontsize=9)
    axes.set(
        title="How far off",
        xlabel="predicted class minus true class",
        ylabel="dev rows",
        xticks=values,
        ylim=(0, 1.15 * max(counts)),
    )
    return figure


def truncation(table: pd.DataFrame, rows: int) -> Figure:
    """Accuracy (with its standard error over ``rows`` dev rows) and share of texts cut, against the length limit.

    table: columns max_length, accuracy, cut.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 2.9))
    ticks = [str(length) for length in table.max_length]
    error = np.sqrt(table.accuracy * (1 - table.accuracy) / rows)
    left.errorbar(ticks, table.accuracy, yerr=error, marker="o", capsize=4, color=COLOURS["cfimdb"])
    left.set(title="Dev accuracy", xlabel="longest sequence kept", ylabel="accuracy")
    right.bar_label(right.bar(ticks, table.cut, color="0.6"), fmt=lambda share: f"{share:.0%}", padding=2)
    right.set(
        title="Reviews that lose their end", xlabel="longest sequence kept", ylabel="share of reviews", ylim=(0, 1.15)
    )
    return figure


def against(table: pd.DataFrame, title: str) -> Figure:
    """Scores of several sources per row, as points with intervals.

    table: columns row, source, mean, half (NaN where no interval is known).
    """
    rows, sources = list(dict.fromkeys(table.row)), list(dict.fromkeys(table.source))
    figure, axes = plt.subplots(figsize=(10, 0.55 * len(rows) + 1.4))
    for number, (source, marker) in enumerate(zip(sources, "osD^v", strict=False)):
        of = table[table.source == source]
        height = [rows.index(row) + 0.18 * (number - (len(sources) - 1) / 2) for row in of.row]
        axes.errorbar(of["mean"], height, xerr=of.half.fillna(0), fmt=marker, capsize=3, label=source)
    axes.set(title=title, xlabel="dev accuracy", yticks=range(len(rows)), yticklabels=rows)
    axes.grid(axis="x", color="0.9")
    axes.invert_yaxis()
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure
