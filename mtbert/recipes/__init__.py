"""Recipes: what decides a result, and the named ones."""

from mtbert.recipes.entry import Entry
from mtbert.recipes.named import RECIPES, about_report, recipe, reports
from mtbert.recipes.recipe import SURGERIES, Recipe, from_dict, settings
from mtbert.recipes.scale import Scale, scale_of, scaled

__all__ = ["RECIPES", "SURGERIES", "Entry", "Recipe", "Scale", "about_report", "from_dict", "recipe", "reports",
           "scale_of", "scaled", "settings"]  # fmt: skip
