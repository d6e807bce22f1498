"""Runs gathered into tables: what data/results records, and what it tells of scores and costs."""

import io
import json
import math
import os
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mtbert.data.tasks import TASKS
from mtbert.experiments.metrics import half_interval
from mtbert.nn.pretrained import MINILM_SHA256
from mtbert.training.recipe import Recipe, from_dict
from mtbert.training.run import Run, open_run, read_run, run_folders
from mtbert.utils import paths
from mtbert.utils.errors import UserError, shorten
from mtbert.utils.files import atomic_write
from mtbert.utils.json_files import parse_object
from mtbert.utils.logging import logger
from mtbert.utils.tables import upsert_csv

# weights that are known by a hub id, whatever folder they were read from
_HUB_IDS = {
    MINILM_SHA256: "sentence-transformers/all-MiniLM-L6-v2",
    "440103ce1b64b3b5e9f5482b670d93497c89d69a4d2b73875c4adf4cc580ddc2": "intfloat/e5-small",
}
_OWN_COLUMNS = ("name", "encoder", "seed")  # recipe fields with a column of their own
_TEXT_COLUMNS = ("recipe", "encoder", "row", "baseline", "task", "revision", "baseline_revision", "device", "torch")
COST_RECIPES = ("mixed", "mixed-pcgrad", "sst", "sst-last-layer", "cfimdb", "sts-cosine", "sts-cross")
_COST_GROUPS = ["recipe", "encoder", "steps", "device", "world_size"]


def encoder_name(name: str | Path, sha256: str | None) -> str:
    """The name of an encoder in results: the hub id of its weights if known, else the last part of its name."""
    return _HUB_IDS.get(sha256 or "", Path(name).name)


def run_origin(run: Run) -> dict[str, Any]:
    """What identifies a run in a recorded table: recipe, seed, encoder, steps (up to its best epoch), revision."""
    return {
        "recipe": run.recipe.name,
        "seed": run.recipe.seed,
        "encoder": encoder_name(run.recipe.encoder, run.record["encoder_sha256"]),
        "steps": run.epochs[run.record["best_epoch"] - 1]["step"],
        "revision": run.record["revision"],
    }


def run_row(run: Run) -> dict[str, Any]:
    """A run as one flat row: its recipe, its inputs and machine, and its outcome."""
    recipe, record = run.recipe, run.record
    tokens, tokens_per_second = _training_tokens(run)
    return {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "encoder": encoder_name(recipe.encoder, record["encoder_sha256"]),
        "num_layers": recipe.num_layers,
        **{task: run.scores.get(task) for task in (*TASKS, "plain", "normalised")},
        "best_epoch": record["best_epoch"],
        "epochs": len(run.epochs),
        "steps": run.epochs[-1]["step"],
        **{name: record[name] for name in ("status", "seconds", "peak_memory_mb")},
        "trainable_parameters": record.get("trainable_parameters"),
        "tokens": tokens,
        "tokens_per_second": tokens_per_second,
        **{name: record[name] for name in ("device", "threads")},
        "precision": record.get("precision", recipe.precision),  # what the recipe's "auto" was
        "torch": record["versions"].get("torch"),
        "revision": record["revision"],
        "encoder_sha256": record["encoder_sha256"],
        "encoder_stored": record.get("encoder_stored"),
        "world_size": record.get("world_size", 1),
        "data_sha256": json.dumps({name: file["sha256"] for name, file in record["data"].items()}),
        "fields": _fields_json(recipe),
        "history": json.dumps([_history_entry(epoch) for epoch in run.epochs]),
    }


def _training_tokens(run: Run) -> tuple[int, float]:
    """Tokens read in all epochs, and per second of training alone; NaN if the epochs were too short to be timed."""
    tokens = sum(epoch["tokens_per_second"] * epoch["seconds"] for epoch in run.epochs)
    seconds = sum(epoch["seconds"] for epoch in run.epochs)
    return round(tokens), round(tokens / seconds, 1) if seconds else math.nan


