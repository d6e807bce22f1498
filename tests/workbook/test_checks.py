"""The engine of the exercises' checks, and the exercises of every notebook: stubs fail, solutions pass."""

import ast
import re
from pathlib import Path

import nbformat
import pytest
import torch

from mtbert.utils.paths import ROOT
from mtbert.workbook.checks import engine
from mtbert.workbook.checks.engine import Draw, Result, check, expect, same, shaped

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
WITH_EXERCISES = [path for path in NOTEBOOKS if not path.name.startswith("00")]


@check
def doubling(answer, draw):
    x = draw.normal(3, 4)
    yield "keeps the shape"
    shaped(answer(x), 3, 4)
    yield "doubles every number"
    same(answer(x), 2 * x)


def test_a_right_answer_passes_every_property():
    result = doubling(lambda x: 2 * x)
    assert result == Result(True, ("[ OK ] keeps the shape", "[ OK ] doubles every number"))
    assert str(result).endswith("Solved.")


def test_the_first_property_that_fails_is_named_with_the_values():
    result = doubling(lambda x: 3 * x)
    assert not result.passed
    assert result.lines[0] == "[ OK ] keeps the shape"
    assert re.fullmatch(r"\[FAIL\] doubles every number: entry \[\d, \d\] is \S+, but should be \S+", result.lines[1])


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda x: None, "returned nothing; is there a return?"),
        (lambda x: "six", "returned str, not numbers"),
        (lambda x: x[0], "the shape is (4,), but should be (3, 4)"),
        (lambda x: x + y, "raised NameError: name 'y' is not defined"),  # noqa: F821
        (lambda x: 2 * x / 0, "NaN or infinite"),
    ],
)
def test_what_went_wrong_is_said_in_the_learners_words(answer, said):
    result = doubling(answer)
    assert not result.passed and said in result.lines[-1]


def test_every_check_draws_new_inputs_and_leaves_the_seed_alone(monkeypatch):
    monkeypatch.setattr(engine, "Draw", Draw)  # as it is for a learner
    seen = []
    torch.manual_seed(0)
    before = torch.get_rng_state()
    for _ in range(2):
        doubling(lambda x: seen.append(x) or 2 * x)
    assert not torch.equal(seen[0], seen[2])
    assert torch.equal(before, torch.get_rng_state())


def test_a_check_that_is_itself_broken_is_not_blamed_on_the_learner():
    @check
    def broken(answer, draw):
        expect(False, "setup")
        yield "never reached"

    with pytest.raises(AssertionError, match="setup"):
        broken(lambda x: x)


def test_tolerance_is_relative_for_large_numbers_and_absolute_for_small_ones():
    same([1e6 + 1], [1e6])
    same([1e-6], [0.0])
    with pytest.raises(AssertionError):
        same([1.001], [1.0])


# -- the exercises ------------------------------------------------------------------------------------------------


class Exercise:
    """A cell tagged ``exercise``, the check cell under it, and the folded hint and solution after that."""

    def __init__(self, path: Path, number: int, cells: list):
        self.path, self.number = path, number
        places = [i for i, cell in enumerate(cells) if "exercise" in cell.metadata.get("tags", [])]
        at = places[number]
        self.title, self.stub, self.check, self.answers = (cells[at + i].source for i in (-1, 0, 1, 2))
        imports = []
        for cell in cells[:at]:
            if cell.cell_type == "code":
                imports += [
                    node for node in ast.parse(cell.source).body if isinstance(node, ast.Import | ast.ImportFrom)
                ]
        self.imports = ast.unparse(ast.Module(imports, []))

    def __str__(self) -> str:
        return f"{self.path.stem}-{self.number + 1}"

    @property
    def solution(self) -> str:
        folded = re.search(r"<summary>Solution</summary>\s*```python\n(.*?)```", self.answers, re.DOTALL)
        assert folded, f"{self}: no folded solution in the cell after the check"
        return folded[1]

    def result(self, source: str) -> Result:
        names: dict = {}
        exec(self.imports + "\n" + source, names)  # noqa: S102
        return eval(self.check, names)  # noqa: S307


def exercises() -> list[Exercise]:
    found = []
    for path in WITH_EXERCISES:
        cells = nbformat.read(path, as_version=4).cells
        count = sum("exercise" in cell.metadata.get("tags", []) for cell in cells)
        found += [Exercise(path, number, cells) for number in range(count)]
    return found


@pytest.mark.parametrize("path", WITH_EXERCISES, ids=lambda path: path.stem)
def test_every_notebook_has_at_least_three_exercises(path):
    assert sum(each.path == path for each in exercises()) >= 3


@pytest.mark.parametrize("exercise", exercises(), ids=str)
def test_the_stub_fails_its_check(exercise):
    assert not exercise.result(exercise.stub).passed


@pytest.mark.parametrize("exercise", exercises(), ids=str)
def test_the_solution_passes_its_check(exercise):
    for _ in range(5):  # fresh inputs each time
        result = exercise.result(exercise.solution)
        assert result.passed, str(result)


@pytest.mark.parametrize("exercise", exercises(), ids=str)
def test_an_exercise_names_difficulty_and_minutes_and_folds_its_hint(exercise):
    assert re.search(r"\((easy|medium|hard), \d+ minutes\)", exercise.title)
    assert "<summary>Hint</summary>" in exercise.answers
    assert exercise.stub.count("def ") == 1
    assert re.fullmatch(r"checks\.\w+\.\w+\(\w+\)", exercise.check)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_has_three_to_five_quiz_questions_with_answers(path):
    text = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown")
    quiz = text.split("## Quiz")[1] if "## Quiz" in text else ""
    assert 3 <= quiz.count("<summary>Answer</summary>") <= 5 or path.name.startswith("00")
