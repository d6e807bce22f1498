"""Pairs of runs compared on the same dev rows: differences, and their standard errors by the paired bootstrap."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mtbert.data.tasks import OVERALL_TASKS, TASKS
from mtbert.experiments.claims import load_claims
from mtbert.experiments.metrics import Pair, resampled_pearson
from mtbert.experiments.prediction_files import one_per_task, read_folder
from mtbert.experiments.predictions import DevPredictions, load_predictions
from mtbert.experiments.recipes import scale_of
from mtbert.experiments.results import encoder_name, read_table
from mtbert.training.evaluation import accuracy, pearson
from mtbert.training.run import Run, open_run
from mtbert.utils import paths
from mtbert.utils.errors import UserError
from mtbert.utils.tables import upsert_csv

_SETTING = ["scale", "encoder", "precision"]
_PAIR = ["row", "row_seed", "baseline", "baseline_seed"]
_COLUMNS = [*_SETTING, *_PAIR, "metric", "difference", "error", "rows", "dev_sha256", "revision", "baseline_revision"]


def compare(
    row: Mapping[str, DevPredictions], baseline: Mapping[str, DevPredictions], draws: int = 4000, seed: int = 0
) -> dict[str, tuple[float, float, int]]:
    """Compare the dev predictions of two runs (see ``load_predictions``), with ``draws`` bootstrap samples.

    Returns:
        By metric: (difference, row minus baseline; standard error by the paired bootstrap; number of dev rows). The
        metrics are the tasks that both have and, if the three that count are among them, both overall scores.

    Raises:
        UserError: the two were scored on different rows of a task.
    """
    compared, samples = {}, {}
    for index, task in enumerate(task for task in TASKS if task in row and task in baseline):
        rows, values, baseline_values = row[task].rows, row[task].values, baseline[task].values
        if len(values) != len(baseline_values) or rows.sha256 != baseline[task].rows.sha256:
            raise UserError(
                f"{task}: {len(values)} and {len(baseline_values)} dev rows, or two different files: "
                "compare runs of one scale on the same data"
            )
        generator = np.random.default_rng([seed, index])
        if rows.task.kind == "regression":
            metric, samples[task] = pearson, resampled_pearson(rows.labels, baseline_values, values, draws, generator)
        else:
            pair = Pair.count(rows.labels, baseline_values, values)
            metric, samples[task] = accuracy, pair.resampled(draws, generator)
        difference = metric(values, rows.labels) - metric(baseline_values, rows.labels)
        compared[task] = difference, float(samples[task].std()), len(values)
    if compared.keys() >= set(OVERALL_TASKS):
        for name, sts_weight in (("plain", 1.0), ("normalised", 0.5)):  # (r + 1) / 2 halves a difference of r
            weights = {"sst": 1 / 3, "quora": 1 / 3, "sts": sts_weight / 3}
            difference = sum(weight * compared[task][0] for task, weight in weights.items())
            overall_samples = sum((weight * samples[task] for task, weight in weights.items()), np.zeros(draws))
            compared[name] = difference, float(overall_samples.std()), sum(compared[task][2] for task in weights)
    return compared


def comparable_pairs(runs: Iterable[Run]) -> list[tuple[Run, Run]]:
    """Finished runs to compare, of one setting: row and baseline of a claim with one seed, and one recipe with two."""
    claimed = {claim.recipes for claim in load_claims()}
    candidates = [run for run in runs if run.finished and scale_of(run.recipe)]
    pairs = []
    for row, baseline in itertools.permutations(candidates, 2):
        names, seeds = (row.recipe.name, baseline.recipe.name), (row.recipe.seed, baseline.recipe.seed)
        is_claim = names in claimed and seeds[0] == seeds[1]
        is_control = names[0] == names[1] and seeds[0] > seeds[1]
        if (is_claim or is_control) and _setting(row) == _setting(baseline):
            pairs.append((row, baseline))
    return pairs


def _setting(run: Run) -> tuple[str | None, str, str]:
    encoder = encoder_name(run.recipe.encoder, run.record["encoder_sha256"])
    return scale_of(run.recipe), encoder, run.record.get("precision", run.recipe.precision)


def compare_runs(folders: Iterable[str | Path], data: Path) -> pd.DataFrame:
    """Compare these runs (see ``comparable_pairs``) on the dev files of a data folder, a line per pair and metric."""
    pairs = comparable_pairs(open_run(folder) for folder in folders)
    if not pairs:
        raise UserError("no claim compares two of these runs: give finished runs of one report at one scale")
    predictions = {run.folder: load_predictions(run, data) for pair in pairs for run in pair}
    lines = []
    for row, baseline in pairs:
        names = (row.recipe.name, row.recipe.seed, baseline.recipe.name, baseline.recipe.seed)
        revisions = (row.record["revision"], baseline.record["revision"])
        for metric, result in compare(predictions[row.folder], predictions[baseline.folder]).items():
            tasks = [metric] if metric in TASKS else OVERALL_TASKS
            dev = " ".join(predictions[row.folder][task].rows.sha256 for task in tasks)
            lines.append((*_setting(row), *names, metric, *result, dev, *revisions))
    return pd.DataFrame(lines, columns=_COLUMNS)


def compare_files(folders: Sequence[Path], data: Path) -> pd.DataFrame:
    """Compare the files of predictions in some folders (see ``read_folder``) with those in the first one, on dev rows.

    Returns:
        A line per folder and metric. Columns: row, baseline (the folders), metric, difference, error, rows.

    Raises:
        UserError: there are fewer than two folders, two have no task in common, or a file cannot be read.
    """
    if len(folders) < 2:
        raise UserError("one folder of predictions cannot be compared: give a second one")
    by_folder = []
    for folder in folders:
        files = one_per_task(read_folder(folder, data, ["dev"]))
        by_folder.append({task: DevPredictions(file.rows, file.values) for task, file in files.items()})
    lines = []
    for folder, predictions in zip(folders[1:], by_folder[1:], strict=True):
        compared = compare(predictions, by_folder[0])
        if not compared:
            raise UserError(f"{folder} and {folders[0]} have no dev predictions of the same task: nothing to compare")
        lines += [(str(folder), str(folders[0]), metric, *result) for metric, result in compared.items()]
    return pd.DataFrame(lines, columns=["row", "baseline", "metric", "difference", "error", "rows"])


def record_comparisons(comparisons: pd.DataFrame, name: str = "claims") -> Path:
    """Add the lines of ``compare_runs`` to data/results/NAME.csv; the same pair, compared again, replaces its lines."""
    key = [*_SETTING, *_PAIR, "metric"]
    return upsert_csv(paths.RESULTS / f"{name}.csv", comparisons.to_dict("records"), key)


def recorded_comparisons(runs: pd.DataFrame, name: str = "claims") -> pd.DataFrame:
    """The lines of data/results/NAME.csv with the scale, encoder and precision of ``runs`` (see ``load_runs``)."""
    path = paths.RESULTS / f"{name}.csv"
    comparisons = read_table(path) if path.exists() else pd.DataFrame(columns=_COLUMNS)
    settings = runs[_SETTING].drop_duplicates()
    return comparisons.merge(settings, on=_SETTING) if len(settings) else comparisons.iloc[:0]
