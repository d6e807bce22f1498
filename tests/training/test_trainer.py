"""The training loop: the same weights every time, whatever stops it; and the records it leaves."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import mtbert
from mtbert.data.read import read_split
from mtbert.data.sampling import SAMPLERS
from mtbert.data.tasks import TASKS
from mtbert.training.checkpoint import checkpoints, load_checkpoint, save_checkpoint
from mtbert.training.run import read_run
from mtbert.training.trainer import Trainer
from mtbert.utils import files
from mtbert.utils.errors import UserError

TASK_NAMES = ("sst", "quora", "sts")
STEPS = 6  # of every run here: two epochs of three, or three of two


class Died(BaseException):
    """Stands for the end of the process: nothing in the package catches it."""


@pytest.fixture(scope="module")
def data(first_rows):
    return first_rows(*TASK_NAMES, train=24, dev=16)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """The tiny recipe on a still smaller encoder: a run takes a moment."""
    folder = tmp_path_factory.mktemp("encoder")
    mtbert.load_encoder("tiny", hidden_size=16, intermediate_size=32).save(folder)
    return mtbert.recipe("tiny").replace(encoder=str(folder), num_layers=1, train_rows=20, epochs=2, steps_per_epoch=3)


@pytest.fixture(scope="module")
def pretrain(recipe):
    return recipe.replace(trainable="heads", encoding="bi", head={"quora": "concat_diff"})


@pytest.fixture(scope="module")
def train(data):
    """Train on the data above, quietly, with a checkpoint in every step."""

    def run(recipe, out, folder=data, checkpoint_seconds=0):
        return mtbert.train(recipe, out, folder, "cpu", False, checkpoint_seconds)

    return run


@pytest.fixture(scope="module")
def undisturbed(train, tmp_path_factory):
    """What a run of a recipe ends with when nothing stops it; each recipe is run once."""
    ends = {}

    def end_of(recipe):
        key = json.dumps(recipe.as_dict())
        if key not in ends:
            out = tmp_path_factory.mktemp("undisturbed")
            train(recipe, out, checkpoint_seconds=1e9)
            ends[key] = end(out)
        return ends[key]

    return end_of


def end(out: Path) -> dict:
    """All that must not depend on how often a run was stopped: weights and predictions as bytes, losses, scores."""
    run = mtbert.open_run(out)
    assert run.finished and not checkpoints(out) and not list(out.rglob("*.part"))
    kept = {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in out.rglob("*")
        if path.suffix in (".safetensors", ".csv")
    }
    epochs = [{key: each[key] for key in ("epoch", "step", "losses", "scores", "examples")} for each in run.epochs]
    return {**kept, "epochs": epochs, "best": run.record["best_epoch"], "scores": run.scores}


def same_end(out: Path, expected: dict) -> None:
    found = end(out)
    assert found.keys() == expected.keys()
    for name in expected:
        assert found[name] == expected[name], f"{name} differs"


def die_in_step(patched, number: int, after: bool) -> None:
    """Let the process die in a step: before it has done anything, or after its update."""
    step_of = Trainer._train_step

    def step(self, step):
        if step.number == number and not after:
            raise Died
        step_of(self, step)
        if step.number == number:
            raise Died

    patched.setattr(Trainer, "_train_step", step)


# -- the same weights -------------------------------------------------------------------------------------------------


def test_one_seed_gives_one_result_and_another_seed_another(recipe, train, undisturbed, tmp_path):
    torch.manual_seed(123)  # whatever happened before
    train(recipe, tmp_path / "again")
    same_end(tmp_path / "again", undisturbed(recipe))
    train(recipe.replace(seed=1), tmp_path / "other")
    assert end(tmp_path / "other")["heads.safetensors"] != undisturbed(recipe)["heads.safetensors"]


def test_the_tiny_recipe_trains_on_the_sample_data(sample, train, tmp_path):
    run = train(
        mtbert.recipe("tiny").replace(num_layers=1, train_rows=8, epochs=1, steps_per_epoch=1), tmp_path / "run", sample
    )
    assert run.finished and set(run.scores) == {*TASK_NAMES, "plain", "normalised"}


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("trainable", ["all", "heads"])
def test_a_run_stopped_in_any_step_ends_with_the_same_weights(
    recipe, pretrain, train, undisturbed, tmp_path, sampler, trainable
):
    wanted = (recipe if trainable == "all" else pretrain).replace(sampler=sampler, epochs=3, steps_per_epoch=2)
    for number, after in ((0, False), (1, True), (3, False), (5, True)):  # one run, stopped four times
        with pytest.MonkeyPatch.context() as patched, pytest.raises(Died):
            die_in_step(patched, number, after)
            train(wanted, tmp_path / "run")
    train(wanted, tmp_path / "run")
    same_end(tmp_path / "run", undisturbed(wanted))


@given(moments=st.lists(st.integers(1, 60), min_size=1, max_size=3), seconds=st.sampled_from([0, 0, 1e9]))
@settings(max_examples=8, deadline=None)
def test_a_run_stopped_while_it_writes_any_file_ends_with_the_same_weights(
    recipe, train, undisturbed, tmp_path_factory, moments, seconds
):
    out, replace = tmp_path_factory.mktemp("run") / "out", os.replace
    for moment in moments:
        left = [moment]

        def dying(source, target, left=left):
            left[0] -= 1
            if not left[0]:
                raise Died
            replace(source, target)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(files.os, "replace", dying)
            try:
                train(recipe, out, checkpoint_seconds=seconds)
            except Died:
                continue
    train(recipe, out)
    same_end(out, undisturbed(recipe))


KILLER = """
import os, signal, sys
import torch
torch.set_num_threads(1)
import mtbert
from mtbert.utils import files
from mtbert.training.trainer import Trainer

