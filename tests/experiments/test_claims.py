"""The reports' claims: statements that can be tested, about rows that exist."""

import math
import shutil
from dataclasses import replace

import pytest

from mtbert.experiments.claims import REGIONS, TITLES, Claim, load_claims
from mtbert.experiments.recipes import RECIPES, report_names
from mtbert.experiments.report_tables import read_tables
from mtbert.experiments.reports import metrics_of
from mtbert.utils import paths
from mtbert.utils.errors import UserError

CLAIMS = load_claims()
MIXED = Claim("li-tang", "order of tasks", "mixed is better", "mix-0.3", "seq", "overall", "better")  # +.011 in print


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: f"{claim.report}: {claim.statement}")
def test_a_claim_is_about_two_rows_that_have_its_metric(claim):
    for name in claim.recipes:
        assert claim.metric in metrics_of(RECIPES[name].recipe) and claim.metric in RECIPES[name].printed
    assert claim.row != claim.baseline and math.isfinite(claim.printed)


def test_every_report_has_claims_and_none_is_repeated():
    assert len(CLAIMS) == 62 and {claim.report for claim in CLAIMS} == set(TITLES) == set(report_names())
    assert len({(claim.report, claim.statement) for claim in CLAIMS}) == len(CLAIMS)
    assert len({(claim.recipes, claim.metric) for claim in CLAIMS}) == len(CLAIMS)
    assert {claim.direction for claim in CLAIMS} == set(REGIONS)


def test_the_printed_difference_is_row_minus_baseline_in_the_reports_own_overall_score():
    row, baseline = (RECIPES[f"li-tang/{name}"].printed["overall"] for name in ("mix-0.3", "seq"))
    assert MIXED.printed == pytest.approx(row - baseline) and MIXED.score == "plain"
    assert {claim.score for claim in CLAIMS if claim.report == "yin"} >= {"normalised", "sts"}

    swapped = replace(MIXED, row="seq", baseline="mix-0.3")  # -.011 in print
    supported = {direction: replace(swapped, direction=direction).supported_by_report for direction in REGIONS}
    assert supported == {"better": "no", "worse": "yes", "alike": "no", "no better": "yes"}


def test_a_report_may_contradict_its_own_table_or_leave_a_figure_out():
    contradicted = {(claim.report, claim.statement) for claim in CLAIMS if claim.supported_by_report == "no"}
    assert ("marchini-callon-cussen", "all three together are best") in contradicted
    assert ("yin", "training twice as long helps sentiment") in contradicted
    claim = Claim("yin", "", "", "low-rank-top-mean-mnrl-pairs", "baseline", "overall", "worse")  # overall left empty
    assert math.isnan(claim.printed) and claim.supported_by_report == "not printed"


@pytest.mark.parametrize(("old", "new"), [(",seq,pretrain,", ",sequential,pretrain,"), (",better", ",best")])
def test_a_claim_about_an_unknown_row_or_direction_is_named(tmp_path, monkeypatch, old, new):
    shutil.copytree(paths.REPORTS, tmp_path / "reports")
    monkeypatch.setattr(paths, "REPORTS", tmp_path / "reports")
    path = tmp_path / "reports" / "claims.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(UserError, match=r"claims.csv, row \d+: .*'(li-tang/sequential|best)'"):
        load_claims()
    assert set(read_tables().report) == set(TITLES)  # the file of claims is no results table
