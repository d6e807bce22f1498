"""Figures of notebook 11: claims beside measurements, printed overall scores, seeds, false alarms."""

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mtbert.experiments.claims import TITLES
from mtbert.experiments.statistics import SeedVariance
from mtbert.workbook.plots.style import COLORS, finish, legend_outside, panels, subplots

_VERDICTS = {
    "holds": ("o", COLORS["sts"]),
    "contradicted": ("X", COLORS["cfimdb"]),
    "undecided": ("s", COLORS["plain"]),
    "underpowered": ("d", "0.6"),
    "too few seeds": ("|", "0.6"),
}
_LINEAR = 0.02  # differences up to here are drawn to scale, larger ones by their logarithm
_TICKS = (-0.4, -0.1, -0.02, 0, 0.02, 0.1, 0.4)


def forest(table: pd.DataFrame, regions: Sequence[tuple[float, float]], title: str) -> Figure:
    """Draw claims and verdicts, see ``experiments.statistics.verdicts``; regions: where each claim says it lies."""
    first = {topic: index for index, topic in reversed(list(enumerate(table.topic)))}
    lines = table.assign(region=list(regions)).sort_values("topic", kind="stable", key=lambda topics: topics.map(first))
    begins = lines.topic.ne(lines.topic.shift()).to_numpy()
    heights = np.arange(len(lines)) + np.cumsum(begins)  # leaves a line free above each topic
    figure, axes = subplots(figsize=(11, 0.2 * heights[-1] + 1.2))
    largest = np.nanmax(lines[["printed", "difference", "low", "high"]].abs().to_numpy(dtype=float))
    edge = max(0.6, 1.3 * float(largest))
    for height, line in zip(heights, lines.itertuples(), strict=True):
        low, high = (max(-edge, min(edge, bound)) for bound in line.region)
        axes.barh(height, high - low, left=low, height=0.8, color="0.92", zorder=0)
        axes.plot(line.printed, height, "o", color=COLORS["quora"], fillstyle="none", markersize=6)
        _measurement(axes, height, line)
    text = {"transform": axes.get_yaxis_transform(), "ha": "right", "va": "center", "fontweight": "bold", "fontsize": 9}
    for height, topic in zip(heights[begins] - 1, lines.topic[begins], strict=True):
        axes.text(-0.02, height, topic, **text)
    axes.axvline(0, color="0.4", linewidth=0.8)
    axes.set_xscale("symlog", linthresh=_LINEAR, linscale=1.0)
    axes.set(title=title, xlabel="difference on dev (logarithmic beyond ±.02)", ylabel="")
    axes.set(xlim=(-edge, edge), ylim=(heights[-1] + 1, -0.8))
    names = [f"{line.claim} · {line.metric} · {line.report}" for line in lines.itertuples()]
    axes.set_yticks(heights, names, fontsize=8)
    axes.set_xticks(_TICKS, [f"{tick:+g}" if tick else "0" for tick in _TICKS], fontsize=9)
    axes.minorticks_off()
    axes.tick_params(axis="y", length=0)
    legend_outside(axes, handles=_legend(), fontsize=9)
    return figure


def _measurement(axes: Axes, height: float, line) -> None:
    if math.isnan(line.difference):
        return
    marker, color = _VERDICTS[line.verdict]
    if not math.isnan(line.low):
        axes.plot([line.low, line.high], [height, height], color=color, linewidth=1.6)
    axes.plot(line.difference, height, marker, color=color, markersize=6)


def _legend() -> list:
    printed = Line2D([], [], marker="o", fillstyle="none", linestyle="", color=COLORS["quora"], label="printed")
    looks = _VERDICTS.items()
    verdicts = [Line2D([], [], marker=marker, color=color, label=f"ours: {name}") for name, (marker, color) in looks]
    return [printed, *verdicts, Patch(color="0.92", label="the claim")]


def definitions(table: pd.DataFrame, title: str) -> Figure:
    """Draw how far printed overall scores are from the means; see ``experiments.report_tables.read_tables``."""
    rows = table[table.definition != ""].reset_index(drop=True)
    figure, axes = subplots(figsize=(8, 3.2))
    neither = rows.definition == "neither"
    looks = (("plain", "plain mean", "o", COLORS["sst"]), ("normalised", "normalized mean", "^", COLORS["quora"]))
    for name, label, marker, color in looks:
        axes.plot(rows.index, rows.overall - rows[name], marker, color=color, fillstyle="none", label=label)
    for row in rows.index[neither]:
        axes.axvline(row, color="0.85", linewidth=6, zorder=0, label="neither fits" if row == neither.idxmax() else "")
    axes.axhline(0, color="0.4", linewidth=0.8)
    starts = rows.index[rows.report != rows.report.shift()]
    axes.set(title=title, ylabel="printed minus mean", xlabel="printed rows, report by report")
    names = [TITLES.get(report, report) for report in rows.report[starts]]
    axes.set_xticks(starts, names, rotation=-20, ha="left", rotation_mode="anchor", fontsize=9)
    return finish(axes)


def seeds(runs: pd.DataFrame, scores: Sequence[str], title: str) -> Figure:
    """Draw runs minus the mean of their row; band: two pooled deviations; see ``experiments.reports.load_runs``."""
    runs = runs[runs.groupby("recipe").seed.transform("nunique") > 1].sort_values("recipe", kind="stable")
    rows = list(dict.fromkeys(runs.recipe))
    figure, row = panels(len(scores), (3 * len(scores), 0.24 * len(rows) + 1.4), title, sharey=True, sharex=True)
    for axes, score in zip(row, scores, strict=True):
        for report, group in itertools.groupby(range(len(rows)), key=lambda index: rows[index].split("/")[0]):
            heights, std = list(group), SeedVariance.pooled(runs, score, report).std
            axes.fill_between([-2 * std, 2 * std], heights[0] - 0.4, heights[-1] + 0.4, color="0.9", zorder=0)
        distances = runs[score] - runs.groupby("recipe")[score].transform("mean")
        axes.axvline(0, color="0.4", linewidth=0.8)
        color = COLORS.get(score, COLORS["plain"])
        axes.plot(distances, runs.recipe.map(rows.index), "o", color=color, alpha=0.8)
        axes.set(title=score, xlabel="minus the row's mean")
    row[0].set_yticks(range(len(rows)), rows, fontsize=8)
    row[0].set_ylim(len(rows) - 0.4, -0.6)
    return figure


def alarms(counts: Mapping[str, Sequence[int]], title: str) -> Figure:
    """Draw the false alarms in families of tests in which nothing differs; method -> number per family."""
    figure, row = panels(len(counts), (3.6 * len(counts), 2.5), title, sharey=True)
    most = max(max(values) for values in counts.values())
    for axes, (name, values) in zip(row, counts.items(), strict=True):
        axes.bar(range(most + 1), np.bincount(values, minlength=most + 1) / len(values), color=COLORS["sst"])
        axes.set(title=name, xlabel="number of false alarms", xlim=(-0.6, most + 0.6))
    row[0].set_ylabel("share of families")
    return figure
