"""The training loop: one step, its gradients and optimizers, what a run records, and what it leaves untouched."""

import copy
import itertools
import json
import math
from pathlib import Path

import pytest
import torch

import mtbert
from mtbert.data import TASKS, read_split
from mtbert.training import Trainer, evaluation, trainer
from mtbert.training.gradients import recipe_loss_weighting
from mtbert.training.run import build_model, read_run
from mtbert.utils import files
from mtbert.utils.errors import UserError

TASK_NAMES = ("sst", "quora", "sts")
BI = {"tasks": ("sts",), "encoding": "bi"}
NO_DROPOUT = {"hidden_dropout": 0, "attention_dropout": 0, "head_dropout": 0}


def test_one_seed_gives_one_result_and_another_seed_another(recipe, train, assert_undisturbed, undisturbed, tmp_path):
    torch.manual_seed(123)  # whatever happened before
    train(recipe, tmp_path / "again")
    assert_undisturbed(tmp_path / "again", recipe)
    assert undisturbed(recipe.replace(seed=1))["heads.safetensors"] != undisturbed(recipe)["heads.safetensors"]


def test_a_recipe_is_given_as_a_recipe(train, tmp_path):
    with pytest.raises(UserError, match=r"recipe is 'tiny', .* mtbert.recipe\(NAME\)"):
        train("tiny", tmp_path)


def test_training_lowers_the_loss(recipe, train, tmp_path):
    run = train(recipe.replace(epochs=4, steps_per_epoch=10, lr=3e-3), tmp_path / "run", checkpoint_seconds=1e9)
    first, last = run.epochs[0]["losses"], run.epochs[-1]["losses"]
    assert sum(last.values()) < 0.9 * sum(first.values())


def first_gradient(trainer: Trainer) -> torch.Tensor:
    step = next(trainer.sampler.steps())
    trainer.gradient.compute(step, trainer.runner.micro_batches(step.rows))
    return trainer.flat.gradient.clone()


POOLER = {"encoding": "bi", "head": {"quora": "concat_diff"}, "pooling": "pooler"}


