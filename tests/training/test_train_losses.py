"""Ranking losses, SMART and heads over tokens inside the training loop."""

from pathlib import Path

import pytest
import torch

import mtbert
from mtbert.data.read import read_split
from mtbert.data.tasks import get_task
from mtbert.nn.heads import HEADS
from mtbert.training.recipe import Recipe
from mtbert.training.run import build_model
from mtbert.training.trainer import Trainer

SAMPLE = Path(mtbert.__file__).parent.parent / "data" / "sample"
BI = {"tasks": ("sts",), "encoding": "bi", "head": "cosine"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    mtbert.load_encoder("tiny", hidden_size=16, intermediate_size=32).save(folder)
    return str(folder)


@pytest.fixture
def recipe(folder):
    return lambda **fields: Recipe(
        encoder=folder,
        num_layers=1,
        train_rows=24,
        dev_rows=20,
        epochs=2,
        steps_per_epoch=3,
        batch_size=4,
        lr=1e-3,
        **fields,
    )


def train(recipe, out, checkpoint_seconds=1e9):
    return mtbert.train(recipe, out, SAMPLE, "cpu", False, checkpoint_seconds)


class Stopped(BaseException):
    pass


WAYS = [
    {**BI, "loss": "mnrl"},
    {**BI, "loss": "mnrl_graded"},
    {**BI, "loss": "triplet"},
    {**BI, "loss": "cosent"},
    {
        "tasks": ("sst", "sts"),
        "head": {"sst": "convolution", "sts": "cosine"},
        "loss": {"sts": "mnrl"},
        "smart_weight": 1.0,
    },
    {**BI, "tasks": ("quora", "sts"), "loss": "mnrl", "surgery": "pcgrad", "smart_weight": {"sts": 0.5}},
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(map(str, way.values())))
def test_a_stopped_run_ends_with_the_same_weights(recipe, tmp_path, monkeypatch, way):
    recipe = recipe(**way)
    whole = train(recipe, tmp_path / "whole")
    with monkeypatch.context() as patched:
        original = Trainer._train_step

        def stopping(self, step):
            if step.number == 4:
                raise Stopped
            original(self, step)

        patched.setattr(Trainer, "_train_step", stopping)
        with pytest.raises(Stopped):
            train(recipe, tmp_path / "stopped", checkpoint_seconds=0)
    resumed = train(recipe, tmp_path / "stopped")
    assert [epoch["losses"] for epoch in resumed.epochs] == [epoch["losses"] for epoch in whole.epochs]
    found, expected = (mtbert.load_model(tmp_path / name).state_dict() for name in ("stopped", "whole"))
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())


def test_positives_are_counted_and_an_untrained_head_is_said(recipe, tmp_path, messages):
    train(recipe(tasks=("sts",), encoding="bi", head="concat", loss="mnrl"), tmp_path / "run")
    rows = read_split(SAMPLE, get_task("sts"), "train").examples[:24]
    positives = sum(row.label >= 3 for row in rows)
    counted = f"sts-train.csv: {positives} of 24 rows are positive (similarity from 3)"
    assert any(line.startswith(counted) for line in messages)
    assert "sts: loss mnrl trains the vectors, and no weight of the head 'concat', which stays as it was drawn" in messages


def test_a_head_under_a_loss_of_vectors_stays_as_it_was_drawn(recipe, tmp_path):
    recipe = recipe(tasks=("sts",), encoding="bi", head="concat", loss="triplet", weight_decay=0.5)
    drawn = build_model(recipe, mtbert.load_encoder(recipe.encoder, num_layers=1)).heads.state_dict()
    train(recipe, tmp_path / "run")
    model = mtbert.load_model(tmp_path / "run")
    assert all(torch.equal(tensor, drawn[name]) for name, tensor in model.heads.state_dict().items())


def test_uncertainty_halves_squared_errors_and_no_other_loss(recipe, tmp_path):
    for loss, scale in (("default", 0.5), ("mse", 0.5), ("cosent", 1.0)):
        settings = recipe(**BI, loss=loss, loss_weighting="uw")
        trainer = Trainer(settings, tmp_path, SAMPLE, torch.device("cpu"), False, lambda line: None)
        assert trainer.loss_weighting.scale == {"sts": scale}


@pytest.mark.parametrize("pooling", ["cls", "pooler", "mean", "max"])
@pytest.mark.parametrize("head", [name for name, kind in HEADS.items() if "regression" in kind.kinds])
def test_predictions_of_every_head_and_pooling_do_not_depend_on_the_batch(folder, head, pooling):
    encoding = "bi" if HEADS[head].pair else "cross"
    recipe = Recipe(tasks=("sts",), encoder=folder, num_layers=1, encoding=encoding, head=head, pooling=pooling)
    model = build_model(recipe, mtbert.load_encoder(folder, num_layers=1)).eval()
    pairs = [("one", "another"), ("a much longer sentence than the others", "short"), ("a cat", "the cat sat down")]
    together = model.predict("sts", pairs)
    alone = [model.predict("sts", [pair])[0] for pair in pairs]
    assert together == pytest.approx(alone, abs=1e-5)


def test_a_model_that_sees_tokens_predicts_and_is_read_again(recipe, tmp_path):
    run = train(recipe(tasks=("sst",), head="convolution"), tmp_path / "run")
    model = mtbert.load_model(tmp_path / "run")
    rows = read_split(SAMPLE, get_task("sst"), "dev").spread(20)
    assert mtbert.evaluate(model, {"sst": rows})["sst"] == run.scores["sst"]
