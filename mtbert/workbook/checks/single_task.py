"""Checks of notebook 04: cross-entropy, the error of an accuracy, truncation, early stopping."""

import math

import torch
import torch.nn.functional as F

from mtbert.workbook.checks.engine import check, equal, expect, returned, same, several, shaped


@check
def cross_entropy(answer, draw):
    """answer(logits, labels) -> the mean loss, one number; logits (rows, classes), labels (rows,) whole numbers."""
    rows, classes = draw.whole(3, 8), draw.whole(3, 7)
    logits, labels = 2 * draw.normal(rows, classes), draw.wholes(0, classes - 1, rows)
    yield "returns one number"
    shaped(answer(logits, labels))
    yield "gives ln(classes) where all logits are equal, for any labels"
    same(answer(torch.full((rows, classes), 0.7), labels), math.log(classes))
    yield "depends on the logit of the label: raising it lowers the loss"
    raised = logits + 3 * F.one_hot(labels, classes)
    expect(answer(raised, labels) < answer(logits, labels), "the loss did not fall")
    yield "equals -log softmax(logits)[label], averaged"
    same(answer(logits, labels), F.cross_entropy(logits, labels))
    yield "survives logits of a thousand (subtract the largest first, or use logsumexp)"
    large = 1000 * logits
    same(answer(large, labels), F.cross_entropy(large, labels))


@check
def standard_error(answer, draw):
    """answer(accuracy, rows) -> the standard error of that accuracy, which is from 0 to 1."""
    share, rows = 0.3 + 0.4 * float(draw.uniform(1)), draw.whole(50, 2000)
    yield "is 0 where every answer is right, or none"
    same([answer(1.0, rows), answer(0.0, rows)], [0.0, 0.0])
    yield "halves when there are four times as many rows"
    same(answer(share, 4 * rows), answer(share, rows) / 2, tolerance=1e-6)
    yield "is the same for p and 1 - p"
    same(answer(1 - share, rows), answer(share, rows), tolerance=1e-6)
    yield "equals the standard deviation of the accuracy over many samples, sqrt(p (1 - p) / n)"
    same(answer(share, rows), math.sqrt(share * (1 - share) / rows), tolerance=1e-6)


@check
def head_and_tail(answer, draw):
    """answer(ids, max_length, head) -> list of at most max_length ids; ids begins with [CLS] and ends with [SEP]."""
    cls, sep = 101, 102
    head, tail = draw.whole(3, 8), draw.whole(4, 9)
    length = head + tail + 2
    inner = draw.wholes(1000, 20000, length + draw.whole(5, 30)).tolist()
    text = [cls, *inner, sep]
    short = text[: length - 1] + [sep]
    yield "leaves a text alone that fits exactly"
    got = returned(answer(list(short), length, head))
    expect(list(got) == short, f"{len(short)} ids went in, and other ids came out")
    yield "cuts a long text to max_length ids"
    got = list(answer(list(text), length, head))
    expect(len(got) == length, f"{len(got)} ids came out, not {length}")
    yield "keeps [CLS] at the front and [SEP] at the end"
    expect(got[0] == cls and got[-1] == sep, f"it begins with {got[0]} and ends with {got[-1]}")
    yield "keeps the first `head` pieces after [CLS]"
    expect(got[1 : head + 1] == inner[:head], "other pieces are there")
    yield "fills the rest with the last pieces, in their order"
    expect(got[head + 1 : -1] == inner[-tail:], "other pieces are there")
    yield "with head = 0 keeps the tail alone"
    expect(list(answer(list(text), length, 0)) == [cls, *inner[-(length - 2) :], sep], "other pieces are there")


@check
def early_stopping(answer, draw):
    """answer(scores, patience) -> (best epoch, epochs run), both counted from 1; scores is a list, one per epoch."""
    rising = sorted(draw.uniform(draw.whole(4, 8)).tolist())
    patience = draw.whole(2, 4)

    def gives(scores: list[float], best: int, epochs: int) -> None:
        got = several(answer(list(scores), patience), "best epoch", "epochs run")
        case = f"for {[round(score, 2) for score in scores]} with patience {patience}"
        equal(tuple(int(epoch) for epoch in got), (best, epochs), case)

    yield "runs to the end while the score still rises"
    gives(rising, len(rising), len(rising))
    yield "stops after `patience` epochs without a better score"
    gives([0.5, 0.6] + [0.55] * (patience + 3), 2, 2 + patience)
    yield "ignores a better score that comes after it stopped"
    gives([0.6] + [0.5] * patience + [0.9], 1, 1 + patience)
    yield "takes the earliest of equal scores, which do not count as better"
    gives([0.4] + [0.7] * (patience + 2), 2, 2 + patience)
    yield "waits anew after every better score"
    gives([0.3] + [0.2] * (patience - 1) + [0.4] + [0.1] * patience, patience + 1, 2 * patience + 1)
