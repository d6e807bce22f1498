"""Many runs: recipes x seeds, each a papermill run of one notebook in a process of its own.

A sweep can be stopped and started again: finished runs are skipped, unfinished ones resume from their checkpoint.
"""

import importlib
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from mtbert.experiments.recipes import RECIPES, recipe, scaled
from mtbert.training.cuda_graphs import EXECUTION, Execution
from mtbert.training.interrupt import SIGNALS, STOP_AT
from mtbert.training.recipe import Recipe, settings
from mtbert.training.run import read_run
from mtbert.utils import paths
from mtbert.utils.device import available_cpus
from mtbert.utils.environment import env_number
from mtbert.utils.errors import UserError, shorten
from mtbert.utils.extras import missing_extra
from mtbert.utils.files import check_place, write_json

NOTEBOOK = paths.ROOT / "notebooks" / "one_run.ipynb"
TIME_LIMIT = "out of time: give the same command again to go on"  # the outcome of a job that was stopped or not begun
_POLL_SECONDS = 0.2
_STARTUP_SECONDS = 20.0  # before a run's first step; with less time left, none is begun
_STOP_MARGIN_SECONDS = 20.0  # before the time limit: then runs stop themselves, with a checkpoint
_SLURM_MINUTES = 24 * 60  # submitit's own default is five


@dataclass(frozen=True)
class Job:
    """One run of a sweep."""

    recipe: Recipe
    folder: Path  # of the run; its recipe, executed notebook and log lie beside it
    data: Path
    threads: int
    execution: Execution = Execution()

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def finished(self) -> bool:
        """Whether the folder holds a finished run of this recipe, on the files that the data folder has now."""
        run = read_run(self.folder)
        is_same = run and run.finished and not self.recipe.differences(run.recipe)
        return bool(run and is_same and not run.changed_files(self.data))

    def sibling(self, suffix: str) -> Path:
        """The file FOLDER + suffix."""
        return self.folder.with_name(self.folder.name + suffix)


Outcome = tuple[Job, str | None]  # a job, and its error if it failed
Executor = Callable[[Sequence[Job], int], Iterator[Outcome]]


def expand_names(names: str) -> list[str]:
    """The recipes of a report, or the recipes in a list separated by commas."""
    return [name for name in RECIPES if name.startswith(f"{names}/")] or [name.strip() for name in names.split(",")]