recipe, data, out, *moments = sys.argv[1:]
recipe, step_of, replace = mtbert.recipe(recipe), Trainer._train_step, os.replace


def die():
    os.kill(os.getpid(), signal.SIGKILL)


for moment in moments:
    kind, value = moment.split(":")

    def step(self, step):
        if kind == "before" and step.number == int(value):
            die()
        step_of(self, step)
        if kind == "after" and step.number == int(value):
            die()

    def half(source, target):
        if kind == "writing" and value in str(target):
            os.truncate(source, os.path.getsize(source) // 2)
            die()
        replace(source, target)

    child = os.fork()
    if not child:
        Trainer._train_step, os.replace = step, half
        mtbert.train(recipe, out, data, "cpu", False, 0)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, (moment, status)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
@pytest.mark.parametrize(
    ("trainable", "moments"),
    [
        (
            "all",
            [
                "writing:run.json",
                "writing:recipe.json",
                "before:0",
                "after:1",
                "writing:checkpoint-00000003",
                "writing:encoder/model.safetensors",
                "before:4",
                "writing:checkpoint-00000006",
            ],
        ),
        ("heads", ["after:0", "writing:heads.safetensors", "writing:predictions", "after:5"]),
    ],
)
def test_a_killed_process_loses_nothing(recipe, pretrain, data, train, undisturbed, tmp_path, trainable, moments):
    """SIGKILL: no handler runs, half-written files stay behind."""
    wanted, out = recipe if trainable == "all" else pretrain, tmp_path / "run"
    (tmp_path / "recipe.json").write_text(json.dumps(wanted.as_dict()))
    command = [sys.executable, "-c", KILLER, str(tmp_path / "recipe.json"), str(data), str(out), *moments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert list(out.rglob("*.part")) or trainable == "heads"
    train(wanted, out)
    same_end(out, undisturbed(wanted))


def test_ctrl_c_stops_after_the_step_with_a_checkpoint(recipe, train, undisturbed, tmp_path, messages, monkeypatch):
    step_of = Trainer._train_step

    def step(self, step):
        if step.number == 1:
            os.kill(os.getpid(), signal.SIGINT)
        step_of(self, step)

    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patched, pytest.raises(mtbert.Interrupted, match="after step 2 of 6"):
        patched.setattr(Trainer, "_train_step", step)
        train(recipe, tmp_path / "run", checkpoint_seconds=1e9)
    assert signal.getsignal(signal.SIGINT) is before
    assert [path.name for path in checkpoints(tmp_path / "run")] == ["checkpoint-00000002.safetensors"]
    train(recipe, tmp_path / "run")
    assert "going on after step 2 of 6" in messages
    same_end(tmp_path / "run", undisturbed(recipe))


def test_a_second_ctrl_c_stops_at_once(recipe, train, tmp_path, monkeypatch):
    def step(self, step):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("the second one was held back")

    monkeypatch.setattr(Trainer, "_train_step", step)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "run")


# -- checkpoints ------------------------------------------------------------------------------------------------------


def stopped_in(recipe, train, out: Path, number: int) -> Path:
    """A run that died in a step, with the checkpoints of the two steps before."""
    with pytest.MonkeyPatch.context() as patched, pytest.raises(Died):
        die_in_step(patched, number, after=False)
        train(recipe, out)
    return out


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [halve, lambda path: path.write_bytes(b""), lambda path: flip(path, -100_000)])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(
    recipe, train, undisturbed, tmp_path, messages, damage
):
    out = stopped_in(recipe, train, tmp_path / "run", 4)
    newest, older = checkpoints(out)
    damage(newest)
    train(recipe, out)
    assert [text for text in messages if text.startswith("checkpoint-00000004.safetensors is damaged")]
    assert "going on after step 3 of 6" in messages
    same_end(out, undisturbed(recipe))


