"""Answers to the exercises of notebook 04: usual mistakes by the property that they break."""

import math

import torch
import torch.nn.functional as F
from workbook.exercises import edited, solutions

early_stopping = solutions("single_task")["early_stopping"]


def naive(logits, labels):
    shares = logits.exp() / logits.exp().sum(1, keepdim=True)
    return -shares[range(len(labels)), labels].log().mean()


WRONG = {
    "cross_entropy": [
        ("ln(classes)", lambda x, y: x.mean()),
        ("the logit of the label", lambda x, y: torch.tensor(math.log(x.shape[1]))),
        ("averaged", lambda x, y: F.cross_entropy(x / 2, y)),
        ("a thousand", naive),
    ],
    "standard_error": [
        ("four times", lambda p, n: p * (1 - p) / n),
        ("p and 1 - p", lambda p, n: p * math.sqrt((1 - p) / n)),
        ("standard deviation", lambda p, n: p * (1 - p) / math.sqrt(n)),
    ],
    "head_and_tail": [
        ("cuts", lambda ids, length, head: ids),
        ("[CLS] at the front", lambda ids, length, head: ids[:length]),
        ("last pieces", lambda ids, length, head: [*ids[: length - 1], ids[-1]]),
        ("first", lambda ids, length, head: ids if len(ids) <= length else [ids[0], *ids[1 - length :]]),
    ],
    "early_stopping": [
        ("stops after", lambda scores, patience: (scores.index(max(scores)) + 1, len(scores))),
        ("earliest", edited(early_stopping, "score >  => score >= ")),
        (
            "waits anew",
            edited(
                early_stopping,
                "epoch - best >= => sum(score <= max(scores[: i + 1]) for i, score in enumerate(scores[1:epoch])) >=",
            ),
        ),
    ],
}
