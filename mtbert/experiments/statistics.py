"""What recorded runs say of the reports' claims: a difference with its error, a p, a verdict.

There are two sources of error, and their squares add up: other dev rows, by the paired bootstrap, and other seeds. How
much a seed changes cannot be told from one run, nor well from three; so with few seeds it is borrowed from all rows of
the report that have several, as an analysis of variance does. Where no row has, the error is that of two trained
models, not of two methods. A verdict takes three seeds of both rows.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from mtbert.data.tasks import TASKS
from mtbert.experiments.claims import CLAIMS, TITLES, Claim
from mtbert.experiments.metrics import Pair, resampled_pearson
from mtbert.experiments.predictions import Predicted, predictions
from mtbert.experiments.recipes import RECIPES, scale_of
from mtbert.experiments.results import encoder_name, keep
from mtbert.training.evaluation import accuracy, pearson
from mtbert.training.run import Run, open_run
from mtbert.utils import paths
from mtbert.utils.errors import UserError

SEEDS_FOR_A_VERDICT = 3
OWN_SEEDS = 5  # with so many of both rows, the differences within a seed tell their error themselves
_THREE = ("sst", "quora", "sts")  # what the overall scores are made of
_SETTING = ["scale", "encoder", "precision"]
_PAIR = ["row", "row_seed", "against", "against_seed"]
_KEPT = [*_SETTING, *_PAIR, "metric", "difference", "error", "rows", "dev_sha256", "revision", "against_revision"]


@dataclass(frozen=True)
class EffectEstimate:
    """A measured difference and its standard error.

    freedom: degrees of freedom of that error, infinite for the bootstrap. seeds: how many the difference is a mean of.
    error is NaN if there is no test. sources: what the error knows of.
    """

    difference: float
    error: float
    df: float
    seeds: int
    sources: str = "rows"

    @classmethod
    def over_seeds(cls, differences: Sequence[float]) -> "EffectEstimate":
        """Of the differences within each seed, two or more."""
        count = len(differences)
        return cls(float(np.mean(differences)), float(stats.sem(differences)), count - 1, count, "own noise")

    @classmethod
    def over_rows(cls, difference: float, error: float, seeds: int = 1) -> "EffectEstimate":
        """With a bootstrap's standard error over dev rows, NaN if there is none."""
        return cls(difference, error, math.inf, seeds)

    def with_rows(self, error: float) -> "EffectEstimate":
        """The same with a bootstrap's error over dev rows as well; of two independent errors the squares add up."""
        return replace(self, error=math.hypot(self.error, error), sources=f"rows, {self.sources}")

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        half = float(stats.t.ppf((1 + level) / 2, self.df)) * self.error
        return self.difference - half, self.difference + half

    def p(self, region: tuple[float, float]) -> float:
        """The smallest alpha at which the interval of level 1 - alpha lies wholly inside or outside of the region.

        For a region that ends at 0 it is the usual two-sided p of "no difference".
        """
        away = min(abs(self.difference - bound) for bound in region)
        if not self.error:  # both alike in every row or seed
            return 0.0 if away else 1.0
        return float(2 * stats.t.sf(away / self.error, self.df))

    def verdict(self, region: tuple[float, float], p: float, alpha: float = 0.05) -> str:
        """ "holds", "contradicted", or "undecided" where p (perhaps adjusted) is not below alpha."""
        if not p < alpha:
            return "undecided"
        return "holds" if region[0] < self.difference < region[1] else "contradicted"


def holm(ps: ArrayLike) -> NDArray[np.float64]:
    """Adjusted p values of a family of tests (Holm 1979): below alpha, all of them are wrong together with a chance of
    at most alpha. NaN stays NaN and does not count."""
    ps = np.asarray(ps, dtype=np.float64)
    adjusted = np.full(ps.shape, math.nan)
    order = np.argsort(ps)[: np.isfinite(ps).sum()]  # NaN is sorted to the end
    adjusted[order] = np.maximum.accumulate(np.minimum(1, ps[order] * np.arange(len(order), 0, -1)))
    return adjusted


# -- from run folders to data/results ---------------------------------------------------------------------------------


