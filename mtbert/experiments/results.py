"""Runs gathered into tables: what data/results keeps."""

import io
import json
import math
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd
from scipy import stats

from mtbert.nn.pretrained import MINILM_SHA256
from mtbert.training.recipe import Recipe, from_dict
from mtbert.training.run import Run, open_run
from mtbert.utils import paths
from mtbert.utils.errors import UserError
from mtbert.utils.files import atomic_write

# weights that are known by a hub id, whatever folder they were read from
_HUB_IDS = {
    MINILM_SHA256: "sentence-transformers/all-MiniLM-L6-v2",
    "440103ce1b64b3b5e9f5482b670d93497c89d69a4d2b73875c4adf4cc580ddc2": "intfloat/e5-small",
}
_OWN_COLUMNS = ("name", "encoder", "seed")


def encoder_name(given: str, sha256: str | None) -> str:
    """What results call an encoder: the hub id of its weights where it is known, else the last part of its name."""
    return _HUB_IDS.get(sha256, Path(given).name)


def row(run: Run) -> dict:
    """One flat record of a run: what was asked, on which inputs and machine, and what came of it."""
    recipe, record = run.recipe, run.record
    asked = recipe.as_dict()
    encoder = encoder_name(recipe.encoder, record["encoder_sha256"])
    tasks = {task: run.scores.get(task) for task in ("sst", "cfimdb", "quora", "sts", "yelp")}
    return {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "encoder": encoder,
        "num_layers": recipe.num_layers,
        **tasks,
        "plain": run.scores.get("plain"),
        "normalised": run.scores.get("normalised"),
        "best_epoch": record["best_epoch"],
        "epochs": len(run.epochs),
        "steps": run.epochs[-1]["step"],
        "status": record["status"],
        "seconds": record["seconds"],
        "peak_memory_mb": record["peak_memory_mb"],
        "trainable_parameters": record.get("trainable_parameters"),
        "tokens": round(_tokens(run)),
        "tokens_per_second": _tokens_per_second(run),
        "device": record["device"],
        "threads": record["threads"],
        "torch": record["versions"]["torch"],
        "revision": record["revision"],
        "encoder_sha256": record["encoder_sha256"],
        "encoder_stored": record.get("encoder_stored"),
        "world_size": record.get("world_size", 1),
        "data_sha256": json.dumps({name: of["sha256"] for name, of in record["data"].items()}),
        "fields": json.dumps({name: value for name, value in asked.items() if name not in _OWN_COLUMNS}),
        "history": json.dumps([_epoch(each) for each in run.epochs]),
    }


def _tokens_per_second(run: Run) -> float:
    """Of training alone, over all epochs: without loading and scoring, which ``seconds`` holds as well. NaN if the
    epochs were too short to be timed."""
    seconds = sum(epoch["seconds"] for epoch in run.epochs)
    return round(_tokens(run) / seconds, 1) if seconds else math.nan


def _tokens(run: Run) -> float:
    """Read in training, over all epochs."""
    return sum(epoch["tokens_per_second"] * epoch["seconds"] for epoch in run.epochs)


def _epoch(of: dict) -> dict:
    losses, scores = ({name: round(value, 5) for name, value in of[kind].items()} for kind in ("losses", "scores"))
    return {"step": of["step"], "losses": losses, "scores": scores}


def gather(folders: Iterable[str | Path]) -> pd.DataFrame:
    """One row for each run folder that has finished an epoch. Raises UserError for a folder without a run, or if
    none has finished one."""
    runs = [open_run(folder) for folder in folders]
    if not any(run.epochs for run in runs):
        raise UserError(f"no epoch is finished yet in {', '.join(str(run.folder) for run in runs) or 'no run'}")
    return pd.DataFrame([row(run) for run in runs if run.epochs])


def record(folders: Iterable[str | Path], name: str) -> Path:
    """Add runs to data/results/NAME.csv; a run of the same recipe, fields, data and seed replaces its older row."""
    path = paths.RESULTS / f"{name}.csv"
    table = gather(folders)
    if path.exists():
        older = pd.read_csv(path)
        older["fields"] = older["fields"].map(_completed)
        table = pd.concat([older, table], ignore_index=True)
    same = ["recipe", "seed", "encoder", "fields", "data_sha256"]
    atomic_write(path, table.drop_duplicates(same, keep="last").to_csv(index=False))
    return path


