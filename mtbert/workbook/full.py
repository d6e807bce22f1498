"""The full profile of the lessons: train the recipes whose scores they show, and record them."""

from collections.abc import Iterable
from pathlib import Path

import mtbert
from mtbert.experiments import results
from mtbert.training.recipe import Recipe


def train_and_record(table: str, recipes: Iterable[Recipe], runs: Path, folder: Path) -> None:
    """Train recipes and record each in data/results/TABLE.csv as soon as it is finished.

    Args:
        table: The table's name.
        recipes: Named recipes, each with its seed; a finished run is not trained again.
        runs: The folder of their runs, called by recipe and seed, such as sts-cosine-s0.
        folder: The data folder.
    """
    for recipe in recipes:
        name = f"{recipe.name.replace('/', '-')}-s{recipe.seed}"
        run = mtbert.train(recipe, runs / name, folder, progress=False)
        results.record([run.folder], table)
