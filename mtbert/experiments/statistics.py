"""Tests of the reports' claims on recorded runs: a difference, its standard error, a p value, a verdict.

A difference has two sources of error whose squares add up: the choice of dev rows, estimated by the paired bootstrap,
and the seed. The seed variance cannot be estimated from one run, nor well from three. With few seeds it is therefore
pooled over all rows of the report that have several, as in an analysis of variance. If no row has several, the error
compares two trained models, not two methods. A verdict takes three seeds of both rows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from mtbert.experiments.claims import TITLES, Claim, load_claims
from mtbert.experiments.recipes import RECIPES
from mtbert.utils.errors import UserError

MIN_SEEDS = 3  # of both rows, for a verdict
MIN_SEEDS_OWN_VARIANCE = 5  # of both rows, to estimate the seed variance from their own differences
_ROUNDING = 1e-3  # recorded predictions are rounded, so differences computed from them may be off by less than this


@dataclass(frozen=True)
class EffectEstimate:
    """A measured difference of two rows and its standard error."""

    difference: float  # row minus baseline
    error: float  # NaN if it is unknown
    df: float  # degrees of freedom of the error; infinite for the bootstrap
    seeds: int  # that the difference is a mean of
    sources: str = "dev rows"  # what the error accounts for

    @classmethod
    def from_seeds(cls, differences: Sequence[float]) -> "EffectEstimate":
        """The mean of the differences within each seed (two or more), with their standard error."""
        seeds, error = len(differences), float(stats.sem(differences))
        return cls(float(np.mean(differences)), error, seeds - 1, seeds, "own seed variance")

    @classmethod
    def from_bootstrap(cls, difference: float, error: float, seeds: int = 1) -> "EffectEstimate":
        """A difference with a bootstrap's standard error over dev rows, NaN if there is none."""
        return cls(difference, error, math.inf, seeds)

    def with_row_error(self, error: float) -> "EffectEstimate":
        """The same difference with a bootstrap's error over dev rows added: independent errors add in squares."""
        return replace(self, error=math.hypot(self.error, error), sources=f"dev rows, {self.sources}")

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Bounds of the confidence interval (Student's t)."""
        half = float(stats.t.ppf((1 + level) / 2, self.df)) * self.error
        return self.difference - half, self.difference + half

    def p(self, region: tuple[float, float]) -> float:
        """The smallest alpha at which the interval of level 1 - alpha lies wholly inside or outside of the region."""
        distance = min(abs(self.difference - bound) for bound in region)
        if not self.error:  # the same difference in every row or seed
            return 0.0 if distance else 1.0
        return float(2 * stats.t.sf(distance / self.error, self.df))

    def verdict(self, region: tuple[float, float], p: float, alpha: float = 0.05) -> str:
        """ "holds" or "contradicted", or "undecided" if p, which may have been adjusted, is not below alpha."""
        if not p < alpha:
            return "undecided"
        return "holds" if region[0] < self.difference < region[1] else "contradicted"


def holm(ps: ArrayLike) -> NDArray[np.float64]:
    """Adjust the p values of a family of tests (Holm 1979).

    If no claim of the family is true, the probability that any adjusted value falls below alpha is at most alpha. NaN
    stays NaN and does not count.
    """
    ps = np.asarray(ps, dtype=np.float64)
    adjusted = np.full(ps.shape, math.nan)
    order = np.argsort(ps)[: np.isfinite(ps).sum()]  # NaN is sorted to the end
    adjusted[order] = np.maximum.accumulate(np.minimum(1, ps[order] * np.arange(len(order), 0, -1)))
    return adjusted


@dataclass(frozen=True)
class SeedVariance:
    """How much the seed changes a score of a report's rows, most of whose settings are the same.

    ``std`` is the standard deviation within a row, pooled over the rows that have several seeds: the root of the mean
    variance, weighted by degrees of freedom (seeds - 1), whose sum is ``df``. NaN if no row has several.
    """

    std: float
    df: int

    @classmethod
    def pooled(cls, runs: pd.DataFrame, report: str, score: str) -> "SeedVariance":
        """Estimate it from ``load_runs``. Rows with a frozen encoder are left out: a seed changes them less."""
        frozen = [name for name, entry in RECIPES.items() if entry.recipe.trainable == "heads"]
        pooled = runs.recipe.str.startswith(f"{report}/") & ~runs.recipe.isin(frozen)
        rows = runs[pooled].groupby("recipe")[score].agg(["count", "var"])
        rows = rows[rows["count"] > 1]
        if rows.empty:
            return cls(math.nan, 0)
        df = rows["count"] - 1
        return cls(float(np.sqrt(np.average(rows["var"], weights=df))), int(df.sum()))

    def effect(self, difference: float, seeds: int) -> EffectEstimate:
        """The difference of two rows' means over ``seeds`` runs each, with the error that this variance implies."""
        return EffectEstimate(difference, self.std * math.sqrt(2 / seeds), self.df, seeds, "pooled seed variance")


def estimate_effect(claim: Claim, runs: pd.DataFrame, comparisons: pd.DataFrame) -> EffectEstimate | None:
    """The measured difference of a claim's rows over the seeds that both have; None if there is no such seed.

    The error over dev rows is the mean error of the seeds: for a mean over several seeds this is not too small. For
    ``runs`` and ``comparisons`` see ``verdicts``.

    Raises:
        UserError: ``comparisons`` and ``runs`` have different differences.
    """
    row, baseline = claim.recipes
    row_scores, baseline_scores = (runs[runs.recipe == name].set_index("seed")[claim.score] for name in (row, baseline))
    differences = (row_scores - baseline_scores).dropna()
    if differences.empty:
        return None
    selected = (comparisons.row == row) & (comparisons.baseline == baseline) & (comparisons.metric == claim.score)
    compared = comparisons[selected & (comparisons.row_seed == comparisons.baseline_seed)]
    compared = compared.set_index("row_seed").reindex(differences.index)
    for seed in differences.index[(compared.difference - differences).abs() > _ROUNDING]:
        raise UserError(
            f"{row} against {baseline}, seed {seed}, {claim.score}: the recorded comparison is one of other runs than "
            "the recorded ones: record both again"
        )
    seeds, difference, row_error = len(differences), float(differences.mean()), float(compared.error.mean(skipna=False))
    if seeds >= MIN_SEEDS_OWN_VARIANCE:
        return EffectEstimate.from_seeds(differences).with_row_error(row_error)
    variance = SeedVariance.pooled(runs, claim.report, claim.score)
    if not variance.df:
        return EffectEstimate.from_bootstrap(difference, row_error, seeds)
    return variance.effect(difference, seeds).with_row_error(row_error)


def verdicts(runs: pd.DataFrame, comparisons: pd.DataFrame, claims: Sequence[Claim] | None = None) -> pd.DataFrame:
    """Test claims (by default all of the reports), with p values adjusted for all that are tested.

    Args:
        runs: see ``load_runs``.
        comparisons: see ``recorded_comparisons``.

    Returns:
        One line per claim. Columns: report, topic, claim, metric, direction, printed (difference),
        supported_by_report, difference, low, high (95 % interval), test (what the error accounts for, and the number
        of seeds), p, holm (the adjusted p), verdict: "holds", "contradicted", "undecided" (by the adjusted p), "too
        few seeds" for a test, or "not measured".
    """
    claims = load_claims() if claims is None else claims
    effects = [estimate_effect(claim, runs, comparisons) for claim in claims]
    tested_effects = [effect if effect and effect.seeds >= MIN_SEEDS else None for effect in effects]
    ps = [effect.p(claim.region) if effect else math.nan for claim, effect in zip(claims, tested_effects, strict=True)]
    lines = []
    for claim, effect, tested, p, adjusted in zip(claims, effects, tested_effects, ps, holm(ps), strict=True):
        line = {
            "report": TITLES[claim.report],
            "topic": claim.topic,
            "claim": claim.statement,
            "metric": claim.metric,
            "direction": claim.direction,
            "printed": claim.printed,
            "supported_by_report": claim.supported_by_report,
        }
        measured = (effect.difference, *effect.interval()) if effect else (math.nan,) * 3
        line |= zip(("difference", "low", "high"), measured, strict=True)
        line |= {"test": _describe_test(effect), "p": p, "holm": adjusted, "verdict": "not measured"}
        if effect:
            line["verdict"] = tested.verdict(claim.region, adjusted) if tested else "too few seeds"
        lines.append(line)
    return pd.DataFrame(lines)


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
