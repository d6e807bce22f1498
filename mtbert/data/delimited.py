"""Files of rows to rows of fields: what is no UTF-8 table is refused in one sentence that says what it is instead."""

import csv
import io
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mtbert.utils.errors import UserError

csv.field_size_limit(2**24)
STRAY_QUOTES = "as if two stray quotes enclosed several rows: remove the quotes"
LINE_END = re.compile(r"\r\n|\r|\n")

_UNPACK = "unpack it, and give the file inside"
_EXPORT = "export the sheet as CSV in UTF-8"
_SIGNATURES = {  # the first bytes of formats that data sets come in, what to call them, and what to do
    b"\x1f\x8b": ("is compressed with gzip", "unpack it with gunzip"),
    b"BZh": ("is compressed with bzip2", "unpack it with bunzip2"),
    b"\xfd7zXZ\0": ("is compressed with xz", "unpack it with unxz"),
    b"\x28\xb5\x2f\xfd": ("is compressed with zstd", "unpack it with unzstd"),
    b"7z\xbc\xaf\x27\x1c": ("is a 7z archive", _UNPACK),
    b"Rar!\x1a": ("is a rar archive", _UNPACK),
    b"PK\x03\x04": ("is a zip archive", _UNPACK),
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": ("is a workbook of Excel", _EXPORT),
    b"PAR1": ("is a Parquet file", "write it as CSV, for example with pandas"),
    b"%PDF-": ("is a PDF document", "give a CSV or TSV file"),
    b"SQLite format 3\0": ("is an SQLite database", "export the table as CSV"),
}
_SPREADSHEET = re.compile(
    rb"\bxl/|opendocument\.spreadsheet|Index/Tables/"
)  # Excel, LibreOffice, Numbers: zip archives
_WEB_PAGE = re.compile(rb"\s*<(!doctype\s+html|html|head|\?xml)\b", re.IGNORECASE)
_PACKED_SUFFIXES = (
    ".gz",
    ".bz2",
    ".xz",
    ".zst",
    ".7z",
    ".rar",
    ".zip",
    ".xlsx",
    ".xls",
    ".ods",
    ".numbers",
    ".parquet",
)


class Line(NamedTuple):
    """The fields of a header or row, and the numbers of its first and last line in the file."""

    first: int
    last: int
    fields: list[str]

    @property
    def position(self) -> str:
        """The lines in words."""
        return f"line {self.first}" if self.first == self.last else f"lines {self.first} to {self.last}"


class Table(NamedTuple):
    """A parsed file: what separates its columns, and the header and rows in their order."""

    delimiter: str
    lines: list[Line]

    @property
    def header(self) -> list[str]:
        """The fields of the first line."""
        return self.lines[0].fields


def source_name(path: str | Path) -> str:
    """What messages call a file; "-" is standard input."""
    return "standard input" if str(path) == "-" else str(path)


def read_bytes(path: Path) -> bytes:
    """The bytes of a file of text, or of standard input if the path is "-".

    Raises:
        UserError: if there is no such file, or it is not a file of text.
    """
    try:
        raw = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except FileNotFoundError:
        if packed := packed_file(path):
            raise UserError(f"{path} does not exist, but {packed.name} {_explain(packed)}") from None
        raise UserError(
            f"{path} does not exist: give a folder with the course's files, or run `python -m mtbert data fetch`"
        ) from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder: give a file") from None
    if other := other_format(raw):
        raise UserError(f"{source_name(path)} {other}")
    return raw


def other_format(raw: bytes) -> str | None:
    """What bytes are if they are no file of text, and what to do about it; None if they may be one."""
    if _WEB_PAGE.match(raw[:1000].removeprefix(b"\xef\xbb\xbf")):
        return "is a web page: download the file that the page shows (on GitHub, by its Raw button)"
    for signature, (what, advice) in _SIGNATURES.items():
        if raw.startswith(signature):
            if signature.startswith(b"PK") and _SPREADSHEET.search(raw):
                what, advice = "is a spreadsheet", _EXPORT
            return f"{what}: {advice}"
    return None


