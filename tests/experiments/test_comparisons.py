"""Runs compared on the same dev rows: differences of scores, errors that rows explain, and which pairs there are."""

import math

import numpy as np
import pandas as pd
import pytest

import mtbert
from mtbert.experiments import results
from mtbert.experiments.claim_tests import controls, estimate_effect, verdicts
from mtbert.experiments.claims import Claim
from mtbert.experiments.comparisons import (
    comparable_pairs,
    compare,
    compare_runs,
    record_comparisons,
    recorded_comparisons,
)
from mtbert.experiments.metrics import resampled_pearson
from mtbert.experiments.predictions import DevPredictions, load_predictions
from mtbert.experiments.recipes import RECIPES, scaled
from mtbert.experiments.reports import load_runs
from mtbert.training.evaluation import pearson
from mtbert.utils.errors import UserError

CLAIM = Claim("marchini-callon-cussen", "losses", "MNRL ruins similarity", "sts-mnrl", "sts-concat", "sts", "worse")


def test_a_bootstrap_sample_of_correlations_is_that_of_the_rows_drawn():
    generator = np.random.default_rng(1)
    labels, first, second = generator.normal(size=(3, 30)) + 3
    samples = resampled_pearson(labels, first, second, 50, np.random.default_rng(7))
    counts = np.random.default_rng(7).multinomial(30, np.full(30, 1 / 30), size=50)
    for difference, times in zip(samples, counts, strict=True):
        y, a, b = (np.repeat(values, times) for values in (labels, first, second))
        assert difference == pytest.approx(pearson(b, y) - pearson(a, y), abs=1e-9)
    constant = resampled_pearson(np.arange(20.0), np.full(20, 2.5), np.arange(20.0), 40, np.random.default_rng(0))
    assert constant == pytest.approx(np.ones(40))  # a constant model has a correlation of zero


def test_differences_are_those_of_the_scores_with_an_error_that_rows_explain(tiny_runs, sample):
    runs = [mtbert.open_run(tiny_runs / name) for name in ("two", "one")]
    (scores, baseline), (two, one) = (run.scores for run in runs), (load_predictions(run, sample) for run in runs)
    compared = compare(two, one)
    assert set(compared) == {"sst", "quora", "sts", "plain", "normalised"}
    for metric, (difference, error, _) in compared.items():
        assert difference == pytest.approx(scores[metric] - baseline[metric], abs=1e-6) and 0 < error < 0.2
    errors = np.array([compared[task][1] for task in ("sst", "quora", "sts")])  # rows of a task are drawn independently
    assert compared["plain"][1] == pytest.approx(np.linalg.norm(errors) / 3, rel=0.05)
    assert compared["normalised"][1] == pytest.approx(np.linalg.norm(errors * [1, 1, 0.5]) / 3, rel=0.05)
    assert compared["plain"][2] == sum(compared[task][2] for task in ("sst", "quora", "sts"))
    for metric, (difference, error, _) in compare(one, two).items():
        assert (-difference, error) == pytest.approx(compared[metric][:2], rel=0.05)
    few = {task: DevPredictions(rows, values[:40]) for task, (rows, values) in one.items()}
    with pytest.raises(UserError, match="sst: 40 and 300 dev rows"):
        compare(few, one)


@pytest.fixture(scope="module")
def report_runs(tmp_path_factory, sample):
    """Runs of two rows of a report at demo scale, with two seeds of one of them."""
    folder = tmp_path_factory.mktemp("report")
    concat, mnrl = (
        scaled(RECIPES[f"marchini-callon-cussen/{name}"].recipe, "demo").replace(encoder="tiny")
        for name in ("sts-concat", "sts-mnrl")
    )
    for name, recipe in {"concat": concat, "again": concat.replace(seed=1), "mnrl": mnrl}.items():
        mtbert.train(recipe, folder / name, sample, progress=False)
    return [folder / name for name in ("concat", "again", "mnrl")]


def test_claims_are_compared_within_a_seed_and_controls_across(report_runs, tiny_runs, sample):
    pairs = comparable_pairs(mtbert.open_run(folder) for folder in [*report_runs, tiny_runs / "one", tiny_runs / "two"])
    assert [(row.folder.name, baseline.folder.name) for row, baseline in pairs] == [
        ("again", "concat"),
        ("mnrl", "concat"),
    ]  # our own recipe is at no scale of a report's row
    with pytest.raises(UserError, match="no claim compares two of these runs"):
        compare_runs([tiny_runs / "one", report_runs[2]], sample)


def test_recorded_comparisons_become_a_verdict(report_runs, results_dir, sample):
    for _ in range(2):  # the second time replaces the first
        record_comparisons(compare_runs(report_runs, sample))
    results.record(report_runs, "reports")
    runs = load_runs("reports", "demo")
    comparisons = recorded_comparisons(runs)
    assert len(pd.read_csv(results_dir / "claims.csv")) == len(comparisons) == 2
    effect = estimate_effect(CLAIM, runs, comparisons)
    line = verdicts(runs, comparisons, [CLAIM]).iloc[0]
    assert (line.low, line.high) == pytest.approx(effect.interval())
    assert line.test == "dev rows, 1 seed"
    assert line.verdict == "underpowered" and math.isnan(line.p) and math.isnan(line.holm)
    control = controls(comparisons).iloc[0]
    assert control.row == control.baseline and (control.row_seed, control.baseline_seed) == (1, 0)
    assert control.low < control.difference < control.high
    assert control.excludes_zero == (control.low * control.high > 0)
