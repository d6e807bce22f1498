"""Several processes train as one: the same weights, whatever their number, and one end for all of them."""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers import listen

import mtbert
from mtbert import UserError
from mtbert.training.checkpoint import checkpoints
from mtbert.training.distributed import PeerLostError, World, processes
from mtbert.training.interrupt import Interrupted
from mtbert.training.trainer import Trainer

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="these processes are forked")
NO_DROPOUT = {"head_dropout": 0, "hidden_dropout": 0, "attention_dropout": 0}
STEPS = 6


@pytest.fixture(scope="module")
def data(first_rows):
    return first_rows("sst", "quora", "sts", train=12, dev=7)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """Six steps of a very small encoder, without dropout."""
    folder = tmp_path_factory.mktemp("encoder")
    mtbert.load_encoder("tiny", hidden_size=16, intermediate_size=32).save(folder)
    tiny = mtbert.recipe("tiny").replace(
        encoder=str(folder), num_layers=1, epochs=2, steps_per_epoch=STEPS // 2, lr=1e-4
    )
    return tiny.replace(batch_size=5, **NO_DROPOUT)


@pytest.fixture(scope="module")
def train(data):
    """What a recipe's run ends with, in so many processes: a record for each. stop: after so many steps."""

    def in_one(recipe, out, stop=None):
        said = listen()
        with processes() as world:
            trainer = Trainer(recipe, out, data, world.device("cpu"), False, world)
            try:
                trainer.run(1e9, lambda: trainer.step == stop)
            except Interrupted as end:
                said.append(str(end))
        losses = [epoch["losses"] for epoch in trainer.record["epochs"]]
        scores = [epoch["scores"] for epoch in trainer.record["epochs"]]
        return {"theta": trainer.flat.theta.numpy(), "losses": losses, "scores": scores, "said": said}

    def run(recipe, out, size, stop=None):
        return [in_one(recipe, out, stop)] if size == 1 else started(size, lambda rank: in_one(recipe, out, stop))

    return run


def started(size: int, work) -> list:
    """What ``work(rank)`` returns in each of so many processes that know of each other; the exception it raises, or
    the exit code of a process that says nothing."""
    fork = multiprocessing.get_context("fork")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}

    def enter(rank, pipe):
        os.environ |= {**address, "RANK": str(rank)}
        try:
            pipe.send(work(rank))
        except Exception as error:
            pipe.send(error)

    pipes = [fork.Pipe(duplex=False) for _ in range(size)]
    children = [fork.Process(target=enter, args=(rank, pipe)) for rank, (_, pipe) in enumerate(pipes)]
    for child, (_, pipe) in zip(children, pipes, strict=True):
        child.start()
        pipe.close()
    found = []
    for child, (pipe, _) in zip(children, pipes, strict=True):
        try:
            found.append(pipe.recv())
        except EOFError:
            child.join()
            found.append(child.exitcode)
    for child in children:
        child.join()
    return found


def same(found: dict, expected: dict, within: float = 1e-5) -> None:
    np.testing.assert_allclose(found["theta"], expected["theta"], rtol=0, atol=within)
    for kind in ("losses", "scores"):
        for mine, other in zip(found[kind], expected[kind], strict=True):
            assert mine == pytest.approx(other, abs=within)


# -- the same result --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "changes"),
    [
        (2, {}),
        (2, {"sampler": "round_robin"}),
        (2, {"surgery": "pcgrad"}),
        (2, {"surgery": "gradvac", "granularity": "layer", "gradient_accumulation_steps": 2}),
        (2, {"surgery": "pcgrad", "sampler": "temperature"}),
        (2, {"gradient_accumulation_steps": 2, "loss_weighting": "uw"}),
        (2, {"loss_weighting": "dwa", "max_grad_norm": 0.1, "epochs": 3, "steps_per_epoch": 2}),
        (2, {"sampler": "round_robin", "optimizer_state": "per_task"}),
        (2, {"trainable": "adapters", "adapter": "low_rank", "adapter_size": 4}),
        (2, {"trainable": "heads"}),
        (3, {"batch_size": 2}),
        (3, {"batch_size": 2, "surgery": "pcgrad"}),
        (3, {"batch_size": 2, "sampler": "round_robin", "dev_rows": 2}),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else " ".join(map(str, value.values())) or "mixed",
)
def test_several_processes_end_with_the_weights_of_one(recipe, train, tmp_path, size, changes):
    wanted = recipe.replace(**changes)
    (alone,) = train(wanted, tmp_path / "alone", 1)
    several = train(wanted, tmp_path / "several", size)
    for each in several:
        assert np.array_equal(each["theta"], several[0]["theta"])
        same(each, alone)
    kept = [mtbert.load_model(tmp_path / name).state_dict() for name in ("alone", "several")]
    for name in kept[0]:
        torch.testing.assert_close(kept[0][name], kept[1][name], rtol=0, atol=1e-5)


def test_a_weighting_that_draws_its_orders_draws_the_same_in_all_processes(recipe, train, tmp_path):
    pytest.importorskip("torchjd")
    first, second = train(recipe.replace(surgery="torchjd:PCGrad", hidden_dropout=0.1), tmp_path / "run", 2)
    assert np.array_equal(first["theta"], second["theta"])


