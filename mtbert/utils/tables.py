"""CSV tables that grow: read as text and written back digit for digit."""

import csv
import io
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from mtbert.utils.files import atomic_write


def read_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file as text, by column; no rows if the file does not exist.

    Unlike ``pandas.read_csv``, this turns neither a recipe named "NA" into a missing value nor "0.10" into "0.1".
    """
    if not Path(path).exists():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


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
    """
    identity = key if callable(key) else itemgetter(*key)
    added = [{name: _text(value) for name, value in row.items()} for row in rows]
    table = {identity(row): row for row in [*read_csv(path), *added]}  # a later row replaces the earlier in its place
    columns = dict.fromkeys(name for row in table.values() for name in row)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(table.values())
    atomic_write(path, text.getvalue())
    return path


def _text(value: Any) -> str:
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    return "" if missing else str(value)
