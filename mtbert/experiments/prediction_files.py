"""Files of predictions: their names and formats, and reading back those that anyone wrote.

The course's programs write ``id \\t Predicted_Sentiment `` and then ``ID , VALUE `` for each row, with ids in lower
case (evaluation.py and classifier.py of the default final project). The plain format is a CSV file ``id,prediction``.
"""

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from mtbert.data.read import Rows, course_id, read_rows, read_split
from mtbert.data.tasks import TASKS, Split, Task, get_task
from mtbert.training.evaluation import accuracy, pearson, predictions_csv
from mtbert.training.run import read_run
from mtbert.utils.errors import UserError, shorten

Format = Literal["course", "plain"]
Option = Literal["finetune", "pretrain"]  # of the course's classifier.py: whether the encoder was trained
_SHORT_NAMES = {"quora": "para"}  # where the course's file names differ from the task's
_COLUMNS = {"quora": "Predicted_Is_Paraphrase", "sts": "Predicted_Similiary"}  # spelled as the course spells it
_PLAIN_COLUMN = "prediction"
_NAME = re.compile(
    rf"(?:(?P<option>{'|'.join(get_args(Option))})-)?(?P<task>para|{'|'.join(TASKS)})-(?P<split>dev|test)"
    r"(?:-out|-output)?\.csv"
)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


def file_name(task: Task, split: str, file_format: Format, option: Option | None = None) -> str:
    """The name of a file of predictions; ``option``: in the course's format, the file is one of part 1."""
    if option and file_format == "course":
        return f"{option}-{task.name}-{split}-out.csv"
    name = _SHORT_NAMES.get(task.name, task.name) if file_format == "course" else task.name
    return f"{name}-{split}-output.csv"


def is_file_name(name: str) -> bool:
    """Whether a file of this name is one of predictions."""
    return bool(_NAME.fullmatch(name))


def format_predictions(rows: Rows, values: Sequence[float], file_format: Format) -> str:
    """The content of a file of predictions: a line for each row, in order.

    Raises:
        UserError: the course's format has no place for an id, because it holds a line break.
    """
    if file_format == "plain":
        return predictions_csv(rows, values)
    number = int if rows.task.kind == "multiclass" else float
    lines = [f"id \t {_course_column(rows.task)} \n"]
    for example, value in zip(rows.examples, values, strict=True):
        identity = course_id(example.id)
        if re.search(r"[\r\n]", identity):
            raise UserError(
                f"{rows.path}: id {shorten(identity)} has a line break, which the course's format cannot hold: "
                "correct it, or choose --format plain"
            )
        lines.append(f"{identity} , {number(value)} \n")
    return "".join(lines)


@dataclass(frozen=True)
class PredictionFile:
    """A file of predictions that was found by its name. ``option``: see ``file_name``."""

    path: Path
    task: Task
    split: Split
    option: Option | None


@dataclass(frozen=True)
class Predictions:
    """A file's predictions, (rows,), in the order of the data file's rows."""

    file: PredictionFile
    rows: Rows
    values: list[float]

    @property
    def score(self) -> float | None:
        """The task's metric; None for test rows, which have no labels."""
        if self.file.split == "test":
            return None
        metric = pearson if self.rows.task.kind == "regression" else accuracy
        return metric(self.values, self.rows.labels)


def find_files(folder: Path) -> list[PredictionFile]:
    """The files of predictions in a folder, or in its subfolder "predictions", whoever wrote them.

    Raises:
        UserError: there is none, or two are of the same task and split.
    """
    found = _named_files(folder) or _named_files(folder / "predictions")
    if not found:
        names = ", ".join(file_name(TASKS[name], "dev", "course") for name in ("sst", "quora", "sts"))
        problem = "holds no file of predictions" if folder.is_dir() else "is no folder"
        raise UserError(f"{folder} {problem}: give a folder with files such as {names}")
    known: dict[tuple[str, str, str | None], Path] = {}
    for file in found:
        other = known.setdefault((file.task.name, file.split, file.option), file.path)
        if other != file.path:
            raise UserError(f"{other} and {file.path.name} both predict {file.task.name}, {file.split}: remove one")
    return found


def _named_files(folder: Path) -> list[PredictionFile]:
    files = []
    for path in sorted(folder.glob("*.csv")):
        if match := _NAME.fullmatch(path.name):
            task = get_task({"para": "quora"}.get(match["task"], match["task"]))
            files.append(PredictionFile(path, task, cast(Split, match["split"]), cast(Option | None, match["option"])))
    return files


def read_folder(folder: Path, data: Path, splits: Sequence[Split] = ("dev", "test")) -> list[Predictions]:
    """Read the predictions in a folder, and the rows that they belong to from a data folder.

    The folder of a run will do too: of the dev rows that it was scored on, only some may be in its files.

    Raises:
        UserError: as ``find_files`` and ``read_predictions`` do, or a data file cannot be read.
    """
    run = read_run(folder)
    predictions = []
    for file in find_files(folder):
        if file.split not in splits:
            continue
        rows = read_split(data, file.task, file.split)
        if run and file.split == "dev":
            rows = rows.subsample(run.recipe.dev_rows)
        predictions.append(Predictions(file, rows, read_predictions(file.path, rows)))
    return predictions


