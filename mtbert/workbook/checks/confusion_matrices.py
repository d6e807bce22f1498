"""Checks of notebook 10: counts, precision and recall, recalls from a report's figures, thresholds, calibration, and a
comparison of two models."""

import math
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from mtbert.experiments.metrics import Pair, class_scores, confusion_matrix
from mtbert.workbook.checks.engine import check, expect, same, several, shaped


@check
def matrix(answer, draw):
    """answer(labels, predicted, classes) -> (classes, classes) counts, a row per true class; both inputs (rows,)."""
    classes, rows = draw.whole(3, 5), draw.whole(20, 40)
    labels, predicted = draw.wholes(0, classes - 2, rows), draw.wholes(0, classes - 2, rows)
    yield "has a row and a column for every class, even one that does not occur"
    shaped(answer(labels, predicted, classes), classes, classes)
    yield "counts every row once"
    total = int(torch.as_tensor(answer(labels, predicted, classes)).sum())
    expect(total == rows, f"{rows} rows went in, and the counts add up to {total}")
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

    def three(counts: Tensor) -> Tensor:
        got = answer(counts)
        if isinstance(got, tuple | list):  # a tensor for each of the three
            got = torch.stack([shaped(one, len(counts)) for one in several(got, "precision", "recall", "F1")])
        return got

    classes = draw.whole(3, 5)
    counts = draw.wholes(1, 9, classes, classes)
    counts[0, 1:] += 9  # otherwise precision might equal recall
    yield "gives three numbers for each class"
    shaped(three(counts), 3, classes)
    yield "all are 1 where no answer is wrong"
    same(three(torch.diag(counts[0])), torch.ones(3, classes))
    expected = torch.from_numpy(class_scores(counts).to_numpy().T)[:3]
    got = shaped(three(counts), 3, classes).double()
    yield "first precision: the share of the predictions of a class that is right"
    same(got[0], expected[0])
    yield "then recall: the share of the rows of a class that is predicted right"
    same(got[1], expected[1])
    yield "then F1: the harmonic mean of the class's own precision and recall"
    same(got[2], expected[2])
    yield "a class that is never predicted has precision and F1 0, not NaN; so has a class without rows"
    for entries in (counts[:, 1], counts[1]):
        entries.zero_()
        same(three(counts), torch.from_numpy(class_scores(counts).to_numpy().T)[:3])


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
        got = shaped(answer(*figures(recalls, share)), 2)
        is_swapped = torch.allclose(got.double(), torch.tensor(recalls[::-1]).double(), atol=1e-3)
        expect(not is_swapped, "these are the recalls of class 1 and of class 0: class 0 comes first")
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
def temperature(answer, draw):
    """answer(logits, labels) -> the temperature T at which logits / T have the lowest mean cross-entropy.

    logits (rows, classes); labels (rows,).
    """
    logits = 1.5 * draw.normal(2000, 4)
    labels = torch.multinomial(logits.softmax(1), 1, generator=draw.generator).squeeze(1)  # calibrated
    times = draw.between(2.0, 4.0)
    yield "step 1: gives one number above 0"
    got = _number(answer(logits, labels))
    expect(math.isfinite(got) and got > 0, f"it gave {got:.3g}")
    yield "step 2: is close to 1 for labels drawn from the probabilities themselves"
    expect(abs(got - 1) < 0.2, f"it gave {got:.3f}")
    yield "step 3: is above 1 for a model that is too confident, and below 1 for one that is too cautious"
    for factor in (times, 1 / times):
        high = _number(answer(factor * logits, labels))
        expect((high > 1) == (factor > 1), f"for logits times {factor:.2f} it gave {high:.3f}")
    yield "step 3: logits that are k times as large have a temperature k times as large"
    for factor in (times, 1 / times):
        _multiplied(_number(answer(factor * logits, labels)), got, factor)
    yield "step 4: no temperature nearby has a lower cross-entropy"
    for factor in (1.0, times):
        best = _number(answer(factor * logits, labels))
        losses = [float(cross_entropy(factor * logits / (best * nearby), labels)) for nearby in (1.0, 0.95, 1.05)]
        expect(losses[0] <= min(losses) + 1e-6, f"at {best:.3f} it is {losses[0]:.5f}, nearby {min(losses[1:]):.5f}")
    yield "step 5: works for logits in the hundreds: the search reaches that far, and no exponential overflows"
    _multiplied(_number(answer(300 * logits, labels)), got, 300)


