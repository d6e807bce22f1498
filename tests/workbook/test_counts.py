"""Recorded counts: bins that are merged, matrices at thresholds, pairs of runs."""

import numpy as np
import pandas as pd
import pytest

from mtbert.experiments.metrics import calibration, class_scores, confusion_matrix
from mtbert.workbook.counts import best_constant, recorded_bins, recorded_matrix, recorded_pairs, threshold_curve

RNG = np.random.default_rng(0)
PROBABILITIES = RNG.uniform(0.05, 0.95, 400)
LABELS = RNG.uniform(size=400) < PROBABILITIES


def test_a_matrix_at_every_edge_of_a_bin():
    curve = threshold_curve(calibration(PROBABILITIES, LABELS, bins=20))
    for row in curve.itertuples():
        matrix = confusion_matrix(LABELS, row.threshold <= PROBABILITIES, 2)
        assert [[row.tn, row.fp], [row.fn, row.tp]] == matrix.tolist()
        scores = class_scores(matrix).loc[1]
        assert [row.precision, row.recall, row.f1] == pytest.approx(scores[["precision", "recall", "f1"]].tolist())
        assert row.accuracy == pytest.approx(np.trace(matrix) / 400)


def test_merged_bins_hold_the_same_rows_with_the_same_means():
    fine, coarse = (recorded_bins("sst", "sst", bins) for bins in (50, 10))
    for column in ("confidence", "true"):
        assert np.average(fine[column], weights=fine.rows) == pytest.approx(
            np.average(coarse[column], weights=coarse.rows)
        )
    assert fine.rows.sum() == coarse.rows.sum() == 1101 and (coarse.high - coarse.low).tolist() == pytest.approx(
        [0.1] * len(coarse)
    )
    assert all(coarse.confidence.between(coarse.low, coarse.high))


def test_a_recorded_matrix_counts_every_dev_row_of_one_seed():
    assert recorded_matrix("sst", "sst").sum() == 1101


def test_recorded_pairs_have_an_interval_around_the_difference():
    pairs = recorded_pairs(lambda name: name.removesuffix(" s0"))
    assert (pairs.low <= pairs.difference).all() and (pairs.difference <= pairs.high).all()
    assert (
        pairs["first"].iloc[0] == "sst-last-layer"
        and not pd.concat([pairs["first"], pairs.second]).str.contains(" s0").any()
    )


def test_the_best_constant_prediction_is_the_most_frequent_class():
    share, rows = best_constant("sst", "sst")
    classes = recorded_matrix("sst", "sst").sum(axis=1)
    assert (share, rows) == (max(classes) / 1101, 1101)
    assert best_constant("yin/low-rank-top-mean", "quora")[1] == 2000  # as many rows as that run was scored on
