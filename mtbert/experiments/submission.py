"""The course's submission files: the predictions of trained models for every test and dev row of their tasks."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from mtbert.data.read import Rows, read_split
from mtbert.data.tasks import OVERALL_TASKS, overall
from mtbert.experiments.results import encoder_name
from mtbert.training.evaluation import predict_logits, score, write_predictions
from mtbert.training.run import Run, load_model, open_run
from mtbert.utils.device import autocast
from mtbert.utils.errors import UserError
from mtbert.utils.files import file_sha256, write_json

RECORD = "predictions.json"
_SUFFIX = "-output.csv"
_RECORDED = ("status", "best_epoch", "encoder_sha256", "revision", "device", "versions")


@dataclass(frozen=True)
class SubmissionFile:
    """A submission file before it is written: rows of a task's dev or test file, and the run that predicts them.

    Of a dev file only the rows with a label count: the course's own reader skips the others too.
    """

    run: Run
    rows: Rows

    @property
    def name(self) -> str:
        return f"{self.rows.task.name}-{self.rows.split}{_SUFFIX}"


def submission_files(folders: Sequence[str | Path], data: Path) -> list[SubmissionFile]:
    """The submission files of some runs for the rows of a data folder, test before dev.

    Raises:
        UserError: two runs have the same task, a data file cannot be read, or there is nothing to predict.
    """
    runs = [open_run(folder) for folder in folders]
    owners: dict[str, Run] = {}
    for run in runs:
        for task in run.recipe.tasks:
            if task in owners:
                raise UserError(f"{task} is a task of both {owners[task].folder} and {run.folder}: give each task once")
            owners[task] = run
    files = [
        SubmissionFile(run, read_split(data, task, split))
        for run in runs
        for task in run.recipe.task_list
        for split in ("test", "dev")
        if split in task.files
    ]
    if not files:
        raise UserError(f"{', '.join(owners)} has neither a dev nor a test file: give runs of other tasks")
    return files


def check_output_dir(files: Sequence[SubmissionFile], out: Path, force: bool) -> None:
    """Check that a submission may be written to a folder.

    Raises:
        UserError: a file would be overwritten without ``force``, or the folder holds files of other tasks, which
            predictions.json would then no longer describe.
    """
    names = {file.name for file in files} | {RECORD}
    existing = sorted(path.name for path in out.glob(f"*{_SUFFIX}")) + [RECORD] * (out / RECORD).exists()
    others = [name for name in existing if name not in names]
    if others:
        raise UserError(f"{out} holds {', '.join(others)}, which these runs do not write: choose another folder")
    if existing and not force:
        raise UserError(f"{out} holds {', '.join(existing)}: choose another folder, or overwrite them with --force")


def submit(files: Sequence[SubmissionFile], out: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Predict all rows, then write the submission files and predictions.json; nothing if a prediction fails.

    Returns:
        The content of predictions.json: the dev scores, and for each run its description and its files, with their
        rows, sha256 and data.
    """
    logits: list[Tensor] = []
    with tqdm(total=sum(len(file.rows) for file in files), desc="predict", unit="row", leave=False) as bar:
        for run, files_of_run in _by_run(files):
            model = load_model(run.folder, device)
            with autocast(model.device, run.recipe.precision):  # as dev rows were scored in training
                logits += [predict_logits(model, file.rows, bar.update) for file in files_of_run]
    described: dict[str, dict[str, Any]] = {}
    for file, values in zip(files, logits, strict=True):
        path, rows = out / file.name, file.rows
        write_predictions(path, rows, values)
        about: dict[str, Any] = {"rows": len(rows), "sha256": file_sha256(path)}
        about |= {"data": rows.path.name, "data_sha256": rows.sha256}
        if rows.split == "dev":
            about |= {"metric": rows.task.metric, "score": score(rows.task, values, rows.labels)}
        described[file.name] = about
    runs = [
        {**_describe_run(run), "files": {file.name: described[file.name] for file in files_of_run}}
        for run, files_of_run in _by_run(files)
    ]
    dev = {file.rows.task.name: described[file.name]["score"] for file in files if file.rows.split == "dev"}
    if dev.keys() >= set(OVERALL_TASKS):
        dev |= overall({task: dev[task] for task in OVERALL_TASKS})
    record = {"dev": dev, "runs": runs}
    write_json(out / RECORD, record)
    return record


def _by_run(files: Sequence[SubmissionFile]) -> Iterator[tuple[Run, Iterator[SubmissionFile]]]:
    return itertools.groupby(files, key=lambda file: file.run)


def _describe_run(run: Run) -> dict[str, Any]:
    """What a run is: recipe, encoder, code, machine, and the files that it read."""
    record, recipe = run.record, run.recipe
    encoder = encoder_name(recipe.encoder, record["encoder_sha256"])
    return {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "encoder": encoder,
        **{name: record[name] for name in _RECORDED},
        "read": {name: file["sha256"] for name, file in record["data"].items()},
        "fields": {**recipe.as_dict(), "encoder": encoder},
    }
