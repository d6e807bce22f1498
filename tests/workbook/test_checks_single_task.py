"""Checks of 04_sst_cfimdb: right answers pass, and each usual mistake fails at the property that names it."""

import math

import pytest
import torch
import torch.nn.functional as F

from mtbert.workbook.checks import single_task as checks


def head_and_tail(ids, max_length, head):
    if len(ids) <= max_length:
        return ids
    tail = max_length - 2 - head
    return [ids[0], *ids[1 : head + 1], *ids[len(ids) - 1 - tail : -1], ids[-1]]


def early_stopping(scores, patience):
    best = 1
    for epoch, score in enumerate(scores, start=1):
        if score > scores[best - 1]:
            best = epoch
        if epoch - best >= patience:
            return best, epoch
    return best, len(scores)


RIGHT = {
    "cross_entropy": lambda logits, labels: (logits.logsumexp(1) - logits[range(len(labels)), labels]).mean(),
    "standard_error": lambda p, n: math.sqrt(p * (1 - p) / n),
    "head_and_tail": head_and_tail,
    "early_stopping": early_stopping,
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_passes(name):
    for _ in range(20):
        result = getattr(checks, name)(RIGHT[name])
        assert result.passed, str(result)


def naive(logits, labels):
    shares = logits.exp() / logits.exp().sum(1, keepdim=True)
    return -shares[range(len(labels)), labels].log().mean()


def never_stops(scores, patience):
    return scores.index(max(scores)) + 1, len(scores)


def counts_equal_as_better(scores, patience):
    best = 1
    for epoch, score in enumerate(scores, start=1):
        if score >= scores[best - 1]:
            best = epoch
        if epoch - best >= patience:
            return best, epoch
    return best, len(scores)


def patience_in_all(scores, patience):
    best, bad = 1, 0
    for epoch, score in enumerate(scores, start=1):
        if score > scores[best - 1]:
            best = epoch
        elif epoch > 1:
            bad += 1
        if bad >= patience:
            return best, epoch
    return best, len(scores)


WRONG = [
    ("cross_entropy", lambda x, y: F.cross_entropy(x, y, reduction="none"), "one number"),
    ("cross_entropy", lambda x, y: x.mean(), "ln(classes)"),
    ("cross_entropy", lambda x, y: F.cross_entropy(x, y, reduction="sum"), "ln(classes)"),
    ("cross_entropy", lambda x, y: torch.tensor(math.log(x.shape[1])), "the label's own class"),
    ("cross_entropy", lambda x, y: F.cross_entropy(x / 2, y), "averaged"),
    ("cross_entropy", naive, "a thousand"),
    ("standard_error", lambda p, n: 1 / math.sqrt(n), "every answer is right"),
    ("standard_error", lambda p, n: p * (1 - p) / n, "four times"),
    ("standard_error", lambda p, n: p * math.sqrt((1 - p) / n), "p and 1 - p"),
    ("standard_error", lambda p, n: p * (1 - p) / math.sqrt(n), "spread"),
    ("head_and_tail", lambda ids, length, head: ids[1:], "alone"),
    ("head_and_tail", lambda ids, length, head: ids, "cuts"),
    ("head_and_tail", lambda ids, length, head: ids[:length], "[CLS] at the front"),
    ("head_and_tail", lambda ids, length, head: [*ids[: length - 1], ids[-1]], "last pieces"),
    ("head_and_tail", lambda ids, length, head: ids if len(ids) <= length else [ids[0], *ids[1 - length :]], "first"),
    ("early_stopping", lambda scores, patience: (0, 0), "still rises"),
    ("early_stopping", never_stops, "stops after"),
    ("early_stopping", counts_equal_as_better, "earliest"),
    ("early_stopping", patience_in_all, "waits anew"),
]


@pytest.mark.parametrize(("name", "answer", "said"), WRONG)
def test_a_usual_mistake_fails_at_its_property(name, answer, said):
    for _ in range(5):
        result = getattr(checks, name)(answer)
        if result.passed or said not in result.lines[-1]:
            pytest.fail(str(result))
