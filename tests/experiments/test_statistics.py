"""Differences, errors and verdicts: the tests of the claims against references."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mtbert.experiments import comparisons as comparing
from mtbert.experiments.claims import REGIONS, Claim, load_claims
from mtbert.experiments.comparisons import recorded_comparisons
from mtbert.experiments.reports import load_runs
from mtbert.experiments.statistics import EffectEstimate, SeedVariance, estimate_effect, holm, verdicts
from mtbert.utils.errors import UserError

PS = st.lists(st.floats(0, 1), min_size=1, max_size=12)
CLAIM = Claim("marchini-callon-cussen", "losses", "MNRL ruins similarity", "sts-mnrl", "sts-concat", "sts", "worse")


@given(st.lists(st.floats(-0.5, 0.5), min_size=3, max_size=8, unique=True))
def test_over_seeds_it_is_the_paired_t_test(differences):
    effect = EffectEstimate.from_seeds(differences)
    reference = stats.ttest_1samp(differences, 0)
    if effect.error > 1e-9:
        assert effect.p(REGIONS["better"]) == pytest.approx(reference.pvalue, abs=1e-9)
        assert effect.interval() == pytest.approx(reference.confidence_interval(), abs=1e-9)


@given(
    st.floats(-0.1, 0.1),
    st.floats(1e-4, 0.1),
    st.sampled_from([2, 5, math.inf]),
    st.sampled_from(list(REGIONS.values())),
    st.floats(0.001, 0.5),
)
def test_a_verdict_is_one_on_where_the_interval_lies(difference, error, df, region, alpha):
    effect = EffectEstimate(difference, error, df, 3)
    p = effect.p(region)
    if abs(p - alpha) < 1e-9:
        return
    low, high = effect.interval(1 - alpha)
    inside, outside = region[0] < low and high < region[1], high < region[0] or low > region[1]
    expected = "holds" if inside else "contradicted" if outside else "undecided"
    assert effect.verdict(region, p, alpha) == expected


def test_without_an_error_there_is_no_verdict_and_without_a_difference_rows_are_alike():
    unknown, equal = EffectEstimate.from_bootstrap(0.3, math.nan), EffectEstimate.from_bootstrap(0.0, 0.0)
    assert unknown.verdict(REGIONS["better"], unknown.p(REGIONS["better"])) == "undecided"
    assert equal.p(REGIONS["better"]) == 1 and equal.p(REGIONS["alike"]) == 0


@given(PS, st.floats(0.001, 0.2))
def test_holm_rejects_step_by_step(ps, alpha):
    rejected = 0
    for step, p in enumerate(sorted(ps)):
        if p * (len(ps) - step) >= alpha:
            break
        rejected += 1
    assert (holm(ps) < alpha).sum() == rejected


@given(PS, st.integers(0, 12))
def test_holm_does_not_count_what_was_not_tested(ps, at):
    more = ps[:at] + [math.nan] + ps[at:]
    assert np.array_equal(np.delete(holm(more), min(at, len(ps))), holm(ps))
    assert np.isnan(holm(more)).sum() == 1 and np.isnan(holm([math.nan])).all()


SETTING = {"scale": "small", "encoder": "x", "precision": "float32"}


def table_of(**scores) -> pd.DataFrame:
    """Runs as ``load_runs`` gives them: row -> sts of seed 0, 1, ..."""
    return pd.DataFrame(
        {"recipe": f"marchini-callon-cussen/{row.replace('_', '-')}", "seed": seed, "sts": score, **SETTING}
        for row, values in scores.items()
        for seed, score in enumerate(values)
    )


def compared(*differences, error=0.02) -> pd.DataFrame:
    """Comparisons of CLAIM's rows, seed by seed."""
    row, baseline = CLAIM.recipes
    lines = [
        {**SETTING, "row": row, "row_seed": seed, "baseline": baseline, "baseline_seed": seed, "metric": "sts"}
        | {"difference": difference, "error": error * (seed + 1)}
        for seed, difference in enumerate(differences)
    ]
    return pd.DataFrame(lines, columns=comparing._COLUMNS)


