"""Runs that several modules look at."""

import pytest

import mtbert


@pytest.fixture(scope="session")
def tiny_runs(tmp_path_factory, sample):
    """The folder of three short runs on the sample data: "one" and "two" have different seeds; "few" is scored on 40
    dev rows of each task."""
    folder = tmp_path_factory.mktemp("runs")
    tiny = mtbert.recipe("tiny").replace(epochs=1, steps_per_epoch=2, num_layers=1)
    for name, recipe in {"one": tiny, "two": tiny.replace(seed=1), "few": tiny.replace(seed=2, dev_rows=40)}.items():
        mtbert.train(recipe, folder / name, sample, progress=False)
    return folder
