"""Every feature that named recipes use trains: two steps of a small encoder on few rows."""

import dataclasses
import math
import shutil

import pytest
import torch

from mtbert import RECIPES, Recipe
from mtbert.data import TASKS
from mtbert.training import trainer
from mtbert.training.compatibility import least_epochs

STEPS = 2
# fields whose values choose code, and those of which only whether they are set does
CHOICES = ("trainable", "adapter", "adapter_projections", "adapter_activation", "pooling", "sampler", "lr_schedule")
CHOICES += ("optimizer_state", "surgery", "granularity", "loss_weighting", "augment_scores", "overlap", "precision")
PER_TASK = ("encoding", "head", "loss")
SWITCHES = ("max_grad_norm", "warmup_ratio", "adapter_heads", "smart_weight", "tokens_per_batch", "augment_copies")


def features(recipe: Recipe) -> set[tuple]:
    """What a recipe makes the training code do: (field, value), with the kind of task for a task's fields."""
    chosen = {(field, getattr(recipe, field)) for field in CHOICES} | {("tasks", len(recipe.tasks))}
    for field in PER_TASK:
        chosen |= {(field, TASKS[task].kind, value) for task, value in getattr(recipe, field).items()}
    for field in SWITCHES:
        value = getattr(recipe, field)
        chosen.add((field, any(value.values()) if hasattr(value, "values") else bool(value)))
    return chosen


def covering() -> list[str]:
    """Few recipes that have all features of all recipes: always the one with the most that are still missing."""
    by_name = {name: features(entry.recipe) for name, entry in RECIPES.items()}
    missing, names = set().union(*by_name.values()), []
    while missing:
        names.append(max(by_name, key=lambda name: len(by_name[name] & missing)))
        missing -= by_name[names[-1]]
    return names


@pytest.mark.parametrize("name", covering())
def test_every_feature_trains(name, tiny_encoder, few_rows, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "save_checkpoint", lambda *args: None)  # they would take most of the time
    recipe = RECIPES[name].recipe
    epochs = least_epochs(recipe.sampler, recipe.tasks)
    sizes = {"train_rows": None, "dev_rows": None, "num_layers": None, "max_length": 32, "encoder": tiny_encoder}
    recipe = recipe.replace(epochs=epochs, steps_per_epoch=max(1, STEPS // epochs), **sizes)
    training = trainer.Trainer(recipe, tmp_path, few_rows, torch.device("cpu"), progress=False)
    before = training.flat.theta.clone()
    run = training.run(math.inf, lambda: False)
    assert run.finished and run.epochs[-1]["step"] >= STEPS
    assert not torch.equal(before, training.flat.theta) and training.flat.theta.isfinite().all()
    values = [*run.epochs[-1]["losses"].values(), *run.epochs[-1]["scores"].values()]
    assert values and all(map(math.isfinite, values))


def test_a_task_is_added_by_one_entry(train, tiny_encoder, few_rows, tmp_path, monkeypatch):
    data = tmp_path / "data"
    data.mkdir()
    files = {split: f"films-{split}.csv" for split in TASKS["cfimdb"].files}
    for split, file in files.items():
        shutil.copy(few_rows / TASKS["cfimdb"].files[split], data / file)
    films = dataclasses.replace(TASKS["cfimdb"], name="films", files=files, max_length=200)
    monkeypatch.setitem(TASKS, "films", films)
    recipe = Recipe(tasks="films", encoder=tiny_encoder, steps_per_epoch=1, epochs=1)
    assert recipe.max_length == {"films": 200} and recipe.head == {"films": "linear"}
    assert train(recipe, tmp_path / "run", data).scores.keys() == {"films", "plain", "normalised"}
