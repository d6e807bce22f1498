"""Synthetic studies whose true differences are known: do the intervals and verdicts of ``claim_tests`` keep their word?

Every dev row is predicted correctly or not. A normal variable decides: the sum of the recipe's level, effects of the
seed (for all recipes, and for this recipe, some of which vary more than others), effects of the dev row (for all
recipes and seeds, and for this recipe), and a rest that differs in every row, seed and recipe. The prediction is
correct where the sum is positive, so the true accuracy, over all seeds and dev rows, is known exactly. For simplicity,
similarity is such an accuracy as well.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from mtbert.data.tasks import OVERALL_TASKS
from mtbert.experiments.claim_tests import Records, verdicts
from mtbert.experiments.claims import Claim
from mtbert.experiments.statistics import LEVEL

DEV_ROWS = {"sst": 1101, "quora": 2000, "sts": 863}  # as at small scale
_WEIGHTS = {task: {task: 1.0} for task in OVERALL_TASKS} | {  # of the tasks in each score
    "plain": dict.fromkeys(OVERALL_TASKS, 1 / 3),
    "normalised": {"sst": 1 / 3, "quora": 1 / 3, "sts": 1 / 6},
}
# Standard deviations, in units of that of all row effects together, chosen so that synthetic scores vary over seeds and
# dev rows about as much as recorded ones
_SEED, _RECIPE_AND_SEED = 0.02, 0.07
_ROW, _RECIPE_AND_ROW = math.sqrt(0.65), math.sqrt(0.1)
_REST = math.sqrt(1 - _ROW**2 - _RECIPE_AND_ROW**2)
_UNEQUAL = 0.4  # standard deviation of the logarithm of a recipe's own seed effect
_COMMON = math.sqrt(0.4)  # the part of a seed's effect on a recipe that is the same in all tasks


def true_scores(truth: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Add the overall scores of ``synthetic_study`` to recipe -> task -> accuracy."""
    return {
        recipe: {
            score: sum(weight * tasks[task] for task, weight in weights.items()) for score, weights in _WEIGHTS.items()
        }
        for recipe, tasks in truth.items()
    }


