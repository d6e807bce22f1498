"""A run's folder: recipe.json, the record run.json, the best model, and predictions/ of the dev sets.

The weights of the best epoch are in encoder/ (transformers' layout, only if the encoder was trained),
adapters.safetensors (with the encoder's LayerNorms if only those were trained) and heads.safetensors.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save
from torch import Tensor

from mtbert.data.read import Rows
from mtbert.data.tasks import Split
from mtbert.nn.model import MultitaskModel
from mtbert.nn.pretrained import Encoder, load_encoder
from mtbert.nn.weights import AGAIN, check_tensors, read_tensors, stored_checksum
from mtbert.training.build import build_model
from mtbert.training.checkpoint import checkpoints
from mtbert.training.recipe import Recipe, check_same_recipe, from_dict
from mtbert.training.record import read_record
from mtbert.utils import paths
from mtbert.utils.device import environment_info
from mtbert.utils.errors import UserError, shorten
from mtbert.utils.files import LOCK, atomic_write, cached_sha256, file_sha256

if TYPE_CHECKING:
    import pandas as pd

    from mtbert.training.cuda_graphs import Execution


ENCODER_WEIGHTS = "encoder/model.safetensors"


class Run:
    """What a training run left in its folder."""

    def __init__(self, folder: str | Path, record: dict[str, Any]):
        self.folder, self.record = Path(folder), record

    @property
    def recipe(self) -> Recipe:
        return from_dict(self.record["recipe"])

    @property
    def finished(self) -> bool:
        return self.record["status"] == "finished"

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """A record per epoch: losses, scores on dev and on the rows trained on, seconds."""
        return self.record["epochs"]

    @property
    def scores(self) -> dict[str, float]:
        """Dev scores of the best epoch: each task's, "plain" and "normalised"; empty before the first epoch ends."""
        best = self.record["best_epoch"]
        return dict(self.epochs[best - 1]["scores"]) if best else {}

    @property
    def history(self) -> "pd.DataFrame":
        """One row per epoch, columns such as "loss sst" and "sst"; epochs count from 1."""
        import pandas as pd

        losses = [{f"loss {task}": loss for task, loss in epoch["losses"].items()} for epoch in self.epochs]
        rows = zip(self.epochs, losses, strict=True)
        return pd.DataFrame([{"epoch": epoch["epoch"], **loss, **epoch["scores"]} for epoch, loss in rows])

    def changed_files(self, data: Path) -> list[str]:
        """Names of the files that the run read and that a data folder lacks, or has with other content."""
        read = {name: file["sha256"] for name, file in self.record["data"].items()}
        return [name for name, sha256 in read.items() if cached_sha256(data / name) != sha256]

    def add_epoch(self, epoch: dict[str, Any]) -> bool:
        """Record an epoch; returns whether it is the best so far by "plain". One without scores of tasks always is."""
        self.epochs.append(epoch)
        is_best = len(epoch["scores"]) <= 2 or not self.scores or epoch["scores"]["plain"] > self.scores["plain"]
        if is_best:
            self.record["best_epoch"] = len(self.epochs)
        return is_best

    def __repr__(self) -> str:
        scores = ", ".join(f"{name} {value:.3f}" for name, value in self.scores.items())
        return f"Run({self.folder.name}: {self.record['status']}, {scores or 'no epoch yet'})"


def new_record(
    recipe: Recipe,
    tasks: Mapping[str, Mapping[Split, Rows]],
    encoder: Encoder,
    device: torch.device,
    world_size: int,
    execution: "Execution",
) -> dict[str, Any]:
    """The record of a run that begins now; ``tasks``: task -> split -> rows."""
    files = {}
    for name, splits in tasks.items():
        for split, rows in splits.items():
            file = {"task": name, "split": split, "sha256": rows.sha256, "rows": len(rows)}
            removed_or_added = {"unlabelled": rows.unlabeled, "overlaps": dict(rows.overlaps), "copies": rows.copies}
            files[rows.path.name] = file | removed_or_added
    return {
        "status": "unfinished",
        "recipe": recipe.as_dict(),
        "data": files,
        "encoder_sha256": encoder.sha256,
        "encoder_stored": encoder.stored,
        "encoder_folder": str(encoder.folder) if encoder.folder and recipe.trainable != "all" else None,
        **_reading(encoder),
        "precision": recipe.precision,
        **environment_info(device),
        "world_size": world_size,
        "execution": dataclasses.asdict(execution),
        "epochs": [],
        "best_epoch": 0,
        "weights_sha256": {},  # of the best epoch's files: together they are one epoch's model, or none
        "seconds": 0.0,
        "peak_memory_mb": None,
    }


