"""What a named recipe is."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mtbert.training.recipe import Recipe
from mtbert.utils import paths


@dataclass(frozen=True)
class Entry:
    """A named recipe, and in a few words what it is for."""

    recipe: Recipe
    about: str

    @property
    def printed(self) -> Mapping[str, float]:
        """The dev scores that its report prints, by task or "overall". They are read from data/reports when asked for;
        our own recipes have none."""
        return _printed(paths.REPORTS).get(self.recipe.name, {}) if "/" in self.recipe.name else {}


@cache
def _printed(folder: Path) -> dict[str, dict[str, float]]:
    from mtbert.experiments.report_tables import printed_scores  # it loads pandas

    return printed_scores(folder)
