"""How an exercise is checked: the learner's function against the reference, property by property, on random inputs.

A check is a generator. It yields a property as a sentence and then tests it; an exception raised before the next yield
means that this property fails. So a check reads like the list that the learner sees::

    @check
    def doubling(answer, draw):
        '''answer(x) -> 2 * x; x of any shape.'''
        x = draw.normal(3, 4)
        yield "keeps the shape"
        shaped(answer(x), 3, 4)
        yield "doubles every number"
        same(answer(x), 2 * x)
"""

import functools
import inspect
import linecache
import random
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

_DOCS = """

Args:
    answer: The learner's function, as described above.
    seed: Repeats the same random inputs; every call draws new ones by default.
    strict: Raise AssertionError, naming the property that fails, instead of returning a Result.
"""


@dataclass(frozen=True)
class Result:
    """Whether every property holds.

    Attributes:
        passed: Whether all of them do.
        lines: A line per property tested, up to the first that fails.
        failed: The property that fails, or "".
        reason: Why it fails, or "".
    """

    passed: bool
    lines: tuple[str, ...]
    failed: str = ""
    reason: str = ""

    def __repr__(self) -> str:
        verdict = "Solved." if self.passed else "Not yet: the line above says what to look at."
        return "\n".join([*self.lines, verdict])


class Draw:
    """Random inputs of one call of a check. The global seed of the notebook is left alone."""

    def __init__(self, seed: int | None = None):
        self.generator = torch.Generator()
        if seed is None:
            self.generator.seed()
        else:
            self.generator.manual_seed(seed)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator)

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator)

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * float(self.uniform())

    def whole(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return int(torch.randint(low, high + 1, (), generator=self.generator))

    def wholes(self, low: int, high: int, *shape: int) -> Tensor:
        return torch.randint(low, high + 1, shape, generator=self.generator)


class AnswerError(AssertionError):
    """The learner's function raised an exception; the message says which, and in which line."""


class Answer:
    """The learner's function as checks see it.

    It works on copies of tensors, so that a function that writes into its arguments cannot spoil the check's own
    inputs. Whatever float type or NumPy value it returns, the check gets tensors of the default float type or plain
    numbers. Its exceptions are raised as AnswerError: any other exception is the check's own.

    Attributes:
        function: What the learner wrote, for exercises that write into their arguments on purpose.
        returned: The type of the last result, in words.
        changed: Whether any call wrote into one of its tensors.
    """

    share_arguments = False  # set by ``untouched``, which looks at the arguments itself

    def __init__(self, function: Callable):
        self.function = function
        self.returned = ""
        self.changed = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.share_arguments or inspect.isclass(self.function):
            given = args
        else:
            given = tuple(_map_leaves(_copy, argument) for argument in args)
        try:
            got = self.function(*given, **kwargs)
        except Exception as error:
            raise AnswerError(f"your function raised {_describe_error(error, self.function)}") from error
        self.changed |= not _same_tensors(given, args)
        self.returned = _describe(got)
        return _map_leaves(_as_plain, got)


def _map_leaves(change: Callable, value: Any) -> Any:
    """Lists, tuples and dicts with every leaf changed; the same object where no leaf is another one."""
    if type(value) is dict:
        changed: Any = {key: _map_leaves(change, leaf) for key, leaf in value.items()}
        return changed if any(changed[key] is not value[key] for key in value) else value
    if type(value) in (list, tuple):
        changed = type(value)(_map_leaves(change, leaf) for leaf in value)
        return changed if any(new is not old for new, old in zip(changed, value, strict=True)) else value
    return change(value)


def _copy(value: Any) -> Any:
    return value.clone() if type(value) is Tensor and not value.requires_grad else value


def _as_plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        value = torch.from_numpy(value.copy())
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.to(torch.get_default_dtype())
    return value


def _same_tensors(some: Any, others: Any) -> bool:
    """Whether tensors in the same places are equal, NaN included."""
    if isinstance(some, Tensor):
        return some is others or torch.equal(some.nan_to_num(), others.nan_to_num())
    if type(some) is dict:
        return all(_same_tensors(some[key], others[key]) for key in some.keys() & others.keys())
    if type(some) in (list, tuple):
        return all(map(_same_tensors, some, others))
    return True


def _describe(value: Any) -> str:
    if isinstance(value, Tensor | np.ndarray):
        return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
    return type(value).__name__


def error_text(error: BaseException) -> str:
    """An exception's message on one line; "" if it fails to describe itself."""
    try:
        return " ".join(str(error).split())
    except BaseException:
        return ""


def _describe_error(error: Exception, function: Callable) -> str:
    """The exception and its message, with the line of the learner's code that led to it."""
    told = f"{type(error).__name__}: {error_text(error)}"
    file = _file(function)
    frames = traceback.walk_tb(error.__traceback__)
    lines = [line for frame, line in frames if frame.f_code.co_filename == file]
    if not lines:
        return told
    source = linecache.getline(file, lines[-1]).strip()
    return f"{told} (line {lines[-1]}: {source})" if source else f"{told} (line {lines[-1]})"


def _file(function: Callable) -> str:
    """The file or notebook cell in which a function or a class with methods stands; "" if it is built in."""
    parts = vars(function).values() if inspect.isclass(function) else [inspect.unwrap(function)]
    return next((part.__code__.co_filename for part in parts if hasattr(part, "__code__")), "")


class Check(Protocol):
    """A check of an exercise, as learners call it."""

    def __call__(self, answer: Callable, *, seed: int | None = None, strict: bool = False) -> Result: ...


def check(properties: Callable[[Any, Draw], Iterator[str]]) -> Check:
    """Turn a generator of properties into a check."""

    @functools.wraps(properties)
    def run(answer: Callable, *, seed: int | None = None, strict: bool = False) -> Result:
        wrapped = Answer(answer)
        with _seeded(seed):
            result = _first_failure(properties(wrapped, Draw(seed)), wrapped)
        if strict and not result.passed:
            raise AssertionError(result.lines[-1])
        return result

    del run.__wrapped__  # so that help() shows the signature of ``run``
    run.__doc__ = inspect.cleandoc(properties.__doc__ or "") + _DOCS
    return run


@contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    """Seed what the learner's function may draw from, and restore it at the end; without a seed, do nothing."""
    if seed is None:
        yield
        return
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])