def recipe_of(row: Mapping) -> Recipe:
    """The recipe of a recorded run; fields that recipes did not have then stand at their defaults."""
    names = Recipe().as_dict().keys() - set(_OWN_COLUMNS)
    fields = {name: value for name, value in json.loads(row["fields"]).items() if name in names}
    return from_dict({**fields, "name": row["recipe"], "encoder": row["encoder"], "seed": row["seed"]})


def archive(folders: Sequence[str | Path], path: Path) -> int:
    """Put what ``record`` and ``predictions`` need of runs, all but weights, into one compressed archive, under the
    names of their folders; returns its bytes. Raises UserError for a folder without a run, or two of one name."""
    runs = [open_run(folder) for folder in folders]
    names = [run.folder.resolve().name for run in runs]
    for name in names:
        if names.count(name) > 1:
            raise UserError(
                f"two of the run folders are called {name}: give them other names, or archives of their own"
            )
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz") as into:
        for run, name in zip(runs, names, strict=True):
            for file in (*sorted(run.folder.glob("*.json")), *sorted(run.folder.glob("predictions/*.csv"))):
                into.add(file, f"{name}/{file.relative_to(run.folder).as_posix()}")
    atomic_write(path, packed.getvalue())
    return len(packed.getvalue())


def _completed(fields: str) -> str:
    """The fields of an older record; those that recipes did not have then stand at their defaults."""
    known = recipe_of({"fields": fields, "recipe": "", "encoder": "", "seed": 0}).as_dict()
    return json.dumps({name: value for name, value in known.items() if name not in _OWN_COLUMNS})


def summary(name: str, metrics: Sequence[str], by: Sequence[str] = ("recipe", "encoder")) -> pd.DataFrame:
    """Recorded runs of data/results/NAME.csv, one row per group of ``by`` and metric; runs whose fields or data differ
    in anything but the seed are never pooled.

    Columns: ``by``, metric, runs (how many seeds), mean, and half: half the width of the 95 % interval of the mean
    (Student's t over the seeds; NaN for a single run). Raises UserError if nothing is recorded under that name.
    """
    table = _read(name)
    table["fields"] = table["fields"].map(_completed)
    kept = [*by, *(name for name in ("recipe", "encoder", "fields", "data_sha256") if name not in by)]
    long = table.melt(kept, list(metrics), var_name="metric", value_name="score").dropna(subset="score")
    groups = long.groupby([*kept, "metric"], sort=False)["score"]
    return groups.agg(runs="count", mean="mean", half=half_interval).reset_index()[
        [*by, "metric", "runs", "mean", "half"]
    ]


def histories(name: str) -> pd.DataFrame:
    """Every epoch of the runs recorded in data/results/NAME.csv whose epochs were kept.

    Columns: recipe, seed, encoder, steps (of the run), epoch (from 1), step, task, loss (mean over the epoch, on train
    rows) and score (on dev, after it); NaN where a task was not trained in that epoch, or has no dev rows. Raises
    UserError as ``summary`` does.
    """
    table = _read(name)
    rows = []
    for run in table[table.history.notna()].to_dict("records") if "history" in table else []:
        tasks = json.loads(run["fields"])["tasks"]
        for number, of in enumerate(json.loads(run["history"]), start=1):
            rows += [
                {
                    **{key: run[key] for key in ("recipe", "seed", "encoder", "steps")},
                    "epoch": number,
                    "step": of["step"],
                    "task": task,
                    "loss": of["losses"].get(task),
                    "score": of["scores"].get(task),
                }
                for task in tasks
            ]
    columns = ["recipe", "seed", "encoder", "steps", "epoch", "step", "task", "loss", "score"]
    return pd.DataFrame(rows, columns=columns).astype({"loss": float, "score": float})


def _read(name: str) -> pd.DataFrame:
    path = paths.RESULTS / f"{name}.csv"
    if not path.exists():
        raise UserError(f"{paths.shown(path)} does not exist: record runs with `mtbert results --record {name}`")
    return pd.read_csv(path)


def half_interval(scores: pd.Series) -> float:
    """Half the width of the 95 % interval of a mean, Student's t; NaN for fewer than two values."""
    if len(scores) < 2:
        return math.nan
    return float(stats.t.ppf(0.975, len(scores) - 1) * stats.sem(scores))


def keep(rows: pd.DataFrame | list[dict], name: str, same: list[str]) -> Path:
    """Add rows to data/results/NAME.csv; one with the same ``same`` replaces the older."""
    path = paths.RESULTS / f"{name}.csv"
    table = pd.DataFrame(rows)
    if path.exists():
        table = pd.concat([pd.read_csv(path), table], ignore_index=True)
    atomic_write(path, table.drop_duplicates(same, keep="last").to_csv(index=False))
    return path
