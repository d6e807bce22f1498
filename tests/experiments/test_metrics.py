"""Confusion matrices: equal to scikit-learn's, their laws, conventions at 0 / 0; calibration; two models on a row."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from mtbert.data import get_task
from mtbert.experiments import metrics as ours

CLASSES = 4
ANSWERS = st.lists(st.tuples(st.integers(0, CLASSES - 1), st.integers(0, CLASSES - 1)), min_size=1, max_size=60)
MATRICES = ANSWERS.map(lambda pairs: ours.confusion_matrix(*zip(*pairs, strict=True), CLASSES))


@pytest.mark.parametrize(
    ("labels", "predicted", "other"), [([0, 3], [1, 0], 3), ([0, 1], [-1, 0], -1), ([0], [0.5], 0.5)]
)
def test_what_is_no_class_is_refused_and_not_counted_elsewhere(labels, predicted, other):
    with pytest.raises(ValueError, match=f"{other} is none of the classes 0 to 2"):
        ours.confusion_matrix(labels, predicted, 3)


@pytest.mark.parametrize("function", [ours.row_shares, ours.column_shares, ours.distances, ours.quadratic_kappa])
def test_tensors_are_as_good_as_arrays(function):
    counts = torch.tensor([[2, 1], [0, 3]])
    assert np.array_equal(function(counts), function(counts.numpy()))


@given(ANSWERS)
def test_matrix_scores_averages_and_kappa_are_scikit_learns(pairs):
    labels, predicted = map(np.array, zip(*pairs, strict=True))
    matrix = ours.confusion_matrix(labels, predicted, CLASSES)
    assert (matrix == metrics.confusion_matrix(labels, predicted, labels=range(CLASSES))).all()
    options = {"labels": range(CLASSES), "zero_division": 0}
    expected = metrics.precision_recall_fscore_support(labels, predicted, **options)
    assert np.allclose(ours.class_scores(matrix).to_numpy().T, expected)
    *macro, _ = metrics.precision_recall_fscore_support(labels, predicted, average="macro", **options)
    assert list(ours.averages(matrix).values()) == pytest.approx([metrics.accuracy_score(labels, predicted), *macro])
    expected = 0  # where scikit-learn has NaN
    if len({*labels, *predicted}) > 1:
        expected = metrics.cohen_kappa_score(labels, predicted, weights="quadratic", labels=range(CLASSES))
    assert ours.quadratic_kappa(matrix) == pytest.approx(expected)
    assert ours.distances(matrix).tolist() == [(abs(labels - predicted) == far).sum() for far in range(CLASSES)]


@given(MATRICES)
def test_shares_sum_to_1_but_for_classes_that_do_not_occur(matrix):
    assert np.allclose(ours.row_shares(matrix).sum(axis=1), matrix.sum(axis=1) > 0)
    assert np.allclose(ours.column_shares(matrix).sum(axis=0), matrix.sum(axis=0) > 0)
    assert np.allclose(np.diagonal(ours.row_shares(matrix)), ours.class_scores(matrix).recall)
    assert np.allclose(np.diagonal(ours.column_shares(matrix)), ours.class_scores(matrix).precision)


@given(MATRICES)
def test_independence_keeps_the_margins_and_has_no_kappa(matrix):
    expected = ours.expected_counts(matrix)
    assert np.allclose(expected.sum(axis=0), matrix.sum(axis=0))
    assert np.allclose(expected.sum(axis=1), matrix.sum(axis=1))
    assert ours.quadratic_kappa(expected) == pytest.approx(0, abs=1e-9)


def test_scores_round_halves_up_and_stay_within_their_range():
    assert ours.classes_of(get_task("sts"), [-0.7, 0.49, 0.5, 2.5, 3.5, 4.49, 5.6]).tolist() == [0, 0, 1, 3, 4, 4, 5]
    assert ours.classes_of(get_task("sst"), [0.0, 4.0]).tolist() == [0, 4]


def test_a_class_is_claimed_with_its_own_probability_and_a_binary_task_claims_1():
    outputs = torch.tensor([[0.0, math.log(3.0)], [math.log(9.0), 0.0]])
    probabilities, true = ours.confidence(get_task("cfimdb"), outputs, [1, 1])
    assert probabilities == pytest.approx([0.75, 0.9]) and true.tolist() == [True, False]
    probabilities, true = ours.confidence(get_task("quora"), torch.tensor([[math.log(3.0)], [-math.log(3.0)]]), [0, 1])
    assert probabilities == pytest.approx([0.75, 0.25]) and true.tolist() == [False, True]


def test_calibration_by_hand():
    table = ours.calibration([0.1, 0.2, 0.9, 1.0], [False, True, True, True], bins=2)
    assert table.to_dict("list") == {
        "low": [0, 0.5],
        "high": [0.5, 1],
        "rows": [2, 2],
        "confidence": pytest.approx([0.15, 0.95]),
        "true": [0.5, 1],
    }
    assert ours.calibration_error(table) == pytest.approx((0.35 + 0.05) / 2)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1), st.integers(1, 20))
def test_every_claim_is_in_the_bin_of_its_probability(pairs, bins):
    table = ours.calibration(*zip(*pairs, strict=True), bins=bins)
    assert table.rows.sum() == len(pairs) and (table.rows > 0).all()
    assert (table.confidence >= table.low - 1e-9).all() and (table.confidence <= table.high + 1e-9).all()
    assert 0 <= ours.calibration_error(table) <= 1


def test_the_interval_is_that_of_rows_drawn_with_replacement():
    rng = np.random.default_rng(1)
    first, second = rng.random(400) < 0.6, rng.random(400) < 0.7
    pair = ours.Pair.count(np.ones(400), first, second)
    rows = rng.integers(0, 400, (4000, 400))
    drawn = (second[rows].astype(float) - first[rows]).mean(axis=1)
    assert pair.difference == pytest.approx(second.mean() - first.mean()) and pair.rows == 400
    assert (pair.both, pair.neither) == ((first & second).sum(), (~first & ~second).sum())
    assert pair.interval() == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.01)
    assert ours.Pair(70, 0, 0, 30).interval() == (0, 0)  # the same answers: no row can tell them apart


def test_mcnemar_is_the_binomial_test_of_the_rows_that_only_one_got_right():
    assert ours.Pair(500, 3, 9, 20).mcnemar() == pytest.approx(2 * stats.binom.cdf(3, 12, 0.5))
    assert ours.Pair(5, 3, 9, 2).mcnemar() == ours.Pair(500, 9, 3, 20).mcnemar()
    assert ours.Pair(5, 0, 0, 5).mcnemar() == 1