def _history_entry(epoch: Mapping[str, Any]) -> dict[str, Any]:
    """An epoch's mean losses, scores on train batches and on dev (with a moving average, of either kind of weights too)
    and, with surgery, its steps and their conflicts."""
    kinds = [kind for kind in ("losses", "train_scores", "scores") if kind in epoch]
    entry: dict[str, Any] = {kind: _rounded(epoch[kind]) for kind in kinds}
    if by_weights := epoch.get("scores_by_weights"):
        entry["scores_by_weights"] = {weights: _rounded(scores) for weights, scores in by_weights.items()}
    surgery = epoch.get("surgery") or {}
    if "conflicts" in surgery:
        entry["surgery"] = {name: surgery[name] for name in ("steps", "conflicts")}
    return {"step": epoch["step"], **entry}


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 5) for name, value in values.items()}


def readable_runs(folders: Iterable[str | Path]) -> tuple[list[Path], list[str]]:
    """The folders that hold a run, and a sentence for each that does not exist or whose record is damaged.

    A folder of runs stands for them. What else RUNS/* may name, such as the logs of a sweep, is left out, and logged.

    Raises:
        UserError: nothing in ``folders`` is a run.
    """
    readable: list[Path] = []
    others: list[Path] = []
    problems: list[str] = []
    for folder in dict.fromkeys(path for given in folders for path in run_folders(given)):
        if not os.path.lexists(folder):
            problems.append(f"{folder} does not exist: give the folder that train wrote")
            continue
        try:
            found = readable if read_run(folder) else others
            found.append(folder)
        except UserError as error:
            problems.append(str(error))
    if not readable and not problems:
        open_run(others[0])  # says why it is none
    if others:
        logger.info(f"left out, as they hold no run: {', '.join(path.name for path in others)}")
    return readable, problems


def gather(folders: Iterable[str | Path]) -> pd.DataFrame:
    """One row (see ``run_row``) per run folder that has finished an epoch; UserError if there is none.

    Logs which folders are left out, because no epoch is finished.
    """
    runs = [open_run(folder) for folder in folders]
    if unscored := [str(run.folder) for run in runs if not run.epochs]:
        logger.info(f"left out, as no epoch is finished yet: {', '.join(unscored)}")
    return pd.DataFrame(_rows(runs))


def _rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    if not any(run.epochs for run in runs):
        raise UserError(f"no epoch is finished yet in {', '.join(str(run.folder) for run in runs) or 'no run'}")
    return [run_row(run) for run in runs if run.epochs]


def record(folders: Iterable[str | Path], name: str) -> Path:
    """Add runs to data/results/NAME.csv; a run with the same recipe, fields, data and seed replaces its older row.

    Raises UserError if no epoch of them is finished, ``name`` is not the name of a file, or its rows are not of runs.
    """
    path = table_path(name)

    def identity(row: Mapping[str, str]) -> tuple[str, ...]:
        try:
            origin = (row[column] for column in ("recipe", "seed", "encoder", "data_sha256"))
            return (*origin, _completed(row["fields"]))
        except UserError as error:
            raise UserError(f"{path} has a row that is no run ({error}): choose another name") from None

    return upsert_csv(path, _rows([open_run(folder) for folder in folders]), identity)


def table_path(name: str) -> Path:
    """data/results/NAME.csv, whether or not ``name`` has the ending; UserError unless it is the name of a file."""
    stem = name[: -len(".csv")] if name.lower().endswith(".csv") else name
    if not stem.strip(" .") or not stem.isprintable() or Path(stem).name != stem:
        raise UserError(f"{shorten(name)} is no name of a table: give one without folders, such as mine")
    return paths.RESULTS / f"{stem}.csv"


def recipe_of(row: Mapping[str, Any]) -> Recipe:
    """The recipe of a recorded run; fields that were added to recipes since then have their defaults."""
    names = Recipe().as_dict().keys() - set(_OWN_COLUMNS)
    recorded = parse_object(row["fields"].encode(), "the column 'fields'")
    fields = {name: value for name, value in recorded.items() if name in names}
    return from_dict({**fields, "name": row["recipe"], "encoder": row["encoder"], "seed": row["seed"]})


