"""Figures of 11_reports: claims and what was measured of them, printed overall scores, seeds, false alarms."""

import itertools
import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mtbert.experiments.claims import TITLES
from mtbert.experiments.statistics import SeedVariance
from mtbert.workbook.plots.style import COLOURS

_VERDICTS = {
    "holds": ("o", COLOURS["sts"]),
    "contradicted": ("X", COLOURS["cfimdb"]),
    "undecided": ("s", COLOURS["plain"]),
    "too few seeds": ("|", "0.6"),
}
_LINEAR = 0.02  # differences up to here are drawn to scale, larger ones by their logarithm
_TICKS = (-0.4, -0.1, -0.02, 0, 0.02, 0.1, 0.4)


def forest(table: pd.DataFrame, regions: Sequence[tuple[float, float]], title: str) -> Figure:
    """Every claim on a line, by topic: the printed difference (hollow), ours with its interval, coloured by the
    verdict; shaded is where the claim says that the difference lies.

    table: see ``mtbert.experiments.statistics.verdicts``. regions: of its lines, in the same order.
    """
    lines = table.assign(region=list(regions)).sort_values("topic", kind="stable", key=lambda of: of.map(_first(table)))
    begins = lines.topic.ne(lines.topic.shift()).to_numpy()
    heights = np.arange(len(lines)) + np.cumsum(begins)  # a free line above each topic
    figure, axes = plt.subplots(figsize=(11, 0.2 * heights[-1] + 1.2))
    edge = max(0.6, 1.3 * _largest(lines))
    for height, line in zip(heights, lines.itertuples(), strict=True):
        low, high = (max(-edge, min(edge, bound)) for bound in line.region)
        axes.barh(height, high - low, left=low, height=0.8, color="0.92", zorder=0)
        axes.plot(line.printed, height, "o", color=COLOURS["quora"], fillstyle="none", markersize=6)
        _measured(axes, height, line)
    for height, topic in zip(heights[begins] - 1, lines.topic[begins], strict=True):
        axes.text(
            -0.02,
            height,
            topic,
            transform=axes.get_yaxis_transform(),
            ha="right",
            va="center",
            fontweight="bold",
            fontsize=9,
        )
    names = [f"{line.claim} · {line.metric} · {line.report}" for line in lines.itertuples()]
    axes.axvline(0, color="0.4", linewidth=0.8)
    axes.set_xscale("symlog", linthresh=_LINEAR, linscale=1.0)
    axes.set(
        title=title,
        xlim=(-edge, edge),
        ylim=(heights[-1] + 1, -0.8),
        yticks=heights,
        xticks=_TICKS,
        xlabel="difference on dev (logarithmic beyond ±.02)",
        ylabel="",
    )
    axes.set_yticklabels(names, fontsize=8)
    axes.set_xticklabels([f"{tick:+g}" if tick else "0" for tick in _TICKS], fontsize=9)
    axes.minorticks_off()
    axes.tick_params(axis="y", length=0)
    axes.legend(handles=_legend(), loc="upper left", bbox_to_anchor=(1, 1), fontsize=9)
    return figure


def _first(table: pd.DataFrame) -> dict[str, int]:
    """Where each topic occurs first."""
    return {topic: number for number, topic in reversed(list(enumerate(table.topic)))}


def _largest(table: pd.DataFrame) -> float:
    values = table[["printed", "difference", "low", "high"]].abs().to_numpy(dtype=float)
    return float(np.nanmax(values))


def _measured(axes: Axes, height: float, line) -> None:
    if math.isnan(line.difference):
        return
    marker, colour = _VERDICTS[line.verdict]
    if not math.isnan(line.low):
        axes.plot([line.low, line.high], [height, height], color=colour, linewidth=1.6)
    axes.plot(line.difference, height, marker, color=colour, markersize=6)


