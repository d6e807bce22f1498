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
from mtbert.experiments.metrics import (
    Pair,
    averages,
    calibration,
    calibration_error,
    class_scores,
    classes_of,
    column_shares,
    confidence,
    confusion_matrix,
    distances,
    expected_counts,
    quadratic_kappa,
    row_shares,
)

CLASSES = 4
ANSWERS = st.lists(st.tuples(st.integers(0, CLASSES - 1), st.integers(0, CLASSES - 1)), min_size=1, max_size=60)
MATRICES = ANSWERS.map(lambda pairs: confusion_matrix(*zip(*pairs, strict=True), CLASSES))


def test_rows_are_the_truth_and_columns_the_prediction():
    assert confusion_matrix([0, 0, 1], [1, 1, 0], 2).tolist() == [[0, 2], [1, 0]]


@pytest.mark.parametrize(
    ("labels", "predicted", "other"), [([0, 3], [1, 0], 3), ([0, 1], [-1, 0], -1), ([0], [0.5], 0.5)]
)
def test_what_is_no_class_is_refused_and_not_counted_elsewhere(labels, predicted, other):
    with pytest.raises(ValueError, match=f"{other} is none of the classes 0 to 2"):
        confusion_matrix(labels, predicted, 3)


def test_tensors_are_as_good_as_arrays():
    counts = torch.tensor([[2, 1], [0, 3]])
    assert averages(counts) == averages(counts.numpy()) and quadratic_kappa(counts) == quadratic_kappa(counts.numpy())
    assert (row_shares(counts) == row_shares(counts.numpy())).all() and distances(counts).tolist() == [5, 1]
    assert (column_shares(counts) == column_shares(counts.numpy())).all()
    assert confusion_matrix(torch.tensor([0, 1]), torch.tensor([1, 1]), 2).tolist() == [[0, 1], [0, 1]]


@given(ANSWERS)
def test_the_matrix_is_scikit_learns(pairs):
    labels, predicted = zip(*pairs, strict=True)
    assert (
        confusion_matrix(labels, predicted, CLASSES) == metrics.confusion_matrix(labels, predicted, labels=range(4))
    ).all()


@given(ANSWERS)
def test_scores_and_averages_are_scikit_learns(pairs):
    labels, predicted = zip(*pairs, strict=True)
    matrix = confusion_matrix(labels, predicted, CLASSES)
    options = {"labels": range(CLASSES), "zero_division": 0}
    expected = metrics.precision_recall_fscore_support(labels, predicted, **options)
    assert np.allclose(class_scores(matrix).to_numpy().T, expected)
    *macro, _ = metrics.precision_recall_fscore_support(labels, predicted, average="macro", **options)
    assert list(averages(matrix).values()) == pytest.approx([metrics.accuracy_score(labels, predicted), *macro])
    *micro, _ = metrics.precision_recall_fscore_support(labels, predicted, average="micro", **options)
    assert micro == pytest.approx([averages(matrix)["accuracy"]] * 3)  # so they need no function of their own


@given(MATRICES)
def test_shares_sum_to_1_but_for_classes_that_do_not_occur(matrix):
    assert np.allclose(row_shares(matrix).sum(axis=1), matrix.sum(axis=1) > 0)
    assert np.allclose(column_shares(matrix).sum(axis=0), matrix.sum(axis=0) > 0)
    assert np.allclose(np.diagonal(row_shares(matrix)), class_scores(matrix).recall)
    assert np.allclose(np.diagonal(column_shares(matrix)), class_scores(matrix).precision)


def test_a_class_never_predicted_has_precision_and_f1_of_0():
    scores = class_scores([[3, 0], [2, 0]])
    assert scores.precision[1] == scores.recall[1] == scores.f1[1] == 0 and scores.rows.tolist() == [3, 2]


@given(MATRICES)
def test_false_positives_and_false_negatives_are_equally_many_over_all_classes(matrix):
    right = np.diagonal(matrix)
    assert (matrix.sum(axis=0) - right).sum() == (matrix.sum(axis=1) - right).sum()


@given(MATRICES)
def test_independence_keeps_the_margins_and_has_no_kappa(matrix):
    expected = expected_counts(matrix)
    assert np.allclose(expected.sum(axis=0), matrix.sum(axis=0))
    assert np.allclose(expected.sum(axis=1), matrix.sum(axis=1))
    assert quadratic_kappa(expected) == pytest.approx(0, abs=1e-9)


def test_shuffled_answers_give_the_matrix_of_independence():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    predicted = np.where(rng.random(300) < 0.7, labels, rng.integers(0, 3, 300))
    mean = np.mean([confusion_matrix(labels, rng.permutation(predicted), 3) for _ in range(2000)], axis=0)
    assert np.allclose(mean, expected_counts(confusion_matrix(labels, predicted, 3)), atol=0.5)