def run_folder(run: str | Path) -> Path:
    """The folder of a run: ``run`` itself, or that of a model that comes with the project, such as "workbook"."""
    shipped = paths.MODELS / run
    return shipped if len(Path(run).parts) == 1 and (shipped / "run.json").exists() else Path(run)


def run_folders(run: str | Path) -> list[Path]:
    """The folder of a run; of a folder that holds none itself, those of the runs below it, if there are any."""
    folder = run_folder(run)
    own = (folder / "run.json").exists()
    return [folder] if own else sorted(path.parent for path in folder.rglob("run.json")) or [folder]


def read_run(folder: str | Path) -> Run | None:
    """The run in ``folder``; None if there is none. Raises UserError if its run.json cannot be read."""
    path = Path(folder) / "run.json"
    if not path.exists():
        return None
    return Run(folder, read_record(path))


def open_run(folder: str | Path) -> Run:
    """The run in ``folder``, or the model of that name that comes with the project; UserError if there is none."""
    if not str(folder).strip():
        raise UserError("the name of the run is empty: give the folder that train wrote")
    run = read_run(run_folder(folder))
    if run is None:
        raise UserError(f"{folder} holds no run (no run.json): give the folder that train wrote")
    return run


def remedy(run: Run) -> str:
    """The advice for a file of a run that is missing or damaged: train leaves a finished run as it is."""
    if run.folder.resolve().parent == paths.MODELS.resolve():
        return "it comes with mtbert: restore it from there"
    made_by = {"exported": "export", "soup": "soup"}
    again = f"give the same {next((made_by[name] for name in made_by if name in run.record), 'train')} command again"
    return f"delete the folder {run.folder}, then {again}" if run.finished else again


def earlier_run(folder: Path, recipe: Recipe) -> Run | None:
    """The run that a folder to train in already holds, if any; UserError if it is of another recipe, or not a run."""
    run = read_run(folder)
    if run is not None:
        check_same_recipe(recipe, run.recipe, folder)
    elif folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: choose a folder")
    elif folder.exists() and not checkpoints(folder):
        leftovers = (LOCK, "run.json.")  # of a run that died before its record was written
        if not all(path.name.startswith(leftovers) for path in folder.iterdir()):
            raise UserError(f"{folder} is not empty and holds no run: choose another folder")
    return run


def recipe_encoder(recipe: Recipe, name: str | Path | None = None) -> Encoder:
    """The encoder that a recipe starts from, with its dropout rates; ``name`` loads it from elsewhere."""
    return load_encoder(
        name or recipe.encoder,
        num_layers=None if name else recipe.num_layers,
        seed=recipe.seed,
        hidden_dropout_prob=recipe.hidden_dropout,
        attention_probs_dropout_prob=recipe.attention_dropout,
    )


def _reading(encoder: Encoder) -> dict[str, Any]:
    """What decides, besides weights and dropout, what an encoder computes: its configuration and its tokenizer."""
    config = {name: value for name, value in dataclasses.asdict(encoder.config).items() if "dropout" not in name}
    return {"encoder_config": config, "tokenizer_sha256": encoder.tokenizer.fingerprint}


def save_model(model: MultitaskModel, recipe: Recipe, folder: Path) -> dict[str, str]:
    """Write the heads, the adapters, and the encoder if it was trained; returns the checksum of each weight file."""
    names = ["heads.safetensors"]
    if recipe.trainable == "all":
        names.append(ENCODER_WEIGHTS)
        model.encoder.save(folder / "encoder")
    if recipe.adapter != "none":
        names.append("adapters.safetensors")
        _write_tensors(folder / "adapters.safetensors", _adapter_tensors(model, recipe))
    _write_tensors(folder / "heads.safetensors", model.heads.state_dict())
    return {name: file_sha256(folder / name) for name in names}


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    atomic_write(path, save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}))


def _adapter_tensors(model: MultitaskModel, recipe: Recipe) -> dict[str, Tensor]:
    """What adapters.safetensors holds: the adapters, and the encoder's LayerNorms if they were trained with them."""
    norms = model.layer_norms() if recipe.trainable == "adapters_and_norms" else {}
    return {f"adapters.{name}": tensor for name, tensor in model.adapters.state_dict().items()} | {
        f"bert.{name}.{kind}": tensor for name, norm in norms.items() for kind, tensor in norm.state_dict().items()
    }


