"""How an exercise is checked: the learner's function against the reference, property by property, on random inputs.

A check is a generator. It yields a property as a sentence and then tests it; an exception raised before the next yield
means that this property fails. So a check reads like the list that the learner sees:

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
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

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
    """Whether every property holds, and a line per property tested, up to the first that fails."""

    passed: bool
    lines: tuple[str, ...]

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


class Check(Protocol):
    """A check of an exercise, as learners call it."""

    def __call__(self, answer: Callable, *, seed: int | None = None, strict: bool = False) -> Result: ...


def check(properties: Callable[[Callable, Draw], Iterator[str]]) -> Check:
    """Turn a generator of properties into a check."""

    @functools.wraps(properties)
    def run(answer: Callable, *, seed: int | None = None, strict: bool = False) -> Result:
        result = _first_failure(properties(answer, Draw(seed)))
        if strict and not result.passed:
            raise AssertionError(result.lines[-1])
        return result

    del run.__wrapped__  # so that help() shows the signature of ``run``
    run.__doc__ = inspect.cleandoc(properties.__doc__ or "") + _DOCS
    return run


def _first_failure(properties: Iterator[str]) -> Result:
    lines: list[str] = []
    current = None
    try:
        for sentence in properties:
            if current is not None:
                lines.append(f"[ OK ] {current}")
            current = sentence
    except Exception as error:
        if current is None:  # the check itself is broken
            raise
        return Result(False, (*lines, f"[FAIL] {current}: {_reason(error)}"))
    return Result(True, (*lines, f"[ OK ] {current}"))


def _reason(error: Exception) -> str:
    message = " ".join(str(error).split())
    if isinstance(error, AssertionError):
        return message or "it does not hold"
    return f"your function raised {type(error).__name__}: {message}"


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
    expect(hasattr(returned(got), "__len__"), f"it should return {expected}, not one {type(got).__name__}")
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
    answer(*arguments)
    for index, (now, before) in enumerate(zip(arguments, tensors, strict=True), start=1):
        expect(torch.equal(now, before), f"tensor {index} of the arguments was changed in place: begin with a clone")
