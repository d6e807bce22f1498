"""Answers to the exercises of notebook 10: right ones, and usual mistakes by the property that they break."""

import torch


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
        positive = probabilities > threshold
        right = (positive & (labels == 1)).sum()
        rows.append([float(right / positive.sum()) if positive.any() else 0.0, float(right / (labels == 1).sum())])
    return torch.tensor(rows)


def bootstrap(first, second, drawn):
    return second[drawn].mean(1) - first[drawn].mean(1)


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


WRONG = {
    "matrix": [
        ("every class", as_many_as_occur),
        ("every row once", assigned_not_added),
        ("the diagonal", lambda t, p, n: matrix(torch.zeros_like(t), p, n)),
        ("rows are the truth", lambda t, p, n: matrix(p, t, n)),
    ],
    "scores": [
        ("first precision", lambda m: scores(m.T)),
        ("then recall", lambda m: scores(m)[[0, 0, 2]]),
        ("harmonic mean", plain_mean),
        (
            "never predicted",
            lambda m: torch.stack(
                [m.diagonal() / m.sum(0), m.diagonal() / m.sum(1), 2 * m.diagonal() / (m.sum(0) + m.sum(1))]
            ),
        ),
        ("without rows", lambda m: scores(m) + (m.sum(1) == 0)),
    ],
    "from_figures": [
        ("plain mean", lambda a, r, s: (a, a)),
        ("weighted", lambda a, r, s: (r, r)),
        ("weighted", lambda a, r, s: from_figures(a, r, s)[::-1]),
    ],
    "precision_recall": [("at 0", lambda c, y, t: precision_recall(c, y, t).flip(1)), ("exactly on", with_ties)],
    "bootstrap": [
        ("same drawn rows", drawn_apart),
        ("counts twice", lambda a, b, d: torch.stack([(b - a)[row.unique()].mean() for row in d])),
    ],
}