@given(ANSWERS)
def test_kappa_is_scikit_learns(pairs):
    labels, predicted = zip(*pairs, strict=True)
    got = quadratic_kappa(confusion_matrix(labels, predicted, CLASSES))
    if len({*labels, *predicted}) == 1:
        assert got == 0  # scikit-learn has NaN there
    else:
        expected = metrics.cohen_kappa_score(labels, predicted, weights="quadratic", labels=range(CLASSES))
        assert got == pytest.approx(expected)


@given(ANSWERS)
def test_distances_count_rows_by_how_far_off_they_are(pairs):
    labels, predicted = map(np.array, zip(*pairs, strict=True))
    got = distances(confusion_matrix(labels, predicted, CLASSES))
    assert got.tolist() == [(abs(labels - predicted) == far).sum() for far in range(CLASSES)]


def test_scores_round_halves_up_and_stay_within_their_range():
    assert classes_of(get_task("sts"), [-0.7, 0.49, 0.5, 2.5, 3.5, 4.49, 5.6]).tolist() == [0, 0, 1, 3, 4, 4, 5]
    assert classes_of(get_task("sst"), [0.0, 4.0]).tolist() == [0, 4]


# -- calibration ------------------------------------------------------------------------------------------------------


def test_a_class_is_claimed_with_its_own_probability_and_a_binary_task_claims_1():
    outputs = torch.tensor([[0.0, math.log(3.0)], [math.log(9.0), 0.0]])
    probabilities, true = confidence(get_task("cfimdb"), outputs, [1, 1])
    assert probabilities == pytest.approx([0.75, 0.9]) and true.tolist() == [True, False]
    probabilities, true = confidence(get_task("quora"), torch.tensor([[math.log(3.0)], [-math.log(3.0)]]), [0, 1])
    assert probabilities == pytest.approx([0.75, 0.25]) and true.tolist() == [False, True]


def test_calibration_by_hand():
    table = calibration([0.1, 0.2, 0.9, 1.0], [False, True, True, True], bins=2)
    assert table.to_dict("list") == {
        "low": [0, 0.5],
        "high": [0.5, 1],
        "rows": [2, 2],
        "confidence": pytest.approx([0.15, 0.95]),
        "true": [0.5, 1],
    }
    assert calibration_error(table) == pytest.approx((0.35 + 0.05) / 2)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1), st.integers(1, 20))
def test_every_claim_is_in_the_bin_of_its_probability(pairs, bins):
    table = calibration(*zip(*pairs, strict=True), bins=bins)
    assert table.rows.sum() == len(pairs) and (table.rows > 0).all()
    assert (table.confidence >= table.low - 1e-9).all() and (table.confidence <= table.high + 1e-9).all()
    assert 0 <= calibration_error(table) <= 1


def test_claims_that_come_true_as_often_as_they_say_have_no_error():
    assert calibration_error(calibration([0.25] * 4 + [0.5] * 2, [1, 0, 0, 0, 1, 0])) == 0


# -- two models -------------------------------------------------------------------------------------------------------


def test_a_pair_is_counted_row_by_row():
    pair = Pair.count([0, 1, 2, 0, 1], [0, 1, 0, 1, 1], [0, 0, 2, 2, 1])
    assert pair == Pair(both=2, only_first=1, only_second=1, neither=1) and pair.rows == 5 and pair.difference == 0


def test_the_interval_is_that_of_rows_drawn_with_replacement():
    rng = np.random.default_rng(1)
    first, second = rng.random(400) < 0.6, rng.random(400) < 0.7
    pair = Pair.count(np.ones(400), first, second)
    rows = rng.integers(0, 400, (4000, 400))
    drawn = (second[rows].astype(float) - first[rows]).mean(axis=1)
    assert pair.difference == pytest.approx(second.mean() - first.mean())
    assert pair.interval() == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.01)
    assert pair.interval(draws=200) == pair.interval(draws=200)


def test_the_interval_grows_with_the_rows_the_two_differ_on():
    def width(pair):
        return np.diff(pair.interval())

    assert width(Pair(80, 10, 10, 0)) < width(Pair(40, 30, 30, 0))
    assert Pair(70, 0, 0, 30).interval() == (0, 0)  # the same answers: no row can tell them apart


def test_mcnemar_is_the_binomial_test_of_the_rows_that_only_one_got_right():
    assert Pair(500, 3, 9, 20).mcnemar() == pytest.approx(2 * stats.binom.cdf(3, 12, 0.5))
    assert Pair(5, 3, 9, 2).mcnemar() == Pair(500, 9, 3, 20).mcnemar()
    assert Pair(5, 0, 0, 5).mcnemar() == 1