def test_five_seeds_tell_their_own_error_and_only_seeds_of_both_count():
    mnrl, concat = [0.1, 0.2, 0.15, 0.1, 0.2], [0.4, 0.45, 0.5, 0.3, 0.5]
    runs, differences = table_of(sts_mnrl=mnrl, sts_concat=[*concat, 0.9]), np.subtract(mnrl, concat)
    effect = estimate_effect(CLAIM, runs, compared(*differences))
    assert (effect.difference, effect.df, effect.seeds) == (pytest.approx(differences.mean()), 4, 5)
    assert effect.error == pytest.approx(math.hypot(stats.sem(differences), 0.06))  # .06: the mean of .02 to .1
    line = verdicts(runs, compared(*differences), [CLAIM]).iloc[0]
    assert line.test == "dev rows, own seed variance, 5 seeds" and line.verdict == "holds" and line.high < 0


def test_few_seeds_pool_the_variance_of_their_reports_rows_with_several():
    runs = table_of(sts_mnrl=[0.1, 0.2, 0.3], sts_concat=[0.4, 0.4, 0.4], sts_triplet=[0.3, 0.5], sts_cosine=[0.9])
    other = runs.assign(recipe="yin/" + runs.recipe.str.split("/").str[1], sts=runs.sts * 2)
    frozen = table_of(baseline=[0.1, 0.1001, 0.0999])  # neither another report nor a frozen encoder counts
    runs = pd.concat([runs, other, frozen], ignore_index=True)
    variance, differences = SeedVariance.pooled(runs, CLAIM.report, "sts"), (-0.3, -0.2, -0.1)
    assert (variance.std, variance.df) == pytest.approx((math.sqrt((2 * 0.01 + 2 * 0 + 0.02) / 5), 5))
    effect = estimate_effect(CLAIM, runs, compared(*differences))
    assert (effect.difference, effect.df, effect.seeds) == pytest.approx((-0.2, 5, 3))
    assert effect.error == pytest.approx(math.hypot(variance.std * math.sqrt(2 / 3), 0.04))
    line = verdicts(runs, compared(*differences), [CLAIM]).iloc[0]
    assert line.test == "dev rows, pooled seed variance, 3 seeds" and line.p == line.holm == effect.p(CLAIM.region)
    line = verdicts(runs, compared(*differences[:2]), [CLAIM]).iloc[0]  # the third seed was not compared
    assert line.test == "none (3 seeds)" and line.verdict == "undecided" and math.isnan(line.p)


def test_claims_with_too_few_seeds_are_not_of_the_family_that_is_corrected_for():
    runs = table_of(sts_mnrl=[0.1, 0.12, 0.11], sts_concat=[0.4, 0.41, 0.43], sts_triplet=[0.2, 0.2])
    few = Claim("marchini-callon-cussen", "losses", "", "sts-triplet", "sts-concat", "sts", "worse")
    effect = verdicts(runs, compared(-0.3, -0.29, -0.32), [CLAIM, few])
    assert list(effect.verdict) == ["holds", "too few seeds"] and effect.holm[0] == effect.p[0] < 0.05
    assert math.isnan(effect.p[1]) and effect.difference[1] == pytest.approx(-0.205)


def test_where_no_row_has_several_seeds_only_the_rows_error_is_known_and_other_runs_are_refused():
    runs = table_of(sts_mnrl=[0.1], sts_concat=[0.4])
    variance = SeedVariance.pooled(runs, CLAIM.report, "sts")
    assert math.isnan(variance.std) and variance.df == 0
    effect = estimate_effect(CLAIM, runs, compared(-0.3))
    assert effect == EffectEstimate.from_bootstrap(effect.difference, 0.02) and effect.difference == pytest.approx(-0.3)
    line = verdicts(runs, compared(-0.3), [CLAIM]).iloc[0]
    assert line.test == "dev rows, 1 seed" and line.verdict == "too few seeds"
    with pytest.raises(UserError, match="sts-concat, seed 0, sts: the recorded comparison is one of other runs"):
        estimate_effect(CLAIM, runs, compared(-0.31))


def test_what_this_project_has_recorded_fits_together():
    runs = load_runs("reports", "small")
    effect = verdicts(runs, recorded_comparisons(runs))
    both = [set(claim.recipes) <= set(runs.recipe) for claim in load_claims()]
    assert list(effect.verdict != "not measured") == both
