"""The reports' claims tested on recorded runs.

The rule, the same for all claims:

1. Runs are paired by seed, and every claim has its own seed variance. Variances are not pooled over rows: some rows of
   a report vary thirty times as much as others. For the error see ``mtbert.experiments.statistics``.
2. A claim is tested if three seeds could decide it: if a difference as large as the printed one would lead to a verdict
   in 80 % of such studies, at the 5 % level and without a correction (see ``plan``). Other claims are "underpowered".
3. A verdict takes three seeds of both rows. The p values are corrected for all claims that are tested (Holm).

``mtbert.experiments.simulation`` checks the rule on synthetic runs whose true differences are known.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from mtbert.experiments.claims import TITLES, Claim, load_claims
from mtbert.experiments.report_tables import SCORES
from mtbert.experiments.statistics import (
    PLANNED_SEEDS,
    POWER,
    EffectEstimate,
    RowVariance,
    SeedVariance,
    StudyNoise,
    holm,
)
from mtbert.utils.errors import UserError

_ROUNDING = 1e-3  # recorded predictions are rounded, so differences computed from them may be off by less than this


class Records:
    """Recorded runs and comparisons, by row and score."""

    def __init__(self, runs: pd.DataFrame, comparisons: pd.DataFrame):
        self._runs = runs
        self._scores: dict[tuple, dict[int, float]] = defaultdict(dict)  # (recipe, score) -> seed -> value
        for score in {*SCORES, "plain", "normalised"} & {*runs}:
            for recipe, seed, value in zip(runs.recipe, runs.seed, runs[score], strict=True):
                if not math.isnan(value):
                    self._scores[recipe, score][seed] = value
        self._compared: dict[tuple, dict] = defaultdict(dict)  # (row, baseline, metric) -> seeds -> (difference, error)
        names = ["row", "baseline", "metric", "row_seed", "baseline_seed", "difference", "error"]
        for row, baseline, metric, *seeds, difference, error in zip(*(comparisons[n] for n in names), strict=True):
            self._compared[row, baseline, metric][tuple(seeds)] = difference, error

    def differences(self, claim: Claim) -> dict[int, float]:
        """By seed, the difference of a claim's rows, for the seeds that both have."""
        row, baseline = (self._scores.get((name, claim.score), {}) for name in claim.recipes)
        return {seed: value - baseline[seed] for seed, value in row.items() if seed in baseline}

    def bootstrap_variance(self, claim: Claim, seeds: Iterable[int]) -> float:
        """Of the difference within a seed, the mean over these seeds; NaN if one of them was not compared."""
        compared = self._compared.get((*claim.recipes, claim.score), {})
        return float(np.mean([compared.get((seed, seed), (math.nan, math.nan))[1] ** 2 for seed in seeds]))

    def row_variance(self, claim: Claim, seeds: Iterable[int]) -> RowVariance:
        """The variance over dev rows of a claim's difference, from the recorded bootstrap errors."""
        controls = [
            np.mean([error**2 for _, error in self._compared.get((name, name, claim.score), {}).values()] or math.nan)
            for name in claim.recipes
        ]
        return RowVariance.split(self.bootstrap_variance(claim, seeds), float(np.mean(controls)))

    def check(self, claim: Claim) -> None:
        """Refuse comparisons of other runs than the recorded ones."""
        compared = self._compared.get((*claim.recipes, claim.score), {})
        for seed, difference in self.differences(claim).items():
            if abs(compared.get((seed, seed), (difference,))[0] - difference) > _ROUNDING:
                raise UserError(
                    f"{claim.recipes[0]} against {claim.recipes[1]}, seed {seed}, {claim.score}: the recorded "
                    "comparison is one of other runs than the recorded ones: record both again"
                )

    def estimate(self, claim: Claim) -> EffectEstimate | None:
        """See ``estimate_effect``."""
        self.check(claim)
        differences = self.differences(claim)
        if not differences:
            return None
        if len(differences) == 1:
            (difference,) = differences.values()
            return EffectEstimate.from_bootstrap(difference, math.sqrt(self.bootstrap_variance(claim, differences)))
        return EffectEstimate.from_seeds_and_rows([*differences.values()], self.row_variance(claim, differences))

    def noise(self, claims: Sequence[Claim]) -> dict[str, StudyNoise]:
        """By score, what a plan assumes: the mean variances of what was recorded, of all reports together."""
        noise = {}
        for score in {claim.score for claim in claims if claim.score in self._runs}:
            differences = {claim: self.differences(claim) for claim in claims if claim.score == score}
            rows = [self.row_variance(claim, seeds) for claim, seeds in differences.items() if len(seeds) > 1]
            rows = [row for row in rows if not math.isnan(row.shared)]  # a run that was never compared says nothing
            shared, per_seed = (
                np.mean([getattr(row, part) for row in rows] or math.nan) for part in ("shared", "per_seed")
            )
            std = SeedVariance.pooled(self._runs, score).std
            noise[score] = StudyNoise(2 * std**2, RowVariance(float(shared), float(per_seed)))
        return noise


