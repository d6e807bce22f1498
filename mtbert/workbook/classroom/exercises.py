"""The exercises of a notebook: which cells they are, what checks them, and their folded hints and solutions.

The convention: a code cell tagged ``exercise``; below it a cell that calls its check, ``checks.attention.weights(f)``;
below that, before the next exercise, Markdown with ``<details><summary>Solution</summary>``.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from mtbert.utils.errors import UserError, shorten
from mtbert.workbook.learner_copy import NOTEBOOKS

KEY = "mtbert"  # of the metadata that editions carry
_CHECK = re.compile(r"\bchecks\.(\w+\.\w+)\(\s*(\w+)")
_TAG = re.compile(r"<(/?)details\b[^>]*>", re.IGNORECASE)
_SUMMARY = re.compile(r"<summary[^>]*>(.*?)</summary>", re.IGNORECASE | re.DOTALL)
_PYTHON = re.compile(r"^```python[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r"^#+\s*(Exercise\b.*?)\s*(?:\*\(.*\)\*)?\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Exercise:
    """An exercise of a notebook.

    Attributes:
        id: Its check, such as "attention.weights".
        notebook: The notebook's file name without suffix.
        title: The heading above it, without difficulty and minutes.
        function: The name that the learner defines.
        stub: The index of the cell to be filled in.
        check: The index of the cell that checks it.
        solution: The code of the folded solution.
    """

    id: str
    notebook: str
    title: str
    function: str
    stub: int
    check: int
    solution: str


class Fold(NamedTuple):
    """A ``<details>`` element: where it stands in the text, and its summary."""

    start: int
    end: int
    summary: str


def source(cell: dict[str, Any]) -> str:
    """The text of a cell, which a file may hold as a list of lines."""
    text = cell.get("source", "")
    return text if isinstance(text, str) else "".join(text)


def code_cells(notebook: dict[str, Any]) -> list[str]:
    """The sources of the code cells."""
    return [source(cell) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def folds(text: str) -> list[Fold]:
    """The outermost ``<details>`` elements of a text."""
    found, depth, start = [], 0, 0
    for tag in _TAG.finditer(text):
        if not tag[1]:
            start = tag.start() if depth == 0 else start
            depth += 1
        elif depth:
            depth -= 1
            if depth == 0:
                summary = _SUMMARY.search(text, start, tag.end())
                words = re.sub(r"<[^>]+>|[*_`]", "", summary[1]).strip() if summary else ""
                found.append(Fold(start, tag.end(), words))
    return found


def is_solution(fold: Fold) -> bool:
    return re.match(r"(example )?solution", fold.summary, re.IGNORECASE) is not None


def is_hint(fold: Fold) -> bool:
    return re.match(r"hint", fold.summary, re.IGNORECASE) is not None


@cache
def read(path: Path) -> dict[str, Any]:
    """One of the project's notebooks. Do not change it: the result is shared."""
    return json.loads(path.read_text(encoding="utf-8"))


@cache
def exercises(path: Path) -> tuple[Exercise, ...]:
    """The exercises of one of the project's notebooks, in order.

    Raises:
        UserError: if a cell tagged ``exercise`` has no check below it, or no solution.
    """
    cells = read(path)["cells"]
    tagged = [i for i, cell in enumerate(cells) if "exercise" in cell["metadata"].get("tags", [])]
    return tuple(
        _exercise(path, cells, stub, end) for stub, end in zip(tagged, [*tagged[1:], len(cells)], strict=False)
    )


def _exercise(path: Path, cells: list[dict[str, Any]], stub: int, end: int) -> Exercise:
    below = ((i, _CHECK.search(source(cells[i]))) for i in range(stub + 1, end) if cells[i]["cell_type"] == "code")
    index, check = next(((i, match) for i, match in below if match), (0, None))
    if check is None:
        raise UserError(f"{path}: cell {stub + 1} is tagged exercise, but no cell below it calls a check")
    id, function = check.groups()
    defines = re.compile(rf"^(?:(?:async )?def|class) {function}\b|^{function}\s*=", re.MULTILINE)
    solutions = [*_solutions(cells[index:end]), *_solutions(cells[end:])]
    solution = next((code for code in solutions if defines.search(code)), None)
    if solution is None:
        raise UserError(f"{path}: no folded solution of the exercise {id} defines {function}")
    titles = [
        title for cell in cells[:stub] if cell["cell_type"] == "markdown" for title in _TITLE.findall(source(cell))
    ]
    return Exercise(id, path.stem, titles[-1] if titles else id, function, stub, index, solution)


def _solutions(cells: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The Python code in folded solutions."""
    for cell in cells:
        if cell["cell_type"] == "markdown":
            text = source(cell)
            for fold in filter(is_solution, folds(text)):
                yield from _PYTHON.findall(text[fold.start : fold.end])


def choose_notebooks(names: Sequence[str] | None = None) -> list[Path]:
    """The project's notebooks that are named by number or file name; without names, all.

    Raises:
        UserError: if there is no such notebook.
    """
    available = sorted(NOTEBOOKS.glob("*.ipynb"))
    if names is None:
        return available
    chosen = []
    for name in names:
        match = [path for path in available if name in (path.stem, path.name, path.stem.split("_")[0])]
        if not match:
            known = ", ".join(path.stem.split("_")[0] for path in available if path.stem[0].isdigit())
            raise UserError(f"there is no notebook {shorten(name)}: choose from {known}")
        chosen += match
    return sorted(set(chosen))
