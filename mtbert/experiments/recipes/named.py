"""All named recipes: our own, and those of the reports as ``REPORT/row``."""

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import ModuleType

from mtbert.experiments.recipes.entry import Entry
from mtbert.training.recipe import Recipe, from_dict
from mtbert.utils.errors import UserError, did_you_mean

# each has a module of its name, with _ for -
_REPORTS = ("ahmed-karamardian", "cambronero-meza", "li-tang", "marchini-callon-cussen", "yin")
_OURS = ("ours", "sts")


class _NamedRecipes(Mapping[str, Entry]):
    """Name -> entry. The recipes are built when the first one is asked for."""

    @cached_property
    def _entries(self) -> dict[str, Entry]:
        rows = {row: entry for name in _OURS for row, entry in _module(name).ROWS.items()}
        rows |= {f"{report}/{row}": entry for report in _REPORTS for row, entry in _module(report).ROWS.items()}
        return {name: Entry(entry.recipe.replace(name=name), entry.about) for name, entry in rows.items()}

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


RECIPES: Mapping[str, Entry] = _NamedRecipes()


def _module(name: str) -> ModuleType:
    return import_module(f"{__package__}.{name.replace('-', '_')}")


def report_names() -> list[str]:
    """Names of the reports that have recipes."""
    return list(_REPORTS)


def about_report(report: str) -> str:
    """The title of a report, how its recipes are set up, and what we chose where the report leaves it open."""
    return " ".join((_module(report).__doc__ or "").split())


def recipe(name: str | Path) -> Recipe:
    """The recipe of a given name, or the one in a given recipe.json; UserError if there is none."""
    if str(name) in RECIPES:
        return RECIPES[str(name)].recipe
    path = Path(name)
    if path.suffix != ".json":
        hint = did_you_mean(str(name), RECIPES, "`mtbert recipes` lists them all, or give a recipe.json")
        raise UserError(f"unknown recipe {str(name)!r}: {hint}")
    try:  # numbers that are too long for Python stay text, for Recipe to refuse by name
        fields = json.loads(path.read_text(encoding="utf-8"), parse_int=lambda x: int(x) if len(x) < 1000 else x)
    except FileNotFoundError:
        raise UserError(f"recipe file {path} does not exist") from None
    except OSError as error:
        raise UserError(f"recipe file {path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"recipe file {path} is not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise UserError(f"recipe file {path} holds no fields: it should be one JSON object")
    return from_dict(fields)
