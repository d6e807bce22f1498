"""Recorded results on real data, in the form that a notebook shows."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from mtbert.data.tasks import OVERALL_TASKS
from mtbert.experiments import results
from mtbert.utils import paths
from mtbert.utils.errors import UserError
from mtbert.workbook.plots.style import TASK_NAMES
from mtbert.workbook.plots.surgery import pair_title


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
    means = _rows_of(run, results.summary(run.table, [*metrics], by=("recipe", "encoder", "steps")))
    return means.dropna(subset=["mean"]).set_index("metric")["mean"].to_dict()


def recorded_history(run: Recorded) -> pd.DataFrame:
    """The epochs of recorded runs as ``Run.history`` has those of one run; runs that differ in the seed are averaged.

    Returns:
        A row per epoch. Columns: epoch, the mean loss ("loss TASK") and the dev score (TASK) of each task, and plain,
        the mean of the dev scores.

    Raises:
        UserError: no epoch of such a run is recorded.
    """
    epochs = _rows_of(run, results.histories(run.table))
    if epochs.empty:
        raise UserError(f"data/results/{run.table}.csv has no epoch of {run.recipe}: record a run of it")
    means = epochs.groupby(["epoch", "task"], sort=False)[["loss", "score"]].mean().unstack()
    scores = means["score"].assign(plain=means["score"].mean(axis=1))
    return means["loss"].add_prefix("loss ").join(scores).rename_axis(columns=None).reset_index()


def recorded_curves(name: str, lines: Mapping[str, tuple[str, str]]) -> dict[str, dict[str, pd.Series]]:
    """The epochs of recorded runs, as ``plots.reports.by_epoch`` draws them.

    Args:
        name: The table, data/results/NAME.csv, with one run per recipe.
        lines: The name of a line -> its recipe, and the column of ``results.histories`` to draw.

    Returns:
        Name of the task -> name of the line -> values by epoch, for the three tasks of the overall score.
    """
    epochs = results.histories(name).set_index(["recipe", "task"])
    return {
        TASK_NAMES[task]: {line: epochs.loc[(recipe, task), column] for line, (recipe, column) in lines.items()}
        for task in OVERALL_TASKS
    }


def conflict_shares(name: str, recipe: str) -> pd.DataFrame:
    """In which share of an epoch's steps two tasks' gradients conflicted, in a recorded run with surgery.

    Returns:
        A row per epoch, a column per pair of tasks, such as "SST–STS".
    """
    counts = results.conflict_counts(name).query("recipe == @recipe")
    shares = counts.assign(share=counts.conflicts / counts.steps, pair=counts.pair.map(pair_title))
    return shares.pivot(index="epoch", columns="pair", values="share").rename_axis(columns=None)


def recorded_limits(name: str, task: str) -> pd.DataFrame:
    """Recorded runs by their limit in tokens.

    Args:
        name: The table, data/results/NAME.csv.
        task: The task that the runs were trained on.

    Returns:
        A row per run. Columns: max_length, lr, seed, accuracy (on dev).
    """
    runs = results.read_table(results.table_path(name))
    settings = [results.recipe_of(run) for run in runs.to_dict("records")]
    columns = {"max_length": [recipe.max_length[task] for recipe in settings], "lr": [r.lr for r in settings]}
    return pd.DataFrame(columns | {"seed": runs.seed, "accuracy": runs[task]})


def _rows_of(run: Recorded, table: pd.DataFrame) -> pd.DataFrame:
    table = table[(table.recipe == run.recipe) & table.encoder.str.contains(run.encoder)]
    return table[table.steps == run.steps] if run.steps else table
