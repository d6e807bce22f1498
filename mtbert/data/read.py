"""Files to validated rows.

Reads the course's files as they are (tab-separated, quoted, an unnamed first column, at times a second one, some rows
without a label) and any CSV or TSV with the same column names. What is wrong is said with file, row and value.
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
# what only sets words apart: white space, control characters, and the marks of sentences in several scripts
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

    sha256: of the file's bytes. unlabelled: rows that were left out because their label is empty (never in a file
    that is read without labels). overlaps: of train rows, how many also stood in another file, by its name; whether
    they are still here is the overlap guard's affair. copies: how many of the rows are noisy copies of others.
    """

    task: Task
    split: str
    path: Path
    sha256: str
    examples: list[Example]
    unlabelled: int = 0
    overlaps: Mapping[str, int] = field(default_factory=dict)
    copies: int = 0

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def labels(self) -> list[float]:
        """Labels as numbers; NaN where a file carries none."""
        return [math.nan if example.label is None else example.label for example in self.examples]

    @cached_property
    def keys(self) -> list[tuple[str, ...]]:
        """The ``text_key`` of each row."""
        return [text_key(example) for example in self.examples]

    def notes(self) -> list[str]:
        """What a reader should know of this file, a sentence each."""
        if not self.unlabelled:
            return []
        return [f"{self.path.name}: {self.unlabelled} of {len(self) + self.unlabelled} rows have no label, left out"]

    def spread(self, count: int | None) -> "Rows":
        """So many of these rows, at equal distances from the first on, in their order: the first rows of a file need
        not be like the rest. All of them if ``count`` is None or no less."""
        if count is None or count >= len(self):
            return self
        kept = [self.examples[number * len(self) // count] for number in range(count)]
        return dataclasses.replace(self, examples=kept)

    def without(self, others: Sequence["Rows"]) -> "Rows":
        """These rows but for those whose texts occur in ``others``, case and punctuation aside."""
        seen = set().union(*(other.keys for other in others))
        kept = [example for example, key in zip(self.examples, self.keys, strict=True) if key not in seen]
        return dataclasses.replace(self, examples=kept)


def text_key(example: Example) -> tuple[str, ...]:
    """What two rows share if they hold the same texts: words and symbols (C++ and C# differ, and so do two emojis),
    whatever their case, spaces and punctuation; a pair in either order."""
    texts = (unicodedata.normalize("NFC", text).casefold() for text in example.texts)
    return tuple(sorted(_PUNCTUATION.sub("", text) for text in texts))


def data_folder(given: str | Path | None = None) -> Path:
    """The folder that holds the data: ``given``, else ``$MTBERT_DATA``, else data/full, else data/sample.

    Raises UserError if a folder that was asked for does not exist.
    """
    for folder, origin in ((given, "--data"), (os.environ.get("MTBERT_DATA"), "MTBERT_DATA")):
        if folder:
            if not Path(folder).is_dir():
                raise UserError(f"data folder {folder} (from {origin}) does not exist: give a folder that does")
            return Path(folder)
    return paths.FULL if any(paths.FULL.glob("*.csv")) else paths.SAMPLE


def read_split(folder: Path, task: Task, split: Split) -> Rows:
    """The rows of one split of a task, from the course's file name in ``folder``."""
    if split not in task.files:
        raise UserError(f"task {task.name!r} has no {split} split")
    return read_rows(Path(folder) / task.files[split], task, split)


def read_rows(path: Path, task: Task, split: str, labels: bool | None = None) -> Rows:
    """Read and check one file.

    labels: whether rows must carry labels; by default they must in train and dev, and are not read in test.
    Raises UserError (one sentence: file, row, value, what to do) at the first thing that is wrong.
    """
    path = Path(path)
    labels = split != "test" if labels is None else labels
    raw = _bytes_of(path)
    text = _text_of(path, raw)
    if not text.strip():
        raise UserError(f"{path} is empty: a header and at least one row are needed")
    table = list(_table(path, text))
    header = table[0][1]
    text_at = [_column(path, header, name) for name in task.text_columns]
    label_at = _column(path, header, task.label_column) if labels else None
    id_at = _column(path, header, "id") if "id" in header else None

    examples, unlabelled = [], 0
    for row, (line, fields) in enumerate(table[1:], start=1):
        where = f"{path}, row {row} (line {line})"
        if len(fields) != len(header):
            raise UserError(f"{where}: {len(fields)} fields, but the header names {len(header)}: mend the row")
        if label_at is not None and not fields[label_at].strip():
            unlabelled += 1
            continue
        if id_at is not None and not fields[id_at].strip():
            raise UserError(f"{where}: column 'id' is empty: give every row an id, or take the column out")
        label = None if label_at is None else _label(fields[label_at], task, where)
        texts = tuple(_sentence(fields[at], name, where) for at, name in zip(text_at, task.text_columns, strict=True))
        examples.append(Example(str(row - 1) if id_at is None else fields[id_at], texts, label))
    if not examples:
        raise UserError(f"{path} holds no usable row: {unlabelled} rows without a label, none with one")
    return Rows(task, split, path, hashlib.sha256(raw).hexdigest(), examples, unlabelled)


def overlap(rows: Rows, other: Rows) -> int:
    """How many rows of ``rows`` hold the texts of a row of ``other``, case and punctuation aside."""
    return len(rows) - len(rows.without([other]))


def available(folder: Path) -> list[tuple[Task, Split]]:
    """The tasks and splits that have a file in ``folder``."""
    return [(task, split) for task in TASKS.values() for split, name in task.files.items() if (folder / name).exists()]


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(
            f"{path} does not exist: give a folder with the course's files, or run `python -m mtbert data fetch`"
        ) from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder: give a file") from None


def _text_of(path: Path, raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}, line {line}: byte 0x{raw[error.start]:02x} is not valid utf-8: save the file as utf-8"
        ) from None


def _table(path: Path, text: str):
    """(line, fields) of the header and of each row that is not blank; in a file of one column, where a blank line is
    an empty field, of each row before the blank lines at the end."""
    delimiter = "\t" if "\t" in text.lstrip("\r\n").split("\n", 1)[0] else ","
    # strict: without it a quote that is never closed swallows all the rows after it
    reader = csv.reader(io.StringIO(text.rstrip("\r\n"), newline=""), delimiter=delimiter, strict=True)
    row = last = columns = 0
    try:
        for fields in reader:
            line, last = last + 1, reader.line_num
            if fields or columns == 1:
                yield line, fields or [""]
                columns = columns or len(fields)
                row += 1
    except csv.Error as error:
        where = f"row {row} (line {last + 1})" if row else "header"
        raise UserError(f"{path}, {where}: {error}: check the quotes there") from None


def _column(path: Path, header: list[str], name: str) -> int:
    if name not in header:
        found = ", ".join(repr(column) for column in header if column)
        raise UserError(f"{path}, header: no column {name!r} among {found}: rename or add it")
    if header.count(name) > 1:
        raise UserError(f"{path}, header: {header.count(name)} columns are called {name!r}: rename all but one")
    return header.index(name)


def _sentence(text: str, column: str, where: str) -> str:
    text = text.strip()
    if not text:
        raise UserError(f"{where}: column {column!r} is empty: give a sentence or remove the row")
    return text


def _label(text: str, task: Task, where: str) -> float:
    wanted = (
        f"a number from 0 to {task.max_label}"
        if task.kind == "regression"
        else f"a whole number from 0 to {task.max_label}"
    )
    try:
        label = float(text)
    except ValueError:
        label = math.nan
    if not 0 <= label <= task.max_label or (task.kind != "regression" and label != int(label)):
        raise UserError(f"{where}: {task.label_column} is {text!r}, but must be {wanted}: correct it")
    return label