def _legend() -> list:
    verdicts = [
        Line2D([], [], marker=marker, color=colour, label=f"ours: {verdict}")
        for verdict, (marker, colour) in _VERDICTS.items()
    ]
    printed = Line2D([], [], marker="o", fillstyle="none", linestyle="", color=COLOURS["quora"], label="printed")
    return [printed, *verdicts, Patch(color="0.92", label="the claim")]


def definitions(table: pd.DataFrame, title: str) -> Figure:
    """How far each printed overall score is from the plain and from the normalised mean of its three scores.

    table: see ``mtbert.experiments.reports.read``; rows without an overall score or one of the three are left out.
    """
    rows = table[table.definition != ""].reset_index(drop=True)
    figure, axes = plt.subplots(figsize=(8, 3.2))
    neither = rows.definition == "neither"
    for name, marker, colour in (("plain", "o", COLOURS["sst"]), ("normalised", "^", COLOURS["quora"])):
        axes.plot(rows.index, rows.overall - rows[name], marker, color=colour, fillstyle="none", label=f"minus {name}")
    for number in rows.index[neither]:
        axes.axvline(number, color="0.85", linewidth=6, zorder=0, label="neither" if number == neither.idxmax() else "")
    axes.axhline(0, color="0.4", linewidth=0.8)
    starts = rows.index[rows.report != rows.report.shift()]
    axes.set(title=title, ylabel="printed minus mean", xlabel="rows in print, report by report", xticks=starts)
    axes.set_xticklabels(
        [TITLES.get(report, report) for report in rows.report[starts]],
        rotation=-20,
        ha="left",
        rotation_mode="anchor",
        fontsize=9,
    )
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def seeds(runs: pd.DataFrame, scores: Sequence[str], title: str) -> Figure:
    """Every run of a row with several seeds, as its distance from the mean of its row, a panel per score; the band is
    twice the standard deviation pooled over the rows of a report.

    runs: see ``mtbert.experiments.beside.measured``.
    """
    runs = runs[runs.groupby("recipe").seed.transform("nunique") > 1].sort_values("recipe", kind="stable")
    rows = list(dict.fromkeys(runs.recipe))
    figure, panels = plt.subplots(
        1, len(scores), figsize=(3 * len(scores), 0.24 * len(rows) + 1.4), sharey=True, sharex=True, squeeze=False
    )
    for axes, score in zip(panels[0], scores, strict=True):
        for report, of in itertools.groupby(range(len(rows)), key=lambda number: rows[number].split("/")[0]):
            heights, spread = list(of), SeedVariance.of(runs, report, score).std
            axes.fill_between([-2 * spread, 2 * spread], heights[0] - 0.4, heights[-1] + 0.4, color="0.9", zorder=0)
        apart = runs[score] - runs.groupby("recipe")[score].transform("mean")
        axes.axvline(0, color="0.4", linewidth=0.8)
        axes.plot(apart, runs.recipe.map(rows.index), "o", color=COLOURS.get(score, COLOURS["plain"]), alpha=0.8)
        axes.set(title=score, xlabel="minus the row's mean")
    panels[0][0].set(yticks=range(len(rows)), ylim=(len(rows) - 0.4, -0.6))
    panels[0][0].set_yticklabels(rows, fontsize=8)
    figure.suptitle(title, fontweight="bold", fontsize="medium")
    return figure


def alarms(counts: Mapping[str, Sequence[int]], title: str) -> Figure:
    """How often so many false alarms are raised by a family of tests in which nothing differs, a panel per method."""
    figure, panels = plt.subplots(1, len(counts), figsize=(3.6 * len(counts), 2.5), sharey=True, squeeze=False)
    most = max(max(each) for each in counts.values())
    for axes, (name, each) in zip(panels[0], counts.items(), strict=True):
        shares = np.bincount(each, minlength=most + 1) / len(each)
        axes.bar(range(most + 1), shares, color=COLOURS["sst"])
        axes.set(title=name, xlabel="claims called true by mistake", xlim=(-0.6, most + 0.6))
    panels[0][0].set_ylabel("share of families")
    figure.suptitle(title, fontweight="bold", fontsize="medium")
    return figure
