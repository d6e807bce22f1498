"""A run's folder: its record, its best model, its predictions.

recipe.json and run.json say what was asked and what came of it; encoder/ (transformers' layout, only if the encoder was
trained), adapters.safetensors (if there are any, with the encoder's LayerNorms if only they were trained) and
heads.safetensors hold the best epoch's weights; predictions/ its dev predictions.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from mtbert.nn.adapters import AdapterShape, build_adapter
from mtbert.nn.losses import LossSettings, build_loss
from mtbert.nn.model import MultitaskModel
from mtbert.nn.pretrained import Encoder, load_encoder
from mtbert.training.recipe import Recipe, from_dict
from mtbert.utils.errors import UserError
from mtbert.utils.files import atomic_write, sha256_of, write_json


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
        """A record per epoch: losses, scores, seconds."""
        return self.record["epochs"]

    @property
    def scores(self) -> dict[str, float]:
        """Dev scores of the best epoch: each task's, "plain" and "normalised"; empty before the first epoch ends."""
        best = self.record["best_epoch"]
        return dict(self.epochs[best - 1]["scores"]) if best else {}

    @property
    def history(self) -> pd.DataFrame:
        """One row per epoch, columns such as "loss sst" and "sst"; epochs count from 1."""
        rows = [
            {
                "epoch": each["epoch"],
                **{f"loss {task}": loss for task, loss in each["losses"].items()},
                **each["scores"],
            }
            for each in self.epochs
        ]
        return pd.DataFrame(rows)

    def changed_files(self, data: Path) -> list[str]:
        """Names of the files that the run has read and that a data folder lacks, or has with other content."""
        read = {name: file["sha256"] for name, file in self.record["data"].items()}
        return [name for name, sha256 in read.items() if _sha256(data / name) != sha256]

    def write(self) -> None:
        write_json(self.folder / "run.json", self.record)

    def __repr__(self) -> str:
        scores = ", ".join(f"{name} {value:.3f}" for name, value in self.scores.items())
        return f"Run({self.folder.name}: {self.record['status']}, {scores or 'no epoch yet'})"


def _sha256(path: Path) -> str | None:
    """A file's checksum, computed again only when the file has changed; None if it does not exist."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return _sha256_then(path.resolve(), found.st_mtime_ns, found.st_size)


@cache
def _sha256_then(path: Path, _changed: int, _size: int) -> str:
    return sha256_of(path)


def read_run(folder: str | Path) -> Run | None:
    """The run in ``folder``; None if there is none. Raises UserError if its run.json cannot be read."""
    path = Path(folder) / "run.json"
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is damaged ({error}): delete the folder or choose another") from None
    if not isinstance(record, dict) or not {"recipe", "status", "epochs", "best_epoch"} <= record.keys():
        raise UserError(f"{path} is no record of a run: delete the folder or choose another")
    return Run(folder, record)


def open_run(folder: str | Path) -> Run:
    """The run in ``folder``; UserError if there is none."""
    run = read_run(folder)
    if run is None:
        raise UserError(f"{folder} holds no run (no run.json): give the folder that train wrote")
    return run


def check_same_recipe(recipe: Recipe, other: Recipe, folder: Path) -> None:
    """Raises UserError naming the fields in which a folder's recipe, ``other``, is not the one that was asked for."""
    differences = recipe.differences(other)
    if differences:
        named = "; ".join(f"{name} is {mine!r}, there {theirs!r}" for name, (mine, theirs) in differences.items())
        raise UserError(f"{folder} holds a run of another recipe ({named}): choose another folder")


def build_model(recipe: Recipe, encoder: Encoder) -> MultitaskModel:
    """The model that a recipe describes, on an encoder; heads are drawn from the recipe's seed.

    Raises UserError for a max_length beyond the encoder's positions.
    """
    positions = encoder.config.max_position_embeddings
    for name, length in recipe.max_length.items():
        if length > positions:
            raise UserError(f"max_length.{name} is {length}, but this encoder has {positions} positions")
    losses = {
        task.name: build_loss(
            recipe.loss[task.name],
            task,
            LossSettings(
                recipe.similarity_scale[task.name],
                recipe.triplet_margin[task.name],
                recipe.positive_threshold[task.name],
            ),
        )
        for task in recipe.task_list
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = MultitaskModel(
            encoder,
            recipe.task_list,
            recipe.head,
            recipe.encoding,
            recipe.max_length,
            recipe.pooling,
            recipe.head_dropout,
            losses,
            recipe.smart_weight,
        )
        if recipe.adapter != "none":
            shape = AdapterShape(
                recipe.adapter_size, recipe.adapter_heads, recipe.adapter_projections, recipe.adapter_activation
            )
            for task in recipe.tasks:
                model.adapters[task] = build_adapter(recipe.adapter, encoder.config, shape)
        return model


def recipe_encoder(recipe: Recipe, name: str | Path | None = None) -> Encoder:
    """The encoder that a recipe starts from, with its dropout rates; ``name`` reads it from elsewhere."""
    return load_encoder(
        name or recipe.encoder,
        num_layers=None if name else recipe.num_layers,
        seed=recipe.seed,
        hidden_dropout_prob=recipe.hidden_dropout,
        attention_probs_dropout_prob=recipe.attention_dropout,
    )


def save_model(model: MultitaskModel, recipe: Recipe, folder: Path) -> None:
    """Write the heads, the adapters, and the encoder unless the recipe left it as it was."""
    if recipe.trainable == "all":
        model.encoder.save(folder / "encoder")
    if recipe.adapter != "none":
        _write_tensors(folder / "adapters.safetensors", _adapter_tensors(model, recipe))
    _write_tensors(folder / "heads.safetensors", model.heads.state_dict())


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    atomic_write(path, save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}))


