"""Recorded runs compared within each seed, with p values that account for the number of comparisons."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mtbert.experiments import results
from mtbert.experiments.statistics import EffectEstimate, holm


def paired_differences(
    runs: pd.DataFrame, baseline: str, others: Sequence[str], metrics: Sequence[str]
) -> pd.DataFrame:
    """The scores of some recipes minus those of a baseline, seed by seed.

    Args:
        runs: A row per run, with the columns recipe, seed and those of ``metrics``.
        baseline: The recipe to subtract.
        others: The recipes to compare with it.
        metrics: The scores to compare.

    Returns:
        A row per recipe and metric that two or more seeds have of both. Columns: method (the recipe), metric, seeds,
        mean, half (half the width of the 95% interval, Student's t over the seeds), p, and holm (p adjusted for all
        rows of the table).
    """
    scores = runs.pivot_table(index="seed", columns="recipe", values=list(metrics))
    rows = []
    for recipe in others:
        for metric in metrics:
            if {(metric, recipe), (metric, baseline)} <= set(scores.columns):
                differences = (scores[metric, recipe] - scores[metric, baseline]).dropna()
                if len(differences) > 1:
                    estimate = EffectEstimate.from_seeds(differences.tolist())
                    half = estimate.interval()[1] - estimate.difference
                    p = estimate.p((-math.inf, 0.0)) if np.isfinite(half) else math.nan
                    rows.append((recipe, metric, len(differences), estimate.difference, half, p))
    table = pd.DataFrame(rows, columns=["method", "metric", "seeds", "mean", "half", "p"])
    return table.assign(holm=holm(table.p))


def recorded_differences(name: str, titles: Mapping[str, str], metrics: Sequence[str]) -> pd.DataFrame:
    """The same for recorded runs with the encoder and the steps of the baseline's last one.

    Args:
        name: The table, data/results/NAME.csv.
        titles: The recipes, the baseline first -> how the table calls them.
        metrics: The scores to compare; "plain" is called the plain mean.

    Returns:
        As ``paired_differences``, with the column steps, and the verdict "differs" where holm is below .05, else
        "undecided".
    """
    runs = results.read_table(results.table_path(name))
    baseline, *others = titles
    newest = runs[runs.recipe == baseline].tail(1)[["encoder", "steps"]]
    table = paired_differences(runs.merge(newest, on=["encoder", "steps"]), baseline, others, metrics)
    table.insert(2, "steps", newest.steps.item())
    verdicts = ["differs" if p < 0.05 else "undecided" for p in table.holm]
    return table.replace({"method": dict(titles), "metric": {"plain": "plain mean"}}).assign(verdict=verdicts)