def estimate_effect(claim: Claim, runs: pd.DataFrame, comparisons: pd.DataFrame) -> EffectEstimate | None:
    """The measured difference of a claim's rows over the seeds that both have; None if there is no such seed.

    A single seed has an error over dev rows only: it compares two trained models and not two methods. For ``runs`` and
    ``comparisons`` see ``verdicts``.

    Raises:
        UserError: ``comparisons`` and ``runs`` have different differences.
    """
    return Records(runs, comparisons).estimate(claim)


def plan(runs: pd.DataFrame, comparisons: pd.DataFrame, claims: Sequence[Claim] | None = None) -> pd.DataFrame:
    """Which claims three seeds can decide, and how many seeds the others need, if the printed differences are true.

    The verdicts of a study do not change its plan: the variances that it assumes are means over all reports (see
    ``verdicts`` for the arguments). It does not correct for several claims, so it is rather too hopeful.

    Returns:
        One line per claim. Columns: report, claim, metric, direction, printed, power (with three seeds), seeds (that
        are needed; infinite if a hundred are too few). NaN for a claim without a printed difference or known variance.
    """
    claims = load_claims() if claims is None else claims
    noise = Records(runs, comparisons).noise(claims)
    lines = []
    for claim, power in zip(claims, _powers(claims, noise), strict=True):
        seeds = math.nan if math.isnan(power) else noise[claim.score].seeds_needed(claim.region, claim.printed)
        lines.append(
            (TITLES[claim.report], claim.statement, claim.metric, claim.direction, claim.printed, power, seeds)
        )
    return pd.DataFrame(lines, columns=["report", "claim", "metric", "direction", "printed", "power", "seeds"])


def _powers(claims: Sequence[Claim], noise: Mapping[str, StudyNoise]) -> list[float]:
    return [
        noise[claim.score].power(claim.region, claim.printed, PLANNED_SEEDS) if claim.score in noise else math.nan
        for claim in claims
    ]


def verdicts(runs: pd.DataFrame, comparisons: pd.DataFrame, claims: Sequence[Claim] | None = None) -> pd.DataFrame:
    """Test claims (by default all of the reports) by the rule of this module (see above).

    Args:
        runs: see ``load_runs``.
        comparisons: see ``recorded_comparisons``.

    Returns:
        One line per claim. Columns: report, topic, claim, metric, direction, printed (difference),
        supported_by_report, difference, low, high (95 % interval, not corrected), test (what the interval accounts for,
        and the number of seeds), power (see ``plan``), p, holm (the adjusted p), verdict: "holds", "contradicted" or
        "undecided" by the adjusted p; without a test "underpowered", "too few seeds", or "not measured".
    """
    claims = load_claims() if claims is None else claims
    records = Records(runs, comparisons)
    effects = [records.estimate(claim) for claim in claims]
    powers = _powers(claims, records.noise(claims))
    reasons = [_no_test(effect, power) for effect, power in zip(effects, powers, strict=True)]
    ps = [
        math.nan if reason or effect is None else effect.p(claim.region)
        for claim, effect, reason in zip(claims, effects, reasons, strict=True)
    ]
    lines = []
    for claim, effect, power, reason, p, adjusted in zip(claims, effects, powers, reasons, ps, holm(ps), strict=True):
        difference, low, high = (effect.difference, *effect.interval()) if effect else (math.nan,) * 3
        lines.append(
            {
                "report": TITLES[claim.report],
                "topic": claim.topic,
                "claim": claim.statement,
                "metric": claim.metric,
                "direction": claim.direction,
                "printed": claim.printed,
                "supported_by_report": claim.supported_by_report,
                "difference": difference,
                "low": low,
                "high": high,
                "test": _describe_test(effect),
                "power": power,
                "p": p,
                "holm": adjusted,
                "verdict": reason or effect.verdict(claim.region, adjusted),
            }
        )
    return pd.DataFrame(lines)


def _no_test(effect: EffectEstimate | None, power: float) -> str:
    """Why a claim is not tested, or nothing."""
    if effect is None:
        return "not measured"
    if not power >= POWER:
        return "underpowered"
    return "too few seeds" if effect.seeds < PLANNED_SEEDS or math.isnan(effect.error) else ""


def _describe_test(effect: EffectEstimate | None) -> str:
    if effect is None:
        return ""
    seeds = f"{effect.seeds} seed{'s' if effect.seeds > 1 else ''}"
    return f"none ({seeds})" if math.isnan(effect.error) else f"{effect.sources}, {seeds}"


def controls(comparisons: pd.DataFrame) -> pd.DataFrame:
    """The comparisons of one recipe with itself under another seed, between which no method differs.

    Added columns: low, high (95 % interval over dev rows) and excludes_zero.
    """
    pairs = comparisons[comparisons.row == comparisons.baseline].reset_index(drop=True)
    low, high = EffectEstimate.from_bootstrap(pairs.difference, pairs.error).interval()
    return pairs.assign(low=low, high=high, excludes_zero=(low > 0) | (high < 0))
