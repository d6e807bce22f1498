"""Figures of notebook 11: claims, printed scores and ours, seeds, power, false alarms, simulated studies."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy import stats

from mtbert.experiments.claims import TITLES
from mtbert.experiments.statistics import SeedVariance
from mtbert.workbook.plots.style import (
    COLORS,
    MARKED_LINES,
    TASK_NAMES,
    dot_rows,
    finish,
    labelled_bars,
    legend_outside,
    line_per_name,
    panels,
    plain_log_ticks,
    subplots,
)

_VERDICTS = {
    "holds": ("o", COLORS["sts"]),
    "contradicted": ("X", COLORS["cfimdb"]),
    "undecided": ("s", COLORS["plain"]),
    "underpowered": ("d", "0.6"),
    "too few seeds": ("|", "0.6"),
}
_LINEAR = 0.02  # differences up to here are drawn to scale, larger ones by their logarithm
_SIZES = (0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
_TICKS = (-0.4, -0.1, -0.02, 0, 0.02, 0.1, 0.4)


def forest(table: pd.DataFrame, regions: Sequence[tuple[float, float]], title: str) -> Figure:
    """Draw claims and verdicts, report by report.

    Args:
        table: see ``experiments.claim_tests.verdicts``.
        regions: where the difference of each claim lies if it is true.
        title: The figure's title.
    """
    lines = table.assign(region=list(regions)).sort_values("report", kind="stable")
    begins = lines.report.ne(lines.report.shift()).to_numpy()
    heights = np.arange(len(lines)) + np.cumsum(begins)  # leaves a line free above each report
    figure, axes = subplots(figsize=(11, 0.32 * heights[-1] + 1.6))
    largest = np.nanmax(lines[["printed", "difference", "low", "high"]].abs().to_numpy(dtype=float))
    edge = max(0.6, 1.3 * float(largest))
    for height, line in zip(heights, lines.itertuples(), strict=True):
        low, high = (max(-edge, min(edge, bound)) for bound in line.region)
        axes.barh(height, high - low, left=low, height=0.8, color="0.92", zorder=0)
        axes.plot(line.printed, height, "o", color=COLORS["quora"], fillstyle="none", markersize=8)
        _measurement(axes, height, line)
    text = {"transform": axes.get_yaxis_transform(), "ha": "right", "va": "center", "fontweight": "bold"}
    for height, report in zip(heights[begins] - 1, lines.report[begins], strict=True):
        axes.text(-0.02, height, report, **text)
    axes.axvline(0, color="0.4", linewidth=0.8)
    axes.set_xscale("symlog", linthresh=_LINEAR, linscale=1.0)
    axes.set(title=title, xlabel="difference on dev (logarithmic beyond ±.02)", ylabel="")
    axes.set(xlim=(-edge, edge), ylim=(heights[-1] + 1, -0.8))
    axes.set_yticks(heights, [f"{line.claim} · {line.metric}" for line in lines.itertuples()])
    axes.set_xticks(_TICKS, [f"{tick:+g}" if tick else "0" for tick in _TICKS])
    axes.minorticks_off()
    axes.tick_params(axis="y", length=0)
    figure.legend(handles=_legend(table.verdict), loc="outside lower center", ncols=4)
    figure.set_layout_engine("constrained")
    return figure


def _measurement(axes: Axes, height: float, line) -> None:
    if math.isnan(line.difference):
        return
    marker, color = _VERDICTS[line.verdict]
    if not math.isnan(line.low):
        axes.plot([line.low, line.high], [height, height], color=color, linewidth=1.6)
    axes.plot(line.difference, height, marker, color=color, markersize=6)


def _legend(verdicts: Sequence[str]) -> list:
    printed = Line2D([], [], marker="o", fillstyle="none", linestyle="", color=COLORS["quora"], label="printed")
    ours = [
        Line2D([], [], marker=marker, color=color, label=f"ours: {name}")
        for name, (marker, color) in _VERDICTS.items()
        if name in set(verdicts)
    ]
    return [printed, *ours, Patch(color="0.92", label="the claim")]


def definitions(table: pd.DataFrame, title: str) -> Figure:
    """Draw how far printed overall scores are from the means; see ``experiments.report_tables.read_tables``."""
    rows = table[table.definition != ""].reset_index(drop=True)
    figure, axes = subplots(figsize=(11, 4.8))
    neither = rows.definition == "neither"
    looks = (("plain", "plain mean", "o", COLORS["sst"]), ("normalised", "normalized mean", "^", COLORS["quora"]))
    for name, label, marker, color in looks:
        axes.plot(rows.index, rows.overall - rows[name], marker, color=color, fillstyle="none", label=label)
    for row in rows.index[neither]:
        axes.axvline(row, color="0.85", linewidth=6, zorder=0, label="neither fits" if row == neither.idxmax() else "")
    axes.axhline(0, color="0.4", linewidth=0.8)
    axes.set(title=title, ylabel="printed minus mean", xlabel="printed rows, report by report")
    middles = rows.index.to_series().groupby(rows.report, sort=False).mean()
    names = [TITLES.get(report, report).replace(" & ", " &\n") for report in middles.index]
    axes.set_xticks(middles, ["\n\n" * (index % 2) + name for index, name in enumerate(names)])  # else neighbors touch
    for start in rows.index[rows.report != rows.report.shift()][1:]:
        axes.axvline(start - 0.5, color="0.7", linewidth=0.8, linestyle=":")
    return finish(axes)


def seeds(runs: pd.DataFrame, scores: Sequence[str], title: str) -> Figure:
    """Draw the standard deviation over seeds of each row, report by report; see ``experiments.reports.load_runs``.

    The band holds 95% of the rows if all rows of a report have the pooled variance and their scores are normal.
    """
    runs = runs[runs.groupby("recipe").seed.transform("nunique") > 1]
    reports = sorted(set(runs.recipe.str.split("/").str[0]))
    figure, row = panels(len(scores), (11, 0.6 * len(reports) + 1.5), title, sharey=True, sharex=True)
    for axes, score in zip(row, scores, strict=True):
        for height, report in enumerate(reports):
            of_report = runs[runs.recipe.str.startswith(f"{report}/")].groupby("recipe")[score].agg(["std", "count"])
            of_report = of_report[of_report["count"] > 1]
            pooled, df = SeedVariance.pooled(runs, score, report).std, of_report["count"].min() - 1
            if len(of_report):
                low, high = pooled * np.sqrt(stats.chi2.ppf([0.025, 0.975], df) / df)
                axes.fill_between([low, high], height - 0.3, height + 0.3, color="0.9", zorder=0)
            color = COLORS.get(score, COLORS["plain"])
            axes.plot(of_report["std"], np.full(len(of_report), height), "o", color=color, alpha=0.7)
        axes.set(title=TASK_NAMES.get(score, score), xlabel="standard deviation", xscale="log")
        plain_log_ticks(axes.xaxis, [0.001, 0.01, 0.1])
    row[0].set_yticks(range(len(reports)), [TITLES.get(report, report) for report in reports])
    row[0].set_ylim(len(reports) - 0.5, -0.5)
    return figure


def power(table: pd.DataFrame, needed: float, title: str) -> Figure:
    """Draw the power of each claim over its printed difference; see ``experiments.claim_tests.plan``."""
    figure, axes = subplots(figsize=(11, 4.6))
    alike = table.direction.isin(["alike", "no better"])
    for claims, label, marker, color in (
        (table[~alike], "one row is better", "o", COLORS["sst"]),
        (table[alike], "alike, or no better", "x", COLORS["cfimdb"]),
    ):
        label = f"{label} ({len(claims)} claims)"
        axes.plot(claims.printed.abs(), claims.power, marker, color=color, label=label, alpha=0.8, markersize=7)
    axes.axhline(needed, color="0.4", linestyle="--", label=f"tested from here: {needed:.0%}")
    axes.set_xscale("symlog", linthresh=_LINEAR / 4)
    axes.set_xticks(_SIZES, [f"{size:g}" for size in _SIZES])
    axes.minorticks_off()
    axes.set(xlim=(-0.0004, 0.6), ylim=(-0.04, 1.06))
    return finish(axes, title=title, xlabel="size of the printed difference", ylabel="power with three seeds")


def alarms(counts: Mapping[str, Sequence[int]], title: str) -> Figure:
    """Draw the false alarms in families of tests in which nothing differs; method -> number per family."""
    figure, row = panels(len(counts), (10, 3.6), title, sharey=True)
    most = max(max(values) for values in counts.values())
    for axes, (name, values) in zip(row, counts.items(), strict=True):
        axes.bar(range(most + 1), np.bincount(values, minlength=most + 1) / len(values), color=COLORS["sst"])
        axes.set(title=name, xlabel="number of false alarms", xlim=(-0.6, most + 0.6))
    row[0].set_ylabel("share of families")
    return figure


def beside(printed: pd.DataFrame, measured: pd.DataFrame, title: str) -> Figure:
    """Draw the bars of a report's figure, and the same bars from our runs.

    Args:
        printed: a line per row of the report, a column per score.
        measured: the same from our runs; NaN where there is none.
        title: The figure's title.
    """
    figure, both = panels(2, (11, 0.5 * len(printed) + 1.6), title, sharey=True, sharex=True)
    height = 0.8 / len(printed.columns)
    for axes, name, table in zip(both, ("printed", "ours"), (printed, measured), strict=True):
        for index, score in enumerate(printed.columns):
            middles = np.arange(len(table)) + (index - (len(printed.columns) - 1) / 2) * height
            axes.barh(
                middles,
                table[score].fillna(0),
                height,
                color=COLORS.get(score, COLORS["plain"]),
                label=TASK_NAMES.get(score, score),
            )
        for row in np.flatnonzero(table.isna().all(axis=1)):
            axes.text(0.02, row, "not run", va="center", style="italic", color="0.4")
        axes.set(title=name, xlabel="score on dev", xlim=(0, 1))
    both[0].set_yticks(range(len(printed)), list(printed.index))
    both[0].invert_yaxis()
    legend_outside(both[1])
    return figure


def by_epoch(titled: Mapping[str, Mapping[str, Sequence[float]]], ylabel: str, title: str) -> Figure:
    """Draw values over the epochs, a panel per title; titled: title -> line -> (epochs,), NaN where there is none."""
    figure, row = panels(len(titled), (11, 3.8), title, sharey=True, sharex=True)
    for axes, (name, lines) in zip(row, titled.items(), strict=True):
        epochs = np.arange(1, max(map(len, lines.values())) + 1)
        line_per_name(axes, epochs, lines, MARKED_LINES)
        axes.set(title=name, xlabel="epoch", xticks=epochs[1::2])
    row[0].set_ylabel(ylabel)
    legend_outside(row[-1])
    return figure


def simulated(checked: Mapping[str, pd.DataFrame], title: str) -> Figure:
    """Draw how intervals and verdicts fare in synthetic studies.

    Args:
        checked: what is true -> see ``experiments.simulation.check_rule``.
        title: The figure's title.
    """
    figure, (left, right) = panels(2, (11, 4.4), title)
    left.axvspan(0.93, 0.97, color="0.9", zorder=0)
    names = {"covered_by_rows": "dev rows alone", "covered": "seeds and dev rows"}
    kinds = [(truth, column) for truth in checked for column in names]
    rows = {f"{names[column]},\n{truth}": checked[truth].groupby("claim")[column].mean() for truth, column in kinds}
    colors = [COLORS["cfimdb"] if column == "covered_by_rows" else COLORS["sts"] for _, column in kinds]
    dot_rows(left, rows, colors, 0.8)
    left.set(title="coverage of 95% intervals", xlabel="share of studies, a dot per claim")
    left.invert_yaxis()
    shares = {
        f"{name},\n{truth}": table.groupby("study")[column].any().mean()
        for truth, table in checked.items()
        for column, name in (("false_uncorrected", "uncorrected"), ("false", "after Holm"))
    }
    right.axvline(0.05, color="0.4", linestyle="--")
    labelled_bars(right, shares, shares.values(), COLORS["sst"], "%.3f")
    for text in right.texts:  # else the line runs through it
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1.5})
    right.set(title="studies with a false verdict", xlabel="share of studies (dashed: .05)")
    right.set_xlim(0, max(0.2, *shares.values()) * 1.2)
    right.invert_yaxis()
    return figure
