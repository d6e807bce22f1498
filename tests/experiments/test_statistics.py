"""Differences, errors and verdicts: the tests behind the claims, against references and on real predictions."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import mtbert
from mtbert.experiments import predictions as dev_predictions
from mtbert.experiments import results
from mtbert.experiments import statistics as evidence
from mtbert.experiments.beside import load_runs
from mtbert.experiments.claims import CLAIMS, REGIONS, Claim
from mtbert.experiments.metrics import resampled_pearson
from mtbert.experiments.recipes import RECIPES, scaled
from mtbert.experiments.statistics import EffectEstimate, SeedVariance, compare, holm, verdicts
from mtbert.training.evaluation import pearson
from mtbert.utils.errors import UserError

PS = st.lists(st.floats(0, 1), min_size=1, max_size=12)
CLAIM = Claim("marchini-callon-cussen", "losses", "MNRL ruins similarity", "sts-mnrl", "sts-concat", "sts", "worse")


# -- one difference ---------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-0.5, 0.5), min_size=3, max_size=8, unique=True))
def test_over_seeds_it_is_the_paired_t_test(differences):
    found = EffectEstimate.over_seeds(differences)
    reference = stats.ttest_1samp(differences, 0)
    if found.error > 1e-9:
        assert found.p(REGIONS["better"]) == pytest.approx(reference.pvalue, abs=1e-9)
        assert found.interval() == pytest.approx(reference.confidence_interval(), abs=1e-9)


@given(
    st.floats(-0.1, 0.1),
    st.floats(1e-4, 0.1),
    st.sampled_from([2, 5, math.inf]),
    st.sampled_from(list(REGIONS.values())),
    st.floats(0.001, 0.5),
)
def test_a_verdict_is_one_on_where_the_interval_lies(difference, error, df, region, alpha):
    found = EffectEstimate(difference, error, df, 3)
    p = found.p(region)
    if abs(p - alpha) < 1e-9:
        return
    low, high = found.interval(1 - alpha)
    inside, outside = region[0] < low and high < region[1], high < region[0] or low > region[1]
    wanted = "holds" if inside else "contradicted" if outside else "undecided"
    assert found.verdict(region, p, alpha) == wanted


def test_much_noise_does_not_make_two_rows_alike():
    noisy, sure = EffectEstimate.over_rows(0.0, 0.05), EffectEstimate.over_rows(0.0, 0.001)
    assert noisy.verdict(REGIONS["alike"], noisy.p(REGIONS["alike"])) == "undecided"
    assert sure.verdict(REGIONS["alike"], sure.p(REGIONS["alike"])) == "holds"
    assert sure.verdict(REGIONS["better"], sure.p(REGIONS["better"])) == "undecided"  # no difference, however sure


def test_without_an_error_there_is_no_verdict():
    found = EffectEstimate.over_rows(0.3, math.nan)
    assert found.verdict(REGIONS["better"], found.p(REGIONS["better"])) == "undecided"


def test_equal_answers_on_every_row_say_nothing_of_better_and_all_of_alike():
    found = EffectEstimate.over_rows(0.0, 0.0)
    assert found.p(REGIONS["better"]) == 1 and found.p(REGIONS["alike"]) == 0


# -- a family of tests ------------------------------------------------------------------------------------------------


@given(PS)
def test_holm_lies_between_no_correction_and_bonferroni_and_keeps_the_order(ps):
    adjusted = holm(ps)
    assert (adjusted >= ps).all() and (adjusted <= np.minimum(1, len(ps) * np.array(ps)) + 1e-12).all()
    assert (np.diff(adjusted[np.argsort(ps)]) >= 0).all()


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


def test_where_nothing_differs_holm_errs_in_one_family_of_twenty():
    ps = np.random.default_rng(0).uniform(size=(2000, 40))
    assert np.mean((ps < 0.05).any(axis=1)) > 0.8
    assert np.mean([(holm(family) < 0.05).any() for family in ps]) == pytest.approx(0.05, abs=0.015)


# -- two runs on the same rows ----------------------------------------------------------------------------------------


def test_a_draw_of_correlations_is_that_of_the_rows_drawn():
    generator = np.random.default_rng(1)
    labels, first, second = generator.normal(size=(3, 30)) + 3
    found = resampled_pearson(labels, first, second, 50, np.random.default_rng(7))
    counts = np.random.default_rng(7).multinomial(30, np.full(30, 1 / 30), size=50)
    for difference, times in zip(found, counts, strict=True):
        y, a, b = (np.repeat(each, times) for each in (labels, first, second))
        assert difference == pytest.approx(pearson(b, y) - pearson(a, y), abs=1e-9)


def test_a_constant_model_has_a_correlation_of_zero_in_every_draw():
    labels = np.arange(20.0)
    found = resampled_pearson(labels, np.full(20, 2.5), labels, 40, np.random.default_rng(0))
    assert found == pytest.approx(np.ones(40))


@pytest.fixture(scope="module")
def runs(tmp_path_factory, sample):
    """Runs of two rows of a report at demo scale, two seeds of one of them; and of our own recipe, two seeds."""
    folder = tmp_path_factory.mktemp("runs")
    rows = {
        name: scaled(RECIPES[f"marchini-callon-cussen/{name}"].recipe, "demo").replace(encoder="tiny")
        for name in ("sts-concat", "sts-mnrl")
    }
    tiny = mtbert.recipe("tiny").replace(epochs=1, steps_per_epoch=2, num_layers=1)
    recipes = {
        "concat": rows["sts-concat"],
        "again": rows["sts-concat"].replace(seed=1),
        "mnrl": rows["sts-mnrl"],
        "tiny": tiny,
        "tiny-again": tiny.replace(seed=1),
    }
    for name, recipe in recipes.items():
        mtbert.train(recipe, folder / name, sample, progress=False)
    return folder


def predicted(runs, name, sample):
    return dev_predictions.predictions(mtbert.open_run(runs / name), sample)


def test_differences_are_those_of_the_scores_with_an_error_that_rows_explain(runs, sample):
    first, against = (mtbert.open_run(runs / name).scores for name in ("tiny-again", "tiny"))
    found = compare(predicted(runs, "tiny-again", sample), predicted(runs, "tiny", sample))
    assert set(found) == {"sst", "quora", "sts", "plain", "normalised"}
    for metric, (difference, error, _) in found.items():
        assert difference == pytest.approx(first[metric] - against[metric], abs=1e-6)
        assert 0 < error < 0.2
    errors = {metric: error for metric, (_, error, _) in found.items()}
    alone = [errors["sst"], errors["quora"], errors["sts"]]  # three sets of rows, drawn independently
    assert errors["plain"] == pytest.approx(np.sqrt(np.square(alone).sum()) / 3, rel=0.05)
    alone[2] /= 2
    assert errors["normalised"] == pytest.approx(np.sqrt(np.square(alone).sum()) / 3, rel=0.05)
    assert found["plain"][2] == sum(found[task][2] for task in ("sst", "quora", "sts"))


def test_turned_around_the_difference_changes_its_sign(runs, sample):
    there = compare(predicted(runs, "tiny-again", sample), predicted(runs, "tiny", sample))
    back = compare(predicted(runs, "tiny", sample), predicted(runs, "tiny-again", sample))
    for metric in there:
        assert back[metric][0] == pytest.approx(-there[metric][0])
        assert back[metric][1] == pytest.approx(there[metric][1], rel=0.05)


def test_other_rows_are_refused(runs, sample):
    of = predicted(runs, "tiny", sample)
    few = {task: dev_predictions.Predicted(each.rows, each.values[:40]) for task, each in of.items()}
    with pytest.raises(UserError, match="sst: 40 and 300 dev rows"):
        compare(few, of)


def test_claims_are_compared_within_a_seed_and_controls_across(runs):
    found = evidence.pairs(mtbert.open_run(runs / name) for name in ("concat", "again", "mnrl", "tiny", "tiny-again"))
    assert [(first.folder.name, against.folder.name) for first, against in found] == [
        ("again", "concat"),
        ("mnrl", "concat"),
    ]  # our own recipe is at no scale of a report's row


def test_what_is_recorded_becomes_a_verdict(runs, kept, sample):
    folders = [runs / name for name in ("concat", "again", "mnrl")]
    for _ in range(2):  # the second time replaces the first
        evidence.record(evidence.compare_runs(folders, sample))
    results.record(folders, "reports")
    of, compared = load_runs("reports", "demo"), evidence.recorded(load_runs("reports", "demo"))
    assert len(pd.read_csv(kept / "claims.csv")) == len(compared) == 2
    scores = of.set_index(["recipe", "seed"]).sts
    found = evidence.evidence(CLAIM, of, compared)
    assert found.difference == pytest.approx(scores[CLAIM.recipes[0], 0] - scores[CLAIM.recipes[1], 0], abs=1e-9)
    noise, of_rows = SeedVariance.of(of, CLAIM.report, "sts"), compared[compared.row == CLAIM.recipes[0]].error.item()
    assert found.seeds == found.df == noise.df == 1  # one row has two seeds
    assert found.error == pytest.approx(math.hypot(noise.std * math.sqrt(2), of_rows)) and of_rows > 0
    line = verdicts(of, compared, [CLAIM]).iloc[0]
    assert (line.low, line.high) == pytest.approx(found.interval()) and line.test == "rows, borrowed noise, 1 seed"
    assert line.verdict == "too few seeds" and math.isnan(line.p) and math.isnan(line.holm)
    control = evidence.controls(compared).iloc[0]
    assert control.row == control.against and (control.row_seed, control.against_seed) == (1, 0)
    assert control.low < control.difference < control.high and control.apart == (control.low * control.high > 0)


def test_nothing_to_compare_is_said(runs, sample):
    with pytest.raises(UserError, match="no two of these runs are compared by a claim"):
        evidence.compare_runs([runs / "tiny", runs / "mnrl"], sample)


# -- several seeds ----------------------------------------------------------------------------------------------------


def table_of(**scores) -> pd.DataFrame:
    """Runs as ``load_runs`` gives them: row -> sts of seed 0, 1, ..."""
    return pd.DataFrame(
        [
            {
                "recipe": f"marchini-callon-cussen/{row.replace('_', '-')}",
                "seed": seed,
                "sts": score,
                "scale": "small",
                "encoder": "x",
                "precision": "float32",
            }
            for row, of in scores.items()
            for seed, score in enumerate(of)
        ]
    )


def compared(*differences, error=0.02) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "scale": "small",
                "encoder": "x",
                "precision": "float32",
                "row": CLAIM.recipes[0],
                "row_seed": seed,
                "against": CLAIM.recipes[1],
                "against_seed": seed,
                "metric": "sts",
                "difference": difference,
                "error": error * (seed + 1),
            }
            for seed, difference in enumerate(differences)
        ],
        columns=evidence._KEPT,
    )


def test_five_seeds_tell_their_own_error_and_only_seeds_of_both_count():
    mnrl, concat = [0.1, 0.2, 0.15, 0.1, 0.2], [0.4, 0.45, 0.5, 0.3, 0.5]
    of, differences = table_of(sts_mnrl=mnrl, sts_concat=[*concat, 0.9]), np.subtract(mnrl, concat)
    found = evidence.evidence(CLAIM, of, compared(*differences))
    assert (found.difference, found.df, found.seeds) == (pytest.approx(differences.mean()), 4, 5)
    assert found.error == pytest.approx(math.hypot(stats.sem(differences), 0.06))  # .06: the mean of .02 to .1
    line = verdicts(of, compared(*differences), [CLAIM]).iloc[0]
    assert line.test == "rows, own noise, 5 seeds" and line.verdict == "holds" and line.high < 0


def test_few_seeds_borrow_their_noise_from_the_rows_of_their_report_with_several():
    of = table_of(sts_mnrl=[0.1, 0.2, 0.3], sts_concat=[0.4, 0.4, 0.4], sts_triplet=[0.3, 0.5], sts_cosine=[0.9])
    other = of.assign(recipe="yin/" + of.recipe.str.split("/").str[1], sts=of.sts * 2)
    of = pd.concat([of, other], ignore_index=True)  # another report lends nothing
    noise, differences = SeedVariance.of(of, CLAIM.report, "sts"), (-0.3, -0.2, -0.1)
    assert (noise.std, noise.df) == pytest.approx((math.sqrt((2 * 0.01 + 2 * 0 + 0.02) / 5), 5))
    found = evidence.evidence(CLAIM, of, compared(*differences))
    assert (found.difference, found.df, found.seeds) == pytest.approx((-0.2, 5, 3))
    assert found.error == pytest.approx(math.hypot(noise.std * math.sqrt(2 / 3), 0.04))
    line = verdicts(of, compared(*differences), [CLAIM]).iloc[0]
    assert line.test == "rows, borrowed noise, 3 seeds" and line.p == line.holm == found.p(CLAIM.region)
    line = verdicts(of, compared(*differences[:2]), [CLAIM]).iloc[0]  # the third seed was not compared
    assert line.test == "none (3 seeds)" and line.verdict == "undecided" and math.isnan(line.p)


def test_claims_with_too_few_seeds_are_not_of_the_family_that_is_corrected_for():
    of = table_of(sts_mnrl=[0.1, 0.12, 0.11], sts_concat=[0.4, 0.41, 0.43], sts_triplet=[0.2, 0.2])
    few = Claim("marchini-callon-cussen", "losses", "", "sts-triplet", "sts-concat", "sts", "worse")
    found = verdicts(of, compared(-0.3, -0.29, -0.32), [CLAIM, few])
    assert list(found.verdict) == ["holds", "too few seeds"] and found.holm[0] == found.p[0] < 0.05
    assert math.isnan(found.p[1]) and found.difference[1] == pytest.approx(-0.205)


def test_noise_of_rows_alike_is_the_error_of_an_analysis_of_variance():
    scores = np.random.default_rng(0).normal([0.2, 0.5, 0.4], 0.03, size=(4, 3)).T
    of = table_of(sts_mnrl=scores[0], sts_concat=scores[1], sts_triplet=scores[2])
    noise = SeedVariance.of(of, CLAIM.report, "sts")
    between = 4 * np.var(scores.mean(1), ddof=1)
    assert between / noise.std**2 == pytest.approx(stats.f_oneway(*scores).statistic) and noise.df == 9


def test_rows_with_a_frozen_encoder_lend_no_noise():
    """Their seeds move heads alone."""
    trained, frozen = [0.2, 0.3, 0.4], [0.1, 0.1001, 0.0999]
    of = table_of(sts_mnrl=trained, sts_concat=[0.4])
    lent = pd.concat([of, table_of(baseline=frozen)], ignore_index=True)
    assert (
        SeedVariance.of(lent, CLAIM.report, "sts")
        == SeedVariance.of(of, CLAIM.report, "sts")
        == SeedVariance(pytest.approx(0.1), 2)
    )


def test_where_no_row_has_several_seeds_only_the_rows_error_is_known():
    of = table_of(sts_mnrl=[0.1], sts_concat=[0.4])
    assert math.isnan(SeedVariance.of(of, CLAIM.report, "sts").std) and SeedVariance.of(of, CLAIM.report, "sts").df == 0
    found = evidence.evidence(CLAIM, of, compared(-0.3))
    assert found == EffectEstimate.over_rows(found.difference, 0.02) and found.difference == pytest.approx(-0.3)
    line = verdicts(of, compared(-0.3), [CLAIM]).iloc[0]
    assert line.test == "rows, 1 seed" and line.verdict == "too few seeds"


def test_comparisons_of_other_runs_are_refused():
    of = table_of(sts_mnrl=[0.1], sts_concat=[0.4])
    with pytest.raises(UserError, match="sts-concat, seed 0, sts: claims were compared on other runs"):
        evidence.evidence(CLAIM, of, compared(-0.31))


def test_without_runs_every_claim_is_not_measured(kept):
    of = load_runs("reports", "small")
    found = verdicts(of, evidence.recorded(of))
    assert len(found) == len(CLAIMS) and set(found.verdict) == {"not measured"}
    assert found[["difference", "low", "high", "p", "holm"]].isna().all(axis=None)
    assert evidence.controls(evidence.recorded(of)).empty


def test_what_this_project_has_recorded_fits_together():
    of = load_runs("reports", "small")
    found = verdicts(of, evidence.recorded(of))
    both = [set(claim.recipes) <= set(of.recipe) for claim in CLAIMS]
    assert list(found.verdict != "not measured") == both
