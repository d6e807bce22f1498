"""Many runs: recipes x seeds, each a papermill run of one notebook in a process of its own.

A sweep can be stopped and started again: finished runs are skipped, unfinished ones go on from their checkpoint.
"""

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

import pandas as pd

from mtbert.data.tasks import TASKS
from mtbert.experiments.recipes import RECIPES, Scale, recipe, scaled
from mtbert.training.cuda_graphs import EXECUTION, Execution
from mtbert.training.interrupt import STOP_AT
from mtbert.training.recipe import Recipe, settings
from mtbert.training.run import read_run
from mtbert.utils import paths
from mtbert.utils.device import processors
from mtbert.utils.errors import UserError
from mtbert.utils.files import write_json

NOTEBOOK = paths.ROOT / "notebooks" / "one_run.ipynb"
_LOOK_SECONDS = 0.2
TIME_LIMIT = (
    "the time is over: the same command goes on"  # what is said of a job that was stopped, or not begun, for that
)
_LAST_STEPS = 20.0  # seconds before the end in which runs stop themselves, with a checkpoint
_A_DAY = 24 * 60  # minutes; submitit's own limit is five
_BEGINNING = 20.0  # seconds that a run takes before its first step: with less than that none is begun


@dataclass(frozen=True)
class Job:
    """One run of a sweep: folder is the run's; beside it lie its recipe, its executed notebook, and what was said.

    threads: of the processor. execution: what makes steps cheaper on a GPU.
    """

    recipe: Recipe
    folder: Path
    data: Path
    threads: int
    execution: Execution = Execution()

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def finished(self) -> bool:
        """Whether the folder holds a finished run of this very recipe, on the files that the data folder has now."""
        run = read_run(self.folder)
        same = run is not None and run.finished and not self.recipe.differences(run.recipe)
        return same and not run.changed_files(self.data)

    def beside(self, suffix: str) -> Path:
        return self.folder.with_name(self.folder.name + suffix)


def expand_names(names: str) -> list[str]:
    """Recipes by a report's name, or by their own names separated by commas. Raises UserError for an unknown one."""
    of_report = [name for name in RECIPES if name.startswith(f"{names}/")]
    found = of_report or [name.strip() for name in names.split(",")]
    for name in found:
        recipe(name)
    return found


