"""Whatever stops a run, it resumes, and ends with the same weights, bit for bit, as one that was never stopped."""

import json
import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load

import mtbert
from mtbert.data import SAMPLERS
from mtbert.training import run as run_files
from mtbert.training import trainer
from mtbert.training.checkpoint import checkpoints, load_checkpoint, save_checkpoint
from mtbert.training.interrupt import SIGNALS
from mtbert.utils import files
from mtbert.utils.errors import UserError

BI = {"encoding": "bi", "head": {"quora": "concat_diff", "sts": "cosine"}}
TOKENS = {"tasks": ("sst", "sts"), "head": {"sst": "convolution"}}
CHANGES = {
    "everything is trained": {},
    "augmented copies": {"augment_copies": {"sst": 2}},
    "adapters": {"trainable": "adapters", "adapter": "low_rank", "adapter_size": 4},
    "an optimizer per task": {"sampler": "round_robin", "optimizer_state": "per_task", "warmup_ratio": 0.5},
    "uncertainty": {"loss_weighting": "uw"},
    "PCGrad in parts": {"surgery": "pcgrad", "gradient_accumulation_steps": 2, "precision": "bfloat16"},
    "GradVac": {"surgery": "gradvac", "surgery_beta": 0.5, "granularity": "layer"},
    "classes that attract": {
        "loss": {"sst": "supervised_contrastive"},
        "encoding": {"sts": "bi"},
        "head": {"sts": "cosine_two_layer"},
    },
    "NashMTL": {"surgery": "torchjd:NashMTL", "granularity": "layer"},
    "moving average": {"ema_decay": 0.9, "layerwise_lr_decay": 0.8, "head_lr_factor": 5.0},
    "moving average of heads": {"ema_decay": 0.5, "trainable": "heads", **BI},
    "R-Drop": {"rdrop_weight": 1.0, "loss": {"sst": "ordinal"}, "label_smoothing": {"quora": 0.1}},
    "R-Drop, SMART and PCGrad": {"rdrop_weight": 1.0, "smart_weight": 1.0, "surgery": "pcgrad", "ema_decay": 0.9},
    "any precision": {"precision": "auto"},
    "GradVac on cached vectors": {"surgery": "gradvac", "trainable": "heads", **BI},
    "one positive": {**BI, "loss": {"sts": "mnrl_graded"}},
    "SMART on tokens": {**TOKENS, "loss": {"sts": "cosent"}, "encoding": "bi", "smart_weight": 1.0},
    "SMART and PCGrad": {**BI, "tasks": ("quora", "sts"), "loss": "mnrl", "surgery": "pcgrad", "smart_weight": 0.5},
    **{f"sampler {name}": {"trainable": "heads", **BI, "sampler": name} for name in SAMPLERS},
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_run_stopped_in_any_step_ends_with_the_same_weights(
    recipe, train, train_until, assert_undisturbed, tmp_path, name
):
    if name == "NashMTL":
        for solver in ("cvxpy", "ecos"):  # of the extra surgery-full
            pytest.importorskip(solver)
    changed = recipe.replace(epochs=3, steps_per_epoch=2, **CHANGES[name])
    for number, after in ((0, False), (1, True), (3, False), (5, True)):
        train_until(changed, tmp_path / "run", number, after)
    train(changed, tmp_path / "run")
    assert_undisturbed(tmp_path / "run", changed)


class PowerCut(BaseException):
    """Simulates the end of the process while a file is written."""


@given(moments=st.lists(st.integers(1, 60), min_size=1, max_size=3), seconds=st.sampled_from([0, 0, 1e9]))
@settings(max_examples=5, deadline=None)
def test_a_run_stopped_while_it_writes_any_file_ends_with_the_same_weights(
    recipe, train, assert_undisturbed, tmp_path_factory, moments, seconds
):
    out, replace = tmp_path_factory.mktemp("run") / "out", os.replace
    for moment in moments:
        remaining = [moment]

        def dying(source, target, remaining=remaining):
            remaining[0] -= 1
            if not remaining[0]:
                raise PowerCut
            replace(source, target)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(files.os, "replace", dying)
            try:
                train(recipe, out, checkpoint_seconds=seconds)
            except PowerCut:
                continue
    train(recipe, out)
    assert_undisturbed(out, recipe)


WRITTEN = ("run.json", "checkpoint-00000003", "encoder/model.safetensors", "predictions", "checkpoint-00000006")
WRITES = [("writing", name) for name in WRITTEN]
MOMENTS = [WRITES[0], ("after", 1), *WRITES[1:4], ("before", 4), WRITES[4]]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_a_killed_process_loses_nothing(recipe, train, at_step, assert_undisturbed, tmp_path):
    """SIGKILL: no handler runs, and half-written files remain."""
    out, replace = tmp_path / "run", os.replace

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    def train_and_die(kind, value):
        def half(source, target):
            if kind == "writing" and value in str(target):
                os.truncate(source, os.path.getsize(source) // 2)
                die()
            replace(source, target)

        os.replace = half
        with at_step(value, die, kind == "after"):
            train(recipe, out)

    for moment in MOMENTS:
        child = multiprocessing.get_context("fork").Process(target=train_and_die, args=moment)
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL, moment
    assert list(out.rglob("*.part"))
    train(recipe, out)
    assert_undisturbed(out, recipe)


def dies_while(event, target):
    """A process that is killed at the end of an event of its own; ``target`` trains in it."""

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    child = multiprocessing.get_context("fork").Process(target=lambda: event(die, target))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_a_model_of_two_epochs_is_refused_until_the_run_has_gone_on(recipe, train, assert_undisturbed, tmp_path):
    """Killed between the encoder and the heads of a better epoch."""
    out, recipe = tmp_path / "run", recipe.replace(epochs=3, lr=0.01)
    saved = []

    def event(die, target):
        write = run_files._write_tensors

        def dying(path, tensors):
            saved.append(path)
            if len(saved) == 2:
                die()
            write(path, tensors)

        run_files._write_tensors = dying
        target()

    dies_while(event, lambda: train(recipe, out))
    assert mtbert.open_run(out).record["best_epoch"] == 1
    with pytest.raises(UserError, match=r"encoder/model.safetensors .* run.json .*same train command"):
        mtbert.load_model(out)
    train(recipe, out)
    mtbert.load_model(out)
    assert_undisturbed(out, recipe)


def test_the_weights_of_another_epoch_are_refused(finished, tmp_path):
    copy = shutil.copytree(finished.folder, tmp_path / "run")
    heads = load((copy / "heads.safetensors").read_bytes())
    run_files._write_tensors(copy / "heads.safetensors", {name: tensor + 1 for name, tensor in heads.items()})
    with pytest.raises(UserError, match=r"heads.safetensors .* run.json"):
        mtbert.load_model(copy)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_checkpoints_that_a_kill_left_beside_a_finished_run_are_removed(recipe, train, assert_undisturbed, tmp_path):
    def event(die, target):
        trainer.remove_checkpoints = lambda folder: die()
        target()

    dies_while(event, lambda: train(recipe, tmp_path / "run"))
    assert mtbert.open_run(tmp_path / "run").finished and len(checkpoints(tmp_path / "run")) == 2
    train(recipe, tmp_path / "run")
    assert_undisturbed(tmp_path / "run", recipe)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_folder_that_is_deleted_while_a_run_trains_in_it_stays_deleted(recipe, train, at_step, tmp_path, replaced):
    out = tmp_path / "run"

    def delete():
        shutil.rmtree(out)
        if replaced:
            out.mkdir()
            (out / files.LOCK).touch()

    with at_step(1, delete), pytest.raises(UserError, match=f"{out} was deleted or replaced"):
        train(recipe, out)
    assert [path.name for path in out.glob("*")] == [files.LOCK] * replaced


def press_ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_stops_after_the_step_with_a_checkpoint(
    recipe, train, at_step, assert_undisturbed, tmp_path, messages, number
):
    before = signal.getsignal(number)
    with at_step(1, lambda: signal.raise_signal(number)), pytest.raises(mtbert.Interrupted) as stop:
        train(recipe, tmp_path / "run", checkpoint_seconds=1e9)
    assert "after step 2 of 6" in str(stop.value) and stop.value.exit_code == 128 + number
    assert signal.getsignal(number) is before
    assert [path.name for path in checkpoints(tmp_path / "run")] == ["checkpoint-00000002.safetensors"]
    train(recipe, tmp_path / "run")
    assert "resuming after step 2 of 6" in messages
    assert_undisturbed(tmp_path / "run", recipe)


def test_a_second_ctrl_c_stops_at_once(recipe, train, at_step, tmp_path):
    with at_step(1, press_ctrl_c), at_step(1, press_ctrl_c), pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "run")


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(
    recipe, train, train_until, assert_undisturbed, tmp_path, messages
):
    out = train_until(recipe, tmp_path / "run", 4)
    assert [path.name[11:19] for path in checkpoints(out)] == ["00000004", "00000003"]
    checkpoints(out)[0].write_bytes(b"half")
    train(recipe, out)
    assert any(line.startswith("checkpoint-00000004.safetensors is damaged") for line in messages)
    assert "resuming after step 3 of 6" in messages
    assert_undisturbed(out, recipe)


def test_a_run_of_another_recipe_is_refused(finished, recipe, train, train_until, tmp_path):
    with pytest.raises(UserError, match=r"lr is 0.5, there 0.001"):
        train(recipe.replace(lr=0.5), finished.folder)
    out = train_until(recipe, tmp_path / "run", 1)
    with pytest.raises(UserError, match="seed is 9, there 0"):
        train(recipe.replace(seed=9), out)
    (out / "run.json").unlink()  # the checkpoint knows as well
    with pytest.raises(UserError, match="seed is 9, there 0"):
        train(recipe.replace(seed=9), out)


def test_a_run_does_not_resume_with_other_data(recipe, first_rows, train, train_until, tmp_path):
    out = train_until(recipe, tmp_path / "run", 2)
    with pytest.raises(UserError, match="other data"):
        train(recipe, out, first_rows("sst", "quora", "sts", train=24, dev=15))


def change_config(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 1e-3}))