def _number(got: Any) -> float:
    """One number, also from a tensor or an array with a single entry."""
    if isinstance(got, Tensor) and got.numel() == 1:
        got = got.reshape(())
    return float(shaped(got))


def _multiplied(got: float, before: float, factor: float) -> None:
    expected = factor * before
    expect(abs(got / expected - 1) <= 0.03, f"for logits times {factor:.3g} it gave {got:.3g}, not {expected:.3g}")


@check
def compare(answer, draw):
    """answer(labels, first, second, draws, generator) -> (difference, low, high, p).

    labels, first, second (rows,), classes; draws, the number of bootstrap samples; generator, a torch.Generator.
    """
    rows = draw.whole(250, 350)
    labels = draw.wholes(0, 4, rows)
    first, second = labels.clone(), labels.clone()
    both_wrong, only_first, only_second = draw.whole(60, 90), draw.whole(8, 12), draw.whole(22, 30)
    ends = list(accumulate((both_wrong, only_second, only_first)))
    first[: ends[1]] = (labels[: ends[1]] + 1) % 5  # wrong together with the second, then alone
    second[: ends[0]] = (labels[: ends[0]] + draw.whole(1, 4)) % 5
    second[ends[1] : ends[2]] = (labels[ends[1] : ends[2]] + 2) % 5
    order = torch.randperm(rows, generator=draw.generator)
    given = labels[order], first[order], second[order]
    swapped = given[0], given[2], given[1]
    pair = Pair.count(*given)

    def results(*rows: Tensor, draws: int = 2000, seed: int = 0) -> tuple[float, ...]:
        got = answer(*rows, draws, torch.Generator().manual_seed(seed))
        return tuple(float(shaped(value)) for value in several(got, "difference", "low", "high", "p"))

    yield "step 1: the difference is the accuracy of the second minus that of the first"
    same(results(*given)[0], pair.difference)
    same(results(*swapped)[0], -pair.difference)
    yield "step 2: p is how often fair coins would split the discordant rows at least as unevenly, either way"
    for three in (given, swapped):
        same(results(*three)[3], pair.mcnemar())
    yield "step 2: rows on which both are right or both are wrong do not count"
    discordant = (given[1] == given[0]) != (given[2] == given[0])
    same(results(*(values[discordant] for values in given))[3], pair.mcnemar())
    yield "step 2: p is 1 for equally many rows on both sides, and without any"
    even = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 2, 2]), torch.tensor([3, 3, 1, 1])
    for three in (even, (labels, labels, labels)):
        same(results(*three)[3], 1.0)
    yield "step 3: low and high are the middle 95% of the differences, so they enclose the difference"
    _, low, high, _ = results(*given)
    expect(low < pair.difference < high, f"{low:.3f} to {high:.3f}, but the difference is {pair.difference:.3f}")
    yield "step 4: both models are scored on the same drawn rows, as many as there are"
    for bound, expected in zip((low, high), pair.interval(), strict=True):
        got, half = bound - pair.difference, expected - pair.difference
        expect(abs(got - half) < 0.15 * abs(half), f"a bound is {got:+.4f} from the difference, not {half:+.4f}")
    same(results(labels, first, first)[1:3], [0.0, 0.0])
    yield "step 5: the generator decides which rows are drawn, and nothing else"
    once, again = ([results(*given, draws=40, seed=seed)[1:3] for seed in range(8)] for _ in range(2))
    expect(once == again, "the same seed gave another interval")
    expect(len({*once}) > 1, "every seed gave the same interval")
