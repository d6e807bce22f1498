"""Exercise checks: the engine, right and wrong answers to every exercise, and the notebooks' stubs and solutions."""

import ast
import re
from functools import cache
from importlib import import_module
from pathlib import Path

import nbformat
import pytest
import torch

from mtbert.utils.paths import ROOT
from mtbert.workbook import checks
from mtbert.workbook.checks import engine
from mtbert.workbook.checks.engine import Draw, Result, check, expect, same, shaped

SEEDS = range(5)
MODULES = [name for name in checks.__all__ if name != "engine"]
TABLES = {name: import_module(f"workbook.answers.{name}") for name in MODULES}
RIGHT = [(module, name) for module, table in TABLES.items() for name in table.WRONG]
WRONG = [
    pytest.param(module, name, words, answer, id=f"{module}-{name}-{words}")
    for module, table in TABLES.items()
    for name, mistakes in table.WRONG.items()
    for words, answer in mistakes
]


@pytest.mark.parametrize(("module", "name"), RIGHT)
def test_a_right_answer_passes(module, name):
    table = TABLES[module]  # a function named like the exercise is a right answer
    named = [getattr(table, name)] if hasattr(table, name) else []
    answers = [*named, *getattr(table, "RIGHT", {}).get(name, [])]
    assert answers
    for answer in answers:
        for seed in SEEDS:
            getattr(getattr(checks, module), name)(answer, seed=seed, strict=True)


@pytest.mark.parametrize(("module", "name", "words", "answer"), WRONG)
def test_a_usual_mistake_fails_at_the_property_that_names_it(module, name, words, answer):
    for seed in SEEDS:
        result = getattr(getattr(checks, module), name)(answer, seed=seed)
        assert not result.passed and words in result.lines[-1], str(result)


def test_every_exercise_has_right_answers_and_mistakes():
    for module, table in TABLES.items():
        names = {name for name, value in vars(getattr(checks, module)).items() if _is_check_of(value, module)}
        assert names == set(table.WRONG)


def _is_check_of(value, module: str) -> bool:
    return getattr(value, "__module__", "") == f"mtbert.workbook.checks.{module}" and not value.__name__.startswith("_")


# -- the engine


@check
def doubling(answer, draw):
    """answer(x) -> 2 * x."""
    x = draw.normal(3, 4)
    yield "keeps the shape"
    shaped(answer(x), 3, 4)
    yield "doubles every number"
    same(answer(x), 2 * x)


def test_every_property_is_named_up_to_the_first_that_fails_with_the_values():
    result = doubling(lambda x: 2 * x)
    assert result == Result(True, ("[ OK ] keeps the shape", "[ OK ] doubles every number"))
    wrong = doubling(lambda x: 3 * x)
    assert not wrong.passed and wrong.lines[0] == "[ OK ] keeps the shape"
    assert re.fullmatch(r"\[FAIL\] doubles every number: entry \[\d, \d\] is \S+, but should be \S+", wrong.lines[1])
    with pytest.raises(AssertionError, match=r"\[FAIL\] doubles every number"):
        doubling(lambda x: 3 * x, strict=True)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda x: None, "returned nothing; is there a return?"),
        (lambda x: "six", "returned str, not numbers"),
        (lambda x: x[0], "the shape is (4,), but should be (3, 4)"),
        (lambda x: x + y, "raised NameError: name 'y' is not defined"),  # noqa: F821
        (lambda x: 2 * x / 0, "NaN or infinite"),
    ],
)
def test_what_went_wrong_is_told_in_the_words_of_the_learner(answer, words):
    result = doubling(answer)
    assert not result.passed and words in result.lines[-1]


def test_inputs_are_new_at_every_call_unless_a_seed_is_given_and_the_global_seed_is_left_alone(monkeypatch):
    monkeypatch.setattr(engine, "Draw", Draw)  # as for a learner
    inputs = []
    before = torch.get_rng_state()
    for seed in (None, None, 0, 0):
        doubling(lambda x: inputs.append(x) or 2 * x, seed=seed)
    one, other, seeded, again = inputs[::2]
    assert not torch.equal(one, other) and torch.equal(seeded, again)
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


# -- the notebooks

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
WITH_EXERCISES = [path for path in NOTEBOOKS if not path.name.startswith("00")]


class Exercise:
    """A cell tagged ``exercise``, the check below it, and the folded hint and solution after that."""

    def __init__(self, path: Path, cells: list, at: int, index: int):
        self.name = f"{path.stem}-{index + 1}"
        self.title, self.stub, self.check, self.answers = (cells[at + offset].source for offset in (-1, 0, 1, 2))
        code = [ast.parse(cell.source).body for cell in cells[:at] if cell.cell_type == "code"]
        imports = [node for body in code for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
        self.imports = ast.unparse(ast.Module(imports, []))

    @property
    def solution(self) -> str:
        folded = re.search(r"<summary>Solution</summary>\s*```python\n(.*?)```", self.answers, re.DOTALL)
        assert folded, f"{self.name}: no folded solution in the cell after the check"
        return folded[1]

    def result(self, source: str) -> Result:
        names: dict = {}
        exec(self.imports + "\n" + source, names)  # noqa: S102
        return eval(self.check, names)  # noqa: S307


@cache
def cells_of(path: Path) -> list:
    return nbformat.read(path, as_version=4).cells


def exercises(path: Path) -> list[Exercise]:
    cells = cells_of(path)
    tagged = [at for at, cell in enumerate(cells) if "exercise" in cell.metadata.get("tags", [])]
    return [Exercise(path, cells, at, index) for index, at in enumerate(tagged)]


EXERCISES = [pytest.param(exercise, id=exercise.name) for path in WITH_EXERCISES for exercise in exercises(path)]


@pytest.mark.parametrize("exercise", EXERCISES)
def test_the_stub_fails_and_the_solution_passes(exercise):
    assert not exercise.result(exercise.stub).passed
    for _ in range(3):  # new inputs each time
        result = exercise.result(exercise.solution)
        assert result.passed, str(result)


@pytest.mark.parametrize("exercise", EXERCISES)
def test_an_exercise_names_difficulty_and_minutes_and_folds_its_hint(exercise):
    assert re.search(r"\((easy|medium|hard), \d+ minutes\)", exercise.title)
    assert "<summary>Hint</summary>" in exercise.answers
    assert exercise.stub.count("def ") == 1
    assert re.fullmatch(r"checks\.\w+\.\w+\(\w+\)", exercise.check)


@pytest.mark.parametrize("path", WITH_EXERCISES, ids=lambda path: path.stem)
def test_every_notebook_has_three_exercises_and_three_to_five_quiz_questions_with_answers(path):
    assert len(exercises(path)) >= 3
    text = "\n".join(cell.source for cell in cells_of(path) if cell.cell_type == "markdown")
    assert 3 <= text.partition("## Quiz")[2].count("<summary>Answer</summary>") <= 5
