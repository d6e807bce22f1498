"""Recipes: what decides a result, and the named ones."""

from mtbert.recipes.entry import Entry
from mtbert.recipes.named import RECIPES, recipe, reports
from mtbert.recipes.recipe import SURGERIES, Recipe, from_dict, settings

__all__ = ["RECIPES", "SURGERIES", "Entry", "Recipe", "from_dict", "recipe", "reports", "settings"]
