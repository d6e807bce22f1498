"""Measured numbers in the prose of notebooks 00 to 06: printed by the lesson, or computed here.

Measured are numbers with a point (.842, 1.5). A lesson must have printed them, or have them in its code, before the
section ends in which the text quotes them. Exercises, folded answers, the quiz and "Try it yourself" may make them up.
"""

import html
import math
import re
from collections.abc import Iterator

import pytest
from workbook.exercises import NOTEBOOKS, cells_of

import mtbert
from mtbert.experiments.report_tables import read_facts
from mtbert.experiments.results import read_table
from mtbert.utils import paths

LESSONS = {path.stem[:2]: path for path in NOTEBOOKS if path.stem[:2] < "07"}
MEASURED = re.compile(r"(?<![\w.,/:])(\d*\.\d+)(?![\w.]*\d)")
ASIDE = r"^(?:### Exercise|## Try it yourself|## Quiz|\*Papers).*?(?=^##|\Z)|<details>.*?</details>"
ASIDES = re.compile(ASIDE, re.MULTILINE | re.DOTALL)
CODE = re.compile(r"```.*?```|`[^`]*`|\]\([^)]*\)|\d{4}\.\d{5}", re.DOTALL)
# bounds and definitions that a sentence sets, and numbers that test_notebooks_04_05 recomputes
SET_BY_THE_TEXT: dict[str, set[str]] = {
    "02": {".02"},
    "03": {".001"},
    "04": {".026", ".037"},
    "05": {".011", ".015", ".025", ".499", "1.2", "3.5"},
}
# real rows, which the tests do not have: the cells of the section with data=..., checksums beside them
ON_REAL_ROWS = {"02": {".288", ".281", ".376", "9.5", "1.8", "2.7", "1.7"}}


def short(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".removeprefix("0")


def computed_00() -> set[str]:
    model = mtbert.load_model("workbook")
    shares = model.predict_proba("sst", ["The plot is thin, but the two leads are superb."])[0]
    return {short(shares[label].item(), 2) for label in (3, 2)}  # positive, neutral


def computed_02() -> set[str]:
    leads = re.findall(r"over .*: +\+([\d.]+) points, standard error ([\d.]+)", printed("02"))
    errors = [float(gap) / float(error) for gap, error in leads]
    assert len(errors) == 3
    [kept] = re.findall(r"GELU keeps ([\d.]+)", printed("02"))
    factor = round(1 / float(kept), 1)
    widths = {short(factor / math.sqrt(128), 2), short(1 / math.sqrt(768), 3)}
    return {short(factor, 1), *widths, short(min(errors), 1), short(max(errors), 1)}


def computed_05() -> set[str]:
    fill = read_table(paths.RESULTS / "fill.csv").set_index("data set").random
    return {short(share, 2) for share in fill[["sst", "quora", "sts"]]}


def computed_06() -> set[str]:
    parameters = mtbert.load_encoder("minilm", num_layers=2).bert.parameters()
    random = 1 / math.sqrt(sum(parameter.numel() for parameter in parameters))
    return {short(random, 4), short(math.sqrt(0.25 / 1101), 3)}  # and the error of an accuracy on SST's dev rows


COMPUTED = {
    "00": computed_00,
    "01": lambda: {short(1 / 32, 3)},
    "02": computed_02,
    "03": lambda: {short(0.999**1000, 2), short(1 / math.sqrt(16), 2)},  # 32 layers in place of two
    "04": lambda: {short(math.log(5), 3), short(math.log(2), 2)},
    "05": computed_05,
    "06": computed_06,
}


def numbers(text: str) -> set[str]:
    return {number.lstrip("0") for number in MEASURED.findall(text)}


def shown(cell) -> str:
    """The code and the outputs of a cell."""
    texts = [cell.source]
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        page = re.sub(r"<style.*?</style>|<[^>]+>", " ", data.get("text/html", ""), flags=re.DOTALL)
        texts += [output.get("text", ""), data.get("text/plain", ""), html.unescape(page)]
    return "\n".join(texts)


def printed(lesson: str) -> str:
    return "\n".join(shown(cell) for cell in cells_of(LESSONS[lesson]) if cell.cell_type == "code")


def sections(lesson: str) -> Iterator[tuple[str, str]]:
    """The prose of each section, and what the lesson has shown by its end."""
    prose, seen = "", ""
    for cell in cells_of(LESSONS[lesson]):
        if cell.cell_type == "code":
            seen += "\n" + shown(cell)
            continue
        first, *others = re.split(r"^(?=## )", cell.source, flags=re.MULTILINE)
        prose += "\n\n" + ASIDES.sub(" ", first)
        for block in others:
            yield prose, seen
            prose = ASIDES.sub(" ", block)
    yield prose, seen


def rounded(found: set[str]) -> set[str]:
    """The numbers, and what is left of them if a text rounds them."""
    return found | {short(float(number), digits) for number in found for digits in (1, 2, 3)}


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_measured_number_is_printed_or_computed(lesson):
    computed = COMPUTED.get(lesson, set)()
    exempt = SET_BY_THE_TEXT.get(lesson, set()) | ON_REAL_ROWS.get(lesson, set())
    quoted, untraced = set(), set()
    for prose, seen in sections(lesson):
        found = numbers(CODE.sub(" ", prose))
        quoted |= found
        untraced |= found - rounded(numbers(seen)) - computed - exempt
    assert not untraced
    assert computed | exempt <= quoted, "computed or exempt, but not in the text"


@pytest.mark.parametrize("lesson", [lesson for lesson in LESSONS if lesson != "00"])
def test_the_minutes_of_the_exercises_add_up(lesson):
    cells = [cell.source for cell in cells_of(LESSONS[lesson]) if cell.cell_type == "markdown"]
    total = sum(int(minutes) for minutes in re.findall(r"### Exercise .*\(\w+, (\d+) minutes\)", "\n".join(cells)))
    header = next(line for line in cells[0].splitlines() if line.startswith("*Time:*"))
    assert re.search(rf"\b{total} minutes of exercises|exercises {total} minutes", header), header


def test_what_notebook_06_quotes_of_a_report_is_among_its_facts():
    facts = read_facts().set_index("fact").value
    altered = facts["gradient updates that Vaccine altered in the first epoch"]
    possible = facts["gradient updates that Vaccine could alter in the first epoch"]
    later = facts["share of gradient updates altered in each later epoch"]
    [text] = [cell.source for cell in cells_of(LESSONS["06"]) if "counts far fewer conflicts" in cell.source]
    assert f"{altered:,.0f} in {possible:,.0f} updates" in text and f"less than {short(100 * later, 1)} % later" in text