def one_per_task(predictions: Sequence[Predictions]) -> dict[str, Predictions]:
    """Of each task, the predictions that count on dev: those of part 2, or else of the fine-tuned encoder."""
    order = (None, *get_args(Option))
    dev = sorted((each for each in predictions if each.file.split == "dev"), key=lambda x: order.index(x.file.option))
    return {task: next(each for each in dev if each.file.task.name == task) for task in _tasks(dev)}


def _tasks(predictions: Sequence[Predictions]) -> list[str]:
    present = {each.file.task.name for each in predictions}
    return [task for task in TASKS if task in present]


def read_predictions(path: Path, rows: Rows) -> list[float]:
    """Read a file of predictions, in either format and any order of lines.

    Ids are compared as the course writes them, in lower case and without surrounding spaces. Lines for rows of the data
    file that were left out because they have no label are accepted and ignored.

    Returns:
        The prediction of each row, (rows,), in the rows' order.

    Raises:
        UserError: with file, line and id, for a line that cannot be read, a value that the task cannot have, an id that
            comes twice or that the data file lacks, and for a row without a prediction.
    """
    positions = {course_id(example.id): index for index, example in enumerate(rows.examples)}
    if len(positions) < len(rows):
        raise UserError(f"{rows.path} has the same id twice (in lower case): predictions cannot be told apart by id")
    values: dict[int, float] = {}
    first_lines: dict[str, int] = {}
    ignored: set[str] | None = None
    for line, identity, value in read_lines(path, rows.task):
        where = f"{path}, line {line}"
        key = course_id(identity)
        first = first_lines.setdefault(key, line)
        if first != line:
            raise UserError(f"{where}: id {shorten(identity)} is on line {first} too: keep one of the two")
        if key in positions:
            values[positions[key]] = value
            continue
        ignored = _unlabeled_ids(rows) if ignored is None else ignored
        if key not in ignored:
            raise UserError(
                f"{where}: id {shorten(identity)} is not in {rows.path}: remove it, or give its data folder"
            )
    missing = [index for index in range(len(rows)) if index not in values]
    for index in missing:
        identity = shorten(rows.examples[index].id)
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise UserError(f"{path} has no line for id {identity}{more} of {rows.path}: predict every row")
    return [values[index] for index in range(len(rows))]


def read_lines(path: Path, task: Task) -> Iterator[tuple[int, str, float]]:
    """(line number, id, value) of each line of a file of predictions; UserError for one that has no usable value."""
    for line, identity, text in _parse(path, task):
        value = float(text) if _NUMBER.fullmatch(text) else math.nan
        if not math.isfinite(value) or (task.kind != "regression" and value not in range(task.labels)):
            wanted = "a finite number" if task.kind == "regression" else f"a class from 0 to {task.max_label}"
            raise UserError(
                f"{path}, line {line}: the value of id {shorten(identity)} is {shorten(text)}, but must be {wanted}"
            )
        yield line, identity, value


def _parse(path: Path, task: Task) -> Iterator[tuple[int, str, str]]:
    """(line number, id, value as text) of each line after the header."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}, line {line}: not UTF-8 text: save the file as UTF-8") from None
    header, *lines = text.split("\n")
    columns = [name.strip().lower() for name in re.split("[\t,]", header)]
    expected = (_course_column(task), _PLAIN_COLUMN)
    if len(columns) != 2 or columns[0] != "id" or columns[1] not in [name.lower() for name in expected]:
        raise UserError(f"{path}, line 1: the header is {shorten(header)}, but must be id and {' or '.join(expected)}")
    if columns[1] == _PLAIN_COLUMN:
        yield from _parse_csv(path, text)
        return
    for number, line in enumerate(lines, start=2):
        if not line.strip():
            continue
        fields = re.fullmatch(r"(.*)[,\t](.*)", line.rstrip(), re.DOTALL)  # an id may have commas, a value has none
        if fields is None:
            raise UserError(f"{path}, line {number}: {shorten(line)} is not an id, a comma and a value: correct it")
        yield number, fields[1].strip(), fields[2].strip()


def _parse_csv(path: Path, text: str) -> Iterator[tuple[int, str, str]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    next(reader)
    last_line = reader.line_num
    try:
        for fields in reader:
            line, last_line = last_line + 1, reader.line_num
            if len(fields) == 2:
                yield line, fields[0], fields[1].strip()
            elif any(field.strip() for field in fields):
                raise UserError(f"{path}, line {line}: {len(fields)} fields in place of id and value: correct it")
    except csv.Error as error:
        raise UserError(f"{path}, line {last_line + 1}: {error}: check the quotes there") from None


def _unlabeled_ids(rows: Rows) -> set[str]:
    if not rows.unlabeled:
        return set()
    everything = read_rows(rows.path, rows.task, rows.split, labels=False)
    return {course_id(example.id) for example in everything.examples}


def _course_column(task: Task) -> str:
    return _COLUMNS.get(task.name, f"Predicted_{task.label_column.title()}")
