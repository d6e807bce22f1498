"""Figures of data and of training runs."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtbert.data.sampling import Sampler
from mtbert.workbook.plots.style import COLORS, TASK_NAMES, finish, panels, plain_log_ticks, subplots


def fill(shares: Mapping[str, float]) -> Figure:
    """Draw a bar per task: the share of a padded batch that is real tokens, 0 to 1."""
    figure, axes = subplots(figsize=(10, 2.8))
    names = [TASK_NAMES.get(name, name) for name in shares]
    axes.barh(names, [1] * len(names), color="0.88")
    axes.barh(names, list(shares.values()), color=[COLORS[name] for name in shares])
    for row, share in enumerate(shares.values()):
        axes.text(share - 0.01, row, f"{share:.0%} tokens", ha="right", va="center", color="white")
        axes.text(0.99, row, "padding", ha="right", va="center", color="0.4")
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
    figure, axes = subplots(figsize=(10, 4.6))
    style = {"color": COLORS["sts"], "ci": None, "scatter_kws": {"s": 26, "alpha": 0.5}, "line_kws": {"color": "0.2"}}
    sns.regplot(x=np.asarray(labels), y=np.asarray(predicted), ax=axes, **style)
    axes.set(xlabel="labeled similarity (0 to 5)", ylabel=unit, title=title)
    return figure


def bars(
    scores: Mapping[str, float], title: str, metric: str, color: str, errors: Mapping[str, float] | None = None
) -> Figure:
    """Draw one horizontal bar per name, with its value, in the color of a task.

    Args:
        scores: Name -> value.
        title: The figure's title.
        metric: What the values are.
        color: A task's name.
        errors: Name -> standard error, where there is one.
    """
    figure, axes = subplots(figsize=(10, 0.6 * len(scores) + 1.4))
    axes.barh(list(scores), list(scores.values()), color=COLORS[color])
    half = [(errors or {}).get(name, 0.0) for name in scores]
    for row, (value, error) in enumerate(zip(scores.values(), half, strict=True)):  # text on the right, even below 0
        if error:
            axes.errorbar(value, row, xerr=error, color="0.15", capsize=4)
        axes.text(max(value + error, 0) + 0.01, row, f"{value:.3f}", va="center")
    axes.set(xlabel=metric, title=title, xlim=(_lowest(list(scores.values()), half), 1))
    axes.invert_yaxis()
    return figure


def plan(samplers: Mapping[str, Sampler], steps: int) -> Figure:
    """Draw which tasks take part in each of the first steps: a strip per sampler, a row per task."""
    size = (10, 1.3 * len(samplers) + 0.9)
    figure, grid = subplots(len(samplers), 1, figsize=size, sharex=True, squeeze=False)
    for axes, (name, sampler) in zip(grid[:, 0], samplers.items(), strict=True):
        tasks = list(sampler.batch_samplers)
        for step in sampler.steps():
            if step.number == steps:
                break
            for task in step.rows:
                axes.barh(tasks.index(task), 0.9, left=step.number, color=COLORS[task])
        labels = [TASK_NAMES.get(task, task) for task in tasks]
        axes.set(yticks=range(len(tasks)), yticklabels=labels, title=name.replace("_", " "), xlim=(0, steps))
        axes.invert_yaxis()
    grid[-1, 0].set_xlabel("optimizer step")
    return figure


def compare(
    scores: Mapping[str, Mapping[str, float]], title: str, errors: Mapping[str, Mapping[str, float]] | None = None
) -> Figure:
    """Draw a group of bars per task, with a bar per run in a shade of gray.

    Args:
        scores: Run -> task -> dev score.
        title: The figure's title.
        errors: Run -> task -> standard error, where there is one.
    """
    tasks = list(dict.fromkeys(task for of_run in scores.values() for task in of_run))
    figure, axes = subplots(figsize=(11, 4.4))
    width = 0.84 / len(scores)
    shades = sns.color_palette("Greys", len(scores) + 1)[1:]
    lowest = 0.0
    for index, (run, of_run) in enumerate(scores.items()):
        values = [of_run.get(task, np.nan) for task in tasks]
        places = np.arange(len(tasks)) + (index - (len(scores) - 1) / 2) * width
        error = [(errors or {}).get(run, {}).get(task, 0.0) for task in tasks]
        axes.bar(places, values, width, label=run, color=shades[index])
        lowest = min(lowest, _lowest(values, error))
        if any(error):
            axes.errorbar(places, values, yerr=error, fmt="none", color="0.15", capsize=4)
        for place, value, half in zip(places, values, error, strict=True):
            if np.isfinite(value):
                axes.text(place, max(value, 0) + half + 0.01, f"{value:.2f}", ha="center", va="bottom")
    axes.set(title=title, ylabel="dev score", ylim=(lowest, 1.1), xlabel="task")
    axes.set_xticks(range(len(tasks)), [TASK_NAMES.get(task, task) for task in tasks])
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=len(scores))
    return figure


def learning_curves(history: pd.DataFrame, tasks: Sequence[str], errors: Mapping[str, float] | None = None) -> Figure:
    """Draw training loss and dev score of each task over the epochs, side by side.

    Args:
        history: A row per epoch: epoch, plain, and for each task its dev score and "loss TASK".
        tasks: Names of the tasks.
        errors: Task -> standard error of its dev score, where there is one.
    """
    figure, (left, right) = panels(2, (11, 4.2))
    for task in tasks:
        _line(left, history, f"loss {task}", task)
        _line(right, history, task, task)
        if error := (errors or {}).get(task):
            right.errorbar(history.epoch, history[task], yerr=error, color=COLORS[task], capsize=4, fmt="none")
    _line(right, history, "plain", "plain")
    left.set(xlabel="epoch", ylabel="training loss (log scale)", yscale="log", title="Training loss")
    low, high = left.get_ylim()
    ticks = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5)
    plain_log_ticks(left.yaxis, [tick for tick in ticks if low <= tick <= high])
    right.set(xlabel="epoch", ylabel="accuracy or Pearson r", title="Dev score")
    for axes in (left, right):
        axes.set_xticks(history.epoch)
    return finish(right)


def probabilities(shares: Sequence[float], names: Sequence[str], title: str) -> Figure:
    """Draw a bar per class with its probability; shares (classes,), 0 to 1."""
    figure, axes = subplots(figsize=(10, 3))
    axes.bar_label(axes.bar(list(names), list(shares), color=COLORS["sst"]), fmt="%.2f")
    axes.set(ylim=(0, 1.1), ylabel="probability", title=title)
    return figure


def _lowest(values: Sequence[float], errors: Sequence[float]) -> float:
    """Where an axis of scores begins: at 0, or a little below the lowest end of an error bar."""
    lowest = np.nanmin(np.subtract(values, errors))
    return float(lowest) - 0.02 if lowest < 0 else 0.0


def _line(axes: Axes, history: pd.DataFrame, column: str, task: str) -> None:
    style = {"color": COLORS[task], "linestyle": "--" if task == "plain" else "-", "marker": "o"}
    axes.plot(history.epoch, history[column], label=TASK_NAMES.get(task, task), **style)