def change_tokenizer(folder: Path) -> None:
    fields = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = fields["model"]["vocab"]
    vocabulary["the"], vocabulary["of"] = vocabulary["of"], vocabulary["the"]
    (folder / "tokenizer.json").write_text(json.dumps(fields))


@pytest.mark.parametrize(
    ("change", "named"), [(change_config, "encoder_config"), (change_tokenizer, "tokenizer_sha256")]
)
def test_a_run_goes_on_with_the_encoder_that_it_began_with(recipe, frozen, train, train_until, tmp_path, change, named):
    """The weights stay, but their configuration or the tokenizer changes."""
    encoder = shutil.copytree(recipe.encoder, tmp_path / "encoder")
    resumed, finished = (made.replace(encoder=str(encoder)) for made in (recipe, frozen))
    out = train_until(resumed, tmp_path / "run", 2)
    train(finished, tmp_path / "frozen")
    change(encoder)
    with pytest.raises(UserError, match=f"another encoder .{named} differs.*choose another folder"):
        train(resumed, out)
    with pytest.raises(UserError, match=f"trained with another {named}"):
        mtbert.load_model(tmp_path / "frozen")


KEYS = (
    "recipe inputs step parameters average optimizers surgery random meters epochs best_epoch weights_sha256 precision"
)


@pytest.mark.parametrize("key", KEYS.split())
def test_a_checkpoint_that_lacks_part_of_its_state_is_refused(recipe, train, train_until, tmp_path, key):
    """Its checksum may be right, as that of a file which another program wrote."""
    changed = recipe.replace(surgery="gradvac", ema_decay=0.5)
    out = train_until(changed, tmp_path / "run", 1)
    state = load_checkpoint(out)
    save_checkpoint(out, 9, {name: value for name, value in state.items() if name != key})
    with pytest.raises(UserError, match=f"{out}: the newest checkpoint .*'{key}'.*choose another folder"):
        train(changed, out)
