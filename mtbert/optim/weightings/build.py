"""The weightings by the names that recipes use (field ``surgery``)."""

from collections.abc import Callable
from functools import partial

from mtbert.optim.weightings.gradvac import GradVac
from mtbert.optim.weightings.gramian import Weighting, sum_weights
from mtbert.optim.weightings.pcgrad import pcgrad
from mtbert.optim.weightings.permutations import RandomOrder
from mtbert.optim.weightings.torchjd import TorchJD

# name in a recipe: (GradVac's beta, random order) -> weighting
WEIGHTINGS: dict[str, Callable[[float, RandomOrder], Weighting]] = {
    "sum": lambda beta, order: sum_weights,
    "pcgrad": lambda beta, order: partial(pcgrad, generator=order),
    "gradvac": GradVac,
}


def build_weighting(name: str, tasks: int, beta: float, generator: RandomOrder) -> Weighting:
    """Build a weighting from its name: one of ``WEIGHTINGS``, or "torchjd:NAME" (see ``TorchJD``).

    ``beta`` is GradVac's rate; PCGrad and GradVac draw their random order from ``generator``.
    """
    if name.startswith("torchjd:"):
        return TorchJD(name.removeprefix("torchjd:"), tasks)
    return WEIGHTINGS[name](beta, generator)