def _first_failure(properties: Iterator[str], answer: Answer) -> Result:
    lines: list[str] = []
    current = None
    try:
        for sentence in properties:
            if current is not None:
                lines.append(f"[ OK ] {current}")
            current = sentence
        if answer.changed:
            lines.append(f"[ OK ] {current}")
            current = "leaves its arguments as they were"
            raise AssertionError("a tensor was changed in place: make a new one, x = x / 2 instead of x /= 2")
    except Exception as error:
        if current is None:  # the check itself is broken
            raise
        reason = _reason(error, answer)
        return Result(False, (*lines, f"[FAIL] {current}: {reason}"), current, reason)
    return Result(True, (*lines, f"[ OK ] {current}"))


def _reason(error: Exception, answer: Answer) -> str:
    message = error_text(error)
    if isinstance(error, AssertionError):
        return message or "it does not hold"
    return f"the check cannot use what your function returned, {answer.returned} ({type(error).__name__}: {message})"


def expect(holds: bool | Tensor, otherwise: str) -> None:
    """Fail the property with the given reason unless ``holds``."""
    if not holds:
        raise AssertionError(otherwise)


def returned(got: Any) -> Any:
    """Pass on what the learner's function returned; fail the property if it is None."""
    expect(got is not None, "your function returned nothing; is there a return?")
    return got


def several(got: Any, *names: str) -> Any:
    """Pass on ``got``; fail the property unless it holds one thing for each name."""
    expected = ", ".join(names)
    tensor = isinstance(got, Tensor) and (got.dim() == 0 or len(got) != len(names))
    listed = hasattr(returned(got), "__len__") and not isinstance(got, dict | set | str)
    one = f"tensor of shape {tuple(got.shape)}" if tensor else type(got).__name__
    expect(listed and not tensor, f"it should return {expected}, not one {one}")
    expect(len(got) == len(names), f"it returned {len(got)} things, but should return {len(names)}: {expected}")
    return got


def by_key(got: Any, keys: Iterable[str]) -> list[float]:
    """The numbers of a dict in the order of ``keys``; fail the property unless ``got`` is a dict with these keys."""
    expect(isinstance(got, dict), f"your function returned {type(got).__name__}, not a dict")
    expect(set(got) == set(keys), f"the dict should have the keys {[*keys]}, but has {[*got]}")
    return [float(got[key]) for key in keys]


def shaped(got: Any, *shape: int) -> Tensor:
    """Convert ``got`` to a tensor; fail the property unless it has the shape."""
    try:
        got = torch.as_tensor(returned(got)).detach()
    except (TypeError, ValueError, RuntimeError):
        raise AssertionError(f"your function returned {type(got).__name__}, not numbers") from None
    expect(got.shape == shape, f"the shape is {tuple(got.shape)}, but should be {shape}")
    return got


def same(got: Any, expected: Tensor | float | Sequence, tolerance: float = 1e-4) -> None:
    """Fail the property unless ``got`` has the shape and the values of ``expected``.

    Values may differ by ``tolerance`` times the expected value, or times 1 for values below 1.
    """
    expected = torch.as_tensor(expected).detach().double()
    got = shaped(got, *expected.shape).double()
    expect(got.isfinite().all() or not expected.isfinite().all(), "some numbers are NaN or infinite")
    difference = (got - expected).abs() / expected.abs().clamp(min=1)
    if expected.numel() and difference.max() > tolerance:
        entry = tuple(int(i) for i in torch.unravel_index(difference.argmax(), expected.shape))
        name = f"entry {list(entry)} is" if entry else "it is"
        raise AssertionError(f"{name} {got[entry]:.4g}, but should be {expected[entry]:.4g}")


def equal(got: Any, expected: Any, case: str) -> None:
    """Fail the property unless ``got == expected``, naming the case that was tried."""
    expect(got == expected, f"{case}: it is {got!r}, but should be {expected!r}")


def no_known_mistake(got: Tensor, expected: Tensor, mistakes: dict[str, Tensor]) -> None:
    """Fail the property unless ``got`` is ``expected``; where it is the result of a known mistake, name that."""
    if not torch.allclose(got, expected, atol=1e-4):
        for name, result in mistakes.items():
            expect(not torch.allclose(got, result, atol=1e-4), name)
    same(got, expected)


def untouched(answer: Callable, *tensors: Tensor) -> None:
    """Fail the property if ``answer(*tensors)`` writes into its arguments."""
    arguments = [tensor.clone() for tensor in tensors]
    Answer.share_arguments = True
    try:
        answer(*arguments)
    finally:
        Answer.share_arguments = False
    for index, (now, before) in enumerate(zip(arguments, tensors, strict=True), start=1):
        expect(torch.equal(now, before), f"tensor {index} of the arguments was changed in place: begin with a clone")
