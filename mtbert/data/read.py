"""Reads and validates data files.

Reads the course's files as they are (tab-separated, quoted, one or two unnamed columns, some rows without a label) and
any CSV or TSV file with the same column names. Errors name file, row and value.
"""

import dataclasses
import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from mtbert.data.delimited import (
    STRAY_QUOTES,
    Table,
    decode,
    enclosed_rows,
    holds_rows,
    multiline_column,
    multiline_note,
    parse,
    read_bytes,
    source_name,
)
from mtbert.data.tasks import TASKS, Split, Task
from mtbert.data.text_keys import canonical_text
from mtbert.utils import paths
from mtbert.utils.errors import UserError, shorten


class Example(NamedTuple):
    """One row: its id, one or two texts, and its label if it has one.

    The id is the file's own, without the white space around it. The course also reads ids in lower case: compare ids
    of its files by ``course_id``.
    """

    id: str
    texts: tuple[str, ...]
    label: float | None


@dataclass(frozen=True)
class Rows:
    """The usable rows of one file.

    Attributes:
        task: the task.
        split: "train", "dev" or "test".
        path: the file.
        sha256: checksum of the file's bytes.
        examples: the rows, in the file's order.
        unlabeled: rows left out because their label is empty.
        overlaps: for a training set, how many rows also occur in another file, by that file's name.
        copies: how many of the rows are augmented copies of others.
        multiline: where a text holds a line break and a column separator, which two stray quotes would look like too:
            the lines of each such row.
    """

    task: Task
    split: str
    path: Path
    sha256: str
    examples: list[Example]
    unlabeled: int = 0
    overlaps: Mapping[str, int] = field(default_factory=dict)
    copies: int = 0
    multiline: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def labels(self) -> list[float]:
        """The labels; NaN where there is none."""
        return [math.nan if example.label is None else example.label for example in self.examples]

    @cached_property
    def text_keys(self) -> list[tuple[str, ...]]:
        """The ``text_key`` of each row."""
        return [text_key(example) for example in self.examples]

    def swapped(self) -> "Rows":
        """The same rows, the two texts of each pair in the other order."""
        return dataclasses.replace(self, examples=[each._replace(texts=each.texts[::-1]) for each in self.examples])

    def notes(self) -> list[str]:
        """Sentences about the file for the log."""
        notes, name = [], source_name(self.path.name)
        if self.unlabeled:
            notes.append(f"{name}: {self.unlabeled} of {len(self) + self.unlabeled} rows have no label, left out")
        if self.multiline:
            notes.append(multiline_note(name, self.multiline))
        return notes

    def subsample(self, count: int | None) -> "Rows":
        """``count`` evenly spaced rows in their order, or all rows if there are no more or ``count`` is None.

        Files may be sorted, so that their first rows would not be representative.
        """
        if count is None or count >= len(self):
            return self
        return dataclasses.replace(self, examples=[self.examples[i * len(self) // count] for i in range(count)])

    def without_overlap(self, others: Sequence["Rows"]) -> "Rows":
        """The rows whose texts do not occur in ``others``, compared by ``text_key``."""
        keys = set().union(*(other.text_keys for other in others))
        unique = [example for example, key in zip(self.examples, self.text_keys, strict=True) if key not in keys]
        return dataclasses.replace(self, examples=unique)


def text_key(example: Example) -> tuple[str, ...]:
    """A key that rows with the same texts share, in either order of a pair; see ``canonical_text`` for "the same"."""
    return tuple(sorted(map(canonical_text, example.texts)))


def course_id(text: str) -> str:
    """An id as the course's own reader returns it: in lower case, without white space around it."""
    return text.strip().lower()


def count_overlap(rows: Rows, other: Rows) -> int:
    """How many of ``rows`` have the texts of a row of ``other``, compared by ``text_key``."""
    return len(rows) - len(rows.without_overlap([other]))


def data_folder(given: str | Path | None = None) -> Path:
    """The folder to read data from: ``given``, else ``$MTBERT_DATA``, else data/full, else data/sample.

    Raises:
        UserError: if ``given`` or ``$MTBERT_DATA`` is no folder.
    """
    for folder, origin in ((given, "--data"), (os.environ.get("MTBERT_DATA"), "MTBERT_DATA")):
        if folder:
            if not paths.is_folder(folder):
                problem = "is no folder: unpack it, and" if os.path.exists(folder) else "does not exist:"
                raise UserError(f"data folder {folder} (from {origin}) {problem} give a folder with the course's files")
            return Path(folder)
    return paths.FULL if any(paths.FULL.glob("*.csv")) else paths.SAMPLE


def read_split(folder: Path, task: Task, split: Split) -> Rows:
    """Read one split of a task from the file of the course's name in ``folder``; errors as for ``read_rows``."""
    if split not in task.files:
        raise UserError(f"task {task.name!r} has no {split} split")
    return read_rows(Path(folder) / task.files[split], task, split)


def read_rows(path: Path, task: Task, split: str, labels: bool | None = None) -> Rows:
    """Read and validate one file.

    Args:
        path: a CSV or TSV file with the task's columns, and optionally "id"; "-" for standard input.
        task: the task.
        split: the name of the split.
        labels: whether to read labels; by default in every split but "test". Rows without a label are then left out.

    Raises:
        UserError: at the first error, with file, row, value and what to do about it.
    """
    path = Path(path)
    labels = split != "test" if labels is None else labels
    raw = read_bytes(path)
    name = source_name(path)
    table = parse(name, decode(name, raw))
    header = table.header
    text_columns = [_column(name, header, column) for column in task.text_columns]
    label_column = _column(name, header, task.label_column) if labels else None
    id_column = _column(name, header, "id") if "id" in header else None

    examples: list[Example] = []
    unlabeled, multiline = 0, []
    for row, line in enumerate(table.lines[1:], start=1):
        fields, where = line.fields, f"{name}, row {row} (line {line.first})"
        if len(fields) != len(header):
            raise UserError(f"{where}: {len(fields)} fields, but the header names {len(header)}: correct the row")
        if (column := multiline_column(line, table)) is not None:
            text = fields[column]
            if reason := holds_rows(text, table) or _labeled_rows(text, column, table, task, label_column):
                raise UserError(f"{name}, row {row} ({line.position}): one field {reason}")
            multiline.append(line.position)
        if label_column is not None and not fields[label_column].strip():
            unlabeled += 1
            continue
        row_id = str(row - 1) if id_column is None else fields[id_column].strip()
        if not row_id:
            raise UserError(f"{where}: column 'id' is empty: give every row an id, or remove the column")
        label = None if label_column is None else _label(fields[label_column], task, where)
        texts = tuple(
            _text(fields[i], column_name, where) for i, column_name in zip(text_columns, task.text_columns, strict=True)
        )
        examples.append(Example(row_id, texts, label))
    if not examples:
        raise UserError(f"{name} holds no usable row: {unlabeled} rows without a label, none with one")
    sha256 = hashlib.sha256(raw).hexdigest()
    return Rows(task, split, path, sha256, examples, unlabeled, multiline=multiline)


def available(folder: Path) -> list[tuple[Task, Split]]:
    """The tasks and splits that have a file in ``folder``."""
    return [(task, split) for task in TASKS.values() for split, name in task.files.items() if (folder / name).exists()]


def _labeled_rows(text: str, column: int, table: Table, task: Task, label_column: int | None) -> str | None:
    """Why a field with line breaks must be rows of a comma-separated file: they have labels where labels should be."""
    if label_column is None:
        return None
    labels = [label for row in enclosed_rows(text, column, table) if (label := row[label_column]) is not None]
    if labels and all(_parse_label(label, task) is not None for label in labels):
        return f"holds whole rows, {STRAY_QUOTES}"
    return None


def _column(source: str, header: list[str], name: str) -> int:
    if name not in header:
        names = [shorten(column) for column in header if column]
        columns = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        raise UserError(f"{source}, header: no column {name!r} among {columns}: rename or add it")
    if header.count(name) > 1:
        raise UserError(f"{source}, header: {header.count(name)} columns are called {name!r}: rename all but one")
    return header.index(name)


def _text(text: str, column: str, where: str) -> str:
    text = text.strip()
    if not text:
        raise UserError(f"{where}: column {column!r} is empty: give a sentence or remove the row")
    return text


def _label(text: str, task: Task, where: str) -> float:
    label = _parse_label(text, task)
    if label is None:
        kind = "number" if task.kind == "regression" else "whole number"
        raise UserError(
            f"{where}: {task.label_column} is {shorten(text)}, but must be a {kind} from 0 to {task.max_label}: "
            "correct it"
        )
    return label


def _parse_label(text: str, task: Task) -> float | None:
    """The label that a field holds, None if it holds none. Python's own spellings (1_0, other digits) are no labels."""
    try:
        label = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return None
    if not 0 <= label <= task.max_label or (task.kind != "regression" and label != int(label)):
        return None
    return label
