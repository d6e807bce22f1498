"""A run's folder: its record, its best model, its predictions.

recipe.json and run.json say what was asked and what came of it; encoder/ (transformers' layout, only if the encoder was
trained) and heads.safetensors hold the best epoch's weights; predictions/ its dev predictions.
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from mtbert.errors import UserError
from mtbert.files import write_json, write_whole
from mtbert.nn.losses import LossSettings, build_loss
from mtbert.nn.model import MultitaskModel
from mtbert.nn.pretrained import Encoder, load_encoder
from mtbert.recipes import Recipe, from_dict


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

    def write(self) -> None:
        write_json(self.folder / "run.json", self.record)

    def __repr__(self) -> str:
        scores = ", ".join(f"{name} {value:.3f}" for name, value in self.scores.items())
        return f"Run({self.folder.name}: {self.record['status']}, {scores or 'no epoch yet'})"


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


def build_model(recipe: Recipe, encoder: Encoder) -> MultitaskModel:
    """The model that a recipe describes, on an encoder; heads are drawn from the recipe's seed.

    Raises UserError for a max_length beyond the encoder's positions.
    """
    positions = encoder.config.max_position_embeddings
    for name, length in recipe.max_length.items():
        if length > positions:
            raise UserError(f"max_length.{name} is {length}, but this encoder has {positions} positions")
    losses = {
        task.name: build_loss(recipe.loss[task.name], task, LossSettings(
            recipe.loss_scale[task.name], recipe.margin[task.name], recipe.positive_from[task.name]))
        for task in recipe.task_list
    }  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return MultitaskModel(
            encoder, recipe.task_list, recipe.head, recipe.encoding, recipe.max_length, recipe.pooling,
            recipe.head_dropout, losses, recipe.smart,
        )  # fmt: skip


def recipe_encoder(recipe: Recipe, name: str | Path | None = None) -> Encoder:
    """The encoder that a recipe starts from, with its dropout rates; ``name`` reads it from elsewhere."""
    return load_encoder(
        name or recipe.encoder,
        layers=None if name else recipe.layers,
        seed=recipe.seed,
        hidden_dropout_prob=recipe.hidden_dropout,
        attention_probs_dropout_prob=recipe.attention_dropout,
    )


def save_model(model: MultitaskModel, recipe: Recipe, folder: Path) -> None:
    """Write the heads, and the encoder unless the recipe left it as it was."""
    if recipe.option == "finetune":
        model.encoder.save(folder / "encoder")
    heads = {name: tensor.detach().cpu().contiguous() for name, tensor in model.heads.state_dict().items()}
    write_whole(folder / "heads.safetensors", save(heads))


def load_model(folder: str | Path, device: str | torch.device = "cpu") -> MultitaskModel:
    """The best model of a run, in evaluation mode.

    Raises UserError if ``folder`` holds no run, no epoch is finished yet, or a weight file is damaged.
    """
    run = open_run(folder)
    recipe, path = run.recipe, run.folder / "heads.safetensors"
    if not path.exists():
        raise UserError(f"{folder} holds no model yet: no epoch of this run is finished")
    trained = run.folder / "encoder" if recipe.option == "finetune" else None
    if trained is not None and not trained.is_dir():
        raise UserError(f"{trained} does not exist: the run's trained encoder is missing")
    encoder = recipe_encoder(recipe, trained)
    model = build_model(recipe, encoder)
    try:
        model.heads.load_state_dict(load(path.read_bytes()))
    except (SafetensorError, RuntimeError) as error:
        raise UserError(f"{path} is damaged or of another recipe ({str(error).splitlines()[0]})") from None
    return model.to(device).eval()
