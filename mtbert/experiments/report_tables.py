"""The results tables of the five student reports, as printed, and whether their overall scores add up.

data/reports holds one file per report; its README describes the columns.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from mtbert.data.tasks import OVERALL_TASKS, TASKS, overall
from mtbert.utils import paths
from mtbert.utils.errors import UserError, shorten

CLAIMS_FILE = "claims.csv"  # lies beside the tables; see mtbert.experiments.claims
FACTS_FILE = "facts.csv"  # lies beside the tables; see read_facts
SCORES = tuple(name for name in TASKS if TASKS[name].in_overall)
_TEXT_COLUMNS = ("table", "section", "row", "settings", "split", "recipe")
_NUMBER_COLUMNS = [
    *(*SCORES, "overall"),
    *(f"{task}_{metric}" for task in SCORES for metric in ("f1", "precision", "recall")),
]
_SPLITS = ("train", "dev", "test")
_SCORE_ROUNDING = 0.0005  # scores are printed to three decimals, some without trailing zeros


def read_tables(folder: Path | None = None) -> pd.DataFrame:
    """Read every printed row of the reports (in data/reports by default), and recompute its overall score.

    Returns:
        One row per printed row. Columns: report, those of the files, decimals (of the printed overall score),
        ``plain`` and ``normalised`` (NaN if a score is missing), and ``definition``: which of the two equals the
        printed overall score within rounding, "neither", or "" if there is nothing to compare.

    Raises:
        UserError: a file has an unknown column or an impossible value; the message names file, row and column.
    """
    files = [
        path for path in sorted((folder or paths.REPORTS).glob("*.csv")) if path.name not in (CLAIMS_FILE, FACTS_FILE)
    ]
    if not files:
        return pd.DataFrame()
    table = pd.concat([_read_report(path) for path in files], ignore_index=True)
    return table.assign(**_recomputed(table))


def read_facts() -> pd.DataFrame:
    """Read data/reports/facts.csv: what the reports' texts say beside scores.

    Returns:
        Columns: report, section, fact, value (NaN if no figure is printed), unit, note.
    """
    return pd.read_csv(paths.REPORTS / FACTS_FILE, dtype={"note": str, "unit": str}).fillna({"note": "", "unit": ""})


def printed_scores(folder: Path | None = None) -> dict[str, dict[str, float]]:
    """The printed dev scores of each named recipe: recipe -> metric ("sst", ..., "overall") -> value.

    A recipe may appear in several tables; a value that one of them omits is taken from another.
    """
    table = read_tables(folder)
    if table.empty:
        return {}
    dev = table[(table.split == "dev") & (table.recipe != "")]
    scores = dev.groupby("recipe", sort=False)[[*SCORES, "overall"]].first()
    return {name: row.dropna().to_dict() for name, row in scores.iterrows()}


def matching_definition(scores: Mapping[str, float], printed: float, decimals: int) -> str:
    """Which definition of the overall score yields the printed one: "plain", "normalised", or "neither"."""
    # both sides were rounded: the mean of the scores may be off by as much as one of them
    tolerance = 0.5 * 10**-decimals + _SCORE_ROUNDING + 1e-9
    fitting = (name for name, value in overall(scores).items() if abs(value - printed) <= tolerance)
    return next(fitting, "neither")


def overall_definition(report: str) -> str:
    """The definition, "plain" or "normalised", that most overall scores of a report agree with."""
    table = read_tables()
    table = table[(table.report == report) & table.definition.isin(["plain", "normalised"])]
    if table.empty:
        raise UserError(f"no overall score of {shorten(report)} in {paths.display_path(paths.REPORTS)}")
    return table.definition.mode()[0]


def _recomputed(table: pd.DataFrame) -> dict[str, list]:
    columns: dict[str, list] = {"plain": [], "normalised": [], "definition": []}
    for row in table.to_dict("records"):
        scores = {name: row[name] for name in OVERALL_TASKS}
        for name, value in overall(scores).items():  # NaN if a score is
            columns[name].append(value)
        is_comparable = not any(map(math.isnan, [*scores.values(), row["overall"]]))
        definition = matching_definition(scores, row["overall"], row["decimals"]) if is_comparable else ""
        columns["definition"].append(definition)
    return columns


def _read_report(path: Path) -> pd.DataFrame:
    texts = pd.read_csv(path, dtype=str, keep_default_na=False)
    for column in _TEXT_COLUMNS:
        if column not in texts:
            raise UserError(f"{path.name}, header: no column {column!r}: add it")
    for column in texts.columns:
        if column not in (*_TEXT_COLUMNS, *_NUMBER_COLUMNS, "note"):
            raise UserError(f"{path.name}, header: unknown column {shorten(column)}: rename or remove it")
    table = texts.reindex(columns=[*_TEXT_COLUMNS, *_NUMBER_COLUMNS, "note"], fill_value="")
    for index, row in enumerate(table.to_dict("records"), start=1):
        where = f"{path.name}, row {index}"
        if row["split"] not in _SPLITS:
            raise UserError(f"{where}: split is {shorten(row['split'])}: choose from {', '.join(_SPLITS)}")
        if row["recipe"] and not row["recipe"].startswith(f"{path.stem}/"):
            raise UserError(f"{where}: recipe is {shorten(row['recipe'])}, but must begin with {path.stem}/")
        for column in _NUMBER_COLUMNS:
            _check_number(row[column], column, where)
    decimals = table["overall"].map(lambda text: len(text.partition(".")[2]))
    table[_NUMBER_COLUMNS] = table[_NUMBER_COLUMNS].apply(pd.to_numeric)
    _check_agreement(table, path)
    return table.assign(report=path.stem, decimals=decimals)[["report", *table.columns, "decimals"]]


def _check_number(text: str, column: str, where: str) -> None:
    lowest = -1 if column in ("sts", "overall") else 0  # a correlation may be negative
    try:
        is_valid = not text or lowest <= float(text) <= 1
    except ValueError:
        is_valid = False
    if not is_valid:
        raise UserError(f"{where}: {column} is {shorten(text)}, but must be a number from {lowest} to 1, or empty")


def _check_agreement(table: pd.DataFrame, path: Path) -> None:
    """All rows of one recipe and split must print the same value of a metric."""
    distinct = table[table.recipe != ""].groupby(["recipe", "split"])[[*SCORES, "overall"]].nunique()
    for (recipe, split), counts in distinct.iterrows():
        for column in counts.index[counts > 1]:
            raise UserError(f"{path.name}: the rows of {recipe} on {split} print two values of {column}: correct one")