def load_model(folder: str | Path, device: str | torch.device = "cpu") -> MultitaskModel:
    """The best model of a run, in evaluation mode.

    Args:
        folder: the run's folder, or "workbook", the model that comes with the project.
        device: where to put the model.

    Raises:
        UserError: If ``folder`` holds no run, no epoch is finished yet, a weight file is missing, damaged or of another
            epoch than run.json, or the encoder that the run left untrained has changed since.
    """
    run = open_run(folder)
    recipe = run.recipe
    if not run.epochs:
        raise UserError(f"{folder} holds no model yet (no epoch of this run is finished): {remedy(run)}")
    _check_weights_exist(run)
    trained = run.folder / "encoder" if recipe.trainable == "all" else None
    source, sha256 = run.record.get("encoder_folder"), run.record.get("encoder_sha256")
    if trained is None and source and paths.is_folder(source):
        recipe = recipe.replace(encoder=source)  # the recipe's may be relative to the folder that train was called in
    encoder = recipe_encoder(recipe) if trained is None else _trained_encoder(run, trained)
    if trained is None and encoder.sha256 != sha256:
        change = f"sha256 was {sha256}, is {encoder.sha256}"
        raise UserError(f"{folder} was trained on other weights of encoder {recipe.encoder}: {change}")
    for name, value in _reading(encoder).items():
        if trained is None and run.record.get(name, value) != value:  # absent in records of older versions
            raise UserError(f"{folder} was trained with another {name} of encoder {recipe.encoder}: restore it")
    model = build_model(recipe, encoder)
    _read_tensors(run, "heads.safetensors", model.heads.state_dict())
    if recipe.adapter != "none":
        _read_tensors(run, "adapters.safetensors", _adapter_tensors(model, recipe))
    check_weights(run)
    return model.to(device).eval()


def check_weights(run: Run) -> None:
    """Check that a run's weight files are there, and are those that run.json, written after all of them, names.

    Raises:
        UserError: for the first that is not, with what to do about it.
    """
    _check_weights_exist(run)
    for name, expected in run.record.get("weights_sha256", {}).items():
        path = run.folder / name
        # an encoder that was rounded for storage still knows the checksum of what the run wrote
        if expected != (stored_checksum(path.parent)[0] if name == ENCODER_WEIGHTS else file_sha256(path)):
            stopped = "" if run.finished else ", or the run was stopped while it saved a better epoch"
            raise UserError(f"{path} has another sha256 than run.json says: it is damaged{stopped}: {remedy(run)}")


def _check_weights_exist(run: Run) -> None:
    names = {"heads.safetensors": True, ENCODER_WEIGHTS: run.recipe.trainable == "all"}
    names["adapters.safetensors"] = run.recipe.adapter != "none"
    for name, needed in names.items():
        if needed and not (run.folder / name).is_file():
            raise UserError(f"{run.folder / name} does not exist: {remedy(run)}")


def _trained_encoder(run: Run, folder: Path) -> Encoder:
    """The encoder that a run trained; an error of its files says how to get them back, which no download does."""
    try:
        return recipe_encoder(run.recipe, folder)
    except UserError as error:
        problem = str(error).removesuffix(f": {AGAIN}")
        raise UserError(f"{problem}: {remedy(run)}") from None


def _read_tensors(run: Run, name: str, targets: Mapping[str, Tensor]) -> None:
    """Copy the tensors of a run's file into those of the same names; UserError unless names and shapes are the same."""
    path = run.folder / name
    tensors = read_tensors(path, remedy(run))
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    expected = {name: tuple(tensor.shape) for name, tensor in targets.items()}
    for name in sorted(shapes.keys() | expected.keys()):
        if shapes.get(name) != expected.get(name):
            difference = f"has shape {shapes.get(name)}, but the recipe needs {expected.get(name)}"
            raise UserError(
                f"{path} is damaged or of another recipe (tensor {shorten(name)} {difference}): {remedy(run)}"
            )
    check_tensors(tensors, path)
    for name, target in targets.items():  # of a state_dict, which autograd does not see
        target.copy_(tensors[name])


def merge_runs(folders: Sequence[str | Path], device: str | torch.device = "cpu") -> MultitaskModel:
    """Merge runs that left their encoder untrained into one model for all their tasks, in evaluation mode.

    Raises:
        UserError: If a run trained its encoder, encoders or poolings differ, or a task comes twice.
    """
    if not folders:
        raise UserError("nothing to merge: give the folders of at least one run")
    runs = [open_run(folder) for folder in folders]
    for run in runs:
        if run.recipe.trainable in ("all", "adapters_and_norms"):
            reason = f"{run.folder} changed its encoder (trainable={run.recipe.trainable})"
            raise UserError(f"{reason}: only runs with trainable adapters or heads can share one")
        encoder, first = ((other.record["encoder_sha256"], other.recipe.num_layers) for other in (run, runs[0]))
        reading = {"encoder_config", "tokenizer_sha256"} & run.record.keys() & runs[0].record.keys()
        if encoder != first or any(run.record[key] != runs[0].record[key] for key in reading):
            raise UserError(f"{run.folder} and {runs[0].folder} have different encoders: they cannot share one")
    merged, *others = (load_model(folder) for folder in folders)
    for other in others:
        merged.merge_tasks(other)
    return merged.to(device).eval()
