"""The dev predictions of runs, and the confusion and calibration counts that data/results records of them."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mtbert.data.read import Rows, read_split
from mtbert.data.tasks import get_task
from mtbert.experiments.metrics import Pair, calibration, classes_of, confidence, confusion_matrix
from mtbert.experiments.prediction_files import read_lines
from mtbert.experiments.results import run_origin, table_path
from mtbert.training.evaluation import predict_logits
from mtbert.training.run import Run, load_model, open_run, remedy
from mtbert.utils.device import autocast
from mtbert.utils.errors import UserError
from mtbert.utils.logging import logger
from mtbert.utils.tables import upsert_csv

_ORIGIN = ["recipe", "seed", "encoder", "steps"]


class DevPredictions(NamedTuple):
    """The dev rows that a run was scored on, and the predictions of its best epoch, in their order."""

    rows: Rows
    values: list[float]


def load_predictions(run: Run, data: Path) -> dict[str, DevPredictions]:
    """The dev predictions that a run saved, by task, with the rows of the dev files that it was scored on.

    Raises:
        UserError: a dev file is not the one that the run was scored on, or the predictions do not belong to its rows.
    """
    predictions = {}
    for task in (task for task in run.recipe.task_list if "dev" in task.files):
        rows = scored_rows(run, task.name, data)
        path = run.folder / "predictions" / f"{task.name}-dev.csv"
        if not path.exists():
            raise UserError(f"{path} does not exist: {remedy(run)}")
        saved = list(read_lines(path, task))
        if [identity for _, identity, _ in saved] != [example.id for example in rows.examples]:
            raise UserError(f"{path} has predictions of other rows than {rows.path.name}: {remedy(run)}")
        predictions[task.name] = DevPredictions(rows, [value for *_, value in saved])
    return predictions


def record_confusion(folders: Sequence[str | Path], data: Path, name: str = "confusion") -> list[Path]:
    """Record the confusion counts of runs, and how each of them compares with the first one, row by row.

    Only counts are recorded, neither texts nor ids. Runs that were scored on different rows are not compared, which is
    logged.

    Returns:
        The files written: data/results/NAME.csv with the counts and NAME_pairs.csv with the comparisons.
    """
    runs = {run: load_predictions(run, data) for run in map(open_run, folders)}
    first, *others = runs
    counts = [
        row for run, by_task in runs.items() for of_task in by_task.values() for row in _confusion_rows(run, of_task)
    ]
    pairs = [row for run in others for row in _pair_rows(first, runs[first], run, runs[run])]
    path = table_path(name)
    written = [upsert_csv(path, counts, [*_ORIGIN, "task", "true", "predicted"])]
    if pairs:
        written.append(upsert_csv(path.with_name(f"{path.stem}_pairs.csv"), pairs, ["first", "second", "task"]))
    return written


def _confusion_rows(run: Run, predictions: DevPredictions) -> list[dict[str, Any]]:
    rows, values = predictions
    matrix = confusion_matrix(classes_of(rows.task, rows.labels), classes_of(rows.task, values), rows.task.labels)
    origin = {**run_origin(run), "task": rows.task.name}
    return [
        {**origin, "true": true, "predicted": predicted, "rows": int(count), "dev_sha256": rows.sha256}
        for (true, predicted), count in np.ndenumerate(matrix)
    ]


def _pair_rows(
    first: Run, first_predictions: dict[str, DevPredictions], second: Run, predictions: dict[str, DevPredictions]
) -> list[dict[str, Any]]:
    lines = []
    for task, (rows, values) in predictions.items():
        if task not in first_predictions or rows.task.kind == "regression":
            continue
        first_values = first_predictions[task].values
        if len(first_values) != len(values):
            logger.info(
                f"{first.folder} and {second.folder} are not compared on {task}: one was scored on "
                f"{len(first_values)} dev rows, the other on {len(values)}"
            )
            continue
        pair = Pair.count(rows.labels, first_values, values)
        names = {side: f"{run.recipe.name} s{run.recipe.seed}" for side, run in (("first", first), ("second", second))}
        lines.append({**names, "task": task, **dataclasses.asdict(pair), "dev_sha256": rows.sha256})
    return lines


def check_calibrated(task: str) -> None:
    """Raise UserError unless a task's models predict probabilities."""
    if get_task(task).kind == "regression":
        raise UserError(f"task {task!r} predicts scores, not probabilities: choose another task")


def record_calibration(folder: str | Path, data: Path, task: str, bins: int = 50, name: str = "calibration") -> Path:
    """Run a model on its dev rows, and record in data/results/NAME.csv how often its confidence is justified.

    Raises:
        UserError: the task predicts scores, or the dev file is not the one that the run was scored on.
    """
    check_calibrated(task)
    run = open_run(folder)
    rows = scored_rows(run, task, data)
    model = load_model(folder)
    with autocast(model.device, run.recipe.precision):
        table = calibration(*confidence(rows.task, predict_logits(model, rows), rows.labels), bins)
    lines = [{**run_origin(run), "task": task, **line, "dev_sha256": rows.sha256} for line in table.to_dict("records")]
    return upsert_csv(table_path(name), lines, [*_ORIGIN, "task", "low", "high"])


def scored_rows(run: Run, task: str, data: Path) -> Rows:
    """The dev rows that a run was scored on; UserError if the data folder has another file."""
    rows = read_split(data, get_task(task), "dev")
    recorded = run.record["data"].get(rows.path.name)
    if recorded is None or recorded["sha256"] != rows.sha256:
        raise UserError(f"{rows.path} is not the file that {run.folder} was scored on: give that data folder")
    return rows.subsample(run.recipe.dev_rows)