def test_a_run_whose_checkpoints_are_all_damaged_is_not_begun_anew(recipe, train, tmp_path):
    out = stopped_in(recipe, train, tmp_path / "run", 3)
    for path in checkpoints(out):
        halve(path)
    with pytest.raises(UserError, match="every checkpoint is damaged"):
        train(recipe, out)
    assert len(checkpoints(out)) == 2


def test_a_checkpoint_of_another_version_is_refused_in_a_sentence(recipe, train, tmp_path):
    out = stopped_in(recipe, train, tmp_path / "run", 3)
    tensors, facts = load_checkpoint(out)
    save_checkpoint(out, facts["step"], tensors, {**facts, "format": 0})
    with pytest.raises(UserError, match="begun by another version of mtbert: choose another folder"):
        train(recipe, out)


def test_the_two_newest_checkpoints_are_kept(recipe, train, tmp_path):
    out = stopped_in(recipe, train, tmp_path / "run", 5)
    assert [path.name[11:19] for path in checkpoints(out)] == ["00000005", "00000004"]


def test_a_checkpoint_gives_back_what_was_put_in(tmp_path):
    tensors = {"a": torch.randn(3, 4).t(), "b": torch.arange(5, dtype=torch.uint8), "empty": torch.empty(0)}
    save_checkpoint(tmp_path, 7, tensors, {"words": ["ä", None, 0.1]})
    found, facts = load_checkpoint(tmp_path)
    assert found.keys() == tensors.keys() and all(torch.equal(found[name], tensors[name]) for name in tensors)
    assert facts == {"words": ["ä", None, 0.1], "step": 7}
    assert load_checkpoint(tmp_path / "nowhere") is None


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=150, deadline=None)
def test_a_checkpoint_with_any_one_bit_flipped_is_refused(tmp_path_factory, place, bit):
    """In the numbers, the names, the shapes or the facts."""
    folder = tmp_path_factory.getbasetemp() / "flipped"
    shutil.rmtree(folder, ignore_errors=True)
    path = save_checkpoint(folder, 1, {"theta": torch.arange(6.0).view(2, 3), "random": torch.ones(3)}, {"tokens": 123})
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(content)
    with pytest.raises(UserError, match="every checkpoint is damaged"):
        load_checkpoint(folder)


