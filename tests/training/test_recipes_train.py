"""Every named recipe trains: what it asks for works together, in two steps of a small encoder on few rows."""

import math
import sys

import pytest
import torch

from mtbert import RECIPES, Recipe, load_encoder
from mtbert.training.recipe import least_epochs
from mtbert.training.trainer import Trainer

STEPS = 2


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> str:
    """A folder with random weights of one narrow layer."""
    folder = tmp_path_factory.mktemp("encoder")
    load_encoder("tiny", num_layers=1, hidden_size=16, intermediate_size=32).save(folder)
    return str(folder)


def shortened(recipe: Recipe) -> Recipe:
    """The same experiment in two steps, or in one for each epoch that its sampler needs, on all rows there are."""
    epochs = least_epochs(recipe.sampler, recipe.tasks)
    return recipe.replace(
        epochs=epochs,
        steps_per_epoch=max(1, STEPS // epochs),
        train_rows=None,
        dev_rows=None,
        num_layers=None,
        max_length=dict.fromkeys(recipe.tasks, 32),
    )


@pytest.mark.parametrize("name", RECIPES)
def test_every_named_recipe_trains(name, encoder, few_rows, tmp_path, monkeypatch):
    module = sys.modules[Trainer.__module__]  # mtbert.train itself is the function
    monkeypatch.setattr(module, "save_checkpoint", lambda *of: None)  # they would take most of the time
    recipe = shortened(RECIPES[name].recipe).replace(encoder=encoder)
    trainer = Trainer(recipe, tmp_path, few_rows, torch.device("cpu"), progress=False)
    before = trainer.flat.theta.clone()
    run = trainer.run(math.inf, lambda: False)
    assert run.finished and run.epochs[-1]["step"] >= STEPS
    assert not torch.equal(before, trainer.flat.theta) and trainer.flat.theta.isfinite().all()
    numbers = [value for epoch in run.epochs for of in (epoch["losses"], epoch["scores"]) for value in of.values()]
    assert numbers and all(map(math.isfinite, numbers))
