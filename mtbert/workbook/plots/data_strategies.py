"""Figures of notebook 09: how many steps each task gets, what is forgotten or memorized, how strategies compare."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mtbert.data.sampling import apportion
from mtbert.workbook.plots.style import (
    COLORS,
    TASK_NAMES,
    dot_rows,
    finish,
    legend_outside,
    mean_and_seeds,
    panels,
    subplots,
)

TITLES = {task: TASK_NAMES[task] for task in ("sst", "quora", "sts")} | {"plain": "mean"}
_ALPHAS = np.linspace(0, 1, 41)


def temperature(rows: Mapping[str, int], batch_size: int, temperature: float, steps: int) -> Figure:
    """Draw each task's share of the steps by exponent, and what it gets of a number of steps at one temperature.

    Args:
        rows: Task -> rows in its training set.
        batch_size: Rows in a batch, of every task.
        temperature: 1 / exponent.
        steps: How many steps to divide.
    """
    figure, (left, right) = panels(2, (11, 3.8))
    counts = np.array(list(rows.values()), dtype=float)
    shares = counts[:, None] ** _ALPHAS
    shares /= shares.sum(0)
    for task, values in zip(rows, shares, strict=True):
        left.plot(_ALPHAS, values, color=COLORS[task], linewidth=2.5)
        left.text(1.01, values[-1], TITLES[task], color=COLORS[task], va="bottom" if task == "sst" else "center")
    left.axvline(1 / temperature, color="0.4", linestyle=":")
    left.set(xlabel=r"exponent $\alpha$ = 1 / temperature", ylabel="share of the steps", ylim=(0, 1))
    left.set_title(f"Temperature {temperature:.1f}")
    given = apportion({task: count ** (1 / temperature) for task, count in rows.items()}, steps)
    names = [TITLES[task] for task in rows]
    right.barh(names, list(given.values()), color=[COLORS[task] for task in rows])
    for place, (task, count) in enumerate(given.items()):
        passes = count * batch_size / rows[task]
        right.text(count + 0.02 * steps, place, f"{count:,} = {passes:.2g} passes", va="center")
    right.set(xlabel="steps", title=f"{steps:,} steps of {batch_size} rows", xlim=(0, 1.35 * steps))
    right.xaxis.set_major_formatter("{x:,.0f}")
    right.invert_yaxis()
    figure.tight_layout()
    return figure


def steps_by_epoch(counts: Mapping[str, pd.DataFrame], columns: int = 4) -> Figure:
    """Draw stacked bars of steps per epoch; counts: sampler -> a row per epoch, a column per task."""
    rows = -(-len(counts) // columns)
    figure, grid = subplots(rows, columns, figsize=(11, 2.2 * rows + 0.5), sharex=True, squeeze=False)
    flat = grid.flatten()
    for axes, (name, epochs) in zip(flat, counts.items(), strict=False):
        x, bottom = np.arange(1, len(epochs) + 1), np.zeros(len(epochs))
        for task in epochs:
            axes.bar(x, epochs[task], bottom=bottom, color=COLORS[task], width=0.85, label=TITLES[task])
            bottom += epochs[task].to_numpy()
        axes.set_title(textwrap.fill(name.replace("_", " "), 12))
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
    figure, axes = subplots(figsize=(10, 0.5 * len(counts) + 1.3))
    dot_rows(axes, {TITLES[task]: values for task, values in counts.items()}, [COLORS[task] for task in counts], 0.5)
    for row, task in enumerate(counts):
        axes.plot([exact[task]], [row], "|", color="black", markersize=26, markeredgewidth=3)
    axes.set(xlabel="steps in an epoch", title=title)
    axes.invert_yaxis()
    return figure


def by_temperature(table: pd.DataFrame, title: str) -> Figure:
    """Draw dev scores over the temperature: means over the seeds, with one standard error.

    Args:
        table: A row per run. Columns: temperature (text), and a dev score per task.
        title: The figure's title.
    """
    tasks = [task for task in TITLES if task in table]
    figure, row = panels(len(tasks), (11, 3.6), title)
    for axes, task in zip(row, tasks, strict=True):
        scores = table.groupby("temperature", sort=False)[task].agg(["mean", "sem"])
        axes.errorbar(scores.index, scores["mean"], yerr=scores["sem"], fmt="o-", capsize=4, color=COLORS[task])
        axes.set(title=TITLES[task], xlabel="temperature")
        axes.margins(x=0.12, y=0.2)
        axes.yaxis.set_major_locator(MaxNLocator(4))
    row[0].set_ylabel("dev score")
    return figure


def stages(
    runs: Mapping[str, pd.DataFrame],
    task: str,
    parts: Sequence[tuple[float, float, str]],
    constant: float,
    dev_rows: int,
    title: str,
) -> Figure:
    """Draw an accuracy on dev over the steps, each with one standard error.

    Args:
        runs: Name -> columns step, score and possibly seed.
        task: The task that is scored.
        parts: First step, last step and name of each stage.
        constant: The accuracy of the best constant answer.
        dev_rows: How many rows were scored.
        title: The figure's title.
    """
    figure, axes = subplots(figsize=(10, 3.3))
    for index, (start, end, name) in enumerate(parts):
        axes.axvspan(start, end, color=("0.92", "0.97")[index % 2], zorder=0)
        axes.text((start + end) / 2, 1.02, name, transform=axes.get_xaxis_transform(), ha="center")
    for (name, table), color, marker in zip(runs.items(), (COLORS[task], COLORS["plain"]), "os", strict=False):
        _with_errors(axes, table, "step", "score", dev_rows, color=color, marker=marker, linewidth=2, label=name)
    axes.axhline(constant, color="0.5", linestyle=":", label="best constant answer")
    axes.set(xlabel="optimizer step", ylabel=f"{TITLES[task]}, accuracy on dev")
    axes.set_title(title, pad=26)
    return finish(axes)


def passes(runs: Mapping[str, pd.DataFrame], dev_rows: int, title: str) -> Figure:
    """Draw training loss and accuracy on dev over the epochs.

    Args:
        runs: Name -> columns epoch, loss, score and possibly seed.
        dev_rows: How many dev rows were scored.
        title: The title of both panels.
    """
    figure, (left, right) = panels(2, (11, 3.5), title)
    colors = (COLORS["sst"], COLORS["quora"], COLORS["sts"])
    for (name, table), color, marker in zip(runs.items(), colors, "os^", strict=False):
        style = {"color": color, "marker": marker, "linewidth": 2, "label": name}
        mean_and_seeds(left, table, "epoch", "loss", **style)
        _with_errors(right, table, "epoch", "score", dev_rows, **style)
    left.set(xlabel="epoch", ylabel="loss", title="Training loss")
    right.set(xlabel="epoch", ylabel="accuracy", title="Dev score")
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return finish(right)


def _with_errors(axes: Axes, table: pd.DataFrame, x: str, y: str, rows: int, color, **options) -> None:
    """The mean over the seeds, with one standard error of an accuracy on so many rows."""
    mean_and_seeds(axes, table, x, y, color, **options)
    means = table.groupby(x)[y].mean()
    errors = np.sqrt(means * (1 - means) / rows)
    axes.errorbar(means.index, means, yerr=errors, fmt="none", color=color, capsize=4)


def rows_read(table: pd.DataFrame, errors: Mapping[str, float], constants: Mapping[str, float]) -> Figure:
    """Draw a dot per run: what it scored on each task, by how many rows of it were read.

    Args:
        table: A row per run and task. Columns: task, rows (that were read), score, seed, and shared (whether its steps
            were shared with other tasks).
        errors: Task -> one standard error of a score.
        constants: Task -> the score of a constant answer.
    """
    tasks = list(dict.fromkeys(table.task))
    figure, row = panels(len(tasks), (11, 4.2))
    for axes, task in zip(row, tasks, strict=True):
        for (shared, seed), runs in table[table.task == task].groupby(["shared", "seed"]):
            style = {"color": COLORS["plain"] if shared else COLORS[task], "marker": "s" if shared else "o"}
            label = f"{'shared steps' if shared else 'steps of its own'}, seed {seed}"
            face = "none" if seed else style["color"]
            axes.errorbar(
                runs.rows,
                runs.score,
                yerr=errors[task],
                fmt=style["marker"],
                color=style["color"],
                capsize=2,
                markersize=7,
                markerfacecolor=face,
                label=label,
                alpha=0.8,
            )
        if constants[task] > 0:
            axes.axhline(constants[task], color="0.5", linestyle=":", label="constant answer")
        axes.set(title=TITLES[task], xlabel="rows read")
        axes.locator_params(nbins=4)
        axes.xaxis.set_major_formatter("{x:,.0f}")
    row[0].set_ylabel("dev score")
    handles = dict(zip(*reversed(row[0].get_legend_handles_labels()), strict=True))
    figure.tight_layout(rect=(0, 0.14, 1, 1))
    figure.legend(handles.values(), handles.keys(), loc="lower center", ncols=3)
    return figure


def differences(table: pd.DataFrame, bands: Mapping[str, float], title: str) -> Figure:
    """Draw differences to a baseline, a mark per seed.

    Args:
        table: Columns recipe, seed, metric, difference.
        bands: Metric -> two standard errors of a difference over dev rows, shaded around 0.
        title: The figure's title.
    """
    names = list(dict.fromkeys(table.recipe))
    figure, row = panels(len(bands), (11, 0.5 * len(names) + 2.4), title, sharey=True)
    for axes, (metric, band) in zip(row, bands.items(), strict=True):
        axes.axvspan(-band, band, color="0.9", zorder=0)
        axes.axvline(0, color="0.5", linewidth=1)
        for seed, runs in table[table.metric == metric].groupby("seed"):
            heights = [names.index(name) for name in runs.recipe]
            face = "none" if seed else COLORS[metric]
            axes.plot(
                runs.difference,
                heights,
                "o",
                color=COLORS[metric],
                markersize=9,
                markerfacecolor=face,
                label=f"seed {seed}",
            )
        axes.grid(axis="y", color="0.92")
        axes.set(title=TITLES[metric], xlabel="difference", yticks=range(len(names)), yticklabels=names)
        axes.locator_params(axis="x", nbins=4)
        axes.margins(x=0.1, y=0.1)
    row[0].invert_yaxis()
    legend_outside(row[-1])
    return figure
