"""Slides: every lesson makes a lecture, what is left out, and what a slide can hold."""

import base64
import json
import shutil
import struct

import pytest

from mtbert.workbook.classroom.exercises import choose_notebooks, read, source
from mtbert.workbook.classroom.slides import (
    FIGURE_HEIGHT,
    ROOM,
    height,
    hides_code,
    mark,
    output_height,
    slide_text,
    slide_types,
)

LESSONS = [path for path in choose_notebooks() if path.stem[0].isdigit() and not path.stem.startswith("00")]


def markdown(text: str) -> dict:
    return {"cell_type": "markdown", "metadata": {}, "source": text}


def code(text: str, *outputs: dict, tags: tuple[str, ...] = ()) -> dict:
    return {"cell_type": "code", "metadata": {"tags": [*tags]}, "source": text, "outputs": [*outputs]}


def printed(lines: int) -> dict:
    return {"output_type": "stream", "name": "stdout", "text": "line\n" * lines}


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_has_30_to_50_slides_without_machinery(path):
    cells = read(path)["cells"]
    types = slide_types(read(path))
    assert len(types) == len(cells)
    assert 30 <= types.count("slide") + types.count("subslide") <= 50
    shown = [cell for cell, slide_type in zip(cells, types, strict=True) if slide_type != "skip"]
    for cell in shown:
        assert not {"exercise", "parameters"} & {*cell["metadata"].get("tags", [])}
        assert not source(cell).startswith("checks.")


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_every_figure_of_a_lesson_fits_on_a_slide(path):
    outputs = [output for cell in read(path)["cells"] for output in cell.get("outputs", [])]
    figures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert figures and all(output_height(figure) <= ROOM for figure in figures)


def test_a_slide_is_continued_while_there_is_room():
    cells = [markdown("## One"), code("f()", printed(3)), code("g()", printed(18)), markdown("## Two")]
    assert slide_types({"cells": cells}) == ["slide", "-", "subslide", "slide"]


def test_long_code_is_hidden_and_short_code_shown_unless_a_tag_says_otherwise():
    short, long, shown = code("f()", printed(1)), code("f()\n" * 12, printed(1)), code("f()\n" * 12, printed(1))
    shown["metadata"]["tags"] = ["show-code"]
    assert [hides_code(cell) for cell in (short, long, shown)] == [False, True, False]
    assert height(shown) > height(short) > height(long)
    short["metadata"]["tags"] = ["hide-code"]
    assert hides_code(short) and height(short) == height(long)


def test_a_cell_tagged_no_slide_is_left_out():
    reference = markdown("## Terms\n\nA table.")
    assert slide_types({"cells": [markdown("## One"), reference]}) == ["slide", "slide"]
    reference["metadata"]["tags"] = ["no-slide"]
    assert slide_types({"cells": [markdown("## One"), reference]}) == ["slide", "skip"]


def test_what_is_to_be_guessed_appears_on_request():
    cells = [markdown("## One\n\n**Guess first:** how many?"), code("f()", printed(1)), markdown("That many.")]
    assert slide_types({"cells": cells}) == ["slide", "fragment", "-"]


@pytest.mark.parametrize(
    "cell",
    [
        code("seed: int = 0", tags=("parameters",)),
        code("def f(): pass"),
        code("checks.attention.weights(f)", printed(2)),
        code("table", printed(100)),
        markdown("### Exercise 1 · One *(easy, 5 minutes)*"),
        markdown("## Try it yourself"),
        markdown("<details><summary>Solution</summary>f</details>"),
    ],
    ids=lambda cell: cell["source"][:12],
)
def test_machinery_is_skipped(cell):
    assert slide_types({"cells": [markdown("## One"), cell]}) == ["slide", "skip"]


def test_a_slide_shows_neither_solutions_nor_links_to_other_notebooks():
    text = "# One\n\nClaim.\n\n*Time:* 5 minutes.\n*Papers:* many.\n\n[start](00_start_here.ipynb) · [next](02.ipynb)"
    folded = "\n<details><summary>Hint</summary>h</details>\n<details><summary>Answer</summary>a</details>"
    assert slide_text(text) == "# One\n\nClaim."
    assert "Hint" not in slide_text(f"Q{folded}") and "Answer" in slide_text(f"Q{folded}")
    assert slide_text("## One\n\nText.\n\n### Exercise 1 · Two *(easy, 5 minutes)*\n\nWrite it.") == "## One\n\nText."
    assert slide_text("## Try it yourself\n\n1. Write it.\n\n## Quiz\n\n1. Why?") == "## Quiz\n\n1. Why?"
    assert slide_text("# One\n\nClaim.\n\n## Settings\n\nThe demo.") == "# One\n\nClaim."
    assert slide_text("Text.\n\n**A good place to stop.** Next: two.\n\n## Two") == "Text.\n\n\n## Two"


@pytest.mark.parametrize(("width", "tall"), [(2000, 400), (1000, 4000)])
def test_a_figure_takes_the_room_of_its_shape(width, tall):
    png = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + struct.pack(">II", width, tall)).decode()
    figure = {"output_type": "display_data", "data": {"image/png": png}}
    assert output_height(figure) < FIGURE_HEIGHT if tall < width else output_height(figure) >= FIGURE_HEIGHT
    assert height(code("x\n" * 30, figure)) == output_height(figure)


def test_a_folded_table_takes_one_line():
    table = f"<table>{'<tr></tr>' * 30}</table>"
    whole, folded = (
        output_height({"data": {"text/html": html}})
        for html in (table, f"<details><summary>All</summary>{table}</details>")
    )
    assert folded < 60 < 1000 < whole


@pytest.mark.parametrize("path", choose_notebooks(), ids=lambda path: path.stem)
def test_the_slide_types_in_a_notebook_are_those_of_its_cells(path):
    cells = read(path)["cells"]
    types = [cell["metadata"].get("slideshow", {}).get("slide_type") for cell in cells]
    assert types == slide_types(read(path)), "run python -m mtbert.workbook.classroom.slides"


def test_marking_a_notebook_writes_its_slide_types_once_and_nothing_else(tmp_path):
    path = tmp_path / LESSONS[0].name
    shutil.copy(LESSONS[0], path)
    before = json.loads(path.read_text(encoding="utf-8"))
    for cell in before["cells"]:
        cell["metadata"].pop("slideshow", None)
    path.write_text(json.dumps(before), encoding="utf-8")
    assert mark([path]) == [path] and mark([path]) == []
    after = json.loads(path.read_text(encoding="utf-8"))
    types = [cell["metadata"].pop("slideshow") for cell in after["cells"]]
    assert [entry["slide_type"] for entry in types] == slide_types(before)
    assert after == before
