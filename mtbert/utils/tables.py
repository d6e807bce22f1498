"""CSV tables that grow: read as text and written back digit for digit."""

import csv
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from mtbert.utils.errors import UserError, shorten
from mtbert.utils.files import atomic_write

csv.field_size_limit(2**24)  # a run's history of many epochs is one field


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    r"""Rows as CSV with a line feed at the end of each. A field with a line feed or a carriage return is quoted."""
    lines = _Lines()
    csv.writer(lines).writerows(rows)  # which quotes the characters of its own line end, \r\n
    return "".join(line.removesuffix("\r\n") + "\n" for line in lines)


class _Lines(list[str]):
    """A file for ``csv.writer``: the lines written so far."""

    write = list.append


def read_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file as text, by column; no rows if the file does not exist.

    Unlike ``pandas.read_csv``, this turns neither a recipe named "NA" into a missing value nor "0.10" into "0.1".

    Raises:
        UserError: the file is not UTF-8 text, its quotes do not match, or a row has more or fewer fields than the
            header.
    """
    if not Path(path).exists():
        return []
    try:
        with open(path, encoding="utf-8", newline="") as file:
            header, *rows = list(csv.reader(file, strict=True)) or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is damaged ({error}): restore it") from None
    for number, row in enumerate(rows, start=1):
        if row and len(row) != len(header):
            raise UserError(f"{path}, row {number}: {len(row)} fields, but the header names {len(header)}: correct it")
    return [dict(zip(header, row, strict=True)) for row in rows if row]


def upsert_csv(
    path: Path, rows: Iterable[Mapping[str, Any]], key: Sequence[str] | Callable[[dict[str, str]], Hashable]
) -> Path:
    """Add rows to a CSV file; a row with the key of an earlier one takes its place.

    Columns that only some rows have are empty in the others; new columns come last. The file is written atomically.

    Args:
        path: the file; it is created if it does not exist.
        rows: the new rows, by column. None and NaN are written as empty fields, floats with all their digits.
        key: the columns that identify a row, or a function that computes its identity from the row as text.

    Returns:
        ``path``.

    Raises:
        UserError: as ``read_csv``, or the file is another table, which lacks a column of the key.
    """
    identity = key if callable(key) else itemgetter(*key)
    added = [{name: _text(value) for name, value in row.items()} for row in rows]
    table: dict[Hashable, dict[str, str]] = {}
    for row in [*read_csv(path), *added]:  # a later row replaces the earlier in its place
        try:
            table[identity(row)] = row
        except KeyError as error:
            problem = f"is another table, without the column {shorten(error.args[0])}"
            raise UserError(f"{path} {problem}: choose another name") from None
    columns = dict.fromkeys(name for row in table.values() for name in row)
    atomic_write(path, csv_text([columns, *([row.get(name, "") for name in columns] for row in table.values())]))
    return path


def _text(value: Any) -> str:
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    return "" if missing else str(value)
