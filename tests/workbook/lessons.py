"""What a reader of a lesson sees: its prose, its code, and what its cells print."""

import html
import re
from functools import cache
from pathlib import Path

import nbformat

from mtbert.utils.paths import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
LESSONS = {path.stem[:2]: path for path in NOTEBOOKS}


@cache
def cells_of(path: Path) -> list:
    return nbformat.read(path, as_version=4).cells


def shown_by(cell) -> str:
    """What a cell prints, and its tables and pages without their tags."""
    texts = []
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        page = re.sub(r"<style.*?</style>|<[^>]+>", " ", data.get("text/html", ""), flags=re.DOTALL)
        texts += [output.get("text", ""), data.get("text/plain", ""), html.unescape(page)]
    return "\n".join(texts)


def printed_by(cell) -> str:
    """What a cell prints as text: of a table, its plain form alone."""
    outputs = cell.get("outputs", [])
    return "\n".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs)


@cache
def prose(lesson: str) -> str:
    """The text of a lesson on one line, to look for sentences in."""
    return " ".join(" ".join(cell.source for cell in cells_of(LESSONS[lesson]) if cell.cell_type == "markdown").split())


@cache
def output_of(lesson: str, cell_id: str | None = None) -> str:
    """What a lesson prints as text, or one of its cells."""
    cells = [cell for cell in cells_of(LESSONS[lesson]) if cell_id in (None, cell.id)]
    assert cells, f"lesson {lesson} has no cell {cell_id}"
    return "\n".join(printed_by(cell) for cell in cells if cell.cell_type == "code")


def said(lesson: str, phrases: dict[str, str]) -> None:
    """Fail with the phrases, each with its number put in, that the text does not have."""
    filled = [words.format(number) for words, number in phrases.items()]
    assert not [words for words in filled if words not in prose(lesson)]


def short(value: float, digits: int = 3) -> str:
    """A number as the lessons write it: .842 or 20,212."""
    return f"{value:,.{digits}f}".removeprefix("0")
