"""Scores: over a whole set at once, never a mean of batches."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mtbert.data.read import Rows
from mtbert.data.tasks import TASKS, Task
from mtbert.data.tokens import TokenizedDataset
from mtbert.nn.model import MultitaskModel, labels_from
from mtbert.utils.errors import UserError
from mtbert.utils.files import atomic_write
from mtbert.utils.logging import logger


def accuracy(predicted: Sequence[float], labels: Sequence[float]) -> float:
    """Share of predictions that equal their label. Raises UserError as ``pearson`` does."""
    x, y = _numbers(predicted, labels)
    return float(np.mean(x == y))


def pearson(predicted: Sequence[float], labels: Sequence[float]) -> float:
    """Pearson's correlation; 0.0, never NaN, if either side is constant (nothing varies, so nothing is explained).

    predicted, labels: (rows,) each. Raises UserError if there are no rows, not equally many, or one is not finite.
    """
    x, y = _numbers(predicted, labels)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    x, y = x - x.mean(), y - y.mean()
    x, y = x / np.abs(x).max(), y / np.abs(y).max()  # tiny differences would vanish when squared
    return float(np.clip((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()), -1, 1))


def _numbers(predicted: Sequence[float], labels: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.asarray(predicted, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    if not len(x) or len(x) != len(y):
        raise UserError(f"{len(x)} predictions and {len(y)} labels have no score: give one of each for every row")
    for row in np.flatnonzero(~(np.isfinite(x) & np.isfinite(y))):
        raise UserError(f"row {row + 1} has prediction {x[row]} and label {y[row]}: only finite numbers have a score")
    return x, y


def score(task: Task, logits: Tensor, labels: Sequence[float]) -> float:
    """The task's metric of a head's (rows, outputs): accuracy, or Pearson's r for a score task."""
    metric = pearson if task.kind == "regression" else accuracy
    return metric(labels_from(task, logits), labels)


def overall(scores: Mapping[str, float]) -> dict[str, float]:
    """Both definitions in use, over the tasks that count.

    plain: the mean of the scores. normalised: the same with (r + 1) / 2 in place of a correlation r. With sst, quora
    and sts these are the course's overall scores of 2023 and 2024.
    """
    counted = {name: value for name, value in scores.items() if name in TASKS and TASKS[name].in_overall}
    if not counted:
        return {"plain": 0.0, "normalised": 0.0}
    shifted = [(value + 1) / 2 if TASKS[name].kind == "regression" else value for name, value in counted.items()]
    return {"plain": float(np.mean(list(counted.values()))), "normalised": float(np.mean(shifted))}


def predict_logits(model: MultitaskModel, rows: Rows, progress: Callable[[int], object] | None = None) -> Tensor:
    """(rows, outputs) of the task's head for a file's rows, in their order; says how many had to be truncated.

    progress: told the number of rows that are done, batch after batch.
    """
    task = rows.task.name
    sequences = model.sequences(task, TokenizedDataset.of_rows(rows, model.encoder.tokenizer))
    for note in sequences.notes(rows.path.name, model.max_length[task]):
        logger.info(note)
    return model.predict_logits(task, sequences, progress)


def evaluate(model: MultitaskModel, sets: Mapping[str, Rows]) -> dict[str, float]:
    """Each task's score on its labelled rows, and both overall scores."""
    scores = {name: score(rows.task, predict_logits(model, rows), rows.labels) for name, rows in sets.items()}
    return {**scores, **overall(scores)}


def write_predictions(path: Path, rows: Rows, logits: Tensor) -> None:
    """A file ``id,prediction`` with one line for each row, in order; written whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "prediction"])
    for example, label in zip(rows.examples, labels_from(rows.task, logits), strict=True):
        writer.writerow([example.id, round(label, 6)])
    atomic_write(path, text.getvalue())