def jobs(
    names: Sequence[str],
    seeds: int,
    scale: Scale,
    out: Path,
    data: Path,
    changes: Mapping[str, object],
    workers: int = 1,
) -> list[Job]:
    """A job for each recipe and each seed from 0 on; all first seeds first, so that a sweep is soon worth a look.

    changes: fields to change in all of them. workers: how many will share the processors. Raises UserError for a change
    of the seed.
    """
    _leaves_seeds(changes)
    threads = max(1, processors() // workers)
    return [
        Job(
            scaled(recipe(name), scale).replace(**changes, seed=seed),
            out / f"{_file_name(name)}-s{seed}",
            data,
            threads,
        )
        for seed in range(seeds)
        for name in names
    ]


def jobs_from_file(
    path: Path, scale: Scale, out: Path, data: Path, changes: Mapping[str, object], workers: int
) -> list[Job]:
    """The jobs of a list file, in its order: a recipe a line, with ``seeds=N`` and changes of its fields behind it.

    A line such as ``mixed seeds=3 precision=bfloat16 name=mixed-bf16`` stands for seeds 0 to 2; without ``seeds`` there
    is seed 0 alone. ``name`` tells apart lines with the same recipe. # begins a comment. changes: as of ``jobs``; they
    come after a line's own. Raises UserError naming file and line.
    """
    _leaves_seeds(changes)
    threads = max(1, processors() // workers)
    found: dict[Path, Job] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: give a report, recipes or a list file") from None
    for number, line in enumerate(lines, start=1):
        try:
            words = shlex.split(line, comments=True)
            if not words:
                continue
            name, *fields = words
            wanted = settings(fields)
            seeds = _count(wanted.pop("seeds", 1))
            _leaves_seeds(wanted)
            asked = scaled(recipe(name), scale).replace(**wanted).replace(**changes)
        except ValueError as error:
            raise UserError(f"{path}, line {number}: {error}") from None
        for seed in range(seeds):
            job = Job(asked.replace(seed=seed), out / f"{_file_name(asked.name)}-s{seed}", data, threads)
            if job.folder in found:
                raise UserError(f"{path}, line {number}: {job.name} stands there twice: tell them apart by name=...")
            found[job.folder] = job
    return list(found.values())


def _leaves_seeds(changes: Mapping[str, object]) -> None:
    if "seed" in changes:
        raise UserError(f"seed is {changes['seed']!r}, but a sweep counts seeds from 0 on: give their number as seeds")


def _count(seeds: object) -> int:
    if type(seeds) is not int or seeds < 1:
        raise UserError(f"seeds is {seeds!r}, but must be a whole number from 1 up")
    return seeds


def _file_name(name: str) -> str:
    return (Path(name).stem if name.endswith(".json") else name).replace("/", "-")


def run_job(job: Job, stop: threading.Event | None = None) -> str | None:
    """Execute the notebook for a job; returns the last line of what went wrong, or None. Where ``$MTBERT_STOP_AT`` has
    come the run stops with a checkpoint, and ``TIME_LIMIT`` is returned.

    stop: when it is set, the notebook is ended where it is.
    """
    stop_at = float(os.environ.get(STOP_AT, "inf"))
    if time.time() + _BEGINNING > stop_at:
        return TIME_LIMIT
    job.folder.parent.mkdir(parents=True, exist_ok=True)
    write_json(job.beside(".recipe.json"), job.recipe.as_dict())
    parameters = {"recipe": job.beside(".recipe.json"), "data": job.data, "out": job.folder}
    command = [sys.executable, "-m", "papermill", str(NOTEBOOK), str(job.beside(".ipynb")), "--no-progress-bar"]
    for name, path in parameters.items():
        command += ["-r", name, str(path.resolve())]
    env = {
        "OMP_NUM_THREADS": str(job.threads),
        "TQDM_DISABLE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        EXECUTION: str(job.execution),
    }
    with open(job.beside(".log"), "w", encoding="utf-8") as log:
        # a session of its own: a terminal's Ctrl-C would else reach it twice, once from here
        child = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **env}, start_new_session=True
        )
        code = _ended(child, stop or threading.Event(), stop_at + _LAST_STEPS)
    if code == 0:
        return None
    if time.time() >= stop_at:
        return TIME_LIMIT
    said = job.beside(".log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return said[-1] if said else f"exit code {code}"


def _ended(child: subprocess.Popen, stop: threading.Event, at: float) -> int:
    """The exit code of a process, which is told to end as soon as ``stop`` is set, and at a time at the latest."""
    try:
        while child.poll() is None and time.time() <= at and not stop.wait(_LOOK_SECONDS):
            pass
    finally:  # an executor may also interrupt this very wait
        if child.poll() is None:
            child.terminate()
    return child.wait()


# -- where jobs run ---------------------------------------------------------------------------------------------------

Executor = Callable[[Sequence[Job], int], Iterator[tuple[Job, str | None]]]


def local(todo: Sequence[Job], workers: int) -> Iterator[tuple[Job, str | None]]:
    """Here, so many at a time. Left early, it ends those that run and starts no other."""
    stop = threading.Event()
    with ThreadPoolExecutor(workers) as pool:
        waiting = {pool.submit(run_job, job, stop): job for job in todo}
        try:
            for done in as_completed(waiting):
                yield waiting[done], done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            stop.set()


def ray(todo: Sequence[Job], workers: int) -> Iterator[tuple[Job, str | None]]:
    """On a Ray cluster (the one that RAY_ADDRESS names, else one on this machine), so many at a time. All machines
    must see the project and the sweep's folder under the same paths."""
    ray = _imported("ray")
    try:
        ray.init(ignore_reinit_error=True, include_dashboard=False, log_to_driver=False, configure_logging=False)
    except Exception as error:  # it raises plain ones, such as when a busy machine takes over half a minute
        raise UserError(f"ray does not start: {str(error).strip().splitlines()[0]}") from None
    stop_at, run = os.environ.get(STOP_AT, "inf"), run_job  # a cluster's processes do not have this environment

    @ray.remote(num_cpus=0, max_retries=0)
    def run_there(job: Job) -> str | None:
        os.environ[STOP_AT] = stop_at
        return run(job)

    todo, waiting = list(todo), {}
    try:
        while todo or waiting:
            while todo and len(waiting) < workers:
                job = todo.pop(0)
                waiting[run_there.remote(job)] = job
            (done,), _ = ray.wait(list(waiting), num_returns=1)
            job = waiting.pop(done)
            try:
                said = ray.get(done)
            except ray.exceptions.RayError as error:  # its process died, or the job raised
                said = str(error).strip().splitlines()[-1]
            yield job, said
    finally:
        for left in waiting:
            ray.cancel(left)


def slurm(todo: Sequence[Job], workers: int) -> Iterator[tuple[Job, str | None]]:
    """As one Slurm job array, so many at a time (submitit). Slurm's own settings come from SBATCH_ variables, such as
    SBATCH_PARTITION; a run may take a day unless SBATCH_TIMELIMIT says otherwise. The machines must share the project
    and the sweep's folder."""
    submitit = _imported("submitit")
    executor = submitit.AutoExecutor(folder=todo[0].folder.parent / "slurm", cluster="slurm")
    executor.update_parameters(
        slurm_array_parallelism=workers, cpus_per_task=todo[0].threads, name="mtbert", timeout_min=_A_DAY
    )
    waiting = dict(zip(executor.map_array(run_job, todo), todo, strict=True))
    for done in submitit.helpers.as_completed(list(waiting)):
        error = done.exception()
        yield waiting[done], str(error).strip().splitlines()[-1] if error else done.result()


EXECUTORS: dict[str, Executor] = {"local": local, "ray": ray, "slurm": slurm}


def _imported(name: str):
    try:
        return __import__(name)
    except ImportError:
        raise UserError(f"this executor needs {name}: pip install {name}") from None


def sweep(
    todo: Sequence[Job], executor: str, workers: int, minutes: float | None = None
) -> Iterator[tuple[Job, str | None]]:
    """Run the jobs that are not finished; each with what went wrong (None if nothing did), as they end.

    minutes: after so many all has ended: runs stop between two steps with a checkpoint, and no other is begun; of those
    jobs it is said that they are ``TIME_LIMIT``. Raises UserError for an unknown executor or one whose package is not
    installed.
    """
    if executor not in EXECUTORS:
        raise UserError(f"executor is {executor!r}: choose from {', '.join(EXECUTORS)}")
    left = [job for job in todo if not job.finished]
    if minutes is not None:
        os.environ[STOP_AT] = str(time.time() + 60 * minutes - _LAST_STEPS)
    try:
        if left:
            yield from EXECUTORS[executor](left, workers)
    finally:
        if minutes is not None:
            del os.environ[STOP_AT]


@contextmanager
def ended_like_ctrl_c() -> Iterator[None]:
    """Let ``kill`` do what Ctrl-C does, so that a sweep does not leave its runs behind."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def beside_printed(table: pd.DataFrame) -> pd.DataFrame:
    """Runs (see ``mtbert.experiments.results.gather``) beside what the reports print on dev: a row for each recipe, with the number
    of its seeds, the mean of each score over them, and the printed figure. "overall" is only printed: some reports mean
    the plain score by it and some the normalised one."""
    groups = table.groupby("recipe", sort=False)
    found = pd.DataFrame({"seeds": groups.size()})
    for name in (*TASKS, "plain", "normalised", "overall"):
        if name in table and table[name].notna().any():
            found[name] = groups[name].mean()
        printed = [RECIPES[of].printed.get(name) if of in RECIPES else None for of in found.index]
        if any(value is not None for value in printed):
            found[f"{name}, printed"] = pd.Series(printed, found.index, dtype=float)
    return found
