"""All named recipes: our own, and those of the reports as ``REPORT/row``."""

from collections.abc import Mapping
from pathlib import Path

from mtbert.experiments.recipes import (
    ahmed_karamardian,
    cambronero_meza,
    li_tang,
    marchini_callon_cussen,
    ours,
    sts,
    yin,
)
from mtbert.experiments.recipes.entry import Entry
from mtbert.training.recipe import Recipe, from_dict
from mtbert.utils.errors import UserError, did_you_mean, shorten
from mtbert.utils.json_files import read_object

_OURS = (ours, sts)
_REPORTS = {
    "ahmed-karamardian": ahmed_karamardian,
    "cambronero-meza": cambronero_meza,
    "li-tang": li_tang,
    "marchini-callon-cussen": marchini_callon_cussen,
    "yin": yin,
}
_ROWS = {name: entry for module in _OURS for name, entry in module.ROWS.items()} | {
    f"{report}/{row}": entry for report, module in _REPORTS.items() for row, entry in module.ROWS.items()
}
RECIPES: Mapping[str, Entry] = {
    name: Entry(entry.recipe.replace(name=name), entry.about) for name, entry in _ROWS.items()
}


def report_names() -> list[str]:
    """Names of the reports that have recipes."""
    return list(_REPORTS)


def about_report(report: str) -> str:
    """The title of a report, how its recipes are set up, and what we chose where the report leaves it open."""
    return " ".join((_REPORTS[report].__doc__ or "").split())


def recipe(name: str | Path) -> Recipe:
    """The recipe of a given name, or the one in a given recipe.json; UserError if there is none."""
    if str(name) in RECIPES:
        return RECIPES[str(name)].recipe
    path = Path(name)
    if path.suffix != ".json":
        hint = did_you_mean(str(name), RECIPES, "`mtbert recipes` lists them all, or give a recipe.json")
        raise UserError(f"unknown recipe {shorten(str(name))}: {hint}")
    fields = read_object(path, "give a recipe.json, such as a run's")
    try:
        return from_dict(fields)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
