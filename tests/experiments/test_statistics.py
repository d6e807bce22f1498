"""Differences and their errors against references: the paired t-test, Holm, seeds and dev rows, plans."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mtbert.experiments.claims import REGIONS
from mtbert.experiments.statistics import (
    POWER,
    EffectEstimate,
    RowVariance,
    SeedVariance,
    StudyNoise,
    error_and_df,
    holm,
)

PS = st.lists(st.floats(0, 1), min_size=1, max_size=12)
NO_ROWS = RowVariance(0.0, 0.0)


@given(st.lists(st.floats(-0.5, 0.5), min_size=3, max_size=8, unique=True))
def test_over_seeds_it_is_the_paired_t_test(differences):
    reference = stats.ttest_1samp(differences, 0)
    for effect in (EffectEstimate.from_seeds(differences), EffectEstimate.from_seeds_and_rows(differences, NO_ROWS)):
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


def test_what_seeds_share_on_dev_rows_is_told_from_what_is_new_in_each_seed():
    rng = np.random.default_rng(0)
    rows, seeds, shared, per_seed = 200_000, 2, 0.3, 0.5
    models = [  # scores of dev rows, by seed: an effect of model and row, and one that is new in each seed
        math.sqrt(shared / 2) * rng.normal(size=rows) + math.sqrt(per_seed / 2) * rng.normal(size=(seeds, rows))
        for _ in range(2)
    ]
    paired = (models[0] - models[1]).var(axis=1).mean()
    controls = np.mean([(model[0] - model[1]).var() for model in models])
    split = RowVariance.split(paired, controls)
    assert (split.shared, split.per_seed) == pytest.approx((shared, per_seed), rel=0.02)


def test_a_split_is_never_negative_and_without_controls_nothing_is_taken_for_new():
    assert RowVariance.split(0.2, 0.3) == RowVariance(0.0, 0.2)
    assert RowVariance.split(0.2, math.nan) == RowVariance(0.2, 0.0)


def test_row_noise_that_seeds_already_contain_is_not_counted_twice():
    differences, rows = [0.1, 0.16, 0.13], RowVariance(shared=4e-4, per_seed=1e-4)
    effect = EffectEstimate.from_seeds_and_rows(differences, rows)
    from_seeds = np.var(differences, ddof=1) / 3
    assert effect.error == pytest.approx(math.sqrt(from_seeds + 4e-4))
    assert effect.df == pytest.approx(2 * (from_seeds + 4e-4) / from_seeds)
    lucky = EffectEstimate.from_seeds_and_rows([0.1, 0.1, 0.1], rows)  # seeds differ by their rows at the least
    assert lucky.error == pytest.approx(math.sqrt(1e-4 / 3 + 4e-4))
    assert error_and_df(0.0, 3, NO_ROWS) == (0, math.inf)


def test_seed_variance_is_pooled_over_rows_with_several_seeds_but_frozen_ones():
    runs = pd.DataFrame(
        [("yin/a", 0, 0.1), ("yin/a", 1, 0.2), ("yin/a", 2, 0.3), ("yin/b", 0, 0.3), ("yin/b", 1, 0.5)]
        + [("yin/c", 0, 0.9), ("li-tang/seq", 0, 0.2), ("li-tang/seq", 1, 0.6)]
        + [("li-tang/pretrain", 0, 0.1), ("li-tang/pretrain", 1, 0.9)],
        columns=["recipe", "seed", "sts"],
    )
    yin, both = SeedVariance.pooled(runs, "sts", "yin"), SeedVariance.pooled(runs, "sts")
    assert (yin.std, yin.df) == pytest.approx((math.sqrt((0.02 + 0.02) / 3), 3))
    assert (both.std, both.df) == pytest.approx((math.sqrt((0.02 + 0.02 + 0.08) / 4), 4))
    nothing = SeedVariance.pooled(runs[runs.recipe == "yin/c"], "sts")
    assert math.isnan(nothing.std) and nothing.df == 0


@pytest.mark.parametrize("region", REGIONS.values())
@pytest.mark.parametrize("truth", [-0.06, 0.0, 0.05])
def test_power_is_how_often_drawn_studies_decide_rightly(region, truth):
    noise, seeds, studies = StudyNoise(0.02**2, RowVariance(0.008**2, 0.005**2)), 4, 20_000
    rng = np.random.default_rng(0)
    means = truth + math.sqrt(noise.seed_variance / seeds + noise.rows.shared) * rng.normal(size=studies)
    error, df = error_and_df(noise.seed_variance * rng.chisquare(seeds - 1, studies) / (seeds - 1), seeds, noise.rows)
    half = stats.t.ppf(0.975, df) * error
    inside = (region[0] < means - half) & (means + half < region[1])
    outside = (means + half < region[0]) | (means - half > region[1])
    right = inside if region[0] < truth < region[1] else outside
    assert noise.power(region, truth, seeds) == pytest.approx(right.mean(), abs=0.015)


def test_more_seeds_decide_more_unless_dev_rows_are_too_few():
    noise = StudyNoise(0.02**2, RowVariance(0.0, 0.0))
    seeds = noise.seeds_needed(REGIONS["better"], 0.03)
    assert noise.power(REGIONS["better"], 0.03, seeds) >= POWER > noise.power(REGIONS["better"], 0.03, seeds - 1)
    few_rows = StudyNoise(0.02**2, RowVariance(0.014**2, 0.0))
    assert few_rows.seeds_needed(REGIONS["alike"], 0.0) == math.inf
    assert math.isnan(StudyNoise(math.nan, NO_ROWS).power(REGIONS["better"], 0.1, 3))


@pytest.mark.parametrize("shared", [0.1, 0.2, 0.3])
def test_three_seeds_cover_with_these_degrees_of_freedom_and_not_with_satterthwaites(shared):
    """The true difference is 0, its estimate has variance 1, and ``shared`` of it comes from dev rows."""
    rng, studies, seeds = np.random.default_rng(0), 100_000, 3
    between = seeds * (1 - shared)
    rows = RowVariance(shared, 0.06 * between)  # as large, beside the variance between seeds, as in recorded runs
    differences = rng.normal(size=studies)
    error, df = error_and_df(between * rng.chisquare(seeds - 1, studies) / (seeds - 1), seeds, rows)
    covered = np.abs(differences) < stats.t.ppf(0.975, df) * error
    squared = np.abs(differences) < stats.t.ppf(0.975, df**2 / (seeds - 1)) * error
    assert 0.945 < covered.mean() < 0.97 and squared.mean() < 0.935
