"""Recorded results on real data, as a small table for a notebook."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from mtbert.experiments import results
from mtbert.utils import paths


class Recorded(NamedTuple):
    """Which recorded runs to show: a table of data/results, a recipe, an encoder, and optionally their steps."""

    table: str
    recipe: str
    encoder: str = "MiniLM"
    steps: int | None = None


def recorded_means(rows: Mapping[str, Sequence[Recorded]], metrics: Sequence[str]) -> pd.DataFrame:
    """The mean dev scores of recorded runs.

    Args:
        rows: The name of a row -> its runs; where several have a metric, the first one counts.
        metrics: The columns.

    Returns:
        A row per name, with three decimals, or "not measured" where no run has the metric.
    """
    means = {
        name: {key: value for run in reversed(runs) for key, value in _means(run, metrics).items()}
        for name, runs in rows.items()
    }
    for of_row in means.values():
        if len(of_row) < len(metrics):  # a mean of some tasks only would be compared with that of all
            of_row.pop("plain", None)
    table = pd.DataFrame.from_dict(means, orient="index").reindex(columns=list(metrics)).astype(float)
    return table.map(lambda score: "not measured" if pd.isna(score) else f"{score:.3f}")


def _means(run: Recorded, metrics: Sequence[str]) -> dict[str, float]:
    if not (paths.RESULTS / f"{run.table}.csv").exists():
        return {}
    means = results.summary(run.table, [*metrics], by=("recipe", "encoder", "steps"))
    means = means[(means.recipe == run.recipe) & means.encoder.str.contains(run.encoder)]
    if run.steps:
        means = means[means.steps == run.steps]
    return means.dropna(subset=["mean"]).set_index("metric")["mean"].to_dict()