def compare(
    first: Mapping[str, Predicted], against: Mapping[str, Predicted], draws: int = 4000, seed: int = 0
) -> dict[str, tuple[float, float, int]]:
    """By metric: first minus against on the dev rows, the paired bootstrap's standard error, and the rows.

    Metrics are the tasks that both have predictions for and, if these are the three that count, both overall scores.
    Raises UserError if the two were scored on different rows of a task.
    """
    found, drawn = {}, {}
    for number, task in enumerate(task for task in TASKS if task in first and task in against):
        rows, values, others = first[task].rows, first[task].values, against[task].values
        if len(values) != len(others) or rows.sha256 != against[task].rows.sha256:
            raise UserError(
                f"{task}: {len(values)} and {len(others)} dev rows, or two files: runs of one scale and "
                "data can be compared"
            )
        generator = np.random.default_rng([seed, number])
        if rows.task.kind == "regression":
            drawn[task] = resampled_pearson(rows.labels, others, values, draws, generator)
            difference = pearson(values, rows.labels) - pearson(others, rows.labels)
        else:
            drawn[task] = Pair.of(rows.labels, others, values).resampled(draws, generator)
            difference = accuracy(values, rows.labels) - accuracy(others, rows.labels)
        found[task] = difference, float(drawn[task].std()), len(values)
    if found.keys() >= set(_THREE):
        for kind, of_sts in (("plain", 1.0), ("normalised", 0.5)):  # (r + 1) / 2 halves a difference of r
            shares = {"sst": 1 / 3, "quora": 1 / 3, "sts": of_sts / 3}
            difference = sum(share * found[task][0] for task, share in shares.items())
            together = sum(share * drawn[task] for task, share in shares.items())
            found[kind] = difference, float(together.std()), sum(found[task][2] for task in shares)
    return found


def pairs(runs: Iterable[Run]) -> list[tuple[Run, Run]]:
    """Finished runs to compare: the two rows of a claim, of one seed; and, as a control, one recipe with two seeds.

    Both are at the same scale, with the same encoder and precision.
    """
    claimed = {claim.recipes for claim in CLAIMS}
    settings = [(_setting(run), run) for run in runs if run.finished and scale_of(run.recipe)]
    found = []
    for (mine, first), (other, against) in itertools.permutations(settings, 2):
        (one, seed), (two, other_seed) = ((run.recipe.name, run.recipe.seed) for run in (first, against))
        is_claim, is_control = (one, two) in claimed and seed == other_seed, one == two and seed > other_seed
        if mine == other and (is_claim or is_control):
            found.append((first, against))
    return found


def _setting(run: Run) -> dict[str, str | None]:
    encoder = encoder_name(run.recipe.encoder, run.record["encoder_sha256"])
    return {"scale": scale_of(run.recipe), "encoder": encoder, "precision": run.recipe.precision}


def compare_runs(folders: Iterable[str | Path], data: Path) -> pd.DataFrame:
    """Every pair of these runs (see ``pairs``) compared on its dev predictions: a line for each metric, with the
    columns that data/results/claims.csv has.

    Raises UserError if there is nothing to compare, and as ``mtbert.experiments.predictions.predictions`` does.
    """
    found = pairs(open_run(folder) for folder in folders)
    if not found:
        raise UserError("no two of these runs are compared by a claim: give finished runs of a report, of one scale")
    predicted = {run.folder: predictions(run, data) for pair in found for run in pair}
    lines = []
    for first, against in found:
        mine, others = predicted[first.folder], predicted[against.folder]
        for metric, (difference, error, rows) in compare(mine, others).items():
            tasks = [metric] if metric in TASKS else _THREE
            lines.append(
                {
                    **_setting(first),
                    "row": first.recipe.name,
                    "row_seed": first.recipe.seed,
                    "against": against.recipe.name,
                    "against_seed": against.recipe.seed,
                    "metric": metric,
                    "difference": difference,
                    "error": error,
                    "rows": rows,
                    "dev_sha256": " ".join(mine[task].rows.sha256 for task in tasks),
                    "revision": first.record["revision"],
                    "against_revision": against.record["revision"],
                }
            )
    return pd.DataFrame(lines, columns=_KEPT)


def record(compared: pd.DataFrame, name: str = "claims") -> Path:
    """Keep what ``compare_runs`` found in data/results/NAME.csv; the same pair, compared again, replaces the older."""
    return keep(compared, name, [*_SETTING, *_PAIR, "metric"])


# -- from data/results to verdicts ------------------------------------------------------------------------------------


def recorded(runs: pd.DataFrame, name: str = "claims") -> pd.DataFrame:
    """What data/results/NAME.csv keeps (see ``record``) for the scale, encoder and precision of ``runs`` (see
    ``mtbert.experiments.beside.load_runs``); no rows where there is nothing."""
    path = paths.RESULTS / f"{name}.csv"
    kept = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=_KEPT)
    settings = runs[_SETTING].drop_duplicates()
    return kept.merge(settings, on=_SETTING) if len(settings) else kept.iloc[:0]


_FROZEN = [name for name, entry in RECIPES.items() if entry.recipe.trainable == "heads"]


