"""Answers to the exercises of notebook 10: usual mistakes by the property that they break."""

import torch
from workbook.exercises import solutions

matrix, scores, from_figures, precision_recall, bootstrap = solutions("confusion_matrices").values()


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
