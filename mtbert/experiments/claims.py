"""Claims: what the five reports conclude from their tables. Each claim compares two rows on one metric.

The statements, in our words, are in data/reports/claims.csv; the figures come from the reports' tables.
"""

import csv
import functools
import math
from dataclasses import dataclass
from typing import Literal

from mtbert.experiments.recipes import RECIPES
from mtbert.experiments.report_tables import CLAIMS_FILE, overall_definition
from mtbert.utils import paths
from mtbert.utils.errors import UserError

Direction = Literal["better", "worse", "alike", "no better"]
MARGIN = 0.01  # Li & Tang call scores within one percent very similar
# the interval that holds the difference of the two rows if the claim is true
REGIONS: dict[Direction, tuple[float, float]] = {
    "better": (0.0, math.inf),
    "worse": (-math.inf, 0.0),
    "alike": (-MARGIN, MARGIN),
    "no better": (-math.inf, MARGIN),
}
TITLES = {  # of every report that has claims
    "ahmed-karamardian": "Ahmed & Karamardian",
    "cambronero-meza": "Cambronero & Meza",
    "li-tang": "Li & Tang",
    "marchini-callon-cussen": "Marchini et al.",
    "yin": "Yin",
}


@dataclass(frozen=True)
class Claim:
    """A report says that a row is better (or worse, alike, no better) than another, the baseline, on a metric."""

    report: str  # its short name, such as "li-tang"
    topic: str  # the question that the claim answers; several reports may share it
    statement: str
    row: str  # a recipe, without the report's name, like the baseline
    baseline: str
    metric: str  # a task, or "overall" in the report's own definition
    direction: Direction

    @property
    def recipes(self) -> tuple[str, str]:
        """Full names of the recipes of row and baseline."""
        return f"{self.report}/{self.row}", f"{self.report}/{self.baseline}"

    @property
    def region(self) -> tuple[float, float]:
        """The interval that holds the difference if the claim is true."""
        return REGIONS[self.direction]

    @property
    def score(self) -> str:
        """The metric's name in recorded runs: a task, "plain" or "normalised"."""
        return _overall_definition(self.report) if self.metric == "overall" else self.metric

    @property
    def printed(self) -> float:
        """The printed difference, row minus baseline; NaN if one of the two figures is not printed."""
        row, baseline = (RECIPES[name].printed.get(self.metric, math.nan) for name in self.recipes)
        return round(row - baseline, 4)

    @property
    def supported_by_report(self) -> str:
        """Whether the report's own figures support the claim: "yes", "no", or "not printed"."""
        if math.isnan(self.printed):
            return "not printed"
        low, high = self.region
        return "yes" if low < self.printed < high else "no"


_overall_definition = functools.cache(overall_definition)  # each call reads all of data/reports


def load_claims() -> tuple[Claim, ...]:
    """Read and check data/reports/claims.csv."""
    path = paths.REPORTS / CLAIMS_FILE
    with open(path, encoding="utf-8", newline="") as file:
        claims = tuple(Claim(**row) for row in csv.DictReader(file))  # type: ignore[arg-type]  # checked below
    for index, claim in enumerate(claims, start=1):
        where = f"{paths.display_path(path)}, row {index}"
        for name in claim.recipes:
            if name not in RECIPES:
                raise UserError(f"{where}: unknown recipe {name!r}: correct row or baseline")
        if claim.direction not in REGIONS:
            raise UserError(f"{where}: direction is {claim.direction!r}: choose from {', '.join(REGIONS)}")
    return claims
