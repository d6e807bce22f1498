"""What the five student reports print: every row of their results tables, checked for whether it adds up.

data/reports holds a file per report and says what its columns mean.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from mtbert.data.tasks import TASKS
from mtbert.training.evaluation import overall
from mtbert.utils import paths
from mtbert.utils.errors import UserError

SCORES = tuple(name for name in TASKS if TASKS[name].in_overall)
_IN_OVERALL = ("sst", "quora", "sts")  # the course's overall scores need these three
_WORDS = ("table", "section", "row", "settings", "split", "recipe")
_SPLITS = ("train", "dev", "test")
_METRICS = ("f1", "precision", "recall")
# scores are printed to three decimals, some without their trailing zeros
_SCORE_ROUNDING = 0.0005


def read(folder: Path | None = None) -> pd.DataFrame:
    """Every printed row of the reports in ``folder`` (default data/reports), with what its overall score comes to.

    Columns: report, those of the files, and ``plain``, ``normalised`` (NaN where a score is missing) and
    ``definition``: the one whose value is the printed overall score within rounding, "neither", or "" where there is
    nothing to compare. Raises UserError, naming file, row and column, for what cannot be printed so.
    """
    files = sorted((folder or paths.REPORTS).glob("*.csv"))
    table = pd.concat([_read_report(path) for path in files], ignore_index=True) if files else pd.DataFrame()
    return table.assign(**_recomputed(table)) if files else table


def printed(folder: Path | None = None) -> dict[str, dict[str, float]]:
    """The dev scores that are printed for each named recipe: recipe -> score or "overall" -> figure.

    A recipe may stand in several tables; a figure that one of them leaves out is taken from another.
    """
    table = read(folder)
    if table.empty:
        return {}
    dev = table[(table.split == "dev") & (table.recipe != "")]
    first = dev.groupby("recipe", sort=False)[[*SCORES, "overall"]].first()
    return {name: row.dropna().to_dict() for name, row in first.iterrows()}


def definition(scores: Mapping[str, float], figure: float, decimals: int) -> str:
    """Which overall score of the three tasks is the printed ``figure``: "plain", "normalised", or "neither".

    Both sides are rounded: the figure to ``decimals``, and each score, so that their mean may be off by as much as one.
    """
    slack = 0.5 * 10**-decimals + _SCORE_ROUNDING + 1e-9
    for name, value in overall(scores).items():
        if abs(value - figure) <= slack:
            return name
    return "neither"


def definition_used(report: str, folder: Path | None = None) -> str:
    """The definition, "plain" or "normalised", that most of a report's overall scores agree with.

    Raises UserError for a report that prints none.
    """
    table = read(folder)
    found = table[(table.report == report) & table.definition.isin(["plain", "normalised"])] if len(table) else table
    if found.empty:
        raise UserError(f"no overall score of {report!r} in {paths.shown(folder or paths.REPORTS)}")
    return found.definition.mode()[0]


def _recomputed(table: pd.DataFrame) -> dict[str, list]:
    found: dict[str, list] = {"plain": [], "normalised": [], "definition": []}
    for row in table.to_dict("records"):
        scores = {name: row[name] for name in _IN_OVERALL}
        whole = not any(math.isnan(score) for score in scores.values())
        for name, value in overall(scores).items():
            found[name].append(value if whole else math.nan)
        checked = whole and not math.isnan(row["overall"])
        found["definition"].append(definition(scores, row["overall"], row["decimals"]) if checked else "")
    return found


def _read_report(path: Path) -> pd.DataFrame:
    texts = pd.read_csv(path, dtype=str, keep_default_na=False)
    numbers = [*SCORES, "overall", *(f"{task}_{metric}" for task in SCORES for metric in _METRICS)]
    for column in _WORDS:
        if column not in texts:
            raise UserError(f"{path.name}, header: no column {column!r}: add it")
    for column in texts.columns:
        if column not in (*_WORDS, *numbers, "note"):
            raise UserError(f"{path.name}, header: unknown column {column!r}: rename or remove it")
    table = texts.reindex(columns=[*_WORDS, *numbers, "note"], fill_value="")
    for at, row in enumerate(table.to_dict("records"), start=1):
        where = f"{path.name}, row {at}"
        if row["split"] not in _SPLITS:
            raise UserError(f"{where}: split is {row['split']!r}: choose from {', '.join(_SPLITS)}")
        if row["recipe"] and not row["recipe"].startswith(f"{path.stem}/"):
            raise UserError(f"{where}: recipe is {row['recipe']!r}, but must begin with {path.stem}/")
        for column in numbers:
            _check_number(row[column], column, where)
    decimals = table["overall"].map(lambda text: len(text.partition(".")[2]))
    table[numbers] = table[numbers].apply(pd.to_numeric)
    _check_agreement(table, path)
    return table.assign(report=path.stem, decimals=decimals)[["report", *table.columns, "decimals"]]


def _check_number(text: str, column: str, where: str) -> None:
    low = -1 if column in ("sts", "overall") else 0  # a correlation may be negative
    try:
        fits = not text or low <= float(text) <= 1
    except ValueError:
        fits = False
    if not fits:
        raise UserError(f"{where}: {column} is {text!r}, but must be a number from {low} to 1, or empty")


def _check_agreement(table: pd.DataFrame, path: Path) -> None:
    """The rows of one recipe and split print one figure each, wherever they print one."""
    kinds = table[table.recipe != ""].groupby(["recipe", "split"])[[*SCORES, "overall"]].nunique()
    for (recipe, split), counts in kinds.iterrows():
        for column in counts.index[counts > 1]:
            raise UserError(f"{path.name}: the rows of {recipe} on {split} print two figures for {column}: correct one")
