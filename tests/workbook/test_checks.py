"""Exercise checks: the engine, right and wrong answers to every exercise, and the notebooks' stubs and solutions."""

import ast
import random
import re
from importlib import import_module

import numpy as np
import pytest
import torch
from workbook.exercises import exercises, solutions
from workbook.lessons import NOTEBOOKS, cells_of

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
    for answer in [solutions(module)[name], *getattr(TABLES[module], "RIGHT", {}).get(name, [])]:
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


EVERY = [pytest.param(module, name, id=f"{module}-{name}") for module, name in RIGHT]
SAME_VALUES = {
    "float64": lambda got: got.double() if torch.is_tensor(got) and got.is_floating_point() else got,
    "numpy": lambda got: got.numpy() if torch.is_tensor(got) else np.asarray(got)[()] if _is_number(got) else got,
    "list": lambda got: got.tolist() if torch.is_tensor(got) else got,
    "gradient": lambda got: got.clone().requires_grad_() if torch.is_tensor(got) and got.is_floating_point() else got,
}


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@pytest.mark.parametrize("change", SAME_VALUES.values(), ids=SAME_VALUES)
@pytest.mark.parametrize(("module", "name"), EVERY)
def test_right_values_pass_in_whatever_type_they_come(module, name, change):
    if (module, name) == ("attention", "blocks") and change is SAME_VALUES["list"]:
        pytest.skip("a list of lists has no dtype")
    if (module, name) == ("multitask", "task_losses") and change in (SAME_VALUES["numpy"], SAME_VALUES["list"]):
        pytest.skip("a loss to call backward on is a tensor")
    right = solutions(module)[name]
    result = getattr(getattr(checks, module), name)(lambda *given: engine._map_leaves(change, right(*given)), seed=0)
    assert result.passed, str(result)


@pytest.mark.parametrize(
    "odd",
    [None, "six", [], [[1.0]], {}, 1j, object(), len, float("nan"), torch.empty(0)],
    ids=["None", "text", "empty list", "nested list", "dict", "complex", "object", "function", "nan", "empty tensor"],
)
@pytest.mark.parametrize(("module", "name"), EVERY)
def test_a_result_that_a_check_cannot_use_is_not_called_an_exception_of_the_learner(module, name, odd):
    result = getattr(getattr(checks, module), name)(lambda *given: odd, seed=0)
    assert not result.passed and result.failed and "your function raised" not in result.reason


@pytest.mark.parametrize(("module", "name"), EVERY)
def test_a_function_that_writes_into_its_arguments_is_told_so_and_nothing_else(module, name):
    right = solutions(module)[name]

    def in_place(*given):
        got = right(*given)
        written.extend(x.mul_(0.5) for x in given if torch.is_tensor(x) and x.is_floating_point() and x.any())
        return got

    written: list = []
    result = getattr(getattr(checks, module), name)(in_place, seed=0)
    assert result.passed == (not written)
    assert result.passed or "in place" in result.reason


def test_an_exception_of_the_learner_keeps_its_line(tmp_path):
    path = tmp_path / "cell.py"
    path.write_text("def half(x):\n    return x / 2\n\ndef answer(x):\n    y = half(x)\n    return y.reshape(7)\n")
    names: dict = {}
    exec(compile(path.read_text(), str(path), "exec"), names)  # noqa: S102
    result = doubling(names["answer"])
    assert result.failed == "keeps the shape"
    assert "RuntimeError" in result.reason and "(line 6: return y.reshape(7))" in result.reason
    path.write_text("class Answer:\n    def __init__(self, x):\n        x.reshape(7)\n")
    exec(compile(path.read_text(), str(tmp_path / "class.py"), "exec"), names)  # noqa: S102
    assert "(line 3" in doubling(names["Answer"]).reason


def test_a_learners_own_assertion_is_an_exception_of_the_learner():
    def answer(x):
        assert x is None, "my own"

    assert "your function raised AssertionError: my own" in doubling(answer).reason


@pytest.mark.parametrize("draw", [lambda: torch.rand(()).item(), random.random, np.random.rand])
def test_a_seed_repeats_what_the_learner_draws_and_leaves_the_global_state_alone(draw):
    drawn = []
    for _ in range(2):
        doubling(lambda x: drawn.append(draw()) or 2 * x, seed=0)
    state = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    doubling(lambda x: 2 * x + draw(), seed=0)
    assert drawn[:2] == drawn[2:]
    assert torch.equal(state[0], torch.get_rng_state())
    assert state[1:] == (random.getstate(), np.random.get_state()[1].tolist())


def test_tolerance_is_relative_for_large_numbers_and_absolute_for_small_ones():
    same([1e6 + 1], [1e6])
    same([1e-6], [0.0])
    with pytest.raises(AssertionError):
        same([1.001], [1.0])


WITH_EXERCISES = [path for path in NOTEBOOKS if not path.name.startswith("00")]


EXERCISES = [pytest.param(exercise, id=exercise.name) for path in WITH_EXERCISES for exercise in exercises(path)]


@pytest.mark.parametrize("exercise", EXERCISES)
def test_the_stub_fails_and_the_solution_passes(exercise):
    assert not eval(exercise.check, exercise.names(exercise.stub)).passed  # noqa: S307
    for _ in range(3):  # new inputs each time
        result = eval(exercise.check, exercise.names(exercise.solution))  # noqa: S307
        assert result.passed, str(result)


@pytest.mark.parametrize("exercise", EXERCISES)
def test_an_exercise_names_difficulty_and_minutes_and_folds_its_hint(exercise):
    assert re.search(r"\((easy|medium|hard), \d+ minutes\)", exercise.title)
    assert "<summary>Hint</summary>" in exercise.answers
    assert len(ast.parse(exercise.stub).body) == 1  # one function or class
    assert re.fullmatch(r"checks\.\w+\.\w+\(\w+\)", exercise.check)


@pytest.mark.parametrize("path", WITH_EXERCISES, ids=lambda path: path.stem)
def test_every_notebook_has_three_exercises_and_three_to_five_quiz_questions_with_answers(path):
    assert len(exercises(path)) >= 3
    text = "\n".join(cell.source for cell in cells_of(path) if cell.cell_type == "markdown")
    assert 3 <= text.partition("## Quiz")[2].count("<summary>Answer</summary>") <= 5
