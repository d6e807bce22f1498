"""Notebook 06: its two parts are two lectures, and the second runs without the first."""

import ast
import builtins
import re
from collections.abc import Iterable

from workbook.lessons import LESSONS, cells_of

CELLS = cells_of(LESSONS["06"])
STARTS = [index for index, cell in enumerate(CELLS) if cell.source.startswith("# Part ")]


def code(cells: Iterable) -> list[str]:
    return [cell.source for cell in cells if cell.cell_type == "code"]


def needed(sources: Iterable[str]) -> set[str]:
    """The names that these cells read, one after the other, before one of them has set it."""
    known, missing = {*dir(builtins), "display"}, set()
    for source in sources:
        nodes = list(ast.walk(ast.parse(source)))
        names = [node for node in nodes if isinstance(node, ast.Name)]
        known |= {name.id for name in names if not isinstance(name.ctx, ast.Load)}
        known |= {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
        known |= {node.arg for node in nodes if isinstance(node, ast.arg)}
        aliases = [alias for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names]
        known |= {(alias.asname or alias.name).split(".")[0] for alias in aliases}
        missing |= {name.id for name in names if isinstance(name.ctx, ast.Load)} - known
    return missing


def time_of(text: str) -> list[str]:
    return re.findall(r"\d+ minutes[^.,;]*", re.search(r"^\*Time:\* (.*)", text, re.MULTILINE)[1])


def test_the_second_part_needs_the_settings_and_nothing_of_the_first():
    first, second = STARTS
    settings, part1, part2 = code(CELLS[:first]), code(CELLS[first:second]), code(CELLS[second:])
    assert len(settings) == 3 and "run the three under *Settings*" in CELLS[second].source
    assert needed(settings + part2) == set()
    assert needed(part1) and {"base", "names", "folder"} <= needed(part2)  # what is missing is found


def test_each_part_has_a_goal_and_the_minutes_of_the_header():
    assert len(STARTS) == 2
    parts = [CELLS[index].source for index in STARTS]
    assert all("**Goal:**" in part for part in parts)
    assert [time for part in parts for time in time_of(part)] == time_of(CELLS[0].source)
