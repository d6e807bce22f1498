"""The error of a measured difference: seeds and dev rows, and what a study of a given size can decide.

The model has crossed random effects of seeds and dev rows. Within each seed, the difference of two rows of a report
(row minus baseline) is its true value, plus what this seed adds, plus what the dev rows add. The variance over dev
rows, estimated by the paired bootstrap, has two parts: ``shared``, which all seeds have in common because they are
scored on the same rows, and ``per_seed``, which is new in each seed. The differences between seeds already contain the
second part, so only the first one is added to their variance (see ``EffectEstimate.from_seeds_and_rows``).
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from mtbert.experiments.recipes import RECIPES

PLANNED_SEEDS = 3  # of both rows, for a verdict
LEVEL = 0.05
POWER = 0.8  # a claim is tested if the planned study would decide it at least this often
_MOST_SEEDS = 100  # a plan looks no further
_SAMPLES = (np.arange(200) + 0.5) / 200  # probabilities whose quantiles stand for a distribution


@dataclass(frozen=True)
class RowVariance:
    """The variance of a difference that comes from the choice of dev rows, in its two parts.

    ``shared``: of the mean over endlessly many seeds; more seeds do not reduce it. ``per_seed``: what a single seed has
    in addition. A paired bootstrap of one seed estimates the sum.
    """

    shared: float
    per_seed: float

    @classmethod
    def split(cls, paired: float, controls: float) -> "RowVariance":
        """Split the bootstrap variance of row minus baseline within a seed.

        Args:
            paired: this variance.
            controls: the bootstrap variance of the difference of two seeds of one recipe, the mean of both recipes.
                Such a difference has no shared part, and the per-seed part of the recipe twice; so the mean of both
                recipes is the per-seed part of their difference. NaN if it was not recorded: then all is taken to be
                shared, which makes the error too large rather than too small.
        """
        per_seed = 0.0 if math.isnan(controls) else min(paired, controls)
        return cls(paired - per_seed, per_seed)


def error_and_df(seed_variance: ArrayLike, seeds: ArrayLike, rows: RowVariance) -> tuple[NDArray, NDArray]:
    """Standard error of a mean difference over seeds, and its degrees of freedom.

    The variance between seeds contains ``rows.per_seed``, so a smaller estimate is replaced by it. The degrees of
    freedom are seeds - 1, divided by the share of the seeds in the total variance. Satterthwaite's approximation would
    square that share; with three seeds, from which the share is hardly known, its intervals are too narrow.

    Args:
        seed_variance: of the differences within each seed, dividing by seeds - 1; any shape, like the result.
    """
    from_seeds = np.maximum(seed_variance, rows.per_seed) / seeds
    total = from_seeds + rows.shared
    with np.errstate(divide="ignore", invalid="ignore"):
        df = np.where(from_seeds > 0, (np.asarray(seeds) - 1) * total / from_seeds, np.inf)
    return np.sqrt(total), df


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
        return cls(float(np.mean(differences)), error, seeds - 1, seeds, "seeds")

    @classmethod
    def from_bootstrap(cls, difference: float, error: float, seeds: int = 1) -> "EffectEstimate":
        """A difference with a bootstrap's standard error over dev rows, NaN if there is none."""
        return cls(difference, error, math.inf, seeds)

    @classmethod
    def from_seeds_and_rows(cls, differences: Sequence[float], rows: RowVariance) -> "EffectEstimate":
        """The mean of the differences within each seed (two or more); see ``error_and_df``."""
        seeds = len(differences)
        error, df = error_and_df(np.var(differences, ddof=1), seeds, rows)
        return cls(float(np.mean(differences)), float(error), float(df), seeds, "seeds and dev rows")

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

    def verdict(self, region: tuple[float, float], p: float, alpha: float = LEVEL) -> str:
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
    """How much the seed changes a score, as the standard deviation within a row, pooled over rows.

    ``std`` is the root of the mean variance, weighted by degrees of freedom (seeds - 1), whose sum is ``df``. NaN if no
    row has several seeds. It serves to plan a study, and not to test a claim.
    """

    std: float
    df: int

    @classmethod
    def pooled(cls, runs: pd.DataFrame, score: str, report: str = "") -> "SeedVariance":
        """Estimate it from ``load_runs``, over all reports or one. Rows with a frozen encoder, which vary less, are
        left out."""
        frozen = [name for name, entry in RECIPES.items() if entry.recipe.trainable == "heads"]
        pooled = runs.recipe.str.startswith(f"{report}/" if report else "") & ~runs.recipe.isin(frozen)
        rows = runs[pooled].groupby("recipe")[score].agg(["count", "var"])
        rows = rows[rows["count"] > 1]
        if rows.empty:
            return cls(math.nan, 0)
        df = rows["count"] - 1
        return cls(float(np.sqrt(np.average(rows["var"], weights=df))), int(df.sum()))


@dataclass(frozen=True)
class StudyNoise:
    """What a plan assumes about a difference: its variance between seeds, and its variance over dev rows."""

    seed_variance: float
    rows: RowVariance

    def power(self, region: tuple[float, float], truth: float, seeds: int, alpha: float = LEVEL) -> float:
        """How often a study reaches the right verdict, without a correction, if ``truth`` is the true difference."""
        error = math.sqrt(self.seed_variance / seeds + self.rows.shared)
        half = _half_widths(self, seeds, alpha)
        low, high = region

        def below(bound: NDArray) -> NDArray:  # how often the estimate is
            return special.ndtr((bound - truth) / error)

        if low < truth < high:
            return float(np.maximum(below(high - half) - below(low + half), 0).mean())
        return float((below(low - half) + 1 - below(high + half)).mean())

    def seeds_needed(self, region: tuple[float, float], truth: float) -> float:
        """The least number of seeds that has the power to decide (``POWER``); infinite if a hundred do not."""
        enough = (n for n in range(PLANNED_SEEDS, _MOST_SEEDS + 1) if self.power(region, truth, n) >= POWER)
        return next(enough, math.inf)


@functools.lru_cache(maxsize=1024)
def _half_widths(noise: StudyNoise, seeds: int, alpha: float) -> NDArray[np.float64]:
    """Half the widths of the intervals that such studies would report: quantiles of their distribution."""
    variances = noise.seed_variance * stats.chi2.ppf(_SAMPLES, seeds - 1) / (seeds - 1)
    error, df = error_and_df(variances, seeds, noise.rows)
    return special.stdtrit(df, 1 - alpha / 2) * error
