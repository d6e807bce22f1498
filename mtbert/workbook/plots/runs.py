"""Figures of data and of training runs."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtbert.data.sampling import Sampler
from mtbert.workbook.plots.style import COLORS, finish, panels, subplots


def fill(shares: Mapping[str, float]) -> Figure:
    """Draw a bar per task: the share of a padded batch that is real tokens, 0 to 1."""
    figure, axes = subplots(figsize=(8, 2.4))
    names = list(shares)
    axes.barh(names, [1] * len(names), color="0.88")
    axes.barh(names, list(shares.values()), color=[COLORS[name] for name in names])
    for row, share in enumerate(shares.values()):
        axes.text(share - 0.01, row, f"{share:.0%} tokens", ha="right", va="center", color="white", fontsize=10)
        axes.text(0.99, row, "padding", ha="right", va="center", color="0.4", fontsize=10)
    axes.set(xlim=(0, 1), xlabel="share of a padded batch", title="What a padded batch holds")
    axes.invert_yaxis()
    return figure


def agreement(predicted: Sequence[float], labels: Sequence[float], title: str, unit: str) -> Figure:
    """Draw a dot per pair, predicted similarity against the label, with a fitted line.

    Args:
        predicted: (pairs,), in ``unit``.
        labels: (pairs,), 0 to 5.
        unit: Name of the vertical axis.
    """
    figure, axes = subplots(figsize=(5, 3.8))
    style = {"color": COLORS["sts"], "ci": None, "scatter_kws": {"s": 14, "alpha": 0.5}, "line_kws": {"color": "0.2"}}
    sns.regplot(x=np.asarray(labels), y=np.asarray(predicted), ax=axes, **style)
    axes.set(xlabel="human similarity score (0 to 5)", ylabel=unit, title=title)
    return figure


def bars(scores: Mapping[str, float], title: str, metric: str, color: str) -> Figure:
    """Draw one horizontal bar per name, with its value, in the color of a task; metric: what the values are."""
    figure, axes = subplots(figsize=(8, 0.5 * len(scores) + 1.2))
    axes.barh(list(scores), list(scores.values()), color=COLORS[color])
    for row, value in enumerate(scores.values()):  # right of the bar, even for a negative value
        axes.text(max(value, 0) + 0.01, row, f"{value:.3f}", va="center")
    axes.set(xlabel=metric, title=title, xlim=(min(0, *scores.values()), 1))
    axes.invert_yaxis()
    return figure


def plan(samplers: Mapping[str, Sampler], steps: int) -> Figure:
    """Draw which tasks take part in each of the first steps: a strip per sampler, a row per task."""
    size = (8, 1.1 * len(samplers) + 0.8)
    figure, grid = subplots(len(samplers), 1, figsize=size, sharex=True, squeeze=False)
    for axes, (name, sampler) in zip(grid[:, 0], samplers.items(), strict=True):
        tasks = list(sampler.batch_samplers)
        for step in sampler.steps():
            if step.number == steps:
                break
            for task in step.rows:
                axes.barh(tasks.index(task), 0.9, left=step.number, color=COLORS[task])
        axes.set(yticks=range(len(tasks)), yticklabels=tasks, title=name, xlim=(0, steps))
        axes.invert_yaxis()
    grid[-1, 0].set_xlabel("optimizer step")
    return figure


def compare(scores: Mapping[str, Mapping[str, float]], title: str) -> Figure:
    """Draw a group of bars per task, with a bar per run in a shade of gray; scores: run -> task -> dev score."""
    table = pd.DataFrame(scores).T.rename_axis("run").reset_index().melt("run", var_name="task", value_name="score")
    figure, axes = subplots()
    sns.barplot(table, x="task", y="score", hue="run", palette=sns.color_palette("Greys", len(scores) + 1)[1:], ax=axes)
    for bars_of_run in axes.containers:
        axes.bar_label(bars_of_run, fmt="%.2f", fontsize=9, padding=2)
    axes.set(title=title, xlabel="", ylabel="dev score", ylim=(min(0, table.score.min()), 1.05))
    sns.move_legend(axes, "upper left", bbox_to_anchor=(1, 1), title=None)
    return figure


def learning_curves(history: pd.DataFrame, tasks: Sequence[str]) -> Figure:
    """Draw training loss and dev score of each task over the epochs, side by side.

    Args:
        history: A row per epoch: epoch, plain, and for each task its dev score and "loss TASK".
        tasks: Names of the tasks.
    """
    figure, (left, right) = panels(2, (10, 3.4))
    for task in tasks:
        _line(left, history, f"loss {task}", task)
        _line(right, history, task, task)
    _line(right, history, "plain", "plain")
    left.set(xlabel="epoch", ylabel="training loss (log scale)", yscale="log", title="Training loss")
    right.set(xlabel="epoch", ylabel="accuracy or Pearson r", title="Dev score")
    for axes in (left, right):
        axes.set_xticks(history.epoch)
    return finish(right)


def probabilities(shares: Sequence[float], names: Sequence[str], title: str) -> Figure:
    """Draw a bar per class with its probability; shares (classes,), 0 to 1."""
    figure, axes = subplots(figsize=(8, 2.2))
    axes.bar_label(axes.bar(list(names), list(shares), color=COLORS["sst"]), fmt="%.2f", fontsize=9)
    axes.set(ylim=(0, 1.1), ylabel="probability", title=title)
    return figure


def _line(axes: Axes, history: pd.DataFrame, column: str, task: str) -> None:
    style = {"color": COLORS[task], "linestyle": "--" if task == "plain" else "-", "marker": "o"}
    axes.plot(history.epoch, history[column], label=task, **style)
