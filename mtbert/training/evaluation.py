"""Scores of a whole set at once, never a mean over batches; and files of predictions."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm

from mtbert.data.read import Rows
from mtbert.data.tasks import Task, overall
from mtbert.data.tokens import TokenizedDataset
from mtbert.nn.model import MultitaskModel, check_finite, labels_from
from mtbert.training.dataset import TaskDataset
from mtbert.training.distributed import World
from mtbert.utils.errors import UserError
from mtbert.utils.files import atomic_write
from mtbert.utils.logging import logger
from mtbert.utils.tables import csv_text


def accuracy(predictions: Sequence[float], labels: Sequence[float]) -> float:
    """The fraction of predictions that equal their label. Raises UserError as ``pearson`` does."""
    x, y = _arrays(predictions, labels)
    return float(np.mean(x == y))


def pearson(predictions: Sequence[float], labels: Sequence[float]) -> float:
    """Pearson's correlation of (rows,) each; 0.0, never NaN, if either is constant.

    Raises UserError if there are no rows, the lengths differ, or a number is not finite.
    """
    x, y = _arrays(predictions, labels)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    x, y = x - x.mean(), y - y.mean()
    x, y = x / np.abs(x).max(), y / np.abs(y).max()  # squares of tiny differences would underflow
    return float(np.clip((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()), -1, 1))


def _arrays(predictions: Sequence[float], labels: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.asarray(predictions, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    if not len(x) or len(x) != len(y):
        raise UserError(f"{len(x)} predictions and {len(y)} labels have no score: give one of each for every row")
    for row in np.flatnonzero(~(np.isfinite(x) & np.isfinite(y))):
        raise UserError(f"row {row + 1} has prediction {x[row]} and label {y[row]}: only finite numbers have a score")
    return x, y


def score(task: Task, logits: Tensor, labels: Sequence[float]) -> float:
    """The task's metric, from (rows, outputs) logits and (rows,) labels: accuracy, or Pearson's r for regression."""
    metric = pearson if task.kind == "regression" else accuracy
    return metric(labels_from(task, logits), labels)


def score_all(sets: Mapping[str, Rows], logits: Mapping[str, Tensor]) -> dict[str, float]:
    """Each task's score on its labeled rows, and both overall scores. logits: (rows, outputs) for each task."""
    scores = {name: score(sets[name].task, task_logits, sets[name].labels) for name, task_logits in logits.items()}
    return {**scores, **overall(scores)}


def predict_logits(model: MultitaskModel, rows: Rows, progress: Callable[[int], object] | None = None) -> Tensor:
    """The logits of a file's rows, labeled or not, (rows, outputs); logs how many sequences were truncated.

    ``progress`` is called after each batch with the number of rows in it. Raises UserError unless all are finite.
    """
    task = rows.task.name
    sequences = model.encode_dataset(task, TokenizedDataset.from_rows(rows, model.encoder.tokenizer))
    for note in sequences.notes(rows.path.name, model.max_length[task]):
        logger.info(note)
    logits = model.predict_logits(task, sequences, progress)
    check_finite(rows.task, logits)  # before anything is written
    return logits


class DevSets:
    """The dev rows of a training run by task: all ``rows``, and the encoded part of them that this process scores."""

    def __init__(self, rows: Mapping[str, Rows], datasets: Mapping[str, TaskDataset], world: World, progress: bool):
        self.rows, self.datasets, self.world, self.progress = rows, datasets, world, progress

    @torch.no_grad()
    def predict_logits(self) -> dict[str, Tensor]:
        """Each task's logits, (rows, outputs) on the CPU; FloatingPointError unless they are finite."""
        total = sum(len(dataset) for dataset in self.datasets.values())
        with tqdm(total=total, desc="dev", unit="row", leave=False, disable=not self.progress) as bar:
            shards = {name: dataset.predict_logits(bar.update) for name, dataset in self.datasets.items()}
        logits = {}
        for name, rows in self.rows.items():
            logits[name] = self.world.gather(shards.get(name), len(rows), rows.task.num_outputs)
            if not logits[name].isfinite().all():
                raise FloatingPointError(f"the predictions of {name} are not finite")
        return logits


def evaluate(model: MultitaskModel, sets: Mapping[str, Rows]) -> dict[str, float]:
    """Each task's score on its labeled rows, "plain" and "normalised" (see ``mtbert.data.tasks.overall``)."""
    return score_all(sets, {name: predict_logits(model, rows) for name, rows in sets.items()})


def predictions_csv(rows: Rows, values: Sequence[float]) -> str:
    """CSV ``id,prediction`` with one line for each row, in order, from (rows,) labels or scores."""
    lines = ((example.id, round(value, 6)) for example, value in zip(rows.examples, values, strict=True))
    return csv_text([("id", "prediction"), *lines])


def write_predictions(path: Path, rows: Rows, logits: Tensor) -> None:
    """Write ``predictions_csv`` of (rows, outputs) logits to a file."""
    atomic_write(path, predictions_csv(rows, labels_from(rows.task, logits)))