@dataclass(frozen=True)
class SeedVariance:
    """What another seed does to a score of a report's rows, which share most settings.

    std: the standard deviation within a row, taken to be alike in these rows and pooled over those with several
    seeds: the root of their mean variance, each weighted by its degrees of freedom. NaN where no row has several.
    freedom: the sum of these degrees. Rows with a frozen encoder lend nothing: a seed does less to them.
    """

    std: float
    df: int

    @classmethod
    def of(cls, runs: pd.DataFrame, report: str, score: str) -> "SeedVariance":
        """Of recorded runs (see ``mtbert.experiments.beside.load_runs``)."""
        lending = runs.recipe.str.startswith(f"{report}/") & ~runs.recipe.isin(_FROZEN)
        rows = runs[lending].groupby("recipe")[score].agg(["count", "var"])
        rows = rows[rows["count"] > 1]
        if rows.empty:
            return cls(math.nan, 0)
        df = rows["count"] - 1
        return cls(float(np.sqrt(np.average(rows["var"], weights=df))), int(df.sum()))

    def of_difference(self, difference: float, seeds: int) -> EffectEstimate:
        """A difference of two rows' means over so many seeds each."""
        return EffectEstimate(difference, self.std * math.sqrt(2 / seeds), self.df, seeds, "borrowed noise")


def evidence(claim: Claim, runs: pd.DataFrame, kept: pd.DataFrame) -> EffectEstimate | None:
    """What is measured of a claim; None if nothing is. runs, kept: see ``mtbert.experiments.beside.load_runs`` and ``recorded``.

    The error of the dev rows is the mean of that of the seeds, which is not too small for a mean of several. Raises
    UserError if ``kept`` has another difference than ``runs``.
    """
    first, against = (runs[runs.recipe == name].set_index("seed")[claim.score] for name in claim.recipes)
    differences = (first - against).dropna()
    if differences.empty:
        return None
    seeds, difference = len(differences), float(differences.mean())
    row, other = claim.recipes
    of = kept[(kept.row == row) & (kept.against == other) & (kept.metric == claim.score)]
    of = of[of.row_seed == of.against_seed].set_index("row_seed").reindex(differences.index)
    for seed in differences.index[(of.difference - differences).abs() > 1e-3]:  # predictions are kept rounded
        raise UserError(
            f"{row} against {other}, seed {seed}, {claim.score}: claims were compared on other runs "
            "than those that are recorded: record both again"
        )
    error = float(of.error.mean(skipna=False))
    if seeds >= OWN_SEEDS:
        return EffectEstimate.over_seeds(differences).with_rows(error)
    noise = SeedVariance.of(runs, claim.report, claim.score)
    if not noise.df:
        return EffectEstimate.over_rows(difference, error, seeds)
    return noise.of_difference(difference, seeds).with_rows(error)


def verdicts(runs: pd.DataFrame, kept: pd.DataFrame, claims: Sequence[Claim] = CLAIMS) -> pd.DataFrame:
    """Every claim with its verdict.

    Columns: report, topic, claim, metric, says, printed (difference), in_print (see ``Claim``), difference, low, high
    (95 % interval), test (what the error knows of, and how many seeds), p, holm (p adjusted for all tested claims of
    this table), verdict: "holds", "contradicted", "undecided" (by the adjusted p), "too few seeds" for a test, or "not
    measured".
    """
    found = [evidence(claim, runs, kept) for claim in claims]
    tested = [of is not None and of.seeds >= SEEDS_FOR_A_VERDICT for of in found]
    ps = [
        of.p(claim.region) if is_tested else math.nan
        for claim, of, is_tested in zip(claims, found, tested, strict=True)
    ]
    lines = []
    for claim, of, is_tested, p, adjusted in zip(claims, found, tested, ps, holm(ps), strict=True):
        low, high = of.interval() if of else (math.nan, math.nan)
        untested = "too few seeds" if of else "not measured"
        lines.append(
            {
                "report": TITLES[claim.report],
                "topic": claim.topic,
                "claim": claim.words,
                "metric": claim.metric,
                "says": claim.direction,
                "printed": claim.printed,
                "in_print": claim.supported_by_report,
                "difference": of.difference if of else math.nan,
                "low": low,
                "high": high,
                "test": _test(of),
                "p": p,
                "holm": adjusted,
                "verdict": of.verdict(claim.region, adjusted) if is_tested else untested,
            }
        )
    return pd.DataFrame(lines)


def _test(of: EffectEstimate | None) -> str:
    if of is None:
        return ""
    seeds = f"{of.seeds} seed{'s' if of.seeds > 1 else ''}"
    return f"none ({seeds})" if math.isnan(of.error) else f"{of.sources}, {seeds}"


def controls(kept: pd.DataFrame) -> pd.DataFrame:
    """The rows of ``kept`` that compare one recipe with itself, trained with another seed: no method differs.

    Added columns: low, high (95 % interval over dev rows) and apart: whether it excludes 0.
    """
    of = kept[kept.row == kept.against].reset_index(drop=True)
    bounds = [EffectEstimate.over_rows(row.difference, row.error).interval() for row in of.itertuples()]
    low, high = (pd.Series([pair[side] for pair in bounds], dtype=float) for side in (0, 1))
    return of.assign(low=low, high=high, apart=(low > 0) | (high < 0))
