"""Several processes train as one: the same weights, whatever their number, and one end for all of them."""

import contextlib
import multiprocessing
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import listen

import mtbert
from mtbert import UserError
from mtbert.training import Trainer
from mtbert.training.checkpoint import checkpoints
from mtbert.training.distributed import PeerLostError, World, process_group
from mtbert.training.interrupt import Interrupted

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="these processes are forked")


@pytest.fixture(scope="module")
def data(first_rows):
    return first_rows("sst", "quora", "sts", train=12, dev=7)


@pytest.fixture(scope="module")
def plain(no_dropout):
    """Six steps without dropout, whose random numbers depend on the number of processes."""
    return no_dropout.replace(train_rows=None, batch_size=5, lr=1e-4)


@pytest.fixture(scope="module")
def train_in(data):
    """Trains in so many processes, until the end or until ``stop`` steps; returns the result of each process."""

    def in_one(recipe, out, stop=None):
        messages = listen()
        with process_group() as world:
            trainer = Trainer(recipe, out, data, world.device("cpu"), False, world)
            with contextlib.suppress(Interrupted):
                trainer.run(1e9, lambda: trainer.step == stop)
        epochs = trainer.record["epochs"]
        figures = {key: [epoch[key] for epoch in epochs] for key in ("losses", "scores")}
        return {"theta": trainer.flat.theta.numpy(), **figures, "messages": messages}

    def run(size, recipe, out, stop=None):
        return [in_one(recipe, out, stop)] if size == 1 else fork(size, lambda rank: in_one(recipe, out, stop))

    return run


