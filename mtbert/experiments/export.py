"""Exporting a run: a small copy of its model that can be shipped, with a model card.

The folder is that of a run (see ``mtbert.training.run``) whose adapters and heads are rounded to 16-bit floats. Its
scores are those of the rounded model on all dev rows. sample-predictions.csv holds its predictions for some rows of
data/sample, so that a test can tell whether a loaded model still computes the same.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import save

from mtbert.data.read import read_split
from mtbert.experiments.bundle import to_half
from mtbert.experiments.model_card import model_card
from mtbert.nn.model import MultitaskModel, labels_from, probabilities
from mtbert.nn.weights import read_tensors
from mtbert.training.evaluation import evaluate, predict_logits
from mtbert.training.run import Run, load_model, open_run
from mtbert.utils import paths
from mtbert.utils.device import autocast
from mtbert.utils.errors import UserError
from mtbert.utils.files import atomic_write, file_sha256, write_json
from mtbert.utils.tables import upsert_csv

SAMPLE_PREDICTIONS = "sample-predictions.csv"
_SAMPLE_ROWS = 12  # of each task
_WEIGHTS = ("adapters.safetensors", "heads.safetensors")


def export_run(source: str | Path, target: Path, data: Path, device: str | torch.device = "cpu") -> Run:
    """Write a run's model, rounded to 16 bits, with its scores and a model card; nothing is left behind on failure.

    Args:
        source: the folder of a run that left its encoder untrained.
        target: a new or empty folder.
        data: the data folder that the run was trained on, for the scores.

    Returns:
        The exported run.

    Raises:
        UserError: the run trained its encoder or has no model yet, the data folder has other files than those that the
            run read, a weight is too large for 16 bits, or ``target`` is not empty.
    """
    run = open_run(source)
    if run.recipe.trainable == "all":
        raise UserError(
            f"{source} trained its encoder, which is too large to export: give a run with adapters or heads"
        )
    if changed := run.changed_files(data):
        raise UserError(f"{source} was trained on other data: {', '.join(changed)} differs in {data}")
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UserError(f"{target} is not an empty folder: choose another one, or remove it")
    load_model(source)  # refuses weights that are damaged
    target = target.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f"{target.name}.", dir=target.parent) as temporary:
        new = Path(temporary) / "new"
        for name in _WEIGHTS:
            if (run.folder / name).exists():
                _round_weights(run.folder / name, new / name)
        checksums = {path.name: file_sha256(path) for path in new.iterdir()}
        record = {**run.record, "weights_sha256": checksums}
        write_json(new / "recipe.json", run.recipe.as_dict())
        write_json(new / "run.json", record)
        model = load_model(new, device)
        sets = {task.name: read_split(data, task, "dev") for task in run.recipe.task_list if "dev" in task.files}
        with autocast(model.device, run.recipe.precision):
            scores = evaluate(model, sets)
            upsert_csv(new / SAMPLE_PREDICTIONS, sample_predictions(model), ["task", "id"])
        record["epochs"] = _rescored(run, scores)
        record["exported"] = {"stored": "float16", "dev_rows": {name: len(rows) for name, rows in sets.items()}}
        write_json(new / "run.json", record)
        atomic_write(new / "README.md", model_card(target.name, Run(new, record), model))
        if target.exists():
            target.rmdir()
        new.rename(target)
    return Run(target, record)


def _round_weights(source: Path, target: Path) -> None:
    tensors = read_tensors(source)
    atomic_write(target, save({name: to_half(name, tensor, source) for name, tensor in tensors.items()}))


def _rescored(run: Run, scores: dict[str, float]) -> list[dict[str, Any]]:
    """The records of the run's epochs, with these scores for the best one."""
    best = run.record["best_epoch"] - 1
    return [{**epoch, "scores": scores} if index == best else epoch for index, epoch in enumerate(run.epochs)]


def sample_predictions(model: MultitaskModel) -> Iterator[dict[str, Any]]:
    """A model's predictions for some dev rows of data/sample.

    Yields:
        For each row: task, id, label, prediction, and confidence, which is the probability of the predicted class, or
        of label 1 for a binary task; empty for a regression task.
    """
    for task in model.tasks.values():
        if "dev" not in task.files:
            continue
        rows = read_split(paths.SAMPLE, task, "dev").subsample(_SAMPLE_ROWS)
        logits = predict_logits(model, rows)
        values = probabilities(task, logits)
        confidence = values.amax(1) if task.kind == "multiclass" else values
        for example, label, value in zip(rows.examples, labels_from(task, logits), confidence.tolist(), strict=True):
            yield {
                "task": task.name,
                "id": example.id,
                "label": f"{example.label:g}",
                "prediction": round(label, 4),
                "confidence": None if task.kind == "regression" else round(value, 4),
            }
