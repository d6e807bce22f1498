"""Files of sentences or pairs that anyone may write: lines of text, or CSV with or without a header."""

import sys
from pathlib import Path

from mtbert.data.delimited import (
    LINE_END,
    decode,
    holds_rows,
    multiline_column,
    multiline_note,
    other_format,
    parse,
    source_name,
)
from mtbert.utils.errors import UserError
from mtbert.utils.logging import logger

_COLUMNS = [("sentence",), ("text",), ("sentence1", "sentence2"), ("text1", "text2"), ("left", "right")]


def read_texts(path: str | Path) -> list[tuple[str, ...]]:
    """Read a text, or two of a pair, from every row of a file.

    A file with the course's columns ``sentence``, or ``sentence1`` and ``sentence2``, is read as CSV by its header, as
    is one with ``text``, ``text1`` and ``text2``, or ``left`` and ``right``. Any other .csv or .tsv file has one or two
    columns and no header. Every other file has a text a line; a tab separates the texts of a pair. Blank lines are
    skipped.

    Args:
        path: the file, or "-" for standard input.

    Raises:
        UserError: for a file that cannot be read, or holds no text, naming the row; for a row with an empty text.
    """
    name = source_name(path)
    text = _read(path, name)
    first = text.lstrip("\r\n").split("\n", 1)[0]
    delimiter = "\t" if "\t" in first or Path(path).suffix == ".tsv" else ","
    header = [field.strip().strip('"').lower() for field in first.split(delimiter)]
    columns = next((names for names in _COLUMNS if set(names) <= set(header)), None)
    if columns or Path(path).suffix in (".csv", ".tsv"):
        rows = _csv_rows(text, delimiter, name) if text.strip() else []
    else:
        rows = [(number, line.split("\t")) for number, line in enumerate(LINE_END.split(text), 1) if line.strip()]
    if columns:
        rows = rows[1:]
    width = len(header) if columns else len(rows[0][1]) if rows else 0
    if not columns and width > 2:
        raise UserError(f"{name}, line {rows[0][0]}: {width} columns: give one or two, or name them in a header")
    indices = [header.index(column) for column in columns] if columns else list(range(width))
    texts = []
    for line, fields in rows:
        if len(fields) != width:
            raise UserError(f"{name}, line {line}: {len(fields)} columns instead of {width}: put quotes around commas")
        texts.append(tuple(fields[index].strip() for index in indices))
        if not all(texts[-1]):
            raise UserError(f"{name}, line {line}: a text is empty: write it or remove the line")
    if not texts:
        raise UserError(f"{name} holds no text: write one on each line")
    return texts


def _read(path: str | Path, name: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if str(path) == "-" else Path(path).read_bytes()
    except FileNotFoundError:
        raise UserError(f"{name} does not exist: give a file, or - for standard input") from None
    except IsADirectoryError:
        raise UserError(f"{name} is a folder: give a file") from None
    if other := other_format(raw):
        raise UserError(f"{name} {other}")
    return decode(name, raw)


def _csv_rows(text: str, delimiter: str, name: str) -> list[tuple[int, list[str]]]:
    """(line number, fields) of every row that is not blank."""
    table = parse(name, text, delimiter)
    multiline = []
    for line in table.lines:
        if (column := multiline_column(line, table)) is not None:
            if reason := holds_rows(line.fields[column], table):
                raise UserError(f"{name}, {line.position}: one field {reason}")
            multiline.append(line.position)
    if multiline:
        logger.info(multiline_note(name, multiline))
    return [(line.first, line.fields) for line in table.lines if any(line.fields)]
