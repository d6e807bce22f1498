"""A soup: one model whose weights are the means of those of several runs (Wortsman et al., 2022, arXiv:2203.05482).

Unlike an ensemble it costs no more than one model. It needs runs that started from the same pretrained encoder: the
mean of unrelated weights computes nothing.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from mtbert.experiments.ensembles import open_members
from mtbert.experiments.predictions import scored_rows
from mtbert.nn.model import MultitaskModel
from mtbert.training.evaluation import predict_logits, score_all, write_predictions
from mtbert.training.run import Run, load_model, save_model
from mtbert.utils.device import autocast, environment_info, get_device
from mtbert.utils.errors import UserError
from mtbert.utils.files import write_json
from mtbert.utils.logging import logger

# recipe fields that say what a model computes; in the others, how it was trained, members of a soup may differ
_MODEL_FIELDS = (
    "tasks",
    "num_layers",
    "trainable",
    "adapter",
    "adapter_size",
    "adapter_heads",
    "adapter_projections",
    "adapter_activation",
    "encoding",
    "head",
    "pooling",
    "max_length",
    "precision",
)
_ENCODER = ("encoder_sha256", "encoder_config", "tokenizer_sha256")  # in a run's record; older ones lack the last two


def make_soup(folders: Sequence[str | Path], out: Path, data: Path, device: torch.device | str | None = None) -> Run:
    """Average the weights of runs, and write a run's folder with that model, its dev scores and its dev predictions.

    Args:
        folders: at least two runs.
        out: a new or empty folder. If the soup fails, nothing is left behind.
        data: the data folder that the runs were scored on.
        device: for the scores; by default a GPU if there is one.

    Returns:
        The new run. Its recipe is that of the first one, named NAME-soup; its steps and seconds are those of all its
        members, which the record lists under "soup".

    Raises:
        UserError: fewer than two runs are given, their encoders or their models' fields differ, or the data folder has
            other dev files.
    """
    runs = open_members(folders)
    _check_same_model(runs)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f"{out} is not an empty folder: choose another one, or remove it")
    first = runs[0]
    sets = {task.name: scored_rows(first, task.name, data) for task in first.recipe.task_list if "dev" in task.files}
    model = average_models(runs).to(get_device(str(device) if device else None))
    with autocast(model.device, first.recipe.precision):
        logits = {name: predict_logits(model, rows) for name, rows in sets.items()}
    recipe = first.recipe.replace(name=f"{first.recipe.name}-soup")
    out = out.resolve()
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f"{out.name}.", dir=out.parent) as temporary:
        new = Path(temporary) / "new"
        record = {
            **_record(runs, score_all(sets, logits)),
            "recipe": recipe.as_dict(),
            **environment_info(model.device),
        }
        record["weights_sha256"] = save_model(model, recipe, new)
        for name, rows in sets.items():
            write_predictions(new / "predictions" / f"{name}-dev.csv", rows, logits[name])
        write_json(new / "recipe.json", recipe.as_dict())
        write_json(new / "run.json", record)
        if out.exists():
            out.rmdir()
        new.rename(out)
    return Run(out, record)


def average_models(runs: Sequence[Run]) -> MultitaskModel:
    """The model of the first run with the mean weights of all, on the CPU. Each mean is computed in float64.

    Raises:
        UserError: a model cannot be loaded, or a weight has another shape than in the first one.
    """
    soup = load_model(runs[0].folder)
    weights = soup.state_dict()
    sums = {name: weight.double() for name, weight in weights.items()}
    for run in runs[1:]:
        others = load_model(run.folder).state_dict()
        for name in sorted(sums.keys() | others.keys()):
            shapes = [tuple(part[name].shape) if name in part else None for part in (others, sums)]
            if shapes[0] != shapes[1]:
                raise UserError(f"{run.folder}: {name} has shape {shapes[0]}, in {runs[0].folder} {shapes[1]}")
            sums[name] += others[name]
    for name, weight in weights.items():
        weight.copy_(sums[name] / len(runs))
    return soup


def _check_same_model(runs: Sequence[Run]) -> None:
    if len(runs) < 2:
        raise UserError(f"a soup of {len(runs)} runs is none: give two or more")
    first, fields = runs[0], runs[0].recipe.as_dict()
    for run in runs[1:]:
        both = f"{run.folder} and {first.folder}"
        for key in _ENCODER:
            if {key} <= run.record.keys() & first.record.keys() and run.record[key] != first.record[key]:
                raise UserError(f"{both} started from different encoders ({key} differs): average runs of one")
        others = run.recipe.as_dict()
        for name in _MODEL_FIELDS:
            if others[name] != fields[name]:
                raise UserError(
                    f"{run.folder} has {name} {others[name]!r}, {first.folder} {fields[name]!r}: "
                    "only runs of the same model can be averaged"
                )
        if run.record["encoder_sha256"] is None and run.recipe.seed != first.recipe.seed:
            logger.warning(f"{both} started from different random encoders: expect no gain")


def _record(runs: Sequence[Run], scores: dict[str, float]) -> dict[str, Any]:
    """The record of a soup of these runs, without what the saved model adds."""
    epochs = [epoch for run in runs for epoch in run.epochs]
    seconds = sum(epoch["seconds"] for epoch in epochs)
    tokens = sum(epoch["tokens_per_second"] * epoch["seconds"] for epoch in epochs)
    steps = sum(run.epochs[-1]["step"] for run in runs)
    timing = {"seconds": round(seconds, 2), "tokens_per_second": round(tokens / seconds, 1) if seconds else 0.0}
    members = [
        {"recipe": run.recipe.name, "seed": run.recipe.seed, "revision": run.record["revision"], "scores": run.scores}
        for run in runs
    ]
    return {
        **{name: value for name, value in runs[0].record.items() if name != "exported"},
        "status": "finished",
        "data": {name: file for run in reversed(runs) for name, file in run.record["data"].items()},
        "epochs": [{"epoch": 1, "step": steps, "losses": {}, "scores": scores, **timing}],
        "best_epoch": 1,
        "seconds": round(sum(run.record["seconds"] for run in runs), 1),
        "soup": members,
    }
