"""Checks of notebook 08: the cosine head, a scorer trained on frozen vectors, MNRL and CoSENT."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from mtbert.nn.losses import cosent as cosent_reference
from mtbert.nn.losses import mnrl as mnrl_reference
from mtbert.training.evaluation import pearson
from mtbert.workbook.checks.engine import Answer, Draw, check, expect, returned, same, shaped, untouched

_WIDTH, _MEANING = 16, 5  # of the vectors in ``scorer``, and of the part that the labels are about


@check
def cosine_score(answer, draw):
    """answer(u, v) -> (rows,), 5 * relu(cos(u, v)); u, v (rows, width)."""
    rows, width = draw.whole(3, 6), draw.whole(7, 9)
    u, v = draw.normal(rows, width), draw.normal(rows, width)
    yield "gives one score a row"
    shaped(answer(u.clone(), v.clone()), rows)
    yield "leaves its arguments as they were"
    untouched(answer, u, v)
    yield "a sentence and itself score 5"
    same(answer(F.normalize(u, dim=1), F.normalize(u, dim=1)), torch.full((rows,), 5.0))
    yield "for vectors of length 1, it is 5 times their product where that is positive"
    near = F.normalize(F.normalize(u, dim=1) + 0.2 * F.normalize(v, dim=1), dim=1)
    same(answer(F.normalize(u, dim=1), near), 5 * (F.normalize(u, dim=1) * near).sum(1))
    yield "the length of a vector does not matter, and each row has its own"
    lengths = 1 + 8 * draw.uniform(rows, 1)
    same(answer(lengths * u, u + 0.3 * v), 5 * torch.cosine_similarity(u, u + 0.3 * v).relu())
    yield "vectors in opposite directions score 0, not less"
    same(answer(u, -u), torch.zeros(rows))
    yield "a vector of zeros gives a finite score"
    score = torch.as_tensor(answer(torch.zeros(rows, width), v))
    expect(score.isfinite().all(), "0 / 0 is not a number: keep the length away from 0")


@check
def scorer(answer, draw):
    """answer(pairs, labels) -> a trained function, pairs -> scores; pairs (rows, 2, width), labels and scores (rows,).

    The vectors hold more than what the labels are about, so their plain cosine is a poor score.
    """
    mix = torch.linalg.qr(draw.normal(_WIDTH, _WIDTH)).Q
    (pairs, labels), (new, new_labels) = _similar_pairs(draw, 400, mix), _similar_pairs(draw, 200, mix)
    yield "step 1: returns a function that gives a score for each pair"
    function = returned(answer(pairs, labels))
    expect(callable(function), f"it returned {type(function).__name__}, not a function")
    scores = _scores(function, new)
    yield "step 2: the score of a pair does not depend on the other pairs of the call"
    same(_scores(function, new[:3]), scores[:3], 1e-3)
    yield "step 2: the order of the two sentences does not matter"
    same(_scores(function, new.flip(1)), scores, 1e-3)
    yield "step 2: scores lie between 0 and 5"
    expect(((scores >= 0) & (scores <= 5.001)).all(), f"they reach from {scores.min():.3g} to {scores.max():.3g}")
    plain = pearson(torch.cosine_similarity(*new.unbind(1)), new_labels)
    r = pearson(scores, new_labels)
    yield "step 3: on pairs that were not in training, it beats the plain cosine by at least .05"
    expect(r > plain + 0.05, f"r is {r:.2f}, that of the plain cosine {plain:.2f}")
    yield "step 4: r on new pairs is at least .90"
    expect(r >= 0.9, f"it is {r:.2f}; the plain cosine has {plain:.2f}")
    yield "step 5: the scores can be used as they are: the root mean square error on new pairs is at most .8"
    error = float((scores - new_labels).square().mean().sqrt())
    expect(error <= 0.8, f"it is {error:.2f}; predicting the mean for every pair gives {new_labels.std():.2f}")


@check
def mnrl(answer, draw):
    """answer(u, v, scale) -> the mean over i of -log softmax over j of scale * cos(u_i, v_j), at j = i."""
    rows, width = draw.whole(4, 7), draw.whole(5, 8)
    u, v = F.normalize(draw.normal(rows, width), dim=1), F.normalize(draw.normal(rows, width), dim=1)
    yield "is one number"
    shaped(answer(u, v, 1.0))
    yield "for a single pair it is 0: there is nothing to confuse it with"
    same(answer(u[:1], v[:1], 1.0), 0.0)
    yield "where all sentences are equal it is the logarithm of the number of rows"
    same(answer(u[:1].expand(rows, -1), u[:1].expand(rows, -1), 1.0), torch.tensor(float(rows)).log())
    yield "for vectors of length 1 and a scale of 1: each u looks for its own v among all of them"
    same(answer(u, v, 1.0), mnrl_reference(u, v, 1.0))
    equal, opposed = u[:1].expand(rows, -1), torch.cat([u[:1], -u[:1], v[2:]])  # swapping u and v matters here
    same(answer(equal, opposed, 1.0), mnrl_reference(equal, opposed, 1.0))
    yield "the scale multiplies the cosines"
    same(answer(u, v, 7.0), mnrl_reference(u, v, 7.0))
    yield "the length of a vector does not matter: normalize before the product"
    lengths = 1 + 4 * draw.uniform(rows, 1)
    same(answer(u, lengths * v, 3.0), mnrl_reference(u, v, 3.0))
    yield "does not overflow for large scales"
    same(answer(u, v, 500.0), mnrl_reference(u, v, 500.0), 1e-3)


@check
def cosent(answer, draw):
    """answer(cosines, labels, scale) -> log(1 + sum over y_i > y_j of exp(scale * (cos_j - cos_i))); inputs (rows,)."""
    rows = draw.whole(4, 7)
    cosines, labels = 2 * draw.uniform(rows) - 1, draw.wholes(0, 3, rows).float()
    labels[:3] = torch.tensor([0.0, 3.0, 1.0])  # pairs with unequal labels, at several distances
    yield "is one number"
    shaped(answer(cosines, labels, 1.0))
    yield "where all labels are equal there is no order, and the loss is 0"
    same(answer(cosines, torch.ones(rows), 1.0), 0.0)
    yield "for two rows: log(1 + e to the cosine of the less similar one minus that of the more similar one)"
    same(answer(torch.tensor([0.2, 0.5]), torch.tensor([4.0, 1.0]), 1.0), torch.tensor(0.3).exp().log1p())
    yield "the scale multiplies the difference"
    same(answer(torch.tensor([0.2, 0.5]), torch.tensor([4.0, 1.0]), 5.0), torch.tensor(1.5).exp().log1p())
    yield "every pair of rows with unequal labels counts once, and the logarithm is taken of the sum"
    same(answer(cosines, labels, 2.0), cosent_reference(cosines, labels, 2.0))
    yield "only the order of the labels counts, not how far apart they are"
    same(answer(cosines, labels**3, 2.0), cosent_reference(cosines, labels, 2.0))
    yield "does not overflow for large scales"
    same(answer(-labels / 3, labels, 500.0), cosent_reference(-labels / 3, labels, 500.0), 1e-3)


def _similar_pairs(draw: Draw, rows: int, mix: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs whose label is 5 * relu(cosine) of a part of their vectors; the rest is noise, mixed with it."""
    cosines = 1.2 * draw.uniform(rows, 1) - 0.2
    u, other = F.normalize(draw.normal(2, rows, _MEANING), dim=2)
    across = F.normalize(other - (other * u).sum(1, keepdim=True) * u, dim=1)  # at a right angle to u
    v = cosines * u + (1 - cosines.square()).sqrt() * across
    noise = 1.5 * F.normalize(draw.normal(rows, 2, _WIDTH - _MEANING), dim=2)
    return torch.cat([torch.stack([u, v], dim=1), noise], dim=2) @ mix, 5 * cosines.squeeze(1).relu()


def _scores(function: Callable, pairs: Tensor) -> Tensor:
    scores = shaped(Answer(function)(pairs), len(pairs))
    expect(scores.isfinite().all(), "some scores are NaN or infinite")
    return scores