def jobs(
    names: Sequence[str], seeds: int, scale: str, out: Path, data: Path, changes: Mapping[str, Any], workers: int = 1
) -> list[Job]:
    """A job for each recipe and each seed from 0 on. All first seeds come first, so that a sweep is soon worth a look.

    Args:
        scale: how much of each recipe; see ``scaled``.
        out: the folder of all runs.
        changes: recipe fields to change in all jobs, all but the seed.
        workers: how many jobs share the CPUs.
    """
    _check_no_seed(changes)
    recipes = {_file_name(name): scaled(recipe(name), scale).replace(**changes) for name in names}
    threads = max(1, available_cpus() // workers)
    return [
        Job(chosen.replace(seed=seed), out / f"{name}-s{seed}", data, threads)
        for seed in range(seeds)
        for name, chosen in recipes.items()
    ]


def jobs_from_file(
    path: Path, scale: str, out: Path, data: Path, changes: Mapping[str, Any], workers: int
) -> list[Job]:
    """The jobs of a list file, in its order: one recipe a line, followed by ``seeds=N`` and changes of its fields.

    The line ``mixed seeds=3 precision=bfloat16 name=mixed-bf16`` stands for seeds 0 to 2; without ``seeds`` a line
    means seed 0 alone. ``name`` distinguishes lines with the same recipe. # begins a comment. ``changes`` come after a
    line's own; for the other arguments see ``jobs``.
    """
    _check_no_seed(changes)
    threads = max(1, available_cpus() // workers)
    jobs_by_folder: dict[Path, Job] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: give a report, recipes or a list file") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start}): save it as UTF-8") from None
    for line_number, line in enumerate(lines, start=1):
        where = f"{path}, line {line_number}"
        try:
            words = shlex.split(line, comments=True)
            if not words:
                continue
            name, *assignments = words
            fields = settings(assignments)
            seeds = fields.pop("seeds", 1)
            if type(seeds) is not int or seeds < 1:
                raise UserError(f"seeds is {shorten(seeds)}, but must be a whole number from 1 up")
            _check_no_seed(fields)
            line_recipe = scaled(recipe(name), scale).replace(**fields).replace(**changes)
        except ValueError as error:
            raise UserError(f"{where}: {error}") from None
        for seed in range(seeds):
            folder = out / f"{_file_name(line_recipe.name)}-s{seed}"
            if folder in jobs_by_folder:
                raise UserError(f"{where}: {folder.name} is listed twice: tell the lines apart with name=...")
            jobs_by_folder[folder] = Job(line_recipe.replace(seed=seed), folder, data, threads)
    return list(jobs_by_folder.values())


def _check_no_seed(changes: Mapping[str, Any]) -> None:
    if "seed" in changes:
        raise UserError(
            f"seed is {shorten(changes['seed'])}, but a sweep counts seeds from 0: give their number as seeds"
        )


def _file_name(name: str) -> str:
    return (Path(name).stem if name.endswith(".json") else name).replace("/", "-")


def run_job(job: Job, stop: threading.Event | None = None) -> str | None:
    """Execute the notebook for a job. ``stop`` ends it at once; at ``$MTBERT_STOP_AT`` it stops with a checkpoint.

    Returns:
        The last line of the error, ``TIME_LIMIT`` if the run was stopped or not begun for lack of time, or None.
    """
    stop_at = env_number(STOP_AT, float("inf"))
    if time.time() + _STARTUP_SECONDS > stop_at:
        return TIME_LIMIT
    job.folder.parent.mkdir(parents=True, exist_ok=True)
    write_json(job.sibling(".recipe.json"), job.recipe.as_dict())
    parameters = {"recipe": job.sibling(".recipe.json"), "data": job.data, "out": job.folder}
    command = [sys.executable, "-m", "mtbert.experiments.notebook_process", str(os.getpid())]
    command += [str(NOTEBOOK), str(job.sibling(".ipynb").resolve())]
    command += [f"{name}={path.resolve()}" for name, path in parameters.items()]
    env = os.environ | {"OMP_NUM_THREADS": str(job.threads), "TQDM_DISABLE": "1", "TOKENIZERS_PARALLELISM": "false"}
    env[EXECUTION] = str(job.execution)
    with open(job.sibling(".log"), "w", encoding="utf-8") as log:
        # in a session of its own: otherwise a terminal's Ctrl-C would reach it twice, once from here
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=env, start_new_session=True)
        code = _wait(process, stop or threading.Event(), stop_at + _STOP_MARGIN_SECONDS)
    if code == 0:
        return None
    if time.time() >= stop_at:
        return TIME_LIMIT
    log_lines = job.sibling(".log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return log_lines[-1] if log_lines else f"exit code {code}"


def _wait(process: subprocess.Popen, stop: threading.Event, deadline: float) -> int:
    """The exit code of a process, which is terminated when ``stop`` is set, at the deadline at the latest."""
    try:
        while process.poll() is None and time.time() <= deadline and not stop.wait(_POLL_SECONDS):
            pass
    finally:  # an executor may interrupt this very wait
        if process.poll() is None:
            process.terminate()
    return process.wait()


def local(todo: Sequence[Job], workers: int) -> Iterator[Outcome]:
    """Run jobs on this machine, ``workers`` at a time. When closed early, it ends what runs and starts nothing else."""
    stop = threading.Event()
    with ThreadPoolExecutor(workers) as pool:
        futures = {pool.submit(run_job, job, stop): job for job in todo}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            stop.set()


def ray(todo: Sequence[Job], workers: int) -> Iterator[Outcome]:
    """Run jobs on a Ray cluster: the one that RAY_ADDRESS names, else one on this machine.

    All machines must see the project and the sweep's folder under the same paths.
    """
    ray = _import_optional(_PACKAGES["ray"])
    try:
        ray.init(ignore_reinit_error=True, include_dashboard=False, log_to_driver=False, configure_logging=False)
    except Exception as error:  # Ray raises plain ones, such as when a busy machine takes over half a minute
        raise UserError(f"Ray does not start: {str(error).strip().splitlines()[0]}") from None
    stop_at, run = os.environ.get(STOP_AT, "inf"), run_job  # a cluster's processes do not have this environment

    @ray.remote(num_cpus=0, max_retries=0)
    def run_remotely(job: Job) -> str | None:
        os.environ[STOP_AT] = stop_at
        return run(job)

    queue = list(todo)
    running: dict[Any, Job] = {}  # by ray's reference
    try:
        while queue or running:
            while queue and len(running) < workers:
                job = queue.pop(0)
                running[run_remotely.remote(job)] = job
            (done,), _ = ray.wait(list(running), num_returns=1)
            job = running.pop(done)
            try:
                error = ray.get(done)
            except ray.exceptions.RayError as failure:  # the process died, or the job raised
                error = str(failure).strip().splitlines()[-1]
            yield job, error
    finally:
        for task in running:
            ray.cancel(task)


def slurm(todo: Sequence[Job], workers: int) -> Iterator[Outcome]:
    """Run jobs as one Slurm job array, ``workers`` at a time (submitit).

    Slurm's own settings come from SBATCH_ variables, such as SBATCH_PARTITION; a run may take a day unless
    SBATCH_TIMELIMIT says otherwise. The machines must share the project and the sweep's folder.
    """
    submitit = _import_optional(_PACKAGES["slurm"])
    executor = submitit.AutoExecutor(folder=todo[0].folder.parent / "slurm", cluster="slurm")
    executor.update_parameters(
        slurm_array_parallelism=workers, cpus_per_task=todo[0].threads, name="mtbert", timeout_min=_SLURM_MINUTES
    )
    submitted = dict(zip(executor.map_array(run_job, todo), todo, strict=True))
    for done in submitit.helpers.as_completed(list(submitted)):
        failure = done.exception()
        yield submitted[done], str(failure).strip().splitlines()[-1] if failure else done.result()


EXECUTORS: dict[str, Executor] = {"local": local, "ray": ray, "slurm": slurm}
_PACKAGES = {"ray": "ray", "slurm": "submitit"}


def _import_optional(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise missing_extra(f"the executor's package {name}", "sweep") from None


def sweep(todo: Sequence[Job], executor: str, workers: int, minutes: float | None = None) -> Iterator[Outcome]:
    """Run the jobs that are not finished, ``workers`` at a time, in one of ``EXECUTORS``.

    When the time limit of the whole sweep is near, runs stop between two steps with a checkpoint, and no other begins.

    Returns:
        An iterator over the jobs as they end, each with its error: None if it finished, ``TIME_LIMIT`` if there was no
        time for it.

    Raises:
        UserError: at once, if there is no such executor, its package is not installed, or no job can write its files.
    """
    if executor not in EXECUTORS:
        raise UserError(f"executor is {shorten(executor)}: choose from {', '.join(EXECUTORS)}")
    if executor in _PACKAGES:
        _import_optional(_PACKAGES[executor])
    for job in todo:
        check_place(job.folder)
    return _sweep(todo, executor, workers, minutes)


def _sweep(todo: Sequence[Job], executor: str, workers: int, minutes: float | None) -> Iterator[Outcome]:
    unfinished = [job for job in todo if not job.finished]
    if minutes is not None:
        os.environ[STOP_AT] = str(time.time() + 60 * minutes - _STOP_MARGIN_SECONDS)
    try:
        if unfinished:
            yield from EXECUTORS[executor](unfinished, workers)
    finally:
        if minutes is not None:
            del os.environ[STOP_AT]


@contextmanager
def signals_as_ctrl_c() -> Iterator[None]:
    """Make ``kill`` and a closed terminal act like Ctrl-C, so that a sweep ends its runs and says where it stopped."""
    previous = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        for number, handler in previous.items():
            if handler is not signal.SIG_IGN:  # as under nohup
                signal.signal(number, signal.default_int_handler)
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
