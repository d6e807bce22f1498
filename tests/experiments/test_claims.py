"""The reports' claims: statements that can be tested, about rows that exist."""

import math

import pytest

from mtbert.experiments.beside import metrics_of
from mtbert.experiments.claims import CLAIMS, REGIONS, TITLES, Claim
from mtbert.experiments.recipes import RECIPES, report_names

FIRST = Claim("li-tang", "order of tasks", "mixed is better", "mix-0.3", "seq", "overall", "better")


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: f"{claim.report}: {claim.words}")
def test_a_claim_is_about_two_rows_that_have_its_metric(claim):
    for name in claim.recipes:
        assert claim.metric in metrics_of(RECIPES[name].recipe) and claim.metric in RECIPES[name].printed
    assert claim.row != claim.against and math.isfinite(claim.printed)


def test_every_report_has_claims_and_none_stands_twice():
    assert {claim.report for claim in CLAIMS} == set(TITLES) == set(report_names())
    assert len({(claim.report, claim.words) for claim in CLAIMS}) == len(CLAIMS)
    assert len({(claim.recipes, claim.metric) for claim in CLAIMS}) == len(CLAIMS)
    assert {claim.direction for claim in CLAIMS} == set(REGIONS)


def test_the_printed_difference_is_the_row_minus_the_other():
    first, second = (RECIPES[f"li-tang/{row}"].printed["overall"] for row in ("mix-0.3", "seq"))
    assert FIRST.printed == pytest.approx(first - second) and FIRST.supported_by_report == "yes"


def test_the_overall_score_is_the_reports_own():
    assert FIRST.score == "plain" and {claim.score for claim in CLAIMS if claim.report == "yin"} >= {
        "normalised",
        "sts",
    }


def test_a_text_may_contradict_its_own_table():
    against_print = {(claim.report, claim.words) for claim in CLAIMS if claim.supported_by_report == "no"}
    assert ("marchini-callon-cussen", "all three together are best") in against_print
    assert ("yin", "twice as long helps sentiment") in against_print


@pytest.mark.parametrize(
    ("direction", "holds"), [("better", "no"), ("worse", "yes"), ("alike", "no"), ("no better", "yes")]
)
def test_a_statement_says_where_the_difference_lies(direction, holds):
    swapped = Claim("li-tang", "", "", "seq", "mix-0.3", "overall", direction)  # -.011 in print
    assert swapped.supported_by_report == holds


def test_what_is_not_printed_cannot_be_compared():
    claim = Claim("yin", "", "", "low-rank-top-mean-mnrl-pairs", "baseline", "overall", "worse")  # overall left empty
    assert math.isnan(claim.printed) and claim.supported_by_report == "not printed"
