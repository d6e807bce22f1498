"""Checks of the exercises in 04_sst_cfimdb."""

import math

import torch
import torch.nn.functional as F

from mtbert.workbook.checks.engine import check, expect, same, shaped


@check
def cross_entropy(answer, draw):
    """(logits (rows, classes), labels (rows,) whole numbers) -> the mean loss, one number."""
    rows, classes = draw.whole(3, 8), draw.whole(3, 7)
    logits, labels = 2 * draw.normal(rows, classes), draw.wholes(0, classes - 1, rows)
    yield "returns one number"
    shaped(answer(logits, labels), *())
    yield "gives ln(classes) where all logits are equal, whatever the labels"
    same(answer(torch.full((rows, classes), 0.7), labels), math.log(classes))
    yield "is the mean over the rows: the same rows twice give the same loss"
    same(answer(torch.cat([logits, logits]), torch.cat([labels, labels])), answer(logits, labels))
    yield "looks at the label's own class: raising its logit lowers the loss"
    raised = logits + 3 * F.one_hot(labels, classes)
    expect(answer(raised, labels) < answer(logits, labels), "the loss did not fall")
    yield "equals -log softmax(logits)[label], averaged"
    same(answer(logits, labels), F.cross_entropy(logits, labels))
    yield "survives logits of a thousand (subtract the largest first, or use logsumexp)"
    large = 1000 * logits
    same(answer(large, labels), F.cross_entropy(large, labels))


@check
def standard_error(answer, draw):
    """(accuracy from 0 to 1, rows) -> the standard error of that accuracy."""
    share, rows = 0.3 + 0.4 * float(draw.uniform(1)), draw.whole(50, 2000)
    yield "is 0 where every answer is right, or none"
    same([answer(1.0, rows), answer(0.0, rows)], [0.0, 0.0])
    yield "halves when there are four times as many rows"
    same(answer(share, 4 * rows), answer(share, rows) / 2, tolerance=1e-6)
    yield "is the same for p and 1 - p"
    same(answer(1 - share, rows), answer(share, rows), tolerance=1e-6)
    yield "equals the spread of the accuracy over many samples, sqrt(p (1 - p) / n)"
    same(answer(share, rows), math.sqrt(share * (1 - share) / rows), tolerance=1e-6)


@check
def head_and_tail(answer, draw):
    """(ids: list, [CLS] first and [SEP] last; max_length; head) -> list of at most max_length ids."""
    cls, sep = 101, 102
    head, tail = draw.whole(3, 8), draw.whole(4, 9)
    length = head + tail + 2
    inner = draw.wholes(1000, 20000, length + draw.whole(5, 30)).tolist()
    text = [cls, *inner, sep]
    short = text[: length - 1] + [sep]
    yield "leaves a text alone that fits exactly"
    got = answer(list(short), length, head)
    expect(got is not None, "your function returned nothing; is there a return?")
    expect(list(got) == short, f"{len(short)} ids went in, and other ids came out")
    yield "cuts a long text to max_length ids"
    got = list(answer(list(text), length, head))
    expect(len(got) == length, f"{len(got)} ids came out, not {length}")
    yield "keeps [CLS] at the front and [SEP] at the end"
    expect(got[0] == cls and got[-1] == sep, f"it begins with {got[0]} and ends with {got[-1]}")
    yield "keeps the first `head` pieces after [CLS]"
    expect(got[1 : head + 1] == inner[:head], "other pieces stand there")
    yield "fills the rest with the last pieces, in their order"
    expect(got[head + 1 : -1] == inner[-tail:], "other pieces stand there")
    yield "with head = 0 keeps the tail alone"
    expect(list(answer(list(text), length, 0)) == [cls, *inner[-(length - 2) :], sep], "other pieces stand there")


@check
def early_stopping(answer, draw):
    """(scores: list, one per epoch; patience) -> (best epoch, epochs run), both counted from 1."""
    rising = sorted(draw.uniform(draw.whole(4, 8)).tolist())
    patience = draw.whole(2, 4)

    def after(scores, patience):
        got = answer(list(scores), patience)
        expect(got is not None and len(got) == 2, "it should return two numbers: best epoch, epochs run")
        return tuple(int(number) for number in got)

    yield "runs to the end while the score still rises"
    wanted = (len(rising), len(rising))
    got = after(rising, patience)
    expect(got == wanted, f"it gave {got} for {len(rising)} rising scores, not {wanted}")
    yield "stops after `patience` epochs without a better score"
    scores = [0.5, 0.6] + [0.55] * (patience + 3)
    got, wanted = after(scores, patience), (2, 2 + patience)
    expect(got == wanted, f"it gave {got} for {scores} with patience {patience}, not {wanted}")
    yield "never sees a better score that comes after it stopped"
    scores = [0.6] + [0.5] * patience + [0.9]
    got, wanted = after(scores, patience), (1, 1 + patience)
    expect(got == wanted, f"it gave {got} for {scores} with patience {patience}, not {wanted}")
    yield "takes the earliest of equal scores, which do not count as better"
    scores = [0.4] + [0.7] * (patience + 2)
    got, wanted = after(scores, patience), (2, 2 + patience)
    expect(got == wanted, f"it gave {got} for {scores} with patience {patience}, not {wanted}")
    yield "waits anew after every better score"
    scores = [0.3] + [0.2] * (patience - 1) + [0.4] + [0.1] * patience
    got, wanted = after(scores, patience), (patience + 1, 2 * patience + 1)
    expect(got == wanted, f"it gave {got} for {scores} with patience {patience}, not {wanted}")