def _fields_json(recipe: Recipe) -> str:
    return json.dumps({name: value for name, value in recipe.as_dict().items() if name not in _OWN_COLUMNS})


def _completed(fields: str) -> str:
    """The fields of an older record, with the defaults of fields that were added since then."""
    return _fields_json(recipe_of({"fields": fields, "recipe": "any", "encoder": "any", "seed": 0}))


def check_archive_name(path: Path) -> None:
    """Raise UserError unless a path has the ending of an archive."""
    if not path.name.endswith(".tar.xz"):
        raise UserError(f"{path}: an archive is a .tar.xz: give it that ending")


def archive(folders: Sequence[str | Path], path: Path) -> int:
    """Put runs without their weights into a .tar.xz: all that recording and comparing them needs.

    Returns:
        The size of the archive in bytes.

    Raises:
        UserError: ``path`` has another ending, a folder holds no run, or two have the same name.
    """
    check_archive_name(path)
    runs: dict[str, Run] = {}
    for run in map(open_run, folders):
        name = run.folder.resolve().name
        if name in runs:
            raise UserError(f"two of the run folders are called {name}: rename one, or make two archives")
        runs[name] = run
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz") as tar:
        for name, run in runs.items():
            for file in (*sorted(run.folder.glob("*.json")), *sorted(run.folder.glob("predictions/*.csv"))):
                tar.add(file, f"{name}/{file.relative_to(run.folder).as_posix()}")
    atomic_write(path, packed.getvalue())
    return len(packed.getvalue())


def read_table(path: Path) -> pd.DataFrame:
    """Read a recorded table. Only empty fields are NaN: a recipe may be called "NA", a revision "12e34".

    Raises UserError for a file that is no table.
    """
    try:
        return pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=dict.fromkeys(_TEXT_COLUMNS, str))
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise UserError(f"{path} is no table ({error}): restore it, or move it away") from None


def _read_runs(name: str) -> pd.DataFrame:
    path = table_path(name)
    if not path.exists():
        advice = f"record runs with `mtbert results --record {path.stem}`"
        raise UserError(f"{paths.display_path(path)} does not exist: {advice}")
    return read_table(path)


def summary(name: str, metrics: Sequence[str], by: Sequence[str] = ("recipe", "encoder")) -> pd.DataFrame:
    """Mean scores of the runs in data/results/NAME.csv over their seeds.

    Runs whose fields or data differ in anything but the seed are never pooled.

    Args:
        name: The table's name.
        metrics: Tasks, "plain" or "normalised".
        by: Columns of the table, or names of recipe fields with one value, such as "lr".

    Returns:
        One row per group and metric. Columns: those of ``by``, metric, runs (number of seeds), mean, and half: half
        the width of the mean's 95 % interval (Student's t over the seeds; NaN for a single run).
    """
    table = _read_runs(name)
    table["fields"] = table["fields"].map(_completed)
    for field in set(by) - set(table.columns):
        table[field] = [json.loads(fields)[field] for fields in table["fields"]]
    groups = list(dict.fromkeys([*by, "recipe", "encoder", "fields", "data_sha256"]))
    scores = table.melt(groups, list(metrics), var_name="metric", value_name="score").dropna(subset="score")
    scores = scores.groupby([*groups, "metric"], sort=False)["score"]
    means = scores.agg(runs="count", mean="mean", half=half_interval).reset_index()
    return means[[*by, "metric", "runs", "mean", "half"]]