def test_no_checkpoint_is_lost_when_the_disk_is_full(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, 1, {"a": torch.ones(3)}, {})

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(tmp_path, 2, {"a": torch.ones(3)}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-00000001.safetensors"]


def test_only_what_write_whole_left_behind_is_removed(tmp_path):
    (tmp_path / "inner").mkdir()
    for name in ("inner/run.json.123.part", "mine.part", "run.json"):
        (tmp_path / name).touch()
    files.remove_parts(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["mine.part", "run.json"]


# -- folders ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(recipe, train, tmp_path_factory):
    """A finished run; tests only look at it."""
    return train(recipe, tmp_path_factory.mktemp("finished") / "run")


@pytest.fixture(scope="module")
def model(finished):
    return mtbert.load_model(finished.folder)


def test_a_finished_run_is_returned_untouched(finished, recipe, train, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*")}
    monkeypatch.setattr(Trainer, "__init__", lambda *a, **k: pytest.fail("it was trained again"))
    again = train(recipe.replace(name="another name"), finished.folder)
    assert again.scores == finished.scores
    assert {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*")} == before


def test_a_recipe_may_be_given_by_name_or_file(finished, train, tmp_path):
    assert train(finished.folder / "recipe.json", finished.folder).scores == finished.scores
    with pytest.raises(UserError, match="unknown recipe 'tinny'"):
        train("tinny", tmp_path / "run")


def test_a_run_of_another_recipe_is_refused(finished, recipe, train):
    with pytest.raises(UserError, match=r"another recipe \(lr is 0.5, there 0.001\)"):
        train(recipe.replace(lr=0.5), finished.folder)


def test_an_unfinished_run_of_another_recipe_is_refused(recipe, train, tmp_path):
    out = stopped_in(recipe, train, tmp_path / "run", 1)
    with pytest.raises(UserError, match="another recipe"):
        train(recipe.replace(seed=9), out)
    (out / "run.json").unlink()  # the checkpoint knows as well
    with pytest.raises(UserError, match="another recipe"):
        train(recipe.replace(seed=9), out)


def test_a_run_does_not_go_on_with_other_data(recipe, data, train, tmp_path):
    out = stopped_in(recipe, train, tmp_path / "run", 2)
    other = shutil.copytree(data, tmp_path / "data")
    text = (other / "sts-dev.csv").read_text()
    (other / "sts-dev.csv").write_text(text.replace(text.splitlines()[-1].split("\t")[-1], "1.25"))
    with pytest.raises(UserError, match="other data"):
        train(recipe, out, other)


def test_a_finished_run_is_not_that_of_other_data(finished, recipe, data, train, tmp_path):
    other = shutil.copytree(data, tmp_path / "data")
    assert train(recipe, finished.folder, other).scores == finished.scores  # the same files elsewhere
    with open(other / "sts-dev.csv", "a") as file:
        file.write("\n")
    with pytest.raises(UserError, match=r"other data than .* has in sts-dev.csv: choose another folder"):
        train(recipe, finished.folder, other)
    (other / "sts-dev.csv").unlink()
    with pytest.raises(UserError, match="has in sts-dev.csv"):
        train(recipe, finished.folder, other)


def test_a_folder_that_holds_something_else_is_refused(recipe, train, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match="not empty and holds no run"):
        train(recipe, tmp_path)
    with pytest.raises(UserError, match="is a file"):
        train(recipe, tmp_path / "letter.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_two_processes_do_not_train_in_one_folder(recipe, train, tmp_path):
    held = "from pathlib import Path; from mtbert.utils.files import held\nwith held(Path(%r)): print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", held % str(tmp_path / "run")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        with pytest.raises(UserError, match=f"another process is training in {tmp_path / 'run'}"):
            train(recipe, tmp_path / "run")
        other.kill()  # even so it lets go
    assert train(recipe, tmp_path / "run").finished


def test_a_damaged_record_is_a_user_error(recipe, train, tmp_path):
    (tmp_path / "run.json").write_text('{"status": ')
    with pytest.raises(UserError, match="run.json is damaged"):
        train(recipe, tmp_path)


# -- rows that stand in train and dev ---------------------------------------------------------------------------------


@pytest.fixture
def overlapping(data, tmp_path):
    """Three train rows of sst stand in dev as well, in capitals."""
    folder = shutil.copytree(data, tmp_path / "overlapping")
    train = (folder / "ids-sst-train.csv").read_text().splitlines()
    with open(folder / "ids-sst-dev.csv", "a") as dev:
        dev.writelines(line.upper() + "\n" for line in train[1:4])
    return folder


def test_dev_rows_limits_what_is_scored(recipe, train, tmp_path):
    run = train(recipe.replace(dev_rows=7, epochs=1, steps_per_epoch=1), tmp_path)
    scored = {name: of["rows"] for name, of in run.record["data"].items() if of["split"] == "dev"}
    assert set(scored.values()) == {7}
    assert len((tmp_path / "predictions" / "sst-dev.csv").read_text().splitlines()) == 8


def test_train_rows_that_stand_in_dev_are_refused(recipe, train, overlapping, tmp_path):
    with pytest.raises(UserError, match="ids-sst-train.csv: 3 rows also stand in ids-sst-dev.csv: set overlap"):
        train(recipe, tmp_path / "run", overlapping)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("overlap", "said", "rows"), [("drop", "left out", 21), ("keep", "kept", 24)])
def test_train_rows_that_stand_in_dev_are_left_out_or_kept(
    recipe, train, overlapping, tmp_path, messages, overlap, said, rows
):
    wanted = recipe.replace(overlap=overlap, train_rows=None, epochs=1, steps_per_epoch=1)
    run = train(wanted, tmp_path / "run", overlapping)
    assert [text for text in messages if text.startswith("ids-sst-train.csv: 3 rows") and text.endswith(said)]
    of_train = run.record["data"]["ids-sst-train.csv"]
    assert of_train["rows"] == rows and of_train["overlaps"] == {"ids-sst-dev.csv": 3}


# -- noisy copies -----------------------------------------------------------------------------------------------------


def test_a_file_whose_rows_all_stand_in_dev_is_named(recipe, train, data, tmp_path):
    folder = shutil.copytree(data, tmp_path / "data")
    shutil.copy(folder / "ids-sst-train.csv", folder / "ids-sst-dev.csv")
    with pytest.raises(UserError, match=r"ids-sst-train.csv: overlap is drop, which leaves no row"):
        train(recipe.replace(overlap="drop"), tmp_path / "run", folder)


def test_copies_are_made_of_the_train_rows_that_the_overlap_guard_left(recipe, train, overlapping, tmp_path, messages):
    wanted = recipe.replace(overlap="drop", train_rows=None, augment_copies={"sst": 2}, epochs=1, steps_per_epoch=1)
    run = train(wanted, tmp_path / "run", overlapping)
    assert "ids-sst-train.csv: 42 noisy copies of 21 rows" in messages
    found = {name: (of["rows"], of["copies"]) for name, of in run.record["data"].items() if of["task"] == "sst"}
    assert found == {"ids-sst-train.csv": (63, 42), "ids-sst-dev.csv": (19, 0)}


def test_a_run_on_noisy_copies_can_be_stopped(recipe, train, undisturbed, tmp_path):
    wanted = recipe.replace(augment_copies={"sst": 2})
    with pytest.MonkeyPatch.context() as patched, pytest.raises(Died):
        die_in_step(patched, 3, True)
        train(wanted, tmp_path / "run")
    train(wanted, tmp_path / "run")
    same_end(tmp_path / "run", undisturbed(wanted))
    assert undisturbed(wanted) != undisturbed(recipe)


# -- an optimiser per task --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def in_turn(recipe):
    return recipe.replace(
        sampler="round_robin", epochs=1, steps_per_epoch=STEPS, lr_schedule="constant", warmup_ratio=0
    )


def test_with_an_optimiser_per_task_a_run_stopped_in_any_step_ends_with_the_same_weights(
    in_turn, train, undisturbed, tmp_path
):
    wanted = in_turn.replace(
        optimizer_state="per_task", lr_schedule="linear", warmup_ratio=0.5, epochs=2, steps_per_epoch=3
    )
    for number, after in ((0, False), (1, True), (3, False), (5, True)):
        with pytest.MonkeyPatch.context() as patched, pytest.raises(Died):
            die_in_step(patched, number, after)
            train(wanted, tmp_path / "run")
    train(wanted, tmp_path / "run")
    same_end(tmp_path / "run", undisturbed(wanted))


def test_each_task_keeps_moments_of_the_shared_weights_that_only_its_own_steps_move(in_turn, data, tmp_path):
    trainer = Trainer(in_turn.replace(optimizer_state="per_task"), tmp_path, data, torch.device("cpu"), False, print)
    shared = next(segment for segment in trainer.flat.shards if segment.owner == "encoder").parameter
    kept = {}
    for step in itertools.islice(trainer.sampler.steps(), 4):  # sst, quora, sts, sst
        trainer._train_step(step)
        (task,) = step.rows
        for name, before in kept.items():
            now = trainer.optimizers[name].state[shared]
            assert torch.equal(now["exp_avg"], before) == (name != task)
        kept = {
            name: optimizer.state[shared]["exp_avg"].clone()
            for name, optimizer in trainer.optimizers.items()
            if shared in optimizer.state
        }
    counts = {name: optimizer.state[shared]["step"] for name, optimizer in trainer.optimizers.items()}
    assert counts == {"sst": 2, "quora": 1, "sts": 1}


def test_for_a_single_task_an_optimiser_of_its_own_changes_nothing(recipe, undisturbed):
    alone = recipe.replace(tasks=("sst",), sampler="sequential")
    one, other = undisturbed(alone), undisturbed(alone.replace(optimizer_state="per_task"))
    assert one == other


def test_for_several_tasks_it_does(in_turn, undisturbed):
    one, other = undisturbed(in_turn), undisturbed(in_turn.replace(optimizer_state="per_task"))
    assert one["heads.safetensors"] != other["heads.safetensors"]


def test_each_task_has_a_learning_rate_schedule_of_its_own(in_turn, data, tmp_path):
    wanted = in_turn.replace(optimizer_state="per_task", lr_schedule="linear", lr=1.0)
    trainer = Trainer(wanted, tmp_path, data, torch.device("cpu"), False, print)
    rates = {name: [] for name in TASK_NAMES}
    for step in itertools.islice(trainer.sampler.steps(), STEPS):
        owner, number, total = trainer._place_in_schedule(step)
        rates[owner].append((number, total))
    assert rates == dict.fromkeys(TASK_NAMES, [(0, 2), (1, 2)])


# -- losses that are no numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 3])
def test_a_loss_that_is_no_number_is_an_error_that_names_the_task(recipe, train, tmp_path, steps):
    """With one step, the loss is still finite and only the predictions tell."""
    wild = recipe.replace(tasks=("quora",), lr=1e30, warmup_ratio=0, max_grad_norm=0, steps_per_epoch=steps)
    with pytest.raises(UserError, match="quora .*: lower lr, now 1e[+]30"):
        train(wild, tmp_path / "run")
    run = read_run(tmp_path / "run")
    assert not run.finished and not run.epochs


# -- records ----------------------------------------------------------------------------------------------------------


def test_the_record_says_what_was_asked_and_what_came_of_it(finished, recipe, data):
    record = json.loads((finished.folder / "run.json").read_text())
    assert record["recipe"] == json.loads(json.dumps(recipe.as_dict()))
    assert mtbert.recipe(finished.folder / "recipe.json") == recipe
    for task in TASK_NAMES:
        for split, rows in (("train", 20), ("dev", 16)):
            name = TASKS[task].files[split]
            expected = {"task": task, "split": split, "sha256": files.sha256_of(data / name), "rows": rows}
            assert record["data"][name] == {**expected, "unlabelled": 0, "overlaps": {}, "copies": 0}
    assert record["encoder_sha256"] == files.sha256_of(Path(recipe.encoder) / "model.safetensors")
    assert record["device"].startswith("cpu") and record["versions"]["torch"] == torch.__version__
    assert record["seconds"] > 0 and record["status"] == "finished" and record["peak_memory_mb"] > 0
    assert [(each["epoch"], each["step"]) for each in record["epochs"]] == [(1, 3), (2, 6)]
    assert all(each["examples"] == 3 * 3 * 4 for each in record["epochs"])


def test_predictions_have_a_line_for_each_dev_row(finished, model, data):
    for task in TASK_NAMES:
        rows = read_split(data, TASKS[task], "dev")
        lines = (finished.folder / "predictions" / f"{task}-dev.csv").read_text().splitlines()
        assert lines[0] == "id,prediction"
        assert [line.split(",")[0] for line in lines[1:]] == [example.id for example in rows.examples]
        texts = [example.texts if TASKS[task].is_pair else example.texts[0] for example in rows.examples]
        written = [float(line.split(",")[1]) for line in lines[1:]]
        assert model.predict(task, texts) == pytest.approx(written, abs=1e-5)


def test_the_model_that_is_kept_has_the_scores_of_the_best_epoch(finished, model, data):
    scores = mtbert.evaluate(model, {task: read_split(data, TASKS[task], "dev") for task in TASK_NAMES})
    assert scores == pytest.approx(finished.scores, abs=1e-6)
    assert finished.scores["plain"] == max(each["scores"]["plain"] for each in finished.epochs)


def test_a_later_worse_epoch_does_not_replace_the_best(recipe, train, tmp_path, monkeypatch):
    """Scores are put in here, so that the second of three epochs is the best."""
    module, plain, kept = sys.modules[Trainer.__module__], iter([0.2, 0.6, 0.4]), []
    monkeypatch.setattr(module, "overall", lambda scores: {"plain": next(plain), "normalised": 0.0})
    monkeypatch.setattr(module, "save_model", lambda model, recipe, out: kept.append(out))
    run = train(recipe.replace(epochs=3, steps_per_epoch=1), tmp_path / "run")
    assert run.record["best_epoch"] == 2 and run.scores["plain"] == 0.6
    assert len(kept) == 2


def test_a_task_without_dev_rows_is_trained_but_not_scored(recipe, data, sample, train, tmp_path):
    folder = shutil.copytree(data, tmp_path / "data")
    shutil.copy(sample / "yelp-train.csv", folder)
    wanted = recipe.replace(tasks=("sst", "yelp"), epochs=1, steps_per_epoch=1)
    run = train(wanted, tmp_path / "run", folder)
    assert set(run.scores) == {"sst", "plain", "normalised"} and set(run.epochs[0]["losses"]) == {"sst", "yelp"}


def test_without_any_dev_rows_the_last_epoch_is_kept(recipe, sample, train, tmp_path):
    run = train(recipe.replace(tasks=("yelp",), steps_per_epoch=1), tmp_path / "run", sample)
    assert run.record["best_epoch"] == len(run.epochs) == 2


def test_training_lowers_the_loss(recipe, train, tmp_path):
    run = train(recipe.replace(epochs=4, steps_per_epoch=10, lr=3e-3), tmp_path / "run", checkpoint_seconds=1e9)
    first, last = run.epochs[0]["losses"], run.epochs[-1]["losses"]
    assert sum(last.values()) < 0.9 * sum(first.values())


def test_half_precision_arithmetic_trains_too(recipe, train, tmp_path):
    run = train(recipe.replace(precision="bfloat16", epochs=1), tmp_path / "run")
    weights = mtbert.load_model(run.folder).bert.state_dict()
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}


# -- the trainable=heads ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["mean", "pooler"])
def test_pretrain_leaves_the_encoder_as_it_was_and_saves_none(pretrain, train, tmp_path, monkeypatch, pooling):
    trainers, begin = [], Trainer.__init__

    def watched(self, *arguments):
        begin(self, *arguments)
        trainers.append(self)

    monkeypatch.setattr(Trainer, "__init__", watched)
    run = train(pretrain.replace(pooling=pooling), tmp_path / "run")
    assert not (run.folder / "encoder").exists()
    original = mtbert.load_encoder(pretrain.encoder, num_layers=1).bert.state_dict()
    trained = trainers[0].model.bert.state_dict()
    assert all(torch.equal(trained[name], tensor) for name, tensor in original.items())
    again = mtbert.load_model(run.folder)
    assert all(torch.equal(again.bert.state_dict()[name], tensor) for name, tensor in original.items())


def test_pretrain_on_cached_vectors_gives_the_losses_of_the_encoder_itself(pretrain, data, tmp_path):
    trainer = Trainer(pretrain.replace(head_dropout=0), tmp_path, data, torch.device("cpu"), False, lambda text: None)
    step = next(iter(trainer.sampler.steps()))
    labels = {name: trainer.sources[name].labels[rows] for name, rows in step.rows.items()}
    trainer.model.eval()
    cached = trainer._losses(step.rows)
    for name, rows in step.rows.items():
        batch = trainer.sources[name].sequences.batch(rows)
        batch.slices = {name: slice(0, len(batch))}
        fresh = trainer.model.losses(batch, labels)[name]
        torch.testing.assert_close(cached[name], fresh, rtol=0, atol=1e-5)


def test_finetune_trains_the_pooler_only_where_it_is_used(recipe, train, tmp_path):
    original = mtbert.load_encoder(recipe.encoder, num_layers=1).bert
    for pooling, moves in (("mean", False), ("pooler", True)):
        run = train(recipe.replace(pooling=pooling, epochs=1, tasks=("sst",)), tmp_path / pooling)
        trained = mtbert.load_model(run.folder).bert
        assert torch.equal(trained.pooler.weight, original.pooler.weight) is not moves
        assert not torch.equal(trained.layers[0].qkv.weight, original.layers[0].qkv.weight)


def test_nothing_to_train_is_a_user_error(pretrain, train, tmp_path):
    with pytest.raises(UserError, match="nothing to train"):
        train(pretrain.replace(tasks=("sts",), head="cosine"), tmp_path / "run")


# -- predictions ------------------------------------------------------------------------------------------------------

SENTENCES = ["A fine film.", "No.", "It goes on and on and on, and then, when one has given up all hope, it goes on."]
PAIRS = [("A man sings.", "Someone sings."), ("Is it far?", "How do I learn to cook a soup?"), ("No.", "No.")]


def texts_for(task: str):
    return PAIRS if TASKS[task].is_pair else SENTENCES


@pytest.mark.parametrize("task", TASK_NAMES)
def test_a_model_predicts_labels_of_each_task(model, task):
    labels, scores = model.predict(task, texts_for(task)), model.scores(task, texts_for(task))
    assert len(labels) == 3
    if task == "sst":
        assert scores.shape == (3, 5) and labels == scores.argmax(1).tolist()
        torch.testing.assert_close(scores.sum(1), torch.ones(3))
    elif task == "quora":
        assert scores.shape == (3,) and labels == [int(score > 0.5) for score in scores]
    else:
        assert labels == scores.tolist() and all(0 <= label <= 5 for label in labels)
        assert labels[2] == pytest.approx(5, abs=1e-5)  # the two are the same sentence


@pytest.mark.parametrize("task", TASK_NAMES)
def test_a_prediction_does_not_depend_on_its_batch_mates(model, task):
    texts = texts_for(task)
    together = model.scores(task, texts)
    alone = torch.cat([model.scores(task, [text]) for text in texts])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)
    torch.testing.assert_close(model.scores(task, texts[::-1]), together.flip(0), rtol=0, atol=1e-5)


def test_predicting_leaves_training_mode_as_it_was(model):
    model.train()
    first = model.scores("sst", SENTENCES)
    assert model.training and torch.equal(first, model.scores("sst", SENTENCES))
    model.eval()


@pytest.mark.parametrize(
    ("task", "texts", "expected"),
    [
        ("cfimdb", ["a"], "no head for task 'cfimdb': it was trained on sst, quora, sts"),
        ("sst", [("a", "b")], "task 'sst', text 1: .* is not one sentence"),
        ("sst", ["a", "  "], "text 2: .* none of them empty"),
        ("quora", [("a", "b"), "c"], "task 'quora', text 2: .* is not a pair of sentences"),
        ("sts", [("a", "")], "text 1"),
        ("sts", [("a", "b", "c")], "text 1"),
        ("sst", [], "no text given"),
        ("sst", [None], "text 1"),
        ("sts", [3], "text 1"),
    ],
)
def test_texts_of_the_wrong_form_are_named(model, task, texts, expected):
    with pytest.raises(UserError, match=expected):
        model.predict(task, texts)
    with pytest.raises(UserError, match=expected):
        model.scores(task, texts)


def test_a_sentence_given_alone_is_not_read_letter_by_letter(model):
    with pytest.raises(UserError, match="'film' is one text: give a list"):
        model.predict("sst", "film")


def test_a_folder_without_a_model_is_a_user_error(recipe, train, tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        mtbert.load_model(tmp_path)
    out = stopped_in(recipe, train, tmp_path / "run", 1)
    with pytest.raises(UserError, match="holds no model yet"):
        mtbert.load_model(out)


@pytest.mark.parametrize("name", ["heads.safetensors", "encoder/model.safetensors"])
def test_damaged_weights_are_named(finished, tmp_path, name):
    copy = shutil.copytree(finished.folder, tmp_path / "run")
    halve(copy / name)
    with pytest.raises(UserError, match=f"{name} is damaged"):
        mtbert.load_model(copy)
