"""What a named recipe is."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mtbert.training.recipe import Recipe


@dataclass(frozen=True)
class Entry:
    """A named recipe: what it is for, and the figures its report prints for it on dev, if it comes from one.

    printed: in ``RECIPES`` those of data/reports, wherever they hold the recipe.
    """

    recipe: Recipe
    about: str
    printed: Mapping[str, float] = field(default_factory=dict)
