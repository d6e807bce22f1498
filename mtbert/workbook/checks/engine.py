"""How an exercise is checked: the learner's function against the reference, property by property, on fresh inputs.

A check is a generator. It yields a property as a sentence and then tests it; whatever is raised before the next yield
means that this property fails. So a check reads like the list that its reader sees:

    @check
    def doubling(answer, draw):
        x = draw.normal(3, 4)
        yield "keeps the shape"
        shaped(answer(x), 3, 4)
        yield "doubles every number"
        same(answer(x), 2 * x)
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Result:
    """passed: whether every property holds. lines: one per property tested, up to the first that fails."""

    passed: bool
    lines: tuple[str, ...]

    def __repr__(self) -> str:
        verdict = "Solved." if self.passed else "Not yet: the line above says what to look at."
        return "\n".join([*self.lines, verdict])


class Draw:
    """Fresh random inputs at every check, or those of a seed. The seed of the notebook is left alone."""

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


def check(properties: Callable[[Callable, Draw], Iterator[str]]) -> Callable[[Callable], Result]:
    """Make a check out of a generator of properties."""

    @functools.wraps(properties)
    def run(answer: Callable) -> Result:
        lines: list[str] = []
        said = None
        try:
            for sentence in properties(answer, Draw()):
                if said is not None:
                    lines.append(f"[ OK ] {said}")
                said = sentence
        except Exception as error:
            if said is None:  # the check itself is broken
                raise
            return Result(False, (*lines, f"[FAIL] {said}: {_why(error)}"))
        return Result(True, (*lines, f"[ OK ] {said}"))

    return run


def expect(holds: bool | Tensor, otherwise: str) -> None:
    """The property fails, for the reason given, unless ``holds``."""
    if not holds:
        raise AssertionError(otherwise)


def same(got: Any, wanted: Tensor | float | Sequence, tolerance: float = 1e-4) -> None:
    """The property fails unless ``got`` has the shape and the values of ``wanted``, within ``tolerance`` times the
    value, or times 1 for smaller ones."""
    wanted = torch.as_tensor(wanted).detach().double()
    got = shaped(got, *wanted.shape).double()
    expect(got.isfinite().all() or not wanted.isfinite().all(), "some numbers are NaN or infinite")
    apart = (got - wanted).abs() / wanted.abs().clamp(min=1)
    if wanted.numel() and apart.max() > tolerance:
        entry = tuple(int(i) for i in torch.unravel_index(apart.argmax(), wanted.shape))
        name = f"entry {list(entry)} is" if entry else "it is"
        raise AssertionError(f"{name} {got[entry]:.4g}, but should be {wanted[entry]:.4g}")


def untouched(answer: Callable, *tensors: Tensor) -> None:
    """The property fails if ``answer(*tensors)`` writes into its arguments."""
    given = [tensor.clone() for tensor in tensors]
    answer(*given)
    for number, (now, before) in enumerate(zip(given, tensors, strict=True), start=1):
        expect(torch.equal(now, before), f"tensor {number} of the arguments was changed in place: begin with a clone")


def shaped(got: Any, *shape: int) -> Tensor:
    """``got`` as a tensor; the property fails unless it is one of that shape."""
    expect(got is not None, "your function returned nothing; is there a return?")
    try:
        got = torch.as_tensor(got).detach()
    except (TypeError, ValueError, RuntimeError):
        raise AssertionError(f"your function returned {type(got).__name__}, not numbers") from None
    expect(got.shape == shape, f"the shape is {tuple(got.shape)}, but should be {shape}")
    return got


def _why(error: Exception) -> str:
    if isinstance(error, AssertionError):
        return " ".join(str(error).split()) or "it does not hold"
    return f"your function raised {type(error).__name__}: {' '.join(str(error).split())}"