def test_a_run_goes_on_in_another_number_of_processes(recipe, train, tmp_path):
    wanted = recipe.replace(surgery="gradvac", sampler="mixed")
    (alone,) = train(wanted, tmp_path / "alone", 1)
    for size, stop in ((2, 1), (1, 2), (3, 4), (2, None)):
        end = train(wanted, tmp_path / "run", size, stop)
    same(end[0], alone)
    assert "going on after step 4 of 6" in end[0]["said"]
    assert mtbert.open_run(tmp_path / "run").record["world_size"] == 2


def test_with_dropout_a_run_that_was_stopped_ends_with_the_same_weights(recipe, train, tmp_path):
    wanted = recipe.replace(hidden_dropout=0.3)
    undisturbed = train(wanted, tmp_path / "undisturbed", 2)
    train(wanted, tmp_path / "run", 2, stop=2)
    assert np.array_equal(train(wanted, tmp_path / "run", 2)[0]["theta"], undisturbed[0]["theta"])
    assert np.array_equal(undisturbed[0]["theta"], undisturbed[1]["theta"])


def test_chance_is_apart_or_alike_as_asked_and_one_that_is_alone_draws_on():
    def draws(world, draw):
        torch.manual_seed(0)
        getattr(world, draw)(7, 3)
        return torch.rand(4).tolist()

    first, second, alone = World(0, 2), World(1, 2), World()
    assert draws(first, "draw_apart") != draws(second, "draw_apart")
    assert draws(first, "draw_apart") == draws(first, "draw_apart")
    assert draws(first, "draw_alike") == draws(second, "draw_alike")
    torch.manual_seed(0)
    undisturbed = torch.rand(4).tolist()
    assert draws(alone, "draw_apart") == draws(alone, "draw_alike") == undisturbed


# -- what is shared out -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_what_the_processes_find_for_their_shards_comes_together_in_order(rows):
    whole = torch.arange(rows * 2.0).view(rows, 2)

    def work(rank):
        with processes() as world:
            mine = whole[rank :: world.size]
            return world.together(mine if len(mine) else None, rows, 2).tolist()

    assert started(3, work) == [whole.tolist()] * 3


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"encoding": {"sts": "bi"}, "head": {"sts": "cosine"}, "loss": {"sts": "cosent"}}, "'cosent' compares"),
        ({"loss_weighting": "famo"}, "famo weighs the losses of whole steps"),
    ],
)
def test_losses_that_see_the_whole_step_are_refused(recipe, changes, expected):
    wanted = recipe.replace(**changes)
    World().refuse(wanted)
    with pytest.raises(UserError, match=expected):
        World(1, 2).refuse(wanted)


# -- one end for all --------------------------------------------------------------------------------------------------


def train_until(recipe, data, out, happens):
    """Train in two processes; in step 2, something happens in the second one."""

    def work(rank):
        step_of, said = Trainer._train_step, listen()

        def step(self, step):
            if rank == 1 and step.number == 2:
                happens()
            step_of(self, step)

        Trainer._train_step = step
        try:
            mtbert.train(recipe, out, data, "cpu", False, 1e9)
        except SystemExit as end:
            return end.code
        return said

    return started(2, work)


def test_ctrl_c_in_one_process_stops_all_after_the_same_step(recipe, data, train, tmp_path):
    first, second = train_until(recipe, data, tmp_path / "run", lambda: os.kill(os.getpid(), signal.SIGINT))
    assert isinstance(first, Interrupted) and "after step 3 of 6" in str(first)
    assert second == 130
    assert [path.name for path in checkpoints(tmp_path / "run")] == ["checkpoint-00000003.safetensors"]
    (alone,) = train(recipe, tmp_path / "alone", 1)
    same(train(recipe, tmp_path / "run", 2)[1], alone)


def test_of_a_failure_one_process_speaks_and_all_end(recipe, data, tmp_path):
    def fail():
        raise UserError("the second one has had enough")

    first, second = train_until(recipe, data, tmp_path / "run", fail)
    assert first == 1 and str(second) == "the second one has had enough"


def test_a_killed_process_is_missed(recipe, data, tmp_path):
    first, second = train_until(recipe, data, tmp_path / "run", lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert second == -signal.SIGKILL
    assert isinstance(first, PeerLostError) and "another of the 2 processes ended" in str(first)


def test_only_the_first_process_speaks(recipe, data, tmp_path):
    first, second = train_until(recipe, data, tmp_path / "run", lambda: None)
    assert first[0].startswith("data: ") and second == []


def test_processes_with_other_checkpoints_do_not_go_on_together():
    def work(rank):
        with processes() as world:
            world.assert_same_step(4)
            try:
                world.assert_same_step(4 + rank)
            except UserError as error:
                return str(error)

    assert started(2, work) == ["the processes found checkpoints of steps 4 to 5: all must see the same run folder"] * 2


def test_processes_that_cannot_meet_are_told_how_to(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match="start them with torchrun"), processes():
        pass


def test_torchrun_trains_on_the_command_line(recipe, data, tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    command += ["mtbert", "train", "tiny", "--data", str(data), "--out", str(tmp_path / "run"), "--device", "cpu"]
    command += ["--set", f"encoder={recipe.encoder}", "--set", "num_layers=1", "--set", "steps_per_epoch=2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    run = mtbert.open_run(tmp_path / "run")
    assert run.finished and run.record["world_size"] == 2
    assert done.stdout.count("best epoch") == 1 and done.stdout.count("epoch 2/2") == 1