def fork(size: int, work) -> list:
    """What ``work(rank)`` returns in each of so many connected processes; the exception it raises, or the exit code of
    a process that ends without either."""
    context = multiprocessing.get_context("fork")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with tempfile.TemporaryDirectory() as folder:
        results = [Path(folder, str(rank)) for rank in range(size)]

        def enter(rank):
            os.environ |= {**address, "RANK": str(rank)}
            try:
                result = work(rank)
            except Exception as error:
                result = error
            results[rank].write_bytes(pickle.dumps(result))

        children = [context.Process(target=enter, args=(rank,)) for rank in range(size)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        pairs = zip(results, children, strict=True)
        return [pickle.loads(path.read_bytes()) if path.exists() else child.exitcode for path, child in pairs]


def assert_same(result: dict, expected: dict, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(result["theta"], expected["theta"], rtol=0, atol=tolerance)
    for key in ("losses", "scores"):
        for epoch, other in zip(result[key], expected[key], strict=True):
            assert epoch == pytest.approx(other, abs=tolerance)


@pytest.mark.parametrize(
    ("size", "changes"),
    [
        (2, {"sampler": "round_robin", "optimizer_state": "per_task"}),
        (2, {"surgery": "gradvac", "granularity": "layer", "gradient_accumulation_steps": 2}),
        (2, {"gradient_accumulation_steps": 2, "loss_weighting": "uw", "max_grad_norm": 0.1}),
        (2, {"trainable": "heads"}),
        (2, {"trainable": "adapters", "adapter": "low_rank", "adapter_size": 4}),
        (3, {"batch_size": 2, "surgery": "pcgrad"}),
        (3, {"batch_size": 2, "sampler": "round_robin", "dev_rows": 2}),
    ],
    ids=str,
)
def test_several_processes_end_with_the_weights_of_one(plain, train_in, tmp_path, size, changes):
    recipe = plain.replace(**changes)
    (alone,) = train_in(1, recipe, tmp_path / "alone")
    several = train_in(size, recipe, tmp_path / "several")
    for result in several:
        assert np.array_equal(result["theta"], several[0]["theta"])
        assert_same(result, alone)


def test_only_the_main_process_logs(plain, data, tmp_path):
    def work(rank):
        messages = listen()
        mtbert.train(plain, tmp_path / "run", data, "cpu", progress=False)
        return messages

    main, other = fork(2, work)
    assert main[0].startswith("data: ") and main[-1].startswith("epoch 2/2: loss ") and other == []


def test_a_weighting_that_draws_random_numbers_draws_the_same_in_all_processes(plain, train_in, tmp_path):
    pytest.importorskip("torchjd")
    recipe = plain.replace(surgery="torchjd:PCGrad", hidden_dropout=0.1)
    first, second = train_in(2, recipe, tmp_path / "run")
    assert np.array_equal(first["theta"], second["theta"])


def test_a_run_resumes_in_another_number_of_processes(plain, train_in, tmp_path):
    recipe = plain.replace(surgery="gradvac", sampler="mixed")
    (alone,) = train_in(1, recipe, tmp_path / "alone")
    for size, stop in ((2, 1), (1, 2), (3, 4), (2, None)):
        results = train_in(size, recipe, tmp_path / "run", stop)
    assert_same(results[0], alone)
    assert "resuming after step 4 of 6" in results[0]["messages"]
    assert mtbert.open_run(tmp_path / "run").record["world_size"] == 2


def test_with_dropout_a_run_that_was_stopped_ends_with_the_same_weights(plain, train_in, tmp_path):
    recipe = plain.replace(hidden_dropout=0.3)
    undisturbed = train_in(2, recipe, tmp_path / "undisturbed")
    train_in(2, recipe, tmp_path / "run", stop=2)
    resumed = train_in(2, recipe, tmp_path / "run")
    assert all(np.array_equal(result["theta"], undisturbed[0]["theta"]) for result in (*resumed, *undisturbed))


def test_random_numbers_are_per_rank_or_shared_and_a_single_process_continues_its_stream():
    def draws(seed_method, *arguments):
        torch.manual_seed(0)
        seed_method(*arguments)
        return torch.rand(4).tolist()

    first, second, alone = World(0, 2), World(1, 2), World()
    assert draws(first.seed_per_rank, 7, 3) != draws(second.seed_per_rank, 7, 3)
    assert draws(first.seed_shared, 7, 3) == draws(second.seed_shared, 7, 3)
    assert draws(alone.seed_per_rank, 7, 3) == draws(alone.seed_shared, 7, 3) == draws(torch.manual_seed, 0)


def test_shards_are_gathered_in_order():
    whole = torch.arange(14.0).view(7, 2)

    def work(rank):
        with process_group() as world:
            few = world.gather(whole[:1] if world.is_main else None, 1, 2)
            return few.tolist(), world.gather(whole[rank :: world.size], 7, 2).tolist()

    assert fork(3, work) == [(whole[:1].tolist(), whole.tolist())] * 3


def test_a_loss_that_compares_rows_is_refused(plain):
    recipe = plain.replace(encoding={"sts": "bi"}, head={"sts": "cosine"}, loss={"sts": "cosent"})
    World().check_supported(recipe)
    with pytest.raises(UserError, match=r"loss.sts: 'cosent' .* 2 processes"):
        World(1, 2).check_supported(recipe)


@pytest.fixture
def results_of_event(plain, data, at_step, tmp_path):
    """Trains in two processes; in step 2, an event happens in the second one."""

    def run(event):
        def work(rank):
            with at_step(2, event if rank == 1 else int):
                mtbert.train(plain, tmp_path / "run", data, "cpu", False, 1e9)

        return fork(2, work)

    return run


def test_ctrl_c_in_one_process_stops_all_after_the_same_step(plain, results_of_event, train_in, tmp_path):
    first, second = results_of_event(lambda: os.kill(os.getpid(), signal.SIGINT))
    assert isinstance(first, Interrupted) and "after step 3 of 6" in str(first)
    assert second == 130
    assert [path.name for path in checkpoints(tmp_path / "run")] == ["checkpoint-00000003.safetensors"]
    (alone,) = train_in(1, plain, tmp_path / "alone")
    assert_same(train_in(2, plain, tmp_path / "run")[1], alone)


def test_a_failure_is_reported_by_one_process_and_ends_all(results_of_event):
    def fail():
        raise UserError("the second process failed")

    first, second = results_of_event(fail)
    assert first == 1 and str(second) == "the second process failed"


def test_a_killed_process_is_missed(results_of_event):
    first, second = results_of_event(lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert second == -signal.SIGKILL
    assert isinstance(first, PeerLostError) and "another of the 2 processes ended" in str(first)


def test_processes_with_different_checkpoints_do_not_resume_together():
    def work(rank):
        with process_group() as world:
            world.assert_same_step(4)
            try:
                world.assert_same_step(4 + rank)
            except UserError as error:
                return str(error)

    assert fork(2, work) == ["the processes found checkpoints of steps 4 to 5: all must see the same run folder"] * 2


def test_processes_that_cannot_connect_are_told_how_to(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match="start them with torchrun"), process_group():
        pass


def test_torchrun_trains_on_the_command_line(tiny_encoder, data, tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    command += ["mtbert", "train", "tiny", "--data", str(data), "--out", str(tmp_path / "run"), "--device", "cpu"]
    command += ["--set", f"encoder={tiny_encoder}", "--set", "num_layers=1", "--set", "steps_per_epoch=2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    run = mtbert.open_run(tmp_path / "run")
    assert run.finished and run.record["world_size"] == 2
    assert done.stdout.count("best epoch") == 1 and done.stdout.count("epoch 2/2") == 1
