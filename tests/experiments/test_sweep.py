"""Sweeps: which runs there are, that finished ones are skipped, what becomes of failures, and where they run."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import nbformat
import pytest

import mtbert
from mtbert import UserError
from mtbert.experiments import sweep
from mtbert.experiments.recipes import RECIPES
from mtbert.experiments.sweep import Job
from mtbert.training.checkpoint import checkpoints
from mtbert.training.cuda_graphs import Execution
from mtbert.training.interrupt import SIGNALS
from mtbert.utils import paths
from mtbert.utils.files import LOCK


@pytest.fixture
def job(tmp_path, sample):
    """A job that trains for two steps."""
    recipe = mtbert.recipe("tiny").replace(train_rows=8, dev_rows=8, epochs=1, steps_per_epoch=2)

    def build(folder="one", **changes) -> Job:
        return Job(recipe.replace(**changes), tmp_path / folder, sample, threads=1)

    return build


def test_there_is_a_job_for_each_recipe_and_seed_and_first_seeds_come_first(tmp_path, sample, monkeypatch):
    monkeypatch.setattr(sweep, "available_cpus", lambda: 4)
    assert sweep.expand_names("li-tang") == [name for name in RECIPES if name.startswith("li-tang/")]
    todo = sweep.jobs(sweep.expand_names("li-tang/seq, mixed"), 2, "full", tmp_path, sample, {"lr": 1e-3}, workers=2)
    assert [job.name for job in todo] == ["li-tang-seq-s0", "mixed-s0", "li-tang-seq-s1", "mixed-s1"]
    assert [(job.recipe.seed, job.recipe.lr, job.threads) for job in todo] == [(seed, 1e-3, 2) for seed in (0, 0, 1, 1)]
    assert todo[0].recipe.name == "li-tang/seq"
    with pytest.raises(UserError, match="seed is 3, but a sweep counts seeds from 0"):
        sweep.jobs(["tiny"], 1, "full", tmp_path, sample, {"seed": 3})
    with pytest.raises(UserError, match="unknown recipe 'li-tan'"):
        sweep.jobs(sweep.expand_names("li-tan"), 1, "full", tmp_path, sample, {})


def test_a_job_leaves_a_run_an_executed_notebook_and_its_recipe(job):
    """Also in a folder whose name papermill would take for a template."""
    one = replace(job("a {b} {c[0]}/one"), execution=Execution(cuda_graphs=True))
    assert not one.finished and sweep.run_job(one) is None and one.finished
    cells = nbformat.read(one.sibling(".ipynb"), 4).cells
    assert all(cell.execution_count for cell in cells if cell.cell_type == "code")
    assert mtbert.recipe(one.sibling(".recipe.json")) == one.recipe
    assert mtbert.open_run(one.folder).record["execution"] == {"compile": False, "cuda_graphs": True}


def test_a_failing_run_says_why_on_one_line(job, tmp_path, monkeypatch):
    broken = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("raise ValueError('one\\nnowhere')")])
    broken.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(broken, tmp_path / "broken.ipynb")
    monkeypatch.setattr(sweep, "NOTEBOOK", tmp_path / "broken.ipynb")
    bad = job()
    error = sweep.run_job(bad)
    assert "nowhere" in error and "\n" not in error and "nowhere" in bad.sibling(".log").read_text()


def test_finished_runs_are_skipped_and_failures_reported(job, monkeypatch, sample, tmp_path):
    done, left, bad = job("done"), job("left", seed=1), job("bad", seed=2)
    mtbert.train(done.recipe, done.folder, done.data, progress=False)
    error = {"left": None, "bad": "no luck"}
    monkeypatch.setattr(sweep, "run_job", lambda job, stop: error[job.name])
    assert {job.name: error for job, error in sweep.sweep([done, left, bad], "local", 2)} == error
    assert not job("done", lr=1e-4).finished  # the folder holds another recipe's run
    elsewhere = replace(done, data=shutil.copytree(sample, tmp_path / "data"))
    assert done.finished and elsewhere.finished
    (elsewhere.data / "sts-train.csv").write_text((elsewhere.data / "sts-dev.csv").read_text())
    assert done.finished and not elsewhere.finished


def test_a_sweep_that_is_left_ends_what_runs_and_starts_nothing_else(job, monkeypatch):
    began, ended = [], []

    def run(job, stop):
        began.append(job.name)
        if job.name != "first":
            assert stop.wait(60)
            ended.append(job.name)

    monkeypatch.setattr(sweep, "run_job", run)
    runs = sweep.sweep([job("first"), job("second"), job("third")], "local", 1)
    assert next(runs)[0].name == "first"
    runs.close()
    assert "third" not in began and ended == began[1:]


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_every_signal_is_like_ctrl_c_while_a_sweep_runs(number):
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), sweep.signals_as_ctrl_c():
        signal.raise_signal(number)
    assert signal.getsignal(number) == before


SWEEP = """
import sys
from pathlib import Path
from mtbert.experiments import sweep
from mtbert.training.recipe import Recipe
import mtbert
recipe = mtbert.recipe(sys.argv[1])
sweep.run_job(sweep.Job(recipe, Path(sys.argv[2]), Path(sys.argv[3]), threads=1))
"""


@pytest.mark.skipif(not hasattr(os, "getppid"), reason="needs process ids of parents")
def test_a_notebook_ends_when_its_sweep_is_killed(job, tmp_path):
    """``kill -9`` of the sweep: its notebook stops by itself, with a checkpoint."""
    one = job("folder", epochs=100_000)
    (tmp_path / "recipe.json").write_text(json.dumps(one.recipe.as_dict()))
    arguments = [str(tmp_path / "recipe.json"), str(one.folder), str(one.data)]
    parent = subprocess.Popen([sys.executable, "-c", SWEEP, *arguments])
    wait_until(lambda: (one.folder / "encoder").exists(), parent)
    parent.kill()
    parent.wait()
    wait_until(lambda: not (one.folder / LOCK).exists())  # which a run that ends in peace removes
    assert checkpoints(one.folder) and not one.finished


def wait_until(condition, process=None):
    for _ in range(1200):
        assert process is None or process.poll() is None
        if condition():
            return
        time.sleep(0.1)
    pytest.fail("nothing happened for two minutes")


@pytest.mark.parametrize(
    ("executor", "message"),
    [
        ("cloud", "executor is 'cloud': choose from local, ray, slurm"),
        ("ray", r"package ray .*\[sweep\]"),
        ("slurm", r"package submitit .*\[sweep\]"),
    ],
)
def test_an_executor_that_is_unknown_or_not_installed_is_named(job, monkeypatch, executor, message):
    for package in ("ray", "submitit"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=message):
        sweep.sweep([job()], executor, 1)  # at once, not with the first outcome


def test_ray_runs_jobs_in_processes_of_one_node(job, monkeypatch):
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # its own is 15: beside other work such a process hardly runs
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")

    def run(job):
        if job.name == "bad":
            raise OSError("the disk is full")
        return f"{job.name} ran in {os.getpid()} until {os.environ['MTBERT_STOP_AT']}"

    monkeypatch.setattr(sweep, "run_job", run)
    todo = [job("one"), job("bad", seed=1), job("two", seed=2)]
    try:
        done = {job.name: outcome for job, outcome in sweep.sweep(todo, "ray", 1, minutes=60)}
    except UserError as error:
        pytest.skip(str(error))  # ray gives its own processes half a minute, which a busy machine may exceed
    finally:
        ray.shutdown()
    assert list(done) == ["one", "bad", "two"]
    assert "the disk is full" in done["bad"]  # and the sweep went on
    for name in ("one", "two"):
        process, until = done[name].removeprefix(f"{name} ran in ").split(" until ")
        assert int(process) != os.getpid() and time.time() < float(until) < time.time() + 3600


def test_a_notebook_ends_with_the_one_who_waits_for_it(monkeypatch):
    """An executor may interrupt a wait: the process must not go on alone."""

    class Interrupting(threading.Event):
        def wait(self, timeout=None):
            raise KeyboardInterrupt

    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    with pytest.raises(KeyboardInterrupt):
        sweep._wait(child, Interrupting(), time.time() + 60)
    assert child.wait(timeout=10) == -signal.SIGTERM


def test_slurm_gets_one_array_of_jobs(job, monkeypatch):
    submitit = pytest.importorskip("submitit")
    asked = {}

    class Debug(submitit.AutoExecutor):
        def __init__(self, folder, cluster):
            asked["cluster"] = cluster
            super().__init__(folder, cluster="debug")

        def update_parameters(self, **given):
            asked.update(given)

    monkeypatch.setattr(submitit, "AutoExecutor", Debug)
    monkeypatch.setattr(sweep, "run_job", lambda job: f"{job.name} ran")
    two = [job("one"), job("two", seed=1)]
    assert list(sweep.sweep(two, "slurm", 3)) == [(two[0], "one ran"), (two[1], "two ran")]
    assert asked["cluster"] == "slurm" and asked["slurm_array_parallelism"] == 3 and asked["cpus_per_task"] == 1
    assert asked["timeout_min"] == 24 * 60


def test_a_list_has_a_recipe_a_line_with_its_seeds_and_changes(tmp_path, sample):
    (tmp_path / "list.txt").write_text("mixed seeds=2 lr=1e-3 epochs=2\n\ntiny name=other batch_size.sst=2  # last")
    todo = sweep.jobs_from_file(tmp_path / "list.txt", "full", tmp_path, sample, {"epochs": 1}, 1)
    assert [job.name for job in todo] == ["mixed-s0", "mixed-s1", "other-s0"]
    assert [job.recipe.lr for job in todo[:2]] == [1e-3, 1e-3] and todo[2].recipe.batch_size["sst"] == 2
    assert [job.recipe.seed for job in todo] == [0, 1, 0] and {job.recipe.epochs for job in todo} == {1}
    todo = sweep.jobs_from_file(paths.ROOT / "data" / "lists" / "gpu.txt", "full", tmp_path, sample, {}, 1)
    assert todo[0].name == "mixed-s0" and len(todo) > 50


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("mixed\nmixd", "line 2: unknown recipe 'mixd'"),
        ("mixed lr", "line 1: --set 'lr': write name=value"),
        ("mixed seeds=many", "line 1: seeds is 'many', but must be a whole number from 1 up"),
        ("mixed seeds=true", "line 1: seeds is True"),
        ("tiny seed=3", "line 1: seed is 3, but a sweep counts seeds from 0"),
        ("mixed\nmixed name='a", "line 2: No closing quotation"),
        ("mixed\nmixed lr=1e-3", "line 2: mixed-s0 is listed twice"),
        ("mixed name=caf\xe9", "list.txt is not UTF-8 text"),
    ],
)
def test_a_mistake_in_a_list_is_named(tmp_path, sample, lines, expected):
    (tmp_path / "list.txt").write_text(lines, encoding="latin-1")
    with pytest.raises(UserError, match=expected):
        sweep.jobs_from_file(tmp_path / "list.txt", "full", tmp_path, sample, {}, 1)


def test_a_run_whose_time_is_over_stops_with_a_checkpoint_and_goes_on_later(job, monkeypatch):
    one = job(epochs=400)
    now = time.time()
    monkeypatch.setenv("MTBERT_STOP_AT", str(now + 1))
    with pytest.raises(mtbert.Interrupted):
        mtbert.train(one.recipe, one.folder, one.data, progress=False)
    assert checkpoints(one.folder) and not one.finished
    ran = []
    monkeypatch.setattr(sweep, "_STARTUP_SECONDS", 0)
    monkeypatch.setattr(sweep.subprocess, "Popen", lambda *a, **k: ran.append(a))
    assert sweep.run_job(one) == sweep.TIME_LIMIT and not ran  # over before it begins


def test_a_run_that_does_not_end_in_time_is_ended_and_left(job, monkeypatch):
    begin, begun = subprocess.Popen, []

    def asleep(command, **settings):
        begun.append(begin([sys.executable, "-c", "import time; time.sleep(60)"], **settings))
        return begun[-1]

    monkeypatch.setattr(sweep.subprocess, "Popen", asleep)
    monkeypatch.setattr(sweep, "_STARTUP_SECONDS", 0)
    monkeypatch.setattr(sweep, "_STOP_MARGIN_SECONDS", 0)
    one = job()
    assert list(sweep.sweep([one], "local", 1, minutes=0.02)) == [(one, sweep.TIME_LIMIT)]
    assert begun[0].returncode
    assert "MTBERT_STOP_AT" not in os.environ
