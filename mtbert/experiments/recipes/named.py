"""All named experiments: our own, and every row of the reports, as ``REPORT/row``."""

import json
from pathlib import Path

from mtbert.experiments import reports as printed_reports
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
from mtbert.utils.errors import UserError

_REPORTS = {
    "ahmed-karamardian": ahmed_karamardian,
    "cambronero-meza": cambronero_meza,
    "li-tang": li_tang,
    "marchini-callon-cussen": marchini_callon_cussen,
    "yin": yin,
}


def _named() -> dict[str, Entry]:
    found = {**ours.ROWS, **sts.ROWS}
    for report, module in _REPORTS.items():
        found |= {f"{report}/{row}": entry for row, entry in module.ROWS.items()}
    printed = printed_reports.printed()
    return {
        name: Entry(entry.recipe.replace(name=name), entry.about, printed.get(name, entry.printed))
        for name, entry in found.items()
    }


RECIPES: dict[str, Entry] = _named()


def reports() -> list[str]:
    """Names of the reports that have recipes."""
    return list(_REPORTS)


def about_report(report: str) -> str:
    """Title of a report, and in a few sentences how its rows are set up and what was chosen where it leaves that open.

    Raises KeyError for an unknown one.
    """
    return " ".join(_REPORTS[report].__doc__.split())


def recipe(name: str | Path) -> Recipe:
    """The recipe of that name, or from that recipe.json. Raises UserError if there is none, or it cannot be used."""
    if str(name) in RECIPES:
        return RECIPES[str(name)].recipe
    path = Path(name)
    if path.suffix != ".json":
        raise UserError(f"unknown recipe {str(name)!r}: choose from {', '.join(RECIPES)}, or give a recipe.json")
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"recipe file {path} does not exist") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"recipe file {path} is not JSON: {error}") from None
    if not isinstance(written, dict):
        raise UserError(f"recipe file {path} holds no fields: it should be one JSON object")
    return from_dict(written)
