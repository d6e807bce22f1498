"""Named recipes as lines of text: what each is for, which fields it changes, and what its report prints."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mtbert.experiments.recipes import RECIPES, Entry, about_report, report_names
from mtbert.experiments.report_tables import SCORES, read_tables
from mtbert.training.recipe import Recipe
from mtbert.utils import paths
from mtbert.utils.errors import UserError, shorten
from mtbert.utils.logging import logger


def lines(report: str | None = None) -> Iterator[str]:
    """All recipes, or those of one report. Raises UserError for an unknown report."""
    by_report: dict[str, dict[str, Entry]] = {}
    for name, entry in RECIPES.items():
        by_report.setdefault(name.partition("/")[0] if "/" in name else "", {})[name] = entry
    if report and report not in by_report:
        raise UserError(f"no recipe of {shorten(report)}: the reports are {', '.join(report_names())}")
    printed_rows: dict[str, list[Mapping[str, Any]]] = {}
    for row in read_tables().to_dict("records"):
        printed_rows.setdefault(row["recipe"], []).append(row)
    if not printed_rows:
        logger.warning(f"{paths.display_path(paths.REPORTS)} holds no tables: what the reports print is left out")
    for title, entries in by_report.items():
        if report and title != report:
            continue
        defaults = Recipe().as_dict()
        common = _common_values([entry.recipe for entry in entries.values()]) if title else defaults
        if title:
            yield f"# {title}: {about_report(title)}"
            yield f"# Most rows have: {_changes(common, defaults)}"
        for name, entry in entries.items():
            yield f"{name}: {entry.about}"
            yield f"    {_changes(entry.recipe.as_dict(), common) or 'no changes'}"
            for row in printed_rows.get(name, ()):
                yield f"    {_printed_scores(row)}"


def _common_values(recipes: Sequence[Recipe]) -> dict[str, Any]:
    """The most common value of each field; of a field with a value per task, the most common one for each task."""
    all_fields = [recipe.as_dict() for recipe in recipes]
    return {name: _most_common([fields[name] for fields in all_fields]) for name in all_fields[0]}


def _most_common(values: Sequence[Any]) -> Any:
    if not isinstance(values[0], dict):
        return max(values, key=values.count)
    tasks = dict.fromkeys(task for value in values for task in value)
    return {task: _most_common([value[task] for value in values if task in value]) for task in tasks}


def _changes(fields: Mapping[str, Any], common: Mapping[str, Any]) -> str:
    """The fields that differ from the common values, as ``--set`` takes them: lr=0.001, batch_size.sst=8."""
    tasks = fields["tasks"]
    defaults = Recipe(tasks=tasks).as_dict()
    changes = []
    for name, value in fields.items():
        if not isinstance(value, dict):
            if name != "name" and value != common[name]:
                changes.append(f"{name}={_as_set(value)}")
            continue
        before = {task: old for task, old in {**defaults[name], **common[name]}.items() if task in tasks}
        changed = {task: new for task, new in value.items() if before.get(task) != new}
        if before.keys() - value.keys():
            changes.append(f"{name}={_as_set(value)}")
        elif len(changed) == len(tasks) and len(set(changed.values())) == 1:
            changes.append(f"{name}={_as_set(next(iter(changed.values())))}")
        else:
            changes += [f"{name}.{task}={_as_set(new)}" for task, new in changed.items()]
    return ", ".join(changes)


def _as_set(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _printed_scores(row: Mapping[str, Any]) -> str:
    """A row of a report on one line: where it is printed, its scores, how the overall score is defined, and a note."""
    scores = [f"{name} {row[name]:g}" for name in (*SCORES, "overall") if row[name] == row[name]]
    definition = {"": "", "neither": " (no mean of these)"}.get(row["definition"], f" ({row['definition']})")
    note = f"; {row['note']}" if row["note"] else ""
    where = row["section"] if row["table"] == "text" else row["table"]
    return f"printed ({where}, {row['split']}): {', '.join(scores)}{definition}{note}"
