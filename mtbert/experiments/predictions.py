"""What runs predicted of dev rows, and the counts of their mistakes that data/results keeps."""

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mtbert.data.read import Rows, read_split
from mtbert.data.tasks import get_task
from mtbert.experiments.metrics import Pair, calibration, classes_of, confidence, confusion
from mtbert.experiments.results import encoder_name, keep
from mtbert.training.evaluation import predict_logits
from mtbert.training.run import Run, load_model, open_run
from mtbert.utils.device import autocast
from mtbert.utils.errors import UserError
from mtbert.utils.logging import logger


class Predicted(NamedTuple):
    """The dev rows that a run was scored on, and its best epoch's predictions of them, in their order."""

    rows: Rows
    values: list[float]


def predictions(run: Run, data: Path) -> dict[str, Predicted]:
    """By task, what the run kept of its dev predictions, beside the rows of a data folder.

    Raises UserError if a dev file is not the one that the run was scored on, or the predictions are of other rows.
    """
    found = {}
    for task in (task for task in run.recipe.task_list if "dev" in task.files):
        rows = _scored_rows(run, task.name, data)
        path = run.folder / "predictions" / f"{task.name}-dev.csv"
        try:
            with open(path, encoding="utf-8", newline="") as file:
                kept = list(csv.DictReader(file))
        except FileNotFoundError:
            raise UserError(f"{path} does not exist: train the run again") from None
        if [row["id"] for row in kept] != [example.id for example in rows.examples]:
            raise UserError(f"{path} has predictions of other rows than {rows.path.name}: train the run again")
        found[task.name] = Predicted(rows, [float(row["prediction"]) for row in kept])
    return found


def record_confusion(folders: Sequence[str | Path], data: Path, name: str = "confusion") -> list[Path]:
    """Keep the confusion counts of runs in data/results/NAME.csv, and how each of the others did beside the first one,
    on the tasks that both have, in NAME_pairs.csv. Counts only: neither texts nor ids. Two runs that were scored on
    different rows are no pair, which is logged. Errors as for ``predictions``.
    """
    runs = [open_run(folder) for folder in folders]
    predicted = [predictions(run, data) for run in runs]
    counts, pairs = [], []
    for run, tasks in zip(runs, predicted, strict=True):
        for task, (rows, values) in tasks.items():
            matrix = confusion(classes_of(rows.task, rows.labels), classes_of(rows.task, values), rows.task.labels)
            counts += [
                {
                    **_origin(run),
                    "task": task,
                    "true": true,
                    "predicted": answer,
                    "rows": int(matrix[true, answer]),
                    "dev_sha256": rows.sha256,
                }
                for true in range(len(matrix))
                for answer in range(len(matrix))
            ]
            if run is runs[0] or task not in predicted[0] or rows.task.kind == "regression":
                continue
            first = predicted[0][task].values
            if len(first) != len(values):
                logger.info(
                    f"{runs[0].folder} and {run.folder} are no pair in {task}: one was scored on {len(first)} dev "
                    f"rows, the other on {len(values)}"
                )
                continue
            pair = Pair.of(rows.labels, first, values)
            pairs.append(
                {
                    "first": _called(runs[0]),
                    "second": _called(run),
                    "task": task,
                    **dataclasses.asdict(pair),
                    "dev_sha256": rows.sha256,
                }
            )
    written = [keep(counts, name, ["recipe", "seed", "encoder", "steps", "task", "true", "predicted"])]
    return written + ([keep(pairs, f"{name}_pairs", ["first", "second", "task"])] if pairs else [])


def record_calibration(folder: str | Path, data: Path, task: str, bins: int = 50, name: str = "calibration") -> Path:
    """Keep in data/results/NAME.csv how often a run's claims on dev are true (see ``mtbert.experiments.metrics.confidence``), by
    their probability. Runs the model; a score task claims nothing and raises UserError."""
    if get_task(task).kind == "regression":
        raise UserError(f"task {task!r} predicts scores, not probabilities: choose another task")
    run = open_run(folder)
    rows = _scored_rows(run, task, data)
    model = load_model(folder)
    with autocast(model.device, run.recipe.precision):
        table = calibration(*confidence(rows.task, predict_logits(model, rows), rows.labels), bins)
    kept = [{**_origin(run), "task": task, **bin, "dev_sha256": rows.sha256} for bin in table.to_dict("records")]
    return keep(kept, name, ["recipe", "seed", "encoder", "steps", "task", "low", "high"])


def _scored_rows(run: Run, task: str, data: Path) -> Rows:
    rows = read_split(data, get_task(task), "dev")
    known = run.record["data"].get(rows.path.name)
    if known is None or known["sha256"] != rows.sha256:
        raise UserError(f"{rows.path} is not the file that {run.folder} was scored on: give that data folder")
    return rows.spread(run.recipe.dev_rows)


def _origin(run: Run) -> dict:
    """What tells recorded runs apart."""
    encoder = encoder_name(run.recipe.encoder, run.record["encoder_sha256"])
    return {
        "recipe": run.recipe.name,
        "seed": run.recipe.seed,
        "encoder": encoder,
        "steps": run.epochs[run.record["best_epoch"] - 1]["step"],
        "revision": run.record["revision"],
    }


def _called(run: Run) -> str:
    return f"{run.recipe.name} s{run.recipe.seed}"