def histories(name: str) -> pd.DataFrame:
    """Every recorded epoch of the runs in data/results/NAME.csv.

    Returns:
        One row per epoch and task. Columns: recipe, seed, encoder, steps (of the run), epoch (from 1), step, task,
        loss and train_score (over the epoch, on the rows trained on, with dropout) and score (on dev, after the epoch);
        NaN if a task was not trained in that epoch or has no dev rows, train_score also in older records.
    """
    table, of_run, rows = _read_runs(name), ["recipe", "seed", "encoder", "steps"], []
    for run in table[table.history.notna()].to_dict("records") if "history" in table else []:
        origin = [run[column] for column in of_run]
        rows += [
            (
                *origin,
                *(index, epoch["step"], task),
                *(epoch.get(kind, {}).get(task) for kind in ("losses", "train_scores", "scores")),
            )
            for index, epoch in enumerate(json.loads(run["history"]), start=1)
            for task in json.loads(run["fields"])["tasks"]
        ]
    measured = ["loss", "train_score", "score"]
    return pd.DataFrame(rows, columns=[*of_run, "epoch", "step", "task", *measured]).astype(
        dict.fromkeys(measured, float)
    )


def conflict_counts(name: str) -> pd.DataFrame:
    """How often the tasks' gradients conflicted in each recorded epoch with surgery, in data/results/NAME.csv.

    Returns:
        One row per epoch and pair of tasks. Columns: recipe, seed, epoch (from 1), pair ("sst-quora"), steps (of the
        epoch), conflicts (steps in which the cosine of their gradients was negative).
    """
    table, rows = _read_runs(name), []
    for run in table[table.history.notna()].to_dict("records") if "history" in table else []:
        for index, epoch in enumerate(json.loads(run["history"]), start=1):
            surgery = epoch.get("surgery", {"steps": 0, "conflicts": {}})
            rows += [
                (run["recipe"], run["seed"], index, pair, surgery["steps"], count)
                for pair, count in surgery["conflicts"].items()
            ]
    return pd.DataFrame(rows, columns=["recipe", "seed", "epoch", "pair", "steps", "conflicts"])


def run_costs() -> pd.DataFrame:
    """Minutes and memory of all finished runs that data/results records.

    Returns:
        One row per recipe, encoder, number of steps and machine. Columns: recipe, encoder, steps, device, world_size
        (processes), runs, minutes (mean, of whole runs) and memory_gb (the largest peak).
    """
    tables = [read_table(path) for path in sorted(paths.RESULTS.glob("*.csv"))]
    tables = [table for table in tables if {"seconds", "peak_memory_mb", "fields"} <= set(table.columns)]
    if not tables:
        raise UserError(
            f"{paths.display_path(paths.RESULTS)} holds no run: record some with `mtbert results --record NAME`"
        )
    runs = pd.concat(tables)
    runs = runs[runs.status == "finished"].reindex(columns=[*_COST_GROUPS, "seconds", "peak_memory_mb"])
    runs["world_size"] = runs.world_size.fillna(1).astype(int)
    groups = runs.groupby(_COST_GROUPS, sort=False)
    costs = groups.agg(runs=("seconds", "size"), minutes=("seconds", "mean"), memory_gb=("peak_memory_mb", "max"))
    return costs.assign(minutes=costs.minutes / 60, memory_gb=costs.memory_gb / 1024).reset_index()


def format_costs(table: pd.DataFrame, recipes: Sequence[str] = ()) -> str:
    """``run_costs`` as a Markdown table, of some recipes or all; a last row says so if no GPU was measured."""
    rows = list(table.itertuples())
    if recipes:
        rows = [row for recipe in recipes for row in rows if row.recipe == recipe]
    lines = [
        "| recipe | encoder | steps | machine | runs | minutes | peak memory |",
        "| --- | --- | ---: | --- | ---: | ---: | ---: |",
    ]
    for row in rows:
        machine = f"{row.world_size} x {row.device}" if row.world_size > 1 else row.device
        lines.append(
            f"| `{row.recipe}` | {row.encoder.split('/')[-1]} | {row.steps:,} | {machine} | {row.runs} "
            f"| {row.minutes:.1f} | {row.memory_gb:.1f} GB |"
        )
    if not any(row.device.startswith("cuda") for row in rows):
        lines.append("| any | any | | a GPU | | not measured | not measured |")
    return "\n".join(lines)
