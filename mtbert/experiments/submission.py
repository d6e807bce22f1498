"""The course's submission files: what trained models answer on every test and dev row of their tasks."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm.auto import tqdm

from mtbert.data.read import Rows, read_split
from mtbert.experiments.results import encoder_name
from mtbert.training.evaluation import overall, predict_logits, score, write_predictions
from mtbert.training.run import Run, load_model, open_run
from mtbert.utils.device import autocast
from mtbert.utils.errors import UserError
from mtbert.utils.files import sha256_of, write_json

RECORD = "predictions.json"
_SUFFIX = "-output.csv"
_OVERALL = ("sst", "quora", "sts")  # what the course's overall score counts


@dataclass(frozen=True)
class SubmissionFile:
    """One submission file to be: rows of a task's dev or test file, and the run whose model answers them.

    Of a dev file these are the rows that carry a label. The course's own reader leaves out the others too, and an
    answer to them could not be scored.
    """

    run: Run
    rows: Rows

    @property
    def name(self) -> str:
        return f"{self.rows.task.name}-{self.rows.split}{_SUFFIX}"


def sheets(folders: Sequence[str | Path], data: Path) -> list[SubmissionFile]:
    """The sheets of some runs, test before dev, from the files of a data folder.

    Raises UserError if a task belongs to two of the runs, a file cannot be read, or there is nothing to answer.
    """
    runs = [open_run(folder) for folder in folders]
    owners: dict[str, Run] = {}
    for run in runs:
        for task in run.recipe.tasks:
            if task in owners:
                raise UserError(f"{task} is a task of both {owners[task].folder} and {run.folder}: give each task once")
            owners[task] = run
    found = [
        SubmissionFile(run, read_split(data, task, split))
        for run in runs
        for task in run.recipe.task_list
        for split in ("test", "dev")
        if split in task.files
    ]
    if not found:
        raise UserError(f"{', '.join(owners)} has neither a dev nor a test file: give runs of other tasks")
    return found


def check_output_dir(found: Sequence[SubmissionFile], out: Path, force: bool) -> None:
    """Raise UserError if these sheets would replace a file without ``force``, or lie beside those of other tasks, which
    ``predictions.json`` would then no longer know."""
    wanted = {sheet.name for sheet in found} | {RECORD}
    there = sorted(path.name for path in out.glob(f"*{_SUFFIX}")) + [RECORD] * (out / RECORD).exists()
    others = [name for name in there if name not in wanted]
    if others:
        raise UserError(f"{out} holds {', '.join(others)}, which these runs do not write: give another folder")
    if there and not force:
        raise UserError(f"{out} holds {', '.join(there)}: give another folder, or --force to write over them")


def submit(found: Sequence[SubmissionFile], out: Path, device: torch.device | str = "cpu") -> dict:
    """Answer all sheets, then write them to a folder, and last predictions.json, whose content is returned: the dev
    scores, and by run what it is and which files hold its answers, with their rows, sha256 and data.

    Nothing is written before everything is answered. Raises UserError if a run has no model.
    """
    answers: list[Tensor] = []
    with tqdm(total=sum(len(sheet.rows) for sheet in found), desc="predict", unit="row", leave=False) as bar:
        for run, of_run in _by_run(found):
            model = load_model(run.folder, device)
            with autocast(model.device, run.recipe.precision):  # as its training scored dev rows
                answers += [predict_logits(model, sheet.rows, bar.update) for sheet in of_run]
    files = {}
    for sheet, outputs in zip(found, answers, strict=True):
        write_predictions(out / sheet.name, sheet.rows, outputs)
        files[sheet.name] = _described(sheet.rows, outputs, sha256_of(out / sheet.name))
    runs = [
        {**_origin(run), "files": {sheet.name: files[sheet.name] for sheet in of_run}} for run, of_run in _by_run(found)
    ]
    record = {"dev": _dev(found, files), "runs": runs}
    write_json(out / RECORD, record)
    return record


def _by_run(found: Sequence[SubmissionFile]) -> Iterator[tuple[Run, Iterator[SubmissionFile]]]:
    return itertools.groupby(found, key=lambda sheet: sheet.run)


def _described(rows: Rows, outputs: Tensor, sha256: str) -> dict:
    known = {"rows": len(rows), "sha256": sha256, "data": rows.path.name, "data_sha256": rows.sha256}
    if rows.split != "dev":
        return known
    return {**known, "metric": rows.task.metric, "score": score(rows.task, outputs, rows.labels)}


def _dev(found: Sequence[SubmissionFile], files: Mapping[str, dict]) -> dict[str, float]:
    """Each task's dev score, and the course's two overall ones where its three tasks are all there."""
    scores = {sheet.rows.task.name: files[sheet.name]["score"] for sheet in found if sheet.rows.split == "dev"}
    counted = {task: scores[task] for task in _OVERALL if task in scores}
    return {**scores, **(overall(counted) if len(counted) == len(_OVERALL) else {})}


def _origin(run: Run) -> dict:
    """What a run is: recipe, encoder, code, machine, and the files that it read."""
    record, recipe = run.record, run.recipe
    encoder = encoder_name(recipe.encoder, record["encoder_sha256"])
    return {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "status": record["status"],
        "best_epoch": record["best_epoch"],
        "encoder": encoder,
        "encoder_sha256": record["encoder_sha256"],
        "revision": record["revision"],
        "device": record["device"],
        "versions": record["versions"],
        "read": {name: of["sha256"] for name, of in record["data"].items()},
        "fields": {**recipe.as_dict(), "encoder": encoder},
    }
