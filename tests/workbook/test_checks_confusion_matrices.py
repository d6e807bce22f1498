"""Checks of 10_confusion_matrices: right answers pass, and each usual mistake fails at the property that names it."""

import pytest
import torch

from mtbert.workbook.checks import confusion_matrices as checks


def matrix(labels, predicted, classes):
    counts = torch.zeros(classes, classes)
    for true, answer in zip(labels, predicted, strict=True):
        counts[true, answer] += 1
    return counts


def ratio(above, below):
    return torch.where(below > 0, above / below.clamp(min=1e-12), 0.0)


def scores(counts):
    right = counts.diagonal().double()
    precision, recall = ratio(right, counts.sum(0)), ratio(right, counts.sum(1))
    return torch.stack([precision, recall, ratio(2 * precision * recall, precision + recall)])


def from_figures(accuracy, macro_recall, share):
    zero = (accuracy - 2 * share * macro_recall) / (1 - 2 * share)
    return zero, 2 * macro_recall - zero


def precision_recall(probabilities, labels, thresholds):
    rows = []
    for threshold in thresholds:
        said = probabilities > threshold
        right = (said & (labels == 1)).sum()
        rows.append([float(right / said.sum()) if said.any() else 0.0, float(right / (labels == 1).sum())])
    return torch.tensor(rows)


def bootstrap(first, second, drawn):
    return second[drawn].mean(1) - first[drawn].mean(1)


RIGHT = {
    "matrix": matrix,
    "scores": scores,
    "from_figures": from_figures,
    "precision_recall": precision_recall,
    "bootstrap": bootstrap,
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_passes(name):
    for _ in range(20):
        result = getattr(checks, name)(RIGHT[name])
        assert result.passed, str(result)


def as_many_as_occur(labels, predicted, classes):
    return matrix(labels, predicted, int(max(labels.max(), predicted.max())) + 1)


def assigned_not_added(labels, predicted, classes):
    counts = torch.zeros(classes, classes)
    counts[labels, predicted] += 1  # a pair that occurs twice is counted once
    return counts


def with_ties(probabilities, labels, thresholds):
    return precision_recall(probabilities + 1e-4, labels, thresholds)


def plain_mean(counts):
    precision, recall, _ = scores(counts)
    return torch.stack([precision, recall, (precision + recall) / 2])


def drawn_apart(first, second, drawn):
    return second[drawn].mean(1) - first[drawn.flip(1).roll(1, 0)].mean(1)


WRONG = [
    ("matrix", as_many_as_occur, "every class"),
    ("matrix", assigned_not_added, "every row once"),
    ("matrix", lambda t, p, n: matrix(torch.zeros_like(t), p, n), "the diagonal"),
    ("matrix", lambda t, p, n: matrix(p, t, n), "rows are the truth"),
    ("scores", lambda m: scores(m)[:2], "three numbers"),
    ("scores", lambda m: scores(m) / 2, "no answer is wrong"),
    ("scores", lambda m: scores(m.T), "first precision"),
    ("scores", lambda m: scores(m)[[0, 0, 2]], "then recall"),
    ("scores", plain_mean, "harmonic mean"),
    (
        "scores",
        lambda m: torch.stack(
            [m.diagonal() / m.sum(0), m.diagonal() / m.sum(1), 2 * m.diagonal() / (m.sum(0) + m.sum(1))]
        ),
        "never predicted",
    ),
    ("scores", lambda m: scores(m) + (m.sum(1) == 0), "without rows"),
    ("from_figures", lambda a, r, s: a, "two numbers"),
    ("from_figures", lambda a, r, s: (a, a), "plain mean"),
    ("from_figures", lambda a, r, s: (r, r), "weighted"),
    ("from_figures", lambda a, r, s: from_figures(a, r, s)[::-1], "weighted"),
    ("precision_recall", lambda c, y, t: precision_recall(c, y, t)[0], "each threshold"),
    ("precision_recall", lambda c, y, t: precision_recall(c, y, t).flip(1), "at 0"),
    ("precision_recall", with_ties, "exactly on"),
    (
        "precision_recall",
        lambda c, y, t: (
            precision_recall(c, y, t).nan_to_num() if len(t) > 1 or t[0] < 1 else torch.tensor([[1.0, 0.0]])
        ),
        "nothing is predicted",
    ),
    ("bootstrap", lambda a, b, d: (b - a).mean(), "one number a draw"),
    ("bootstrap", lambda a, b, d: a[d].mean(1) - b[d].mean(1), "as they are"),
    ("bootstrap", drawn_apart, "same drawn rows"),
    ("bootstrap", lambda a, b, d: torch.stack([(b - a)[each.unique()].mean() for each in d]), "counts twice"),
]


@pytest.mark.parametrize(("name", "answer", "said"), WRONG)
def test_a_usual_mistake_fails_at_its_property(name, answer, said):
    for _ in range(5):
        result = getattr(checks, name)(answer)
        if result.passed or said not in result.lines[-1]:
            pytest.fail(str(result))
