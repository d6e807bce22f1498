"""Figures of notebook 09: who gets how many steps, what is forgotten or learned by heart, how strategies compare."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mtbert.workbook.plots.style import COLOURS


def shares(lines: Mapping[str, Sequence[float]], alphas: Sequence[float], marks: Mapping[str, float]) -> Figure:
    """A line per task: its share of the steps over the exponent alpha. marks: name -> alpha, as dotted lines."""
    figure, axes = plt.subplots(figsize=(7.6, 2.9))
    for task, values in lines.items():
        axes.plot(alphas, values, color=COLOURS[task], linewidth=2, label=task)
    for name, alpha in marks.items():
        axes.axvline(alpha, color="0.6", linestyle=":", linewidth=1)
        axes.text(alpha, 1.02, name, ha="center", va="bottom", fontsize=9, color="0.35")
    axes.set(xlabel=r"exponent $\alpha$", ylabel="share of the steps", ylim=(0, 1))
    axes.set_title("What the exponent does", pad=18)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def steps_by_epoch(counts: Mapping[str, Sequence[Mapping[str, float]]], columns: int = 5) -> Figure:
    """A panel per sampler: stacked bars of the steps that each task gets in each epoch.

    counts: sampler -> per epoch, task -> steps.
    """
    rows = -(-len(counts) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(9.6, 1.8 * rows + 0.4), sharex=True, squeeze=False)
    panels = grid.flatten()
    for axes, (name, epochs) in zip(panels, counts.items(), strict=False):
        places, bottom = np.arange(1, len(epochs) + 1), np.zeros(len(epochs))
        for task in epochs[0]:
            heights = np.array([epoch[task] for epoch in epochs], dtype=float)
            axes.bar(places, heights, bottom=bottom, color=COLOURS[task], width=0.85, label=task)
            bottom += heights
        axes.set_title(name.replace("_", " "), fontsize=10)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in panels[len(counts) :]:
        axes.axis("off")
    for axes in panels[max(0, len(counts) - columns) : len(counts)]:
        axes.set_xlabel("epoch")
        axes.tick_params(labelbottom=True)
    for axes in grid[:, 0]:
        axes.set_ylabel("steps")
    panels[columns - 1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def draws(counts: Mapping[str, Sequence[int]], exact: Mapping[str, int], title: str) -> Figure:
    """A row per task: how many steps it got in each of many random epochs, as dots, and its exact count as a bar.

    counts: task -> one number per epoch.
    """
    figure, axes = plt.subplots(figsize=(7.6, 0.5 * len(counts) + 1.3))
    noise = np.random.default_rng(0)
    for place, (task, values) in enumerate(counts.items()):
        heights = place + noise.uniform(-0.25, 0.25, len(values))
        axes.plot(values, heights, ".", color=COLOURS[task], alpha=0.5)
        axes.plot([exact[task]], [place], "|", color="black", markersize=22, markeredgewidth=2.5)
    axes.set(yticks=range(len(counts)), yticklabels=list(counts), xlabel="steps in an epoch", title=title)
    axes.invert_yaxis()
    return figure


def stages(
    runs: Mapping[str, pd.DataFrame], task: str, parts: Sequence[tuple[float, float, str]], title: str
) -> Figure:
    """The dev score of one task over the steps, a line per run, a pale one per seed; stages of the first are shaded.

    runs: name -> columns step, score and maybe seed. parts: (first step, last step, name) of each stage.
    """
    figure, axes = plt.subplots(figsize=(7.6, 2.8))
    for number, (start, end, name) in enumerate(parts):
        axes.axvspan(start, end, color=("0.92", "0.97")[number % 2], zorder=0)
        axes.text((start + end) / 2, 1.01, name, transform=axes.get_xaxis_transform(), ha="center", fontsize=9)
    for (name, table), colour, marker in zip(runs.items(), (COLOURS[task], COLOURS["plain"]), "os", strict=False):
        means = table.groupby("step").score.mean()
        axes.plot(means.index, means, marker=marker, color=colour, linewidth=2, label=name)
        if "seed" in table and table.seed.nunique() > 1:
            for _, of in table.groupby("seed"):
                axes.plot(of.step, of.score, color=colour, alpha=0.3, linewidth=1)
    axes.set(xlabel="optimiser step", ylabel=f"dev score of {task}")
    axes.set_title(title, pad=16)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def passes(runs: Mapping[str, pd.DataFrame], title: str) -> Figure:
    """Training loss and dev score over the epochs, side by side, a line per run, a pale one per seed.

    runs: name -> columns epoch, loss, score and maybe seed.
    """
    figure, panels = plt.subplots(1, 2, figsize=(9.4, 2.9))
    colours = (COLOURS["sst"], COLOURS["quora"], COLOURS["sts"])
    for axes, column, ylabel in zip(panels, ("loss", "score"), ("training loss", "dev score"), strict=True):
        for (name, table), colour, marker in zip(runs.items(), colours, "os^", strict=False):
            means = table.groupby("epoch")[column].mean()
            axes.plot(means.index, means, marker=marker, color=colour, label=name)
            if "seed" in table and table.seed.nunique() > 1:
                for _, of in table.groupby("seed"):
                    axes.plot(of.epoch, of[column], color=colour, alpha=0.3, linewidth=1)
        axes.set(xlabel="epoch", ylabel=ylabel)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].set_title(title)
    panels[1].set_title("Dev")
    panels[1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def tokens(counts: Mapping[str, Sequence[int]], budget: int, tolerance: float = 0.1) -> Figure:
    """A row of dots per order: the tokens of each batch; shaded: within the tolerance of the budget."""
    figure, axes = plt.subplots(figsize=(7.6, 0.5 * len(counts) + 1.3))
    axes.axvspan((1 - tolerance) * budget, (1 + tolerance) * budget, color="0.9", label=f"budget ± {tolerance:.0%}")
    noise = np.random.default_rng(0)
    for place, values in enumerate(counts.values()):
        axes.plot(values, place + noise.uniform(-0.25, 0.25, len(values)), ".", color=COLOURS["sst"], alpha=0.7)
    axes.set(yticks=range(len(counts)), yticklabels=list(counts), xlabel="tokens in a batch", title="Tokens per step")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    axes.invert_yaxis()
    return figure


def strategies(table: pd.DataFrame, metrics: Mapping[str, str], title: str) -> Figure:
    """A panel per metric, a row per strategy: the mean as a dot, with its interval where there is one.

    table: columns recipe, metric, mean, half (NaN for a single run). metrics: metric -> name of its panel.
    """
    names = list(dict.fromkeys(table.recipe))
    figure, row = plt.subplots(1, len(metrics), figsize=(9.6, 0.27 * len(names) + 1.3), sharey=True, squeeze=False)
    for axes, (metric, shown) in zip(row[0], metrics.items(), strict=True):
        of = table[table.metric == metric]
        places = [names.index(name) for name in of.recipe]
        colour = COLOURS.get(metric, COLOURS["plain"])
        axes.errorbar(of["mean"], places, xerr=of.half.fillna(0), fmt="o", color=colour, capsize=3)
        axes.grid(axis="y", color="0.92")
        axes.set(title=shown, xlabel="dev score", yticks=range(len(names)), yticklabels=names)
        axes.locator_params(axis="x", nbins=4)
        axes.margins(x=0.15)
    row[0][0].invert_yaxis()
    figure.suptitle(title, fontweight="bold", fontsize="medium")
    return figure
