"""What a named recipe is."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mtbert.training.recipe import Recipe
from mtbert.utils import paths

# the course's settings, from which the reports start
COURSE = Recipe(
    encoder="bert-base-uncased",
    pooling="cls",
    epochs=10,
    lr=1e-5,
    lr_schedule="constant",
    warmup_ratio=0,
    max_grad_norm=0,
    head_dropout=0.3,
    overlap="drop",
)


@dataclass(frozen=True)
class Entry:
    """A named recipe, and in a few words what it is for."""

    recipe: Recipe
    about: str

    @property
    def printed(self) -> Mapping[str, float]:
        """The dev scores that its report prints, by task or "overall"; none for our own recipes."""
        return _printed(paths.REPORTS).get(self.recipe.name, {}) if "/" in self.recipe.name else {}


@cache
def _printed(folder: Path) -> dict[str, dict[str, float]]:
    from mtbert.experiments.report_tables import printed_scores  # it loads pandas

    return printed_scores(folder)
