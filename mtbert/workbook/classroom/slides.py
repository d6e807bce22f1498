"""Slides for a lecture: which cells are shown, which start a new slide, and how much room they take.

The types are those of Jupyter's slideshow metadata, which ``nbconvert --to slides`` and RISE read.
``python -m mtbert.workbook.classroom.slides`` writes them into the notebooks, after cells or outputs have changed.
"""

import base64
import json
import re
import struct
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any

from mtbert.utils.files import atomic_write
from mtbert.workbook.classroom.exercises import choose_notebooks, folds, is_hint, is_solution, source

WIDTH, HEIGHT = 1280, 720
ROOM = 620  # pixels between the margins, below the title of the section
FIGURE_WIDTH, FIGURE_HEIGHT = 1180, 540  # the largest size of a figure
MAX_CODE_LINES = 8  # of a cell that is shown with its code, unless it is tagged "show-code" or "hide-code"
_LINE, _CODE_LINE, _ROW, _GAP = 36, 23, 35, 16
_CHARACTERS = 98  # of a line of text
_HEADINGS = {1: 84, 2: 68, 3: 56}
_MAX_OUTPUT = 1.5 * ROOM  # longer tables are left out
_FOLDED = re.compile("<details>.*?</details>", re.DOTALL)
_LEFT_OUT = re.compile(r"^(## Settings|## Try it yourself|### Exercise).*?(?=^##|\Z)", re.MULTILINE | re.DOTALL)
_ASIDES = re.compile(r"^(\*Time:\*|\*Papers:\*|\*\*A good place to stop|\[[^]]*\]\([^)]*ipynb\) ·).*\n?", re.MULTILINE)


def slide_types(notebook: dict[str, Any]) -> list[str]:
    """The slide type of each cell: "slide", "subslide", "fragment", "-" to continue a slide, or "skip".

    A heading starts a slide, and cells are added to it while there is room. Left out are settings, definitions and
    exercises with their checks, hints and solutions. What follows a **Guess first** appears on request.
    """
    types: list[str] = []
    used, guess = 0.0, False
    for cell in notebook["cells"]:
        if not is_shown(cell):
            types.append("skip")
            continue
        text, is_text = source(cell), cell["cell_type"] == "markdown"
        rooms = [text_height(part) for part in sections(text)] if is_text else [height(cell)]
        room = rooms[0]
        if is_text and re.match("##? ", slide_text(text)):
            types.append("slide")
        elif used == 0 or used + room > ROOM:
            types.append("subslide")
        else:
            types.append("fragment" if guess else "-")
        used = rooms[-1] if len(rooms) > 1 or types[-1] in ("slide", "subslide") else used + room
        guess = "**Guess first" in text
    return types


def set_slide_types(notebook: dict[str, Any]) -> None:
    """Write the slide types into the metadata of the cells."""
    for cell, slide_type in zip(notebook["cells"], slide_types(notebook), strict=True):
        cell["metadata"]["slideshow"] = {"slide_type": slide_type}


def mark(notebooks: Sequence[Path]) -> list[Path]:
    """Write slide types into notebooks in place, and change nothing else.

    Args:
        notebooks: Their files.

    Returns:
        Those that had other types.
    """
    changed = []
    for path in notebooks:
        text = path.read_text(encoding="utf-8")
        notebook = json.loads(text)
        set_slide_types(notebook)
        marked = json.dumps(notebook, sort_keys=True, indent=1, ensure_ascii=False) + "\n"  # as JupyterLab saves it
        if marked != text:
            atomic_write(path, marked)
            changed.append(path)
    return changed


def is_shown(cell: dict[str, Any]) -> bool:
    """Whether a cell belongs in a lecture; one tagged "no-slide", which is for looking things up, does not."""
    if "no-slide" in cell["metadata"].get("tags", []):
        return False
    text = source(cell).strip()
    if cell["cell_type"] == "markdown":
        return bool(slide_text(text))
    room = sum(map(output_height, cell["outputs"]))
    return 0 < room <= _MAX_OUTPUT and not text.startswith("checks.")


def slide_text(text: str) -> str:
    """What a slide shows of a text: no settings, exercises, solutions, times, papers, places to stop, or links."""
    for fold in reversed(folds(text)):
        if is_hint(fold) or is_solution(fold):
            text = text[: fold.start] + text[fold.end :]
    return _ASIDES.sub("", _LEFT_OUT.sub("", text)).strip()


def sections(text: str) -> list[str]:
    """What slides show of a text, cut where a section begins: each part but the first starts a slide."""
    return re.split(r"\n(?=## )", slide_text(text))


def hides_code(cell: dict[str, Any]) -> bool:
    """Whether a slide shows only the output of a cell: a figure, long code, or as "show-code" or "hide-code" says."""
    for tag, hidden in (("show-code", False), ("hide-code", True)):
        if tag in cell["metadata"].get("tags", []):
            return hidden
    figure = any("image/png" in output.get("data", {}) for output in cell["outputs"])
    return figure or len(source(cell).splitlines()) > MAX_CODE_LINES


def height(cell: dict[str, Any]) -> float:
    """About how many pixels a cell takes on a slide."""
    if cell["cell_type"] == "markdown":
        return text_height(slide_text(source(cell)))
    code = 0 if hides_code(cell) else _CODE_LINE * len(source(cell).splitlines()) + _GAP
    return code + sum(map(output_height, cell["outputs"]))


def text_height(text: str) -> float:
    """The height of Markdown; what is folded takes a line."""
    for fold in reversed(folds(text)):
        text = f"{text[: fold.start]}{fold.summary}{text[fold.end :]}"
    total = 0.0
    for block in re.split(r"\n\s*\n", text):
        heading = re.match(r"(#+) ", block)
        if heading:
            total += _HEADINGS.get(len(heading[1]), 50)
        elif block.startswith("```"):
            total += _CODE_LINE * (block.count("\n") - 1) + _GAP
        elif block.startswith("$$"):
            total += 90
        else:
            lines = block.splitlines()
            total += sum(
                _LINE * ceil(max(1, len(re.sub(r"\]\(.*?\)|[*`$]", "", line))) / _CHARACTERS) for line in lines
            )
            total += _GAP
    return total


def output_height(output: dict[str, Any]) -> float:
    """The height of an output of a cell."""
    data = output.get("data", {})
    if "application/vnd.jupyter.widget-view+json" in data:
        return 0
    if "image/png" in data:
        width, height = png_size(data["image/png"])
        return min(FIGURE_HEIGHT, height * FIGURE_WIDTH / width) + _GAP
    if "text/html" in data:
        html, folded = _FOLDED.subn("", "".join(data["text/html"]))
        if folded:
            return _LINE * folded + _GAP
        return _ROW * max(html.count("<tr"), 1) + (_ROW if "<caption" in html else 0) + _GAP
    if "text/markdown" in data:
        return text_height("".join(data["text/markdown"]))
    text = "".join(output.get("text", data.get("text/plain", "")))
    return _CODE_LINE * len(text.splitlines()) + _GAP


def png_size(data: str) -> tuple[int, int]:
    """Width and height of a PNG in base64."""
    return struct.unpack(">II", base64.b64decode(data[:32])[16:24])


if __name__ == "__main__":
    for notebook in mark(choose_notebooks()):
        print(notebook)
