"""Surgery, loss weightings and steps in parts inside the training loop: resumed bit for bit, recorded, equal where
they should be equal."""

import itertools
import math
from pathlib import Path

import pytest
import torch

import mtbert
from mtbert.optim import FlatParameters
from mtbert.training.checkpoint import load_checkpoint, save_checkpoint
from mtbert.training.recipe import SURGERIES
from mtbert.training.trainer import Trainer
from mtbert.utils.errors import UserError

SAMPLE = Path(mtbert.__file__).parent.parent / "data" / "sample"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    mtbert.load_encoder("tiny", hidden_size=16, intermediate_size=32).save(folder)
    return mtbert.recipe("tiny").replace(encoder=str(folder), num_layers=1, train_rows=20, epochs=3, steps_per_epoch=3)


def train(recipe, out, **options):
    return mtbert.train(recipe, out, SAMPLE, "cpu", False, options.pop("checkpoint_seconds", 1e9), lambda line: None)


def weights(out: Path) -> dict[str, torch.Tensor]:
    return mtbert.load_model(out).state_dict()


class Stopped(BaseException):
    pass


WAYS = [
    {"surgery": "pcgrad"},
    {"surgery": "gradvac", "surgery_beta": 0.5, "granularity": "layer"},
    {"surgery": "torchjd:UPGrad"},
    {"loss_weighting": "uw"},
    {"loss_weighting": "dwa"},
    {"loss_weighting": "famo"},
    {"surgery": "pcgrad", "gradient_accumulation_steps": 2, "precision": "bfloat16"},
    {"surgery": "gradvac", "trainable": "heads", "encoding": "bi", "head": {"quora": "concat_diff"}},
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(map(str, way.values())))
@pytest.mark.parametrize("number", [2, 5, 7])
def test_a_stopped_run_ends_with_the_same_weights_and_statistics(recipe, tmp_path, monkeypatch, way, number):
    recipe = recipe.replace(**way)
    whole = train(recipe, tmp_path / "whole")
    with monkeypatch.context() as patched:
        original = Trainer._train_step

        def stopping(self, step):
            if step.number == number:
                raise Stopped
            original(self, step)

        patched.setattr(Trainer, "_train_step", stopping)
        with pytest.raises(Stopped):
            train(recipe, tmp_path / "stopped", checkpoint_seconds=0)
    resumed = train(recipe, tmp_path / "stopped")
    assert [epoch["scores"] for epoch in resumed.epochs] == [epoch["scores"] for epoch in whole.epochs]
    assert [epoch.get("surgery") for epoch in resumed.epochs] == [epoch.get("surgery") for epoch in whole.epochs]
    expected = weights(tmp_path / "whole")
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(tmp_path / "stopped").items())


NO_DROPOUT = {"hidden_dropout": 0, "attention_dropout": 0, "head_dropout": 0}


def first_gradient(recipe, out) -> torch.Tensor:
    trainer = Trainer(recipe, out, SAMPLE, torch.device("cpu"), False, lambda line: None)
    step = next(iter(trainer.sampler.steps()))
    if trainer.surgery is None:
        trainer._gradient_of_sum(step)
    else:
        trainer._gradient_by_surgery(step)
    return trainer.flat.gradient.clone()


@pytest.mark.parametrize(
    "way",
    [{"surgery": "sum"}, {"gradient_accumulation_steps": 3}, {"surgery": "sum", "gradient_accumulation_steps": 2}],
)
def test_these_ways_give_the_gradient_of_the_plain_sum(recipe, tmp_path, way):
    recipe = recipe.replace(**NO_DROPOUT)
    wanted = first_gradient(recipe, tmp_path)
    torch.testing.assert_close(first_gradient(recipe.replace(**way), tmp_path), wanted, rtol=1e-4, atol=1e-6)


MIXES = [
    {},
    {"encoding": "bi", "head": {"quora": "concat_diff"}, "pooling": "pooler"},
    {"trainable": "heads"},
    {"gradient_accumulation_steps": 2, "max_grad_norm": 0.5},
]


@pytest.mark.parametrize("mix", MIXES, ids=lambda mix: "-".join(mix) or "plain")
def test_plain_surgery_trains_the_same_weights_as_none_dropout_included(recipe, tmp_path, mix):
    recipe = recipe.replace(hidden_dropout=0.3, epochs=1, steps_per_epoch=6, **mix)
    names = {"none": recipe, "plain": recipe.replace(surgery="sum"), "no dropout": recipe.replace(**NO_DROPOUT)}
    gradients = {name: first_gradient(of, tmp_path / "unused") for name, of in names.items()}
    torch.testing.assert_close(gradients["plain"], gradients["none"], rtol=1e-4, atol=1e-6)
    trained = {}
    for name, of in names.items():
        train(of, tmp_path / name)
        trained[name] = torch.cat([tensor.flatten() for tensor in weights(tmp_path / name).values()])
    # Adam scales even gradients up that are rounding and no more; another mask moves everything
    assert (trained["plain"] - trained["none"]).norm() < 0.01 * (trained["no dropout"] - trained["none"]).norm()
    assert not torch.allclose(gradients["no dropout"], gradients["none"], rtol=1e-2, atol=1e-3)