def _adapter_tensors(model: MultitaskModel, recipe: Recipe) -> dict[str, Tensor]:
    """What adapters.safetensors holds: the adapters, and the encoder's LayerNorms if they were trained with them."""
    norms = model.norms() if recipe.trainable == "adapters_and_norms" else {}
    return {f"adapters.{name}": tensor for name, tensor in model.adapters.state_dict().items()} | {
        f"bert.{name}.{kind}": tensor for name, norm in norms.items() for kind, tensor in norm.state_dict().items()
    }


def load_model(folder: str | Path, device: str | torch.device = "cpu") -> MultitaskModel:
    """The best model of a run, in evaluation mode.

    Raises UserError if ``folder`` holds no run, no epoch is finished yet, a weight file is damaged, or the encoder that
    a run left as it was is not the one it began with.
    """
    run = open_run(folder)
    recipe = run.recipe
    if not (run.folder / "heads.safetensors").exists():
        raise UserError(f"{folder} holds no model yet: no epoch of this run is finished")
    trained = run.folder / "encoder" if recipe.trainable == "all" else None
    if trained is not None and not trained.is_dir():
        raise UserError(f"{trained} does not exist: the run's trained encoder is missing")
    encoder = recipe_encoder(recipe, trained)
    if trained is None and encoder.sha256 != run.record.get("encoder_sha256"):
        raise UserError(
            f"{folder} was trained on other weights of encoder {recipe.encoder}: sha256 was "
            f"{run.record.get('encoder_sha256')}, is {encoder.sha256}"
        )
    model = build_model(recipe, encoder)
    _read_tensors(run.folder / "heads.safetensors", model.heads.state_dict())
    if recipe.adapter != "none":
        _read_tensors(run.folder / "adapters.safetensors", _adapter_tensors(model, recipe))
    return model.to(device).eval()


def _read_tensors(path: Path, into: Mapping[str, Tensor]) -> None:
    """Copy a file's tensors to those of the same names. Raises UserError if they are not the same names and shapes."""
    try:
        tensors = load(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: the run's weights are missing") from None
    except SafetensorError as error:
        raise UserError(f"{path} is damaged ({error})") from None
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    wanted = {name: tuple(tensor.shape) for name, tensor in into.items()}
    for name in sorted(shapes.keys() ^ wanted.keys()) or [name for name in wanted if shapes[name] != wanted[name]]:
        raise UserError(
            f"{path} is damaged or of another recipe: tensor {name!r} has shape {shapes.get(name)}, "
            f"the recipe asks for {wanted.get(name)}"
        )
    with torch.no_grad():
        for name, tensor in into.items():
            tensor.copy_(tensors[name])


def merge_runs(folders: Sequence[str | Path], device: str | torch.device = "cpu") -> MultitaskModel:
    """One model for the tasks of several runs that left their encoder as it was, in evaluation mode.

    The encoder is held once; every task brings its own head and adapter. Raises UserError if a run changed its
    encoder (trainable=all or adapters_norms), encoders or poolings differ, or a task comes twice.
    """
    if not folders:
        raise UserError("nothing to join: give the folders of at least one run")
    runs = [open_run(folder) for folder in folders]
    for run in runs:
        if run.recipe.trainable in ("all", "adapters_and_norms"):
            raise UserError(
                f"{run.folder} changed its encoder (trainable={run.recipe.trainable}): only runs with trainable "
                "adapters or heads can share one"
            )
        mine, first = ((of.record["encoder_sha256"], of.recipe.num_layers) for of in (run, runs[0]))
        if mine != first:
            raise UserError(f"{run.folder} and {runs[0].folder} have different encoders: they cannot share one")
    joined, *others = (load_model(folder) for folder in folders)
    for other in others:
        joined.merge_tasks(other)
    return joined.to(device).eval()
