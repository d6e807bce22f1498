"""Figures of notebook 09: how many steps each task gets, what is forgotten or memorized, how strategies compare."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mtbert.workbook.plots.style import (
    COLORS,
    dot_rows,
    finish,
    intervals,
    legend_outside,
    mean_and_seeds,
    panels,
    subplots,
)


def shares(lines: Mapping[str, Sequence[float]], alphas: Sequence[float], marks: Mapping[str, float]) -> Figure:
    """Draw each task's share of the steps over alpha; lines: task -> (alphas,); marks: name -> alpha, dotted."""
    figure, axes = subplots(figsize=(7.6, 2.9))
    for task, values in lines.items():
        axes.plot(alphas, values, color=COLORS[task], linewidth=2, label=task)
    for name, alpha in marks.items():
        axes.axvline(alpha, color="0.6", linestyle=":", linewidth=1)
        axes.text(alpha, 1.02, name, ha="center", va="bottom", fontsize=9, color="0.35")
    axes.set(xlabel=r"exponent $\alpha$", ylabel="share of the steps", ylim=(0, 1))
    axes.set_title("What the exponent does", pad=18)
    return finish(axes)


def steps_by_epoch(counts: Mapping[str, Sequence[Mapping[str, float]]], columns: int = 5) -> Figure:
    """Draw stacked bars of steps per epoch, a panel per sampler; counts: sampler -> for each epoch, task -> steps."""
    rows = -(-len(counts) // columns)
    figure, grid = subplots(rows, columns, figsize=(9.6, 1.8 * rows + 0.4), sharex=True, squeeze=False)
    flat = grid.flatten()
    for axes, (name, epochs) in zip(flat, counts.items(), strict=False):
        x, bottom = np.arange(1, len(epochs) + 1), np.zeros(len(epochs))
        for task in epochs[0]:
            heights = np.array([epoch[task] for epoch in epochs], dtype=float)
            axes.bar(x, heights, bottom=bottom, color=COLORS[task], width=0.85, label=task)
            bottom += heights
        axes.set_title(name.replace("_", " "), fontsize=10)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in flat[len(counts) :]:
        axes.axis("off")
    for axes in flat[max(0, len(counts) - columns) : len(counts)]:  # the lowest panel of each column
        axes.set_xlabel("epoch")
        axes.tick_params(labelbottom=True)
    for axes in grid[:, 0]:
        axes.set_ylabel("steps")
    legend_outside(flat[columns - 1])
    return figure


def draws(counts: Mapping[str, Sequence[int]], exact: Mapping[str, int], title: str) -> Figure:
    """Draw the steps that each task got in each of many random epochs as dots, and its exact count as a bar."""
    figure, axes = subplots(figsize=(7.6, 0.5 * len(counts) + 1.3))
    dot_rows(axes, counts, [COLORS[task] for task in counts], alpha=0.5)
    for row, task in enumerate(counts):
        axes.plot([exact[task]], [row], "|", color="black", markersize=22, markeredgewidth=2.5)
    axes.set(xlabel="steps in an epoch", title=title)
    axes.invert_yaxis()
    return figure


def stages(
    runs: Mapping[str, pd.DataFrame], task: str, parts: Sequence[tuple[float, float, str]], title: str
) -> Figure:
    """Draw a dev score over the steps; runs: name -> columns step, score, seed; parts: first step, last step, name."""
    figure, axes = subplots(figsize=(7.6, 2.8))
    for index, (start, end, name) in enumerate(parts):
        axes.axvspan(start, end, color=("0.92", "0.97")[index % 2], zorder=0)
        axes.text((start + end) / 2, 1.01, name, transform=axes.get_xaxis_transform(), ha="center", fontsize=9)
    for (name, table), color, marker in zip(runs.items(), (COLORS[task], COLORS["plain"]), "os", strict=False):
        mean_and_seeds(axes, table, "step", "score", color, marker=marker, linewidth=2, label=name)
    axes.set(xlabel="optimizer step", ylabel=f"dev score of {task}")
    axes.set_title(title, pad=16)
    return finish(axes)


def passes(runs: Mapping[str, pd.DataFrame], title: str) -> Figure:
    """Draw training loss and dev score over the epochs; runs: name -> columns epoch, loss, score and possibly seed."""
    figure, (left, right) = panels(2, (9.4, 2.9))
    colors = (COLORS["sst"], COLORS["quora"], COLORS["sts"])
    for axes, column, ylabel in ((left, "loss", "training loss"), (right, "score", "dev score")):
        for (name, table), color, marker in zip(runs.items(), colors, "os^", strict=False):
            mean_and_seeds(axes, table, "epoch", column, color, marker=marker, label=name)
        axes.set(xlabel="epoch", ylabel=ylabel)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.set_title(title)
    right.set_title("Dev")
    return finish(right)


def tokens(counts: Mapping[str, Sequence[int]], budget: int) -> Figure:
    """Draw the tokens of each batch, a row of dots per order; 10 % around the budget are shaded."""
    figure, axes = subplots(figsize=(7.6, 0.5 * len(counts) + 1.3))
    axes.axvspan(0.9 * budget, 1.1 * budget, color="0.9", label="budget ± 10%")
    dot_rows(axes, counts, [COLORS["sst"]] * len(counts), alpha=0.7)
    axes.invert_yaxis()
    return finish(axes, xlabel="tokens in a batch", title="Tokens per step")


def strategies(table: pd.DataFrame, metrics: Mapping[str, str], title: str) -> Figure:
    """Draw means with intervals; table: columns recipe, metric, mean, half; metrics: metric -> title of its panel."""
    names = list(dict.fromkeys(table.recipe))
    figure, row = panels(len(metrics), (9.6, 0.27 * len(names) + 1.3), title, sharey=True)
    for axes, (metric, metric_title) in zip(row, metrics.items(), strict=True):
        part = table[table.metric == metric]
        heights = [names.index(name) for name in part.recipe]
        color = COLORS.get(metric, COLORS["plain"])
        intervals(axes, part, heights, fmt="o", color=color)
        axes.grid(axis="y", color="0.92")
        axes.set(title=metric_title, xlabel="dev score", yticks=range(len(names)), yticklabels=names)
        axes.locator_params(axis="x", nbins=4)
        axes.margins(x=0.15)
    row[0].invert_yaxis()
    return figure