@pytest.mark.parametrize(
    ("fields", "changes"),
    [
        (NO_DROPOUT, {"gradient_accumulation_steps": 3}),
        (NO_DROPOUT, {"surgery": "sum", "gradient_accumulation_steps": 2}),
        ({"hidden_dropout": 0.3}, {"surgery": "sum"}),
        ({"hidden_dropout": 0.3, "trainable": "heads"}, {"surgery": "sum"}),
        ({"hidden_dropout": 0.3, **POOLER, "gradient_accumulation_steps": 2}, {"surgery": "sum"}),
    ],
    ids=str,
)
def test_summing_surgery_and_accumulation_have_the_gradient_of_the_summed_loss(recipe, new_trainer, fields, changes):
    """With dropout, too: surgery draws the same masks."""
    recipe = recipe.replace(**fields)
    expected = first_gradient(new_trainer(recipe))
    torch.testing.assert_close(first_gradient(new_trainer(recipe.replace(**changes))), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("surgery", ["sum", "pcgrad"])
def test_an_epoch_records_how_the_gradients_conflict(recipe, undisturbed, surgery):
    for epoch in undisturbed(recipe.replace(surgery=surgery))["epochs"]:
        record = epoch["surgery"]
        assert record["steps"] == 3 and set(record["cosines"]) == {"sst-quora", "sst-sts", "quora-sts"}
        assert all(len(values) == 3 and max(map(abs, values)) <= 1 for values in record["cosines"].values())
        assert record["relative_change"] == 0 if surgery == "sum" else record["relative_change"] >= 0
        for pair, values in record["cosines"].items():
            assert record["conflicts"][pair] == sum(value < 0 for value in values)


def test_uncertainty_halves_squared_errors_and_no_other_loss(recipe):
    for loss, scale in (("default", 0.5), ("mse", 0.5), ("cosent", 1.0)):
        changed = recipe.replace(**BI, head="cosine", loss=loss, loss_weighting="uw")
        assert recipe_loss_weighting(changed).scale == {"sts": scale}


def test_uncertainty_is_trained_in_the_steps_of_its_task(recipe, new_trainer):
    trainer = new_trainer(recipe.replace(loss_weighting="uw", sampler="round_robin", warmup_ratio=0))
    for step in itertools.islice(trainer.sampler.steps(), 4):
        before = copy.deepcopy(trainer.loss_weighting.log_variance)
        trainer.train_step(step)
        after = trainer.loss_weighting.log_variance
        assert {task for task in TASK_NAMES if after[task] != before[task]} == set(step.rows)


@pytest.fixture
def per_task(recipe, new_trainer):
    """A trainer of round-robin steps with an optimizer per task, and a rate that falls linearly from 1."""
    return new_trainer(
        recipe.replace(
            sampler="round_robin", optimizer_state="per_task", epochs=1, steps_per_epoch=6, lr=1, warmup_ratio=0
        )
    )


def test_each_task_keeps_moments_of_the_shared_weights_that_only_its_own_steps_change(per_task):
    optimizers = per_task.optimizers.by_owner
    shared = next(shard for shard in per_task.flat.shards if shard.owner == "encoder").parameter
    moments = {}
    for step in itertools.islice(per_task.sampler.steps(), 4):  # sst, quora, sts, sst
        per_task.train_step(step)
        (task,) = step.rows
        for name, before in moments.items():
            assert torch.equal(optimizers[name].state[shared]["exp_avg"], before) == (name != task)
        moments = {
            name: optimizer.state[shared]["exp_avg"].clone()
            for name, optimizer in optimizers.items()
            if shared in optimizer.state
        }
    counts = {name: optimizer.state[shared]["step"] for name, optimizer in optimizers.items()}
    assert counts == {"sst": 2, "quora": 1, "sts": 1}


def test_each_task_has_a_learning_rate_schedule_of_its_own(per_task):
    rates = {name: [] for name in TASK_NAMES}
    for step in itertools.islice(per_task.sampler.steps(), 6):
        owner, optimizer = per_task.optimizers.for_step(step)
        rates[owner].append(optimizer.param_groups[0]["lr"])
    assert rates == dict.fromkeys(TASK_NAMES, [1.0, 0.5])


def test_an_optimizer_per_task_changes_nothing_for_a_single_task(recipe, undisturbed):
    alone = recipe.replace(tasks=("sst",), sampler="sequential")
    assert undisturbed(alone) == undisturbed(alone.replace(optimizer_state="per_task"))


@pytest.mark.parametrize("steps", [1, 3])
def test_a_loss_that_is_not_finite_is_an_error_that_names_the_task(recipe, train, tmp_path, steps):
    """After one step the loss is still finite, and only the predictions show it."""
    wild = recipe.replace(tasks=("quora",), lr=1e30, warmup_ratio=0, max_grad_norm=0, steps_per_epoch=steps)
    with pytest.raises(UserError, match=rf"step {steps}: .* quora .*: lower lr, now 1e[+]30"):
        train(wild, tmp_path / "run")
    run = read_run(tmp_path / "run")
    assert not run.finished and not run.epochs


def test_a_gradient_that_is_not_finite_is_an_error_that_names_task_and_step(recipe, train, tmp_path, monkeypatch):
    losses = Trainer.losses

    def broken(self, micro_batch):
        factors = {"quora": math.nan} if self.step == 1 else {}
        return {name: loss * factors.get(name, 1) for name, loss in losses(self, micro_batch).items()}

    monkeypatch.setattr(Trainer, "losses", broken)
    with pytest.raises(UserError, match="step 2: the gradient of quora is not finite: lower lr"):
        train(recipe.replace(surgery="pcgrad"), tmp_path / "run")


def test_the_record_has_the_recipe_the_data_and_the_epochs(finished, recipe, data):
    record = json.loads((finished.folder / "run.json").read_text())
    assert record["recipe"] == json.loads(json.dumps(recipe.as_dict()))
    assert mtbert.recipe(finished.folder / "recipe.json") == recipe
    for task in TASK_NAMES:
        for split, rows in (("train", 20), ("dev", 16)):
            name = TASKS[task].files[split]
            expected = {"task": task, "split": split, "sha256": files.file_sha256(data / name), "rows": rows}
            assert record["data"][name] == {**expected, "unlabelled": 0, "overlaps": {}, "copies": 0}
    assert record["encoder_sha256"] == files.file_sha256(Path(recipe.encoder) / "model.safetensors")
    assert record["device"].startswith("cpu") and record["versions"]["torch"] == torch.__version__
    assert record["seconds"] > 0 and record["status"] == "finished" and record["peak_memory_mb"] > 0
    assert [(epoch["epoch"], epoch["step"]) for epoch in record["epochs"]] == [(1, 3), (2, 6)]
    assert all(epoch["examples"] == 3 * 3 * 4 for epoch in record["epochs"])


def test_predictions_have_a_line_for_each_dev_row(finished, model, data):
    for task in TASK_NAMES:
        rows = read_split(data, TASKS[task], "dev")
        lines = (finished.folder / "predictions" / f"{task}-dev.csv").read_text().splitlines()
        assert lines[0] == "id,prediction"
        assert [line.split(",")[0] for line in lines[1:]] == [example.id for example in rows.examples]
        texts = [example.texts if TASKS[task].is_pair else example.texts[0] for example in rows.examples]
        written = [float(line.split(",")[1]) for line in lines[1:]]
        assert model.predict(task, texts) == pytest.approx(written, abs=1e-5)


def test_the_saved_model_has_the_scores_of_the_best_epoch(finished, model, data):
    scores = mtbert.evaluate(model, {task: read_split(data, TASKS[task], "dev") for task in TASK_NAMES})
    assert scores == pytest.approx(finished.scores, abs=1e-6)
    assert finished.scores["plain"] == max(epoch["scores"]["plain"] for epoch in finished.epochs)
    assert list(finished.history.columns) == ["epoch", *(f"loss {task}" for task in TASK_NAMES), *finished.scores]


def test_a_later_worse_epoch_does_not_replace_the_best(recipe, train, tmp_path, monkeypatch):
    plain, saved = iter([0.2, 0.6, 0.4]), []
    monkeypatch.setattr(evaluation, "overall", lambda scores: {"plain": next(plain), "normalised": 0.0})
    monkeypatch.setattr(trainer, "save_model", lambda model, recipe, out: saved.append(out))
    run = train(recipe.replace(epochs=3, steps_per_epoch=1), tmp_path / "run")
    assert run.record["best_epoch"] == 2 and run.scores["plain"] == 0.6 and len(saved) == 2


def test_a_task_without_dev_rows_is_trained_but_not_scored(recipe, first_rows, train, tmp_path):
    folder = first_rows("sst", "yelp", train=24, dev=16)
    run = train(recipe.replace(tasks=("sst", "yelp"), epochs=1, steps_per_epoch=1), tmp_path / "run", folder)
    assert set(run.scores) == {"sst", "plain", "normalised"} and set(run.epochs[0]["losses"]) == {"sst", "yelp"}
    run = train(recipe.replace(tasks=("yelp",), steps_per_epoch=1), tmp_path / "none", folder)
    assert run.record["best_epoch"] == len(run.epochs) == 2  # nothing is scored: the last epoch is saved


def test_surgery_on_groups_has_one_weight_for_the_main_tasks_and_keeps_its_state(recipe, first_rows, tmp_path):
    folder = first_rows("sst", "yelp", "quora", train=24, dev=16)
    changes = {"surgery": "gradvac", "surgery_beta": 0.5, "surgery_groups": "main_and_auxiliary"}
    grouped = recipe.replace(tasks=("sst", "yelp", "quora"), **changes)
    trainer = Trainer(grouped, tmp_path, folder, torch.device("cpu"), progress=False)
    trainer.train_step(next(trainer.sampler.steps()))
    sst, yelp, quora = trainer.surgery.last.weights[0].tolist()
    assert sst == quora != yelp
    state = copy.deepcopy(trainer.state_dict())
    trainer.train_step(next(trainer.sampler.steps(1)))
    resumed = Trainer(grouped, tmp_path, folder, torch.device("cpu"), progress=False)
    resumed.load_state_dict(state)
    resumed.train_step(next(resumed.sampler.steps(1)))
    assert torch.equal(resumed.flat.theta, trainer.flat.theta)


def test_a_frozen_encoder_stays_as_it_was_and_is_not_saved(frozen, train, new_trainer, tmp_path):
    frozen = frozen.replace(pooling="pooler", weight_decay=0.5)
    run, trainer = train(frozen, tmp_path / "run"), new_trainer(frozen)
    trainer.train_step(next(trainer.sampler.steps()))
    assert not (run.folder / "encoder").exists()
    for model in (mtbert.load_model(run.folder), trainer.model):
        for name, tensor in mtbert.load_encoder(frozen.encoder).bert.state_dict().items():
            assert torch.equal(model.bert.state_dict()[name], tensor)


def test_cached_vectors_give_the_losses_of_the_encoder_itself(frozen, new_trainer):
    trainer = new_trainer(frozen.replace(head_dropout=0))
    step = next(trainer.sampler.steps())
    (micro_batch,) = trainer.runner.micro_batches(step.rows)
    trainer.model.eval()
    cached = trainer.losses(micro_batch)
    for name, rows in step.rows.items():
        batch = trainer.datasets[name].sequences.batch(rows)
        batch.slices = {name: slice(0, len(batch))}
        fresh = trainer.model.losses(batch, micro_batch.labels)[name]
        torch.testing.assert_close(cached[name], fresh, rtol=0, atol=1e-5)


def test_the_pooler_is_trained_only_where_it_is_used(recipe, train, tmp_path):
    original = mtbert.load_encoder(recipe.encoder).bert
    for pooling, trained in (("mean", False), ("pooler", True)):
        run = train(recipe.replace(pooling=pooling, epochs=1, tasks=("sst",)), tmp_path / pooling)
        bert = mtbert.load_model(run.folder).bert
        assert torch.equal(bert.pooler.weight, original.pooler.weight) is not trained
        assert not torch.equal(bert.layers[0].qkv.weight, original.layers[0].qkv.weight)


def test_a_head_under_a_loss_of_vectors_keeps_its_initial_weights(recipe, train, tmp_path, messages):
    recipe = recipe.replace(**BI, head="concat", loss="triplet", weight_decay=0.5)
    initial = build_model(recipe, mtbert.load_encoder(recipe.encoder)).heads.state_dict()
    train(recipe, tmp_path / "run")
    heads = mtbert.load_model(tmp_path / "run").heads.state_dict()
    assert all(torch.equal(tensor, initial[name]) for name, tensor in heads.items())
    assert any("sts: loss triplet" in line and "'concat'" in line for line in messages)


def test_nothing_to_train_is_a_user_error(frozen, train, tmp_path):
    with pytest.raises(UserError, match="nothing to train: .*trainable=heads"):
        train(frozen.replace(tasks=("sts",), head="cosine"), tmp_path / "run")


def test_the_better_of_weights_and_their_average_is_kept(recipe, data, train, tmp_path):
    kept = set()
    for number, (decay, lr) in enumerate([(0.5, 0.01), (0.9, 0.05), (0.99, 0.002)]):
        changed = recipe.replace(ema_decay=decay, lr=lr, epochs=3, warmup_ratio=0)
        run = train(changed, tmp_path / str(number), checkpoint_seconds=1e9)
        for epoch in run.epochs:
            plain = {name: scores["plain"] for name, scores in epoch["scores_by_weights"].items()}
            assert plain[epoch["weights"]] == max(plain.values()) == epoch["scores"]["plain"]
            kept.add(epoch["weights"])
        dev = {task: read_split(data, TASKS[task], "dev") for task in changed.tasks}
        scores = evaluation.evaluate(mtbert.load_model(run.folder), dev)
        assert scores == pytest.approx(run.scores, abs=1e-6)
    assert kept == {"raw", "average"}


def test_a_layer_learns_more_slowly_than_the_one_above_it_and_a_head_as_fast_as_asked_for(new_trainer, recipe):
    def change(decay: float, head: float) -> dict[str, float]:
        torch.manual_seed(0)
        changed = recipe.replace(layerwise_lr_decay=decay, head_lr_factor=head, warmup_ratio=0, weight_decay=0)
        trainer = new_trainer(changed)
        before = trainer.flat.theta.clone()
        trainer.train_step(next(trainer.sampler.steps()))
        moved = (trainer.flat.theta - before).abs()
        return {name: float(moved[where].max()) for name, where in trainer.flat.slices.items()}

    plain, scaled = change(1.0, 1.0), change(0.5, 3.0)
    factors = {"bert.embeddings": 0.25, "bert.layers.0": 0.5, "heads": 3.0}  # of an encoder of one layer
    for name, size in scaled.items():
        (factor,) = (factor for prefix, factor in factors.items() if name.startswith(prefix))
        assert size == pytest.approx(factor * plain[name], rel=1e-3, abs=1e-9), name


def test_training_scores_are_those_of_the_rows_and_weights_of_each_step(new_trainer, no_dropout):
    """Accuracy, or Pearson's r over all rows of the epoch, however they are split."""
    trainer = new_trainer(no_dropout.replace(lr=0, gradient_accumulation_steps=2))
    rows = {task: [] for task in TASK_NAMES}
    for step in itertools.islice(trainer.sampler.steps(), 3):
        trainer.train_step(step)
        for task, indices in step.rows.items():
            rows[task] += indices.tolist()
    for task, score in trainer.meters.train_scores().items():
        dataset = trainer.datasets[task]
        logits = trainer.model.predict_logits(task, dataset.sequences)[rows[task]]
        labels = dataset.labels[rows[task]].tolist()
        assert score == pytest.approx(evaluation.score(TASKS[task], logits, labels), abs=1e-5)


@pytest.mark.parametrize("fast", [False, True])
def test_automatic_precision_is_resolved_once_and_recorded(recipe, train, train_until, tmp_path, monkeypatch, fast):
    """Also if the device changes its mind while the run is stopped."""
    monkeypatch.setattr(trainer, "fast_bfloat16", lambda device: fast)
    out = train_until(recipe.replace(precision="auto"), tmp_path / "run", 2)
    monkeypatch.setattr(trainer, "fast_bfloat16", lambda device: not fast)
    run = train(recipe.replace(precision="auto"), out)
    assert run.record["precision"] == ("bfloat16" if fast else "float32")
    same = train(recipe.replace(precision=run.record["precision"]), tmp_path / "same")
    assert [epoch["losses"] for epoch in same.epochs] == [epoch["losses"] for epoch in run.epochs]


def test_rdrop_adds_the_disagreement_of_two_passes(recipe, new_trainer):
    """Without dropout the passes agree, and nothing is added; with it, a share of its weight is."""

    def losses(weight, **dropout):
        trainer = new_trainer(recipe.replace(**{**NO_DROPOUT, **dropout}))
        trainer.model.rdrop_weight = dict.fromkeys(weight, 1.0) | weight
        torch.manual_seed(0)
        trainer.model.train()
        step = next(trainer.sampler.steps())
        (micro_batch,) = trainer.runner.micro_batches(step.rows)
        return {task: float(loss) for task, loss in trainer.losses(micro_batch).items()}

    assert losses({"sst": 9.0}) == pytest.approx(losses({}), rel=1e-6)
    plain, one, two = (losses(weight, hidden_dropout=0.3) for weight in ({}, {"sst": 1.0}, {"sst": 3.0}))
    mean = one["sst"] - (two["sst"] - one["sst"]) / 2  # with weight 0: the mean of two passes
    assert two["sst"] > one["sst"] > mean != pytest.approx(plain["sst"], rel=1e-6)
    for task in ("quora", "sts"):
        assert one[task] == two[task] == plain[task]
