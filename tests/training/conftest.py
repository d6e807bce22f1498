"""What the tests of training share: a very small encoder, a recipe of six quick steps, and runs that die on the way."""

import json
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

import mtbert
from mtbert.training import Trainer
from mtbert.training.checkpoint import checkpoints

TASK_NAMES = ("sst", "quora", "sts")


class Died(BaseException):
    """Simulates the end of the process: nothing in the package catches it."""


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("encoder")
    mtbert.load_encoder("tiny", num_layers=1, hidden_size=16, intermediate_size=32).save(folder)
    return str(folder)


@pytest.fixture(scope="session")
def data(first_rows) -> Path:
    return first_rows(*TASK_NAMES, train=24, dev=16)


@pytest.fixture(scope="session")
def recipe(tiny_encoder):
    """Two epochs of three steps."""
    tiny = mtbert.recipe("tiny").replace(encoder=tiny_encoder, num_layers=None)
    return tiny.replace(train_rows=20, epochs=2, steps_per_epoch=3)


@pytest.fixture(scope="session")
def no_dropout(recipe):
    return recipe.replace(hidden_dropout=0, attention_dropout=0, head_dropout=0)


@pytest.fixture(scope="session")
def frozen(recipe):
    """The same with a frozen encoder."""
    return recipe.replace(trainable="heads", encoding="bi", head={"quora": "concat_diff"})


@pytest.fixture(scope="session")
def train(data):
    """Train without progress bars, with a checkpoint after every step."""

    def run(recipe, out, folder=data, checkpoint_seconds=0, execution=None):
        return mtbert.train(recipe, out, folder, "cpu", False, checkpoint_seconds, execution)

    return run


@pytest.fixture
def new_trainer(data, tmp_path):
    """A trainer that has not taken any step yet."""

    def create(recipe, execution=None):
        return Trainer(recipe, tmp_path / "trainer", data, torch.device("cpu"), progress=False, execution=execution)

    return create


@pytest.fixture(scope="session")
def at_step():
    """A context in which an event happens in the step of a given number: before it, or after its update."""

    @contextmanager
    def patch(number, event, after=False):
        train_step = Trainer.train_step

        def step(self, step):
            if step.number == number and not after:
                event()
            train_step(self, step)
            if step.number == number and after:
                event()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Trainer, "train_step", step)
            yield

    return patch


@pytest.fixture(scope="session")
def train_until(train, at_step):
    """Train until the process dies in a step; returns the run's folder."""

    def die():
        raise Died

    def run(recipe, out, number, after=False):
        with at_step(number, die, after), pytest.raises(Died):
            train(recipe, out)
        return out

    return run


def result_of(out: Path) -> dict:
    """All that must not depend on how often a run was stopped: weights and predictions as bytes, losses, scores."""
    run = mtbert.open_run(out)
    assert run.finished and not checkpoints(out) and not list(out.rglob("*.part"))
    files = [path for path in out.rglob("*") if path.suffix in (".safetensors", ".csv")]
    keys = ("epoch", "step", "losses", "scores", "train_scores", "scores_by_weights", "weights", "examples", "surgery")
    epochs = [{key: epoch.get(key) for key in keys} for epoch in run.epochs]
    contents = {path.relative_to(out).as_posix(): path.read_bytes() for path in files}
    return {**contents, "epochs": epochs, "best": run.record["best_epoch"]}


@pytest.fixture(scope="session")
def undisturbed(train, tmp_path_factory):
    """The result of a recipe's run that nothing stops; each recipe is run once."""
    results = {}

    def result(recipe):
        key = json.dumps(recipe.as_dict())
        if key not in results:
            out = tmp_path_factory.mktemp("undisturbed")
            train(recipe, out, checkpoint_seconds=1e9)
            results[key] = result_of(out)
        return results[key]

    return result


@pytest.fixture(scope="session")
def assert_undisturbed(undisturbed):
    """Asserts that a folder holds the result of a run that nothing stopped."""

    def check(out, recipe):
        result, expected = result_of(out), undisturbed(recipe)
        assert [name for name in result | expected if result.get(name) != expected.get(name)] == []

    return check


@pytest.fixture(scope="session")
def finished(recipe, train, tmp_path_factory):
    """A finished run; tests only look at it."""
    return train(recipe, tmp_path_factory.mktemp("finished") / "run")


@pytest.fixture(scope="session")
def model(finished):
    return mtbert.load_model(finished.folder)
