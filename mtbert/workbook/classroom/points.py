"""What exercises are worth: a small TOML file."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtbert.utils.errors import UserError, did_you_mean, shorten
from mtbert.workbook.classroom.exercises import choose_notebooks, exercises


@dataclass(frozen=True)
class Points:
    """What an exercise is worth; extra credit counts for a student, but not for the maximum."""

    worth: Mapping[str, float]
    extra: frozenset[str] = frozenset()

    @property
    def maximum(self) -> float:
        return sum(points for id, points in self.worth.items() if id not in self.extra)


def read_points(path: Path | None, ids: Sequence[str]) -> Points:
    """The points of exercises from a TOML file such as::

        default = 1
        extra_credit = ["reports.holm"]

        [points]
        "attention.heads" = 2

    Args:
        path: The file; None gives a point to each exercise.
        ids: The exercises that are graded.

    Raises:
        UserError: if the file cannot be read, or names an unknown exercise or something that is no number of points.
    """
    if path is None:
        return Points(dict.fromkeys(ids, 1.0))
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid TOML: {error}") from None
    known = ("default", "extra_credit", "points")
    for name in table:
        if name not in known:
            hint = did_you_mean(name, known, f"use {', '.join(known)}")
            raise UserError(f"{path}: unknown key {shorten(name)}: {hint}")
    default, extra, given = table.get("default", 1), table.get("extra_credit", []), table.get("points", {})
    if not isinstance(given, dict):
        raise UserError(f"{path}: points is {shorten(given)}, but should be a table, [points]")
    if not isinstance(extra, list) or not all(isinstance(id, str) for id in extra):
        raise UserError(f"{path}: extra_credit is {shorten(extra)}, but should be a list of exercises")
    worth = dict(_flat(given))
    every = {exercise.id for notebook in choose_notebooks() for exercise in exercises(notebook)}
    for id in [*worth, *extra]:
        if id not in every:
            raise UserError(f"{path}: there is no exercise {shorten(id)}: {did_you_mean(id, every, 'see grades.csv')}")
    for id, value in {"default": default, **worth}.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 <= value < float("inf"):
            raise UserError(f"{path}: {id} is {shorten(value)}, but should be a number of points, 0 or more")
    return Points({id: float(worth.get(id, default)) for id in ids}, frozenset(extra))


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """A table by full names: TOML reads an unquoted ``attention.heads = 2`` as a table in a table."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
