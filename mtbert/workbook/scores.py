"""Scores as the lessons compare them: recorded runs, what reports print, and how large a difference must be."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mtbert.data.tasks import Task
from mtbert.experiments import results
from mtbert.experiments.metrics import Pair, resampled_pearson
from mtbert.experiments.recipes import RECIPES
from mtbert.training.evaluation import pearson

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


def recorded_scores(
    name: str, metric: str, titles: Mapping[str, str], encoder: str = MINILM, unit: str = "r on real dev"
) -> pd.DataFrame:
    """The scores of recorded recipes, each with half the width of its 95% interval where it has several seeds.

    Args:
        name: The table, data/results/NAME.csv.
        metric: Its column, such as "sts".
        titles: Recipe -> what the row is called. A recipe that has not been run is "not measured".
        encoder: The encoder of the runs.
        unit: The name of the score's column.
    """
    table = results.summary(name, [metric])
    table = table[table.encoder == encoder].drop_duplicates("recipe", keep="last").set_index("recipe")
    rows = {title: ("not measured", 0) for title in titles.values()}
    for recipe in titles.keys() & set(table.index):
        run = table.loc[recipe]
        half = f" ± {run.half:.3f}" if run.runs > 1 else ""
        rows[titles[recipe]] = (f"{run['mean']:.3f}{half}", int(run.runs))
    return pd.DataFrame(rows, index=[unit, "seeds"]).T


def printed_scores(report: str, rows: Sequence[str]) -> pd.DataFrame:
    """The scores that a report prints: a row per experiment, a column per score."""
    return pd.DataFrame({row: RECIPES[f"{report}/{row}"].printed for row in rows}).T


def measured_differences(runs: pd.DataFrame, report: str, rows: Sequence[str], baseline: str) -> pd.DataFrame:
    """Scores minus those of the baseline's run with the same seed.

    Args:
        runs: Recorded runs, as ``load_runs`` returns them.
        report: The report.
        rows: The recipes to compare, without the report's name.
        baseline: The recipe to compare with.

    Returns:
        A row per recipe and seed: sst, quora and sts.
    """
    scores = runs.set_index(["recipe", "seed"])[["sst", "quora", "sts"]]
    by_row = {row: scores[scores.index.get_level_values("recipe") == f"{report}/{row}"] for row in [*rows, baseline]}
    by_row = {row: table.droplevel("recipe") for row, table in by_row.items()}
    differences = {row: (by_row[row] - by_row[baseline]).dropna() for row in rows if row != baseline}
    return pd.concat(differences, names=["row", "seed"])


def twice_standard_error(scores: Mapping[str, float], quora_rows: int) -> dict[str, float]:
    """Twice the standard error of a difference of two such scores, as if their errors were independent.

    Args:
        scores: Accuracies "sst" and "quora", and Pearson's r "sts".
        quora_rows: Number of Quora's dev rows; SST has 1,101 and STS 863.
    """
    rows = {"sst": 1101, "quora": quora_rows, "sts": 863}
    errors = {task: math.sqrt(scores[task] * (1 - scores[task]) / rows[task]) for task in ("sst", "quora")}
    errors["sts"] = (1 - float(scores["sts"]) ** 2) / math.sqrt(rows["sts"])
    return {task: 2 * math.sqrt(2) * error for task, error in errors.items()}


def paired_effect(
    task: Task, labels: Sequence[float], first: Sequence[float], second: Sequence[float]
) -> tuple[float, float, float]:
    """The second model's score minus the first's, with its 95% interval by the paired bootstrap over rows.

    Args:
        task: What is scored.
        labels: (rows,).
        first: The first model's predictions, (rows,).
        second: The second model's.

    Returns:
        The difference and the bounds of its interval.
    """
    if task.kind != "regression":
        pair = Pair.count(labels, first, second)
        return pair.difference, *pair.interval()
    samples = resampled_pearson(labels, first, second, 2000, np.random.default_rng(0))
    low, high = np.quantile(samples, [0.025, 0.975])
    return pearson(second, labels) - pearson(first, labels), float(low), float(high)
