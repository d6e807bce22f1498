"""Reads and validates data files.

Reads the course's files as they are (tab-separated, quoted, one or two unnamed columns, some rows without a label) and
any CSV or TSV file with the same column names. Errors name file, row and value.
"""

import csv
import dataclasses
import hashlib
import io
import math
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from mtbert.data.tasks import TASKS, Split, Task
from mtbert.utils import paths
from mtbert.utils.errors import UserError

csv.field_size_limit(2**24)
# white space, control characters, and punctuation of several scripts
_PUNCTUATION = re.compile(
    r"""[_.,;:!?'"`^()\[\]{}<>|~/\\\x00-\x20\x7f-\xa1\xa8\xab\xad\xb4\xbb\xbf\u2000-\u206f\u3000-\u303f\ufe0f\ufeff"""
    r"""\uff01\uff08\uff09\uff0c\uff1a\uff1b\uff1f-]+"""
)


class Example(NamedTuple):
    """One row: its id, one or two texts, and its label if it has one."""

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
    """

    task: Task
    split: str
    path: Path
    sha256: str
    examples: list[Example]
    unlabeled: int = 0
    overlaps: Mapping[str, int] = field(default_factory=dict)
    copies: int = 0

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

    def notes(self) -> list[str]:
        """Sentences about the file for the log."""
        if not self.unlabeled:
            return []
        return [f"{self.path.name}: {self.unlabeled} of {len(self) + self.unlabeled} rows have no label, left out"]

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
    """A key that rows with the same texts share, whatever their case, spacing, punctuation and order in a pair.

    Symbols count: C++ and C# differ, and so do two emojis.
    """
    texts = (unicodedata.normalize("NFC", text).casefold() for text in example.texts)
    return tuple(sorted(_PUNCTUATION.sub("", text) for text in texts))


def count_overlap(rows: Rows, other: Rows) -> int:
    """How many of ``rows`` have the texts of a row of ``other``, compared by ``text_key``."""
    return len(rows) - len(rows.without_overlap([other]))


def data_folder(given: str | Path | None = None) -> Path:
    """The folder to read data from: ``given``, else ``$MTBERT_DATA``, else data/full, else data/sample.

    Raises:
        UserError: if ``given`` or ``$MTBERT_DATA`` does not exist.
    """
    for folder, origin in ((given, "--data"), (os.environ.get("MTBERT_DATA"), "MTBERT_DATA")):
        if folder:
            if not Path(folder).is_dir():
                raise UserError(f"data folder {folder} (from {origin}) does not exist: give a folder that does")
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
        path: a CSV or TSV file with the task's columns, and optionally "id".
        task: the task.
        split: the name of the split.
        labels: whether to read labels; by default in every split but "test". Rows without a label are then left out.

    Raises:
        UserError: at the first error, with file, row, value and what to do about it.
    """
    path = Path(path)
    labels = split != "test" if labels is None else labels
    raw = _read_bytes(path)
    text = _decode(path, raw)
    if not text.strip():
        raise UserError(f"{path} is empty: a header and at least one row are needed")
    (_, header), *lines = _parse(path, text)
    text_columns = [_column(path, header, name) for name in task.text_columns]
    label_column = _column(path, header, task.label_column) if labels else None
    id_column = _column(path, header, "id") if "id" in header else None

    examples, unlabeled = [], 0
    for row, (line, fields) in enumerate(lines, start=1):
        where = f"{path}, row {row} (line {line})"
        if len(fields) != len(header):
            raise UserError(f"{where}: {len(fields)} fields, but the header names {len(header)}: correct the row")
        if label_column is not None and not fields[label_column].strip():
            unlabeled += 1
            continue
        if id_column is not None and not fields[id_column].strip():
            raise UserError(f"{where}: column 'id' is empty: give every row an id, or remove the column")
        label = None if label_column is None else _label(fields[label_column], task, where)
        texts = tuple(_text(fields[i], name, where) for i, name in zip(text_columns, task.text_columns, strict=True))
        examples.append(Example(str(row - 1) if id_column is None else fields[id_column], texts, label))
    if not examples:
        raise UserError(f"{path} holds no usable row: {unlabeled} rows without a label, none with one")
    return Rows(task, split, path, hashlib.sha256(raw).hexdigest(), examples, unlabeled)


def available(folder: Path) -> list[tuple[Task, Split]]:
    """The tasks and splits that have a file in ``folder``."""
    return [(task, split) for task in TASKS.values() for split, name in task.files.items() if (folder / name).exists()]


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(
            f"{path} does not exist: give a folder with the course's files, or run `python -m mtbert data fetch`"
        ) from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder: give a file") from None


def _decode(path: Path, raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}, line {line}: byte 0x{raw[error.start]:02x} is not valid utf-8: save the file as utf-8"
        ) from None


def _parse(path: Path, text: str) -> list[tuple[int, list[str]]]:
    """(line number, fields) of the header and of each row.

    Blank lines are skipped, except between the rows of a file with a single column, where they are empty fields.
    """
    delimiter = "\t" if "\t" in text.lstrip("\r\n").split("\n", 1)[0] else ","
    # strict: otherwise a quote that is never closed would swallow all rows after it
    reader = csv.reader(io.StringIO(text.rstrip("\r\n"), newline=""), delimiter=delimiter, strict=True)
    table: list[tuple[int, list[str]]] = []
    last_line = 0
    try:
        for fields in reader:
            line, last_line = last_line + 1, reader.line_num
            if fields or (table and len(table[0][1]) == 1):
                table.append((line, fields or [""]))
    except csv.Error as error:
        where = f"row {len(table)} (line {last_line + 1})" if table else "header"
        raise UserError(f"{path}, {where}: {error}: check the quotes there") from None
    return table


def _column(path: Path, header: list[str], name: str) -> int:
    if name not in header:
        columns = ", ".join(repr(column) for column in header if column)
        raise UserError(f"{path}, header: no column {name!r} among {columns}: rename or add it")
    if header.count(name) > 1:
        raise UserError(f"{path}, header: {header.count(name)} columns are called {name!r}: rename all but one")
    return header.index(name)


def _text(text: str, column: str, where: str) -> str:
    text = text.strip()
    if not text:
        raise UserError(f"{where}: column {column!r} is empty: give a sentence or remove the row")
    return text


def _label(text: str, task: Task, where: str) -> float:
    kind = "number" if task.kind == "regression" else "whole number"
    try:
        label = float(text)
    except ValueError:
        label = math.nan
    if not 0 <= label <= task.max_label or (task.kind != "regression" and label != int(label)):
        raise UserError(
            f"{where}: {task.label_column} is {text!r}, but must be a {kind} from 0 to {task.max_label}: correct it"
        )
    return label
