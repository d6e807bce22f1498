"""Checks of notebook 10: counting, precision and recall, recalls from a report's figures, thresholds, bootstrap."""

import torch

from mtbert.experiments.metrics import class_scores, confusion_matrix
from mtbert.workbook.checks.engine import check, expect, same, shaped


@check
def matrix(answer, draw):
    """answer(labels, predicted, classes) -> (classes, classes) counts, a row per true class; both inputs (rows,)."""
    classes, rows = draw.whole(3, 5), draw.whole(20, 40)
    labels, predicted = draw.wholes(0, classes - 2, rows), draw.wholes(0, classes - 2, rows)
    yield "has a row and a column for every class, even one that does not occur"
    shaped(answer(labels, predicted, classes), classes, classes)
    yield "counts every row once"
    expect(int(torch.as_tensor(answer(labels, predicted, classes)).sum()) == rows, f"{rows} rows went in")
    yield "puts right answers on the diagonal"
    same(answer(labels, labels, classes), torch.diag(labels.bincount(minlength=classes)))
    yield "rows are the truth, columns the prediction"
    one = torch.zeros(classes, classes)
    one[2, 1] = 1
    same(answer(torch.tensor([2]), torch.tensor([1]), classes), one)
    yield "equals mtbert.experiments.metrics.confusion_matrix"
    same(answer(labels, predicted, classes), torch.from_numpy(confusion_matrix(labels, predicted, classes)))


@check
def scores(answer, draw):
    """answer(matrix) -> (3, classes), precision, recall and F1 of each class; matrix (classes, classes)."""
    classes = draw.whole(3, 5)
    counts = draw.wholes(1, 9, classes, classes)
    counts[0, 1:] += 9  # otherwise precision might equal recall
    yield "gives three numbers for each class"
    shaped(answer(counts), 3, classes)
    yield "all are 1 where no answer is wrong"
    same(answer(torch.diag(counts[0])), torch.ones(3, classes))
    expected = torch.from_numpy(class_scores(counts).to_numpy().T)[:3]
    got = shaped(answer(counts), 3, classes).double()
    yield "first precision: the share of the predictions of a class that is right"
    same(got[0], expected[0])
    yield "then recall: the share of the rows of a class that is predicted right"
    same(got[1], expected[1])
    yield "then F1: the harmonic mean of the class's own precision and recall"
    same(got[2], expected[2])
    yield "a class that is never predicted has precision and F1 0, not NaN; so has a class without rows"
    for entries in (counts[:, 1], counts[1]):
        entries.zero_()
        same(answer(counts), torch.from_numpy(class_scores(counts).to_numpy().T)[:3])


@check
def from_figures(answer, draw):
    """answer(accuracy, macro_recall, share of class 1) -> (recall of class 0, recall of class 1)."""

    def figures(recalls, share):
        return (1 - share) * recalls[0] + share * recalls[1], (recalls[0] + recalls[1]) / 2, share

    recalls = draw.between(0.6, 0.9), draw.between(0.3, 0.59)
    yield "gives two numbers"
    shaped(answer(*figures(recalls, 0.3)), 2)
    yield "their plain mean is the macro recall"
    same(sum(answer(*figures(recalls, 0.3))) / 2, sum(recalls) / 2)
    yield "weighted by how frequent the classes are, their mean is the accuracy"
    for share in (0.2, 0.35, 0.8):
        got = answer(*figures(recalls, share))
        same((1 - share) * got[0] + share * got[1], figures(recalls, share)[0])
    yield "class 0 comes first"
    same(answer(*figures((1.0, 0.0), 0.25)), [1.0, 0.0])


@check
def precision_recall(answer, draw):
    """answer(probabilities, labels, thresholds) -> (t, 2), precision and recall of label 1.

    probabilities, labels (rows,); thresholds (t,).
    """
    rows = draw.whole(30, 60)
    labels = (draw.uniform(rows) < 0.4).long()
    labels[:2] = torch.tensor([0, 1])
    probabilities = (0.6 * draw.uniform(rows) + 0.3 * labels).clamp(0.01, 0.99)
    at = torch.tensor([0.2, 0.4, 0.6])
    yield "gives two numbers for each threshold"
    shaped(answer(probabilities, labels, at), 3, 2)
    yield "at 0 everything is predicted 1: recall is 1, precision the share of label 1"
    same(answer(probabilities, labels, torch.zeros(1)), [[float(labels.double().mean()), 1.0]])
    yield "a probability exactly on the threshold is predicted 0"
    same(answer(torch.tensor([0.5, 0.8, 0.2]), torch.tensor([1, 1, 0]), torch.tensor([0.5])), [[1.0, 0.5]])
    yield "precision and recall follow from the counts at each threshold"
    tables = [class_scores(confusion_matrix(labels, probabilities > threshold, 2)) for threshold in at]
    expected = [list(table.loc[1, ["precision", "recall"]]) for table in tables]
    same(answer(probabilities, labels, at), torch.tensor(expected))
    yield "where nothing is predicted 1, precision is 0"
    same(answer(probabilities, labels, torch.ones(1)), [[0.0, 0.0]])


@check
def bootstrap(answer, draw):
    """answer(first, second, drawn) -> (draws,) differences in accuracy.

    first, second (rows,), 1 where an answer is right; drawn (draws, rows), row indices.
    """
    rows, draws = draw.whole(30, 60), draw.whole(5, 9)
    first, second = (draw.uniform(rows) < 0.6).float(), (draw.uniform(rows) < 0.7).float()
    second = torch.maximum(first, second)  # never worse, and better on one row at least
    first[0], second[0] = 0.0, 1.0
    drawn = draw.wholes(0, rows - 1, draws, rows)
    yield "gives one number a draw"
    shaped(answer(first, second, drawn), draws)
    yield "on the original rows, it is the accuracy of the second minus that of the first"
    same(answer(first, second, torch.arange(rows)[None]), [float((second - first).mean())])
    yield "two models with the same answers never differ: both see the same drawn rows"
    same(answer(first, first.clone(), drawn), torch.zeros(draws))
    yield "a row drawn twice counts twice"
    same(answer(first, second, drawn), (second - first)[drawn].mean(1))
