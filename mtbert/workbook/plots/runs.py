"""Figures of data and of training runs."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtbert.data.sampling import Sampler
from mtbert.workbook.plots.style import COLOURS


def fill(shares: Mapping[str, float]) -> Figure:
    """Bars of the share of a padded batch that is real tokens, per task."""
    figure, axes = plt.subplots(figsize=(8, 2.4))
    names = list(shares)
    axes.barh(names, [1] * len(names), color="0.88")
    axes.barh(names, list(shares.values()), color=[COLOURS[name] for name in names])
    for row, share in enumerate(shares.values()):
        axes.text(share - 0.01, row, f"{share:.0%} tokens", ha="right", va="center", color="white", fontsize=10)
        axes.text(0.99, row, "padding", ha="right", va="center", color="0.4", fontsize=10)
    axes.set(xlim=(0, 1), xlabel="share of a padded batch", title="What a padded batch holds")
    axes.invert_yaxis()
    return figure


def agreement(predicted: Sequence[float], labels: Sequence[float], title: str, unit: str) -> Figure:
    """Predicted similarity against the label, a dot per pair, with the line of the best fit."""
    figure, axes = plt.subplots(figsize=(5, 3.8))
    sns.regplot(
        x=np.asarray(labels),
        y=np.asarray(predicted),
        ax=axes,
        color=COLOURS["sts"],
        ci=None,
        scatter_kws={"s": 14, "alpha": 0.5},
        line_kws={"color": "0.2"},
    )
    axes.set(xlabel="similarity given by people (0 to 5)", ylabel=unit, title=title)
    return figure


def bars(scores: Mapping[str, float], title: str, metric: str, colour: str) -> Figure:
    """One horizontal bar per name, with its value."""
    figure, axes = plt.subplots(figsize=(8, 0.5 * len(scores) + 1.2))
    axes.barh(list(scores), list(scores.values()), color=COLOURS[colour])
    for row, value in enumerate(scores.values()):  # to the right of its bar, also of a negative one
        axes.text(max(value, 0) + 0.01, row, f"{value:.3f}", va="center")
    axes.set(xlabel=metric, title=title, xlim=(min(0, *scores.values()), 1))
    axes.invert_yaxis()
    return figure


def plan(samplers: Mapping[str, Sampler], steps: int) -> Figure:
    """Which tasks take part in each of the first steps: one strip per sampler, one row per task."""
    size = (8, 1.1 * len(samplers) + 0.8)
    figure, all_axes = plt.subplots(len(samplers), 1, figsize=size, sharex=True, squeeze=False)
    for axes, (name, sampler) in zip(all_axes[:, 0], samplers.items(), strict=True):
        tasks = list(sampler.orders)
        for step in sampler.steps():
            if step.number == steps:
                break
            for task in step.rows:
                axes.barh(tasks.index(task), 0.9, left=step.number, color=COLOURS[task])
        axes.set(yticks=range(len(tasks)), yticklabels=tasks, title=name, xlim=(0, steps))
        axes.invert_yaxis()
    all_axes[-1, 0].set_xlabel("optimiser step")
    return figure


def compare(scores: Mapping[str, Mapping[str, float]], title: str) -> Figure:
    """Scores of several runs side by side: a group of bars per task, a bar per run, in colours that no task has."""
    table = pd.DataFrame(scores).T.rename_axis("run").reset_index().melt("run", var_name="task", value_name="score")
    figure, axes = plt.subplots()
    sns.barplot(table, x="task", y="score", hue="run", palette=sns.color_palette("Greys", len(scores) + 1)[1:], ax=axes)
    for drawn in axes.containers:
        axes.bar_label(drawn, fmt="%.2f", fontsize=9, padding=2)
    axes.set(title=title, xlabel="", ylabel="dev score", ylim=(min(0, table.score.min()), 1.05))
    sns.move_legend(axes, "upper left", bbox_to_anchor=(1, 1), title=None)
    return figure


def learning_curves(history: pd.DataFrame, tasks: Sequence[str]) -> Figure:
    """Training loss and dev score of each task over the epochs, side by side."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4))
    for task in tasks:
        _line(left, history, f"loss {task}", task)
        _line(right, history, task, task)
    _line(right, history, "plain", "plain")
    left.set(xlabel="epoch", ylabel="training loss (log scale)", yscale="log", title="Training loss")
    right.set(xlabel="epoch", ylabel="accuracy or Pearson r", title="Dev score")
    for axes in (left, right):
        axes.set_xticks(history.epoch)
    right.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def probabilities(shares: Sequence[float], names: Sequence[str], title: str) -> Figure:
    """A bar per class."""
    figure, axes = plt.subplots(figsize=(8, 2.2))
    drawn = axes.bar(list(names), list(shares), color=COLOURS["sst"])
    axes.bar_label(drawn, fmt="%.2f", fontsize=9)
    axes.set(ylim=(0, 1.1), ylabel="probability", title=title)
    return figure


def _line(axes: Axes, history: pd.DataFrame, column: str, task: str) -> None:
    axes.plot(
        history.epoch,
        history[column],
        marker="o",
        label=task,
        color=COLOURS[task],
        linestyle="--" if task == "plain" else "-",
    )