def synthetic_study(
    claims: Sequence[Claim], truth: Mapping[str, Mapping[str, float]], seeds: int, generator: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Runs and comparisons of one synthetic study, as ``load_runs`` and ``recorded_comparisons`` return real ones.

    Args:
        claims: whose rows are compared within each seed. Further seeds of a recipe are compared with earlier ones.
        truth: recipe -> task -> true accuracy over all seeds and dev rows, for the three tasks.
        seeds: runs per recipe.

    Returns:
        runs (columns recipe, seed, and the scores) and comparisons. The errors are those of the bootstrap, computed
        exactly instead of drawn.
    """
    scores, variances = {}, {}
    seed_effects = _seed_effects(len(truth), seeds, generator)
    for task, rows in DEV_ROWS.items():
        accuracies = [tasks[task] for tasks in truth.values()]
        correct = _correct(accuracies, *seed_effects[task], rows, generator)
        scores[task], covariance = correct.mean(axis=1), np.cov(correct, ddof=0) / rows
        variances[task] = np.add.outer(np.diagonal(covariance), np.diagonal(covariance)) - 2 * covariance
    for score, weights in _WEIGHTS.items():
        scores[score] = np.sum([weight * scores[task] for task, weight in weights.items()], axis=0)
        variances[score] = np.sum([weight**2 * variances[task] for task, weight in weights.items()], axis=0)
    names, numbers = np.repeat(list(truth), seeds), np.tile(np.arange(seeds), len(truth))
    row, baseline = _pairs(claims, list(truth), seeds)
    pairs = {
        "row": names[row],
        "row_seed": numbers[row],
        "baseline": names[baseline],
        "baseline_seed": numbers[baseline],
    }
    comparisons = [
        pd.DataFrame(
            pairs
            | {"metric": score, "difference": scores[score][row] - scores[score][baseline]}
            | {"error": np.sqrt(variances[score][row, baseline])}
        )
        for score in _WEIGHTS
    ]
    return pd.DataFrame({"recipe": names, "seed": numbers, **scores}), pd.concat(comparisons, ignore_index=True)


def check_rule(
    claims: Sequence[Claim], truth: Mapping[str, Mapping[str, float]], studies: int, seeds: int = 3, seed: int = 0
) -> pd.DataFrame:
    """Judge claims in synthetic studies, and compare the intervals and verdicts with the truth.

    Args:
        claims: only about recipes in ``truth``.
        truth: see ``synthetic_study``.

    Returns:
        One line per study and claim. Columns: study, claim (its index), metric, verdict, covered (the 95 % interval
        holds the true difference), covered_by_rows (an interval over dev rows alone does), uncorrected (the verdict
        without Holm's correction), false, and false_uncorrected: the verdict is wrong, or it is one although the truth
        lies on the edge of the claim's region.
    """
    generator, known = np.random.default_rng(seed), true_scores(truth)
    lines = []
    for study in range(studies):
        runs, comparisons = synthetic_study(claims, truth, seeds, generator)
        records = Records(runs, comparisons)
        for index, (claim, line) in enumerate(
            zip(claims, verdicts(runs, comparisons, claims).itertuples(), strict=True)
        ):
            row, baseline = (known[recipe][claim.score] for recipe in claim.recipes)
            rows_alone = 1.96 * math.sqrt(records.bootstrap_variance(claim, range(seeds)))
            raw = line.verdict
            if line.p < LEVEL:
                raw = "holds" if claim.region[0] < line.difference < claim.region[1] else "contradicted"
            lines.append(
                {
                    "study": study,
                    "claim": index,
                    "metric": claim.metric,
                    "verdict": line.verdict,
                    "covered": line.low <= row - baseline <= line.high,
                    "covered_by_rows": abs(line.difference - (row - baseline)) <= rows_alone,
                    "uncorrected": raw,
                    "false": _is_false(line.verdict, claim.region, row - baseline),
                    "false_uncorrected": _is_false(raw, claim.region, row - baseline),
                }
            )
    return pd.DataFrame(lines)


def _is_false(verdict: str, region: tuple[float, float], difference: float) -> bool:
    if verdict not in ("holds", "contradicted"):
        return False
    inside = region[0] + 1e-9 < difference < region[1] - 1e-9
    outside = difference < region[0] - 1e-9 or difference > region[1] + 1e-9
    return not (inside if verdict == "holds" else outside)


def _seed_effects(recipes: int, seeds: int, generator: np.random.Generator) -> dict[str, tuple[NDArray, NDArray]]:
    """By task: what each seed adds to each recipe's level, and its standard deviation; (recipes, seeds or 1, 1)."""
    own = _RECIPE_AND_SEED * np.exp(_UNEQUAL * generator.standard_normal((recipes, 1, 1)))
    common = generator.standard_normal((recipes, seeds, 1))
    effects = {}
    for task in DEV_ROWS:
        rest = generator.standard_normal((recipes, seeds, 1))
        effect = own * (_COMMON * common + math.sqrt(1 - _COMMON**2) * rest)
        effects[task] = effect + _SEED * generator.standard_normal((1, seeds, 1)), np.hypot(own, _SEED)
    return effects


def _correct(accuracies: Sequence[float], seed_effect: NDArray, std: NDArray, rows: int, generator) -> NDArray:
    """(recipes * seeds, rows): 1 where a run predicts a row correctly, else 0."""
    recipes, seeds, _ = seed_effect.shape
    level = stats.norm.ppf(accuracies)[:, None, None] * np.sqrt(1 + std**2)
    row_effect = _ROW * generator.standard_normal(rows) + _RECIPE_AND_ROW * generator.standard_normal(
        (recipes, 1, rows)
    )
    rest = _REST * generator.standard_normal((recipes, seeds, rows), dtype=np.float32)
    return (level + seed_effect + row_effect + rest > 0).astype(np.float64).reshape(recipes * seeds, rows)


def _pairs(claims: Sequence[Claim], recipes: Sequence[str], seeds: int) -> tuple[NDArray, NDArray]:
    """Indices of the two runs of each comparison: the rows of a claim with one seed, and two seeds of a recipe."""
    rows = dict.fromkeys(claim.recipes for claim in claims if {*claim.recipes} <= {*recipes})
    first = {recipe: index * seeds for index, recipe in enumerate(recipes)}
    within = [(first[row] + seed, first[baseline] + seed) for row, baseline in rows for seed in range(seeds)]
    across = [(start + i, start + j) for start in first.values() for i in range(seeds) for j in range(i)]
    row, baseline = np.array(within + across).T
    return row, baseline
