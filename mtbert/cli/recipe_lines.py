"""Named recipes as lines to read: what each is for, what it changes, and what its report prints."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mtbert.experiments.recipes import RECIPES, Entry, about_report, report_names
from mtbert.experiments.report_tables import SCORES, read_tables
from mtbert.training.recipe import Recipe
from mtbert.utils.errors import UserError


def lines(report: str | None = None) -> Iterator[str]:
    """All recipes, or those of one report. Raises UserError for an unknown report."""
    groups: dict[str, dict[str, Entry]] = {}
    for name, entry in RECIPES.items():
        groups.setdefault(name.partition("/")[0] if "/" in name else "", {})[name] = entry
    if report and report not in groups:
        raise UserError(f"no recipe of {report!r}: the reports are {', '.join(report_names())}")
    rows = read_tables()
    for of, entries in groups.items():
        if report and of != report:
            continue
        default = Recipe().as_dict()
        usual = _usual([entry.recipe for entry in entries.values()]) if of else default
        if of:
            yield f"# {of}: {about_report(of)}"
            yield f"# Unless said otherwise, {_changes(usual, default)}"
        for name, entry in entries.items():
            yield f"{name}: {entry.about}"
            yield f"    {_changes(entry.recipe.as_dict(), usual) or 'nothing else'}"
            for row in rows[rows.recipe == name].to_dict("records"):
                yield f"    {_printed(row)}"


def _usual(recipes: Sequence[Recipe]) -> dict[str, Any]:
    """What most of the recipes have in each field, and in one with a value for each task, for each task."""
    all_fields = [recipe.as_dict() for recipe in recipes]
    return {name: _most([fields[name] for fields in all_fields]) for name in all_fields[0]}


def _most(values: Sequence[Any]) -> Any:
    if not isinstance(values[0], dict):
        return max(values, key=values.count)
    tasks = dict.fromkeys(task for value in values for task in value)
    return {task: _most([value[task] for value in values if task in value]) for task in tasks}


def _changes(fields: Mapping[str, Any], usual: Mapping[str, Any]) -> str:
    """In which fields a recipe differs from what is usual, as ``--set`` takes them: lr=0.001, batch_size.sst=8."""
    tasks = fields["tasks"]
    unless_told = Recipe(tasks=tasks).as_dict()
    words = []
    for name, value in fields.items():
        if not isinstance(value, dict):
            if name != "name" and value != usual[name]:
                words.append(f"{name}={_as_set(value)}")
            continue
        before = {task: each for task, each in {**unless_told[name], **usual[name]}.items() if task in tasks}
        changed = {task: each for task, each in value.items() if before.get(task) != each}
        if before.keys() - value.keys():
            words.append(f"{name}={_as_set(value)}")
        elif len(changed) == len(tasks) and len(set(changed.values())) == 1:
            words.append(f"{name}={_as_set(next(iter(changed.values())))}")
        else:
            words += [f"{name}.{task}={_as_set(each)}" for task, each in changed.items()]
    return ", ".join(words)


def _as_set(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _printed(row: Mapping[str, Any]) -> str:
    """A printed row on one line: where, figures, how its overall score is made, what to know of it."""
    words = [f"{name} {row[name]:g}" for name in (*SCORES, "overall") if row[name] == row[name]]
    how = {"": "", "neither": " (no mean of these)"}.get(row["definition"], f" ({row['definition']})")
    note = f"; {row['note']}" if row["note"] else ""
    where = row["section"] if row["table"] == "text" else row["table"]
    return f"printed ({where}, {row['split']}): {', '.join(words)}{how}{note}"
