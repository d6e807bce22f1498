"""The course's submission files: the predictions of trained models for every test and dev row of their tasks."""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mtbert.data.read import Rows, read_split
from mtbert.data.tasks import OVERALL_TASKS, get_task, overall
from mtbert.experiments.ensembles import open_members, predict, runs_by_task
from mtbert.experiments.prediction_files import Format, Option, file_name, format_predictions, is_file_name
from mtbert.experiments.results import encoder_name
from mtbert.training.run import Run
from mtbert.utils.errors import UserError
from mtbert.utils.files import atomic_write, check_folder, file_sha256, write_json
from mtbert.utils.logging import logger

RECORD = "predictions.json"
ZIP = "predictions.zip"
_RECORDED = ("status", "best_epoch", "encoder_sha256", "revision", "device", "versions")
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that the format knows: equal files make equal archives


@dataclass(frozen=True)
class SubmissionFile:
    """A submission file before it is written: its name, rows of a task's dev or test file, and who predicts them.

    Of a dev file only the rows with a label count: the course's own reader skips the others too.
    """

    name: str
    rows: Rows
    runs: Sequence[Run]


def submission_files(folders: Sequence[str | Path], data: Path, file_format: Format = "course") -> list[SubmissionFile]:
    """The submission files of some runs for the rows of a data folder, test before dev.

    Several runs of a task are an ensemble. In the course's format, cfimdb belongs to part 1, and so does sst if there
    is neither quora nor sts; the names of these files say whether the encoder was trained.

    Raises:
        UserError: a run is given twice, a data file cannot be read, or there is nothing to predict.
    """
    members = runs_by_task(open_members(folders))
    part1 = {"cfimdb"} if members.keys() & {"quora", "sts"} else {"cfimdb", "sst"}
    files = []
    for name, runs in members.items():
        task = get_task(name)
        frozen = all(run.recipe.trainable == "heads" for run in runs)
        option: Option | None = ("pretrain" if frozen else "finetune") if name in part1 else None
        for split in ("test", "dev"):
            if split in task.files:
                files.append(
                    SubmissionFile(file_name(task, split, file_format, option), read_split(data, task, split), runs)
                )
    if not files:
        raise UserError(f"{', '.join(members)} has neither a dev nor a test file: give runs of other tasks")
    return files


def check_output_dir(files: Sequence[SubmissionFile], out: Path, force: bool) -> None:
    """Check that a submission may be written to a folder.

    Raises:
        UserError: a file would be overwritten without ``force``, nothing can be written there, or the folder holds
            other files of predictions, which predictions.json would then no longer describe.
    """
    check_folder(out)
    names = {file.name for file in files} | {RECORD, ZIP}
    existing = sorted(path.name for path in out.glob("*") if is_file_name(path.name) or path.name in (RECORD, ZIP))
    others = [name for name in existing if name not in names]
    if others:
        raise UserError(f"{out} holds {', '.join(others)}, which these runs do not write: choose another folder")
    if existing and not force:
        raise UserError(f"{out} holds {', '.join(existing)}: choose another folder, or overwrite them with --force")


def submit(
    files: Sequence[SubmissionFile],
    out: Path,
    device: torch.device | str = "cpu",
    file_format: Format = "course",
    zipped: bool = False,
    both_orders: bool = False,
) -> dict[str, Any]:
    """Predict all rows, then write the submission files and predictions.json; nothing if a prediction fails.

    Logs for each ensemble what its members and all of them together score on dev.

    Args:
        files: see ``submission_files``.
        out: the folder to write to.
        device: where the models run.
        file_format: the format of ``files``.
        zipped: also write predictions.zip, which holds the files in a folder "predictions".
        both_orders: whether to read each pair in both orders, see ``ensembles.predict``.

    Returns:
        The content of predictions.json: the format, the orders, the dev scores, and each run's description and files,
        with their rows, sha256 and data. A file that several runs predict together is listed with each: "score" is
        theirs together, "alone" the run's own.
    """
    predictions = predict([(file.rows, file.runs) for file in files], device, progress=True, both_orders=both_orders)
    contents = {
        file.name: format_predictions(file.rows, predicted.values, file_format)
        for file, predicted in zip(files, predictions, strict=True)
    }
    for name, content in contents.items():
        atomic_write(out / name, content)
    if zipped:
        atomic_write(out / ZIP, _zip({f"predictions/{name}": content for name, content in contents.items()}))
    described: dict[Run, dict[str, Any]] = {run: {} for file in files for run in file.runs}
    dev = {}
    for file, predicted in zip(files, predictions, strict=True):
        rows = file.rows
        about: dict[str, Any] = {"rows": len(rows), "sha256": file_sha256(out / file.name)}
        about |= {"data": rows.path.name, "data_sha256": rows.sha256}
        if rows.split == "dev":
            dev[rows.task.name] = predicted.score
            about |= {"metric": rows.task.metric, "score": predicted.score}
        alone: dict[Run, dict[str, float]] = {}
        if rows.split == "dev" and len(file.runs) > 1:
            logger.info(predicted.gain())
            alone = {run: {"alone": value} for run, value in predicted.member_scores.items()}
        for run in file.runs:
            described[run][file.name] = about | alone.get(run, {})
    if dev.keys() >= set(OVERALL_TASKS):
        dev |= overall({task: dev[task] for task in OVERALL_TASKS})
    runs = [{**_describe_run(run), "files": of_run} for run, of_run in described.items()]
    record = {"format": file_format, "both_orders": both_orders, "dev": dev, "runs": runs}
    write_json(out / RECORD, record)
    return record


def _zip(contents: dict[str, str]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name, _ZIP_TIME), content.encode("utf-8"), zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _describe_run(run: Run) -> dict[str, Any]:
    """What a run is: recipe, encoder, code, machine, and the files that it read."""
    record, recipe = run.record, run.recipe
    encoder = encoder_name(recipe.encoder, record["encoder_sha256"])
    return {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "encoder": encoder,
        **{name: record[name] for name in (*_RECORDED, "soup") if name in record},
        "read": {name: file["sha256"] for name, file in record["data"].items()},
        "fields": {**recipe.as_dict(), "encoder": encoder},
    }