def test_surgery_changes_the_gradient_of_the_encoder_and_no_head(recipe, tmp_path):
    heads = {"quora": "concat_diff", "sts": "concat"}  # tasks that conflict
    recipe = recipe.replace(**NO_DROPOUT, encoding="bi", head=heads)
    plain, operated = (first_gradient(recipe.replace(surgery=kind), tmp_path) for kind in ("sum", "pcgrad"))
    trainer = Trainer(recipe, tmp_path, SAMPLE, torch.device("cpu"), False, lambda line: None)
    heads = [part.where for part in trainer.flat.shards if part.owner != "encoder"]
    shared = [part.where for part in trainer.flat.shards if part.owner == "encoder"]
    assert all(torch.allclose(plain[where], operated[where]) for where in heads)
    assert any((plain[where] - operated[where]).abs().max() > 1e-5 for where in shared)


@pytest.mark.parametrize("surgery", [name for name in SURGERIES if name != "none"])
def test_an_epoch_records_how_the_gradients_met(recipe, tmp_path, surgery):
    run = train(recipe.replace(surgery=surgery), tmp_path / "run")
    for epoch in run.epochs:
        found = epoch["surgery"]
        assert found["steps"] == 3 and set(found["cosines"]) == {"sst-quora", "sst-sts", "quora-sts"}
        assert all(len(values) == 3 and max(map(abs, values)) <= 1 for values in found["cosines"].values())
        assert found["relative_change"] == 0 if surgery == "sum" else found["relative_change"] >= 0
        for pair, values in found["cosines"].items():
            assert found["conflicts"][pair] == sum(value < 0 for value in values)


def test_round_robin_steps_of_one_task_need_no_surgery(recipe, tmp_path):
    recipe = recipe.replace(sampler="round_robin", epochs=1)
    with_surgery, without = train(recipe.replace(surgery="pcgrad"), tmp_path / "a"), train(recipe, tmp_path / "b")
    assert with_surgery.epochs[0]["surgery"] == {"steps": 0}
    assert with_surgery.scores == without.scores


def test_uncertainty_weights_are_trained_and_not_saved_with_the_model(recipe, tmp_path, monkeypatch):
    seen = []
    original = FlatParameters.__init__

    def watched(self, model, owner):
        original(self, model, owner)
        seen.append(model.loss_weighting)

    monkeypatch.setattr(FlatParameters, "__init__", watched)
    run = train(recipe.replace(loss_weighting="uw", lr=1e-2), tmp_path / "run")
    assert all(value != 0 for value in seen[0].log_variance.values())
    assert not any("loss_weighting" in name for name in weights(run.folder))


def test_uncertainty_leaves_a_task_as_it_is_in_steps_of_others(recipe, tmp_path, monkeypatch):
    seen, original = [], Trainer._train_step

    def watched(self, step):
        original(self, step)
        levels = {task: float(level.detach()) for task, level in self.loss_weighting.log_variance.items()}
        seen.append((set(step.rows), levels))

    monkeypatch.setattr(Trainer, "_train_step", watched)
    train(recipe.replace(loss_weighting="uw", sampler="round_robin", warmup_ratio=0), tmp_path / "run")
    for (_, before), (tasks, after) in itertools.pairwise(seen):
        assert {task for task in after if after[task] != before[task]} == tasks


def test_a_checkpoint_of_uncertainty_from_when_it_had_one_vector_is_refused(recipe, tmp_path, monkeypatch):
    recipe, out = recipe.replace(loss_weighting="uw"), tmp_path / "run"

    def stopping(run):
        raise Stopped

    with monkeypatch.context() as patched, pytest.raises(Stopped):
        patched.setattr(Trainer, "_finish", stopping)
        train(recipe, out, checkpoint_seconds=0)
    tensors, facts = load_checkpoint(out)
    save_checkpoint(out, facts["step"], {**tensors, "loss_weighting.scale": torch.ones(3)}, facts)
    with pytest.raises(UserError, match="begun by another version of mtbert"):
        train(recipe, out)


def test_a_gradient_that_is_no_number_ends_the_run_with_task_and_step(recipe, tmp_path, monkeypatch):
    original = Trainer._losses

    def broken(self, rows, *fixed):
        return {
            name: loss * (math.nan if name == "quora" and self.step == 1 else 1)
            for name, loss in original(self, rows, *fixed).items()
        }

    monkeypatch.setattr(Trainer, "_losses", broken)
    with pytest.raises(UserError, match="step 2: the gradient of quora is not finite: lower lr"):
        train(recipe.replace(surgery="pcgrad"), tmp_path / "run")


def test_a_second_look_at_the_losses_counts_no_token_twice(recipe, tmp_path):
    rates = []
    for weighting in ("equal", "famo"):
        run = train(recipe.replace(loss_weighting=weighting, epochs=1), tmp_path / weighting)
        rates.append([run.epochs[0][key] for key in ("tokens_per_second", "examples_per_second")])
    ratios = [tokens / examples for tokens, examples in rates]
    assert ratios[0] == pytest.approx(ratios[1], rel=0.01)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"surgery": "pcgard"}, "surgery is 'pcgard': choose from"),
        ({"surgery": "torchjd:"}, "surgery is 'torchjd:'"),
        ({"granularity": "head"}, "granularity is 'head'"),
        ({"surgery_beta": 2}, "surgery_beta is 2"),
        ({"gradient_accumulation_steps": 0}, "gradient_accumulation_steps is 0"),
        ({"loss_weighting": "famo", "surgery": "pcgrad"}, "use only one of them"),
        ({"loss_weighting": "famo", "gradient_accumulation_steps": 2}, "famo weighs the losses of whole steps"),
    ],
)
def test_impossible_fields_are_refused(recipe, wrong, said):
    with pytest.raises(UserError, match=said.replace("[", r"\[")):
        recipe.replace(**wrong)