def packed_file(path: Path) -> Path | None:
    """The packed form of a file that does not exist: NAME.csv.gz, NAME.zip, NAME.xlsx, and so on."""
    names = [f"{name}{suffix}" for name in (path.name, path.stem) for suffix in _PACKED_SUFFIXES]
    return next((path.with_name(name) for name in names if path.with_name(name).is_file()), None)


def explain_packed(path: Path) -> str:
    """A sentence about a packed file: what it is and what to do with it."""
    return f"{path} {_explain(path)}"


def _explain(path: Path) -> str:
    return other_format(path.read_bytes()) or "is not read: unpack it, or export it as CSV"


def decode(name: str, raw: bytes) -> str:
    """The text of a file; UserError, with its name and the line, if it is not UTF-8 or holds a NUL character."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem, start = f"byte 0x{raw[error.start]:02x} is not valid utf-8", error.start
    else:
        if "\0" not in text:
            return text
        problem, start = "a NUL character", raw.index(b"\0")
    line = raw.count(b"\n", 0, start) + 1
    raise UserError(f"{name}, line {line}: {problem}: save the file as utf-8 text")


def parse(name: str, text: str, delimiter: str | None = None) -> Table:
    """The fields of a comma- or tab-separated file; the first line tells which it is, unless it is given.

    Blank lines are skipped, except between the rows of a file with a single column, where they are empty fields.

    Raises:
        UserError: if the file is empty or its quotes do not match.
    """
    if not text.strip():
        raise UserError(f"{name} is empty: a header and at least one row are needed")
    if delimiter is None:
        delimiter = "\t" if "\t" in text.lstrip("\r\n").split("\n", 1)[0] else ","
    # strict: otherwise a quote that is never closed would swallow all rows after it
    reader = csv.reader(io.StringIO(text.rstrip("\r\n"), newline=""), delimiter=delimiter, strict=True)
    lines: list[Line] = []
    last = 0
    try:
        for fields in reader:
            first, last = last + 1, reader.line_num
            if fields or (lines and len(lines[0].fields) == 1):
                lines.append(Line(first, last, fields or [""]))
    except csv.Error as error:
        where = f"row {len(lines)} (line {last + 1})" if lines else "header"
        raise UserError(f"{name}, {where}: {error}: check the quotes there") from None
    return Table(delimiter, lines)


def holds_rows(text: str, table: Table) -> str | None:
    """Why a field with a line break must be several rows between two stray quotes; None if it may be a text.

    Texts have no tabs, but they do have commas.
    """
    if table.delimiter == "\t" and "\t" in text:
        return "holds a line break and a tab, " + STRAY_QUOTES + ", or write the text without tabs"
    return None


def multiline_column(row: Line, table: Table) -> int | None:
    """The column of a field that holds a line break and what separates columns, as if it enclosed several rows.

    In a file with a single column, nothing separates columns, and a line break is enough. None if there is no such
    field.
    """
    if row.first < row.last:
        for column, field in enumerate(row.fields):
            if LINE_END.search(field) and (len(table.header) == 1 or table.delimiter in field or "\t" in field):
                return column
    return None


def enclosed_rows(text: str, column: int, table: Table) -> list[list[str | None]]:
    """The rows that a field would be if the quotes around it were stray; none if its lines do not have enough fields.

    The fields before and after the quotes are None.
    """
    width = len(table.header)
    rows: list[list[str | None]] = [[*line.split(table.delimiter)] for line in LINE_END.split(text)]
    rows[0] = [*[None] * column, *rows[0]]
    rows[-1] = [*rows[-1], *[None] * (width - 1 - column)]
    return rows if all(len(row) == width for row in rows) else []


def multiline_note(name: str, lines: Sequence[str]) -> str:
    """A sentence about rows that ``multiline_column`` picks, by their lines, but that may be right."""
    examples = ", ".join(lines[:5]) + (", ..." if len(lines) > 5 else "")
    return (
        f"{name}: {len(lines)} rows have a text with line breaks that could also be several rows between two stray "
        f"quotes ({examples}): check the quotes there"
    )
