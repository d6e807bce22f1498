"""The lecturer's guide quotes the lessons: sections, exercises, minutes, and every number."""

import re
from functools import cache
from pathlib import Path

import pytest
from workbook.lessons import NOTEBOOKS, cells_of, shown_by

from mtbert.utils.paths import ROOT

GUIDE = (ROOT / "notebooks" / "lecturers_guide.md").read_text(encoding="utf-8")
UNLISTED = {"Settings", "Try it yourself", "Quiz", "What to remember"}
EXERCISE = re.compile(r"Exercise (\d+) · (.+?) \*\((easy|medium|hard), (\d+) minutes\)\*")
QUOTED = re.compile(r"(\d+) · ([^;|]+?) \((easy|medium|hard), (\d+)\)")
NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?|(?<![\w.])\.\d+")


def markdown(path: Path) -> str:
    return "\n\n".join(cell.source for cell in cells_of(path) if cell.cell_type == "markdown")


def headings(path: Path) -> list[str]:
    """The sections of a lesson, without those that every lesson has, and without exercises and parts."""
    text = re.sub(r"```.*?```", "", markdown(path), flags=re.DOTALL)
    titles = re.findall(r"^##+ (.+)$", text, re.MULTILINE)
    return [title for title in titles if title not in UNLISTED and not title.startswith("Exercise")]


def title(path: Path) -> str:
    return re.findall(r"^# (.+)$", markdown(path), re.MULTILINE)[0]


def exercises(path: Path) -> set[tuple[str, ...]]:
    return set(EXERCISE.findall(markdown(path)))


def chapter(path: Path) -> str:
    """What the guide says about a lesson."""
    found = re.search(rf"^### {re.escape(title(path))}$(.*?)(?=^### |\Z)", GUIDE, re.MULTILINE | re.DOTALL)
    assert found, f"the guide has no chapter '{title(path)}'"
    return found[1]


def table(text: str, header: str) -> list[list[str]]:
    """The rows of the table whose first column has this header."""
    lines = text[text.index(f"| {header} |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def numbers(text: str) -> set[str]:
    return {found.replace(",", "").lstrip("0") or "0" for found in NUMBER.findall(text.replace("−", "-"))}


@cache
def sections(path: Path) -> dict[str, str]:
    """What a reader sees in each section: its text, code, and outputs."""
    parts: dict[str, list[str]] = {}
    section = ""
    for cell in cells_of(path):
        for block in re.split(r"^(?=##)", cell.source, flags=re.MULTILINE):
            heading = re.match(r"##+ (.+)", block) if cell.cell_type == "markdown" else None
            if heading and not heading[1].startswith("Exercise"):
                section = heading[1]
            parts.setdefault(section, []).append(block)
        parts[section].append(shown_by(cell))
    return {name: "\n".join(texts) for name, texts in parts.items()}


def minutes(path: Path) -> str:
    return next(line for line in markdown(path).splitlines() if line.startswith("*Time:*"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_section_of_a_lesson_has_a_goal(path):
    listed = [name for row in table(chapter(path), "sections") for name in row[0].split(" · ")]
    assert sorted(listed) == sorted(headings(path))
    assert {row[2] for row in table(chapter(path), "sections")} <= {"keep", "figure", "skip"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_exercises_have_their_names_levels_and_minutes(path):
    assert set(QUOTED.findall(chapter(path))) == exercises(path)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_questions_belong_to_a_section_and_their_numbers_stand_in_it(path):
    rows = table(chapter(path), "ask")
    assert 2 <= len(rows) <= 4
    for ask, _, answer in rows:
        section = ask.split("*")[1]
        assert section in headings(path)
        assert numbers(f"{ask} {answer}".replace(section, "")) <= numbers(sections(path)[section]), ask


def test_minutes_are_those_that_the_lessons_print():
    rows = table(GUIDE, "lesson")
    assert len(rows) == len(NOTEBOOKS)
    for path, (name, lecture, reading, practice, _) in zip(NOTEBOOKS, rows, strict=True):
        assert name == f"[{title(path)}]({path.name})"
        assert int(practice) == sum(int(found[3]) for found in exercises(path))
        if "lecture" in minutes(path):
            assert numbers(f"{lecture} {reading}") <= numbers(minutes(path)), name


def test_the_map_of_the_first_lesson_has_the_same_minutes():
    listed = dict(re.findall(r"^\| \[(\d\d) .*?\) \| (\d+ \+ \d+) \|", markdown(NOTEBOOKS[0]), re.MULTILINE))
    rows = [(row[0][1:3], *row[2:4]) for row in table(GUIDE, "lesson")[1:]]
    assert listed == {lesson: f"{sum(map(int, reading.split('+')))} + {practice}" for lesson, reading, practice in rows}


def test_plans_quote_lectures_and_exercises_that_exist():
    lectures = {row[0][1:3]: row[1] for row in table(GUIDE, "lesson")}
    weeks = table(GUIDE, "week")
    assert len(weeks) == 6
    plans = GUIDE[: GUIDE.index("## Lesson by lesson")]
    quoted = re.findall(r"\b(\d\d) \(([\d +]+)\)", plans)
    assert quoted and [(lesson, lectures[lesson]) for lesson, _ in quoted] == quoted
    for cell in (cell for row in weeks for cell in row[2:]):
        for lesson, listed in re.findall(r"(\d\d): ([\d, ]+)", cell):
            [path] = [path for path in NOTEBOOKS if path.name.startswith(lesson)]
            assert set(re.findall(r"\d+", listed)) <= {found[0] for found in exercises(path)}


def test_the_day_has_no_gap_and_names_sections():
    rows = table(GUIDE, "time")
    starts = [60 * int(hour) + int(minute) for hour, minute in (row[0].split(":") for row in rows)]
    for start, following, row in zip(starts, starts[1:], rows, strict=False):
        assert following - start == int(row[2])
    for row in rows:
        for lesson in re.findall(r"^(\d\d), section", row[1]):
            [path] = [path for path in NOTEBOOKS if path.name.startswith(lesson)]
            assert set(re.findall(r"\*(.+?)\*", row[1])) <= set(headings(path))
