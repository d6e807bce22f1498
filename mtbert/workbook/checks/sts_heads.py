"""Checks of notebook 08: the cosine head, features of a pair, MNRL and CoSENT."""

import torch
import torch.nn.functional as F

from mtbert.nn.losses import cosent as cosent_reference
from mtbert.nn.losses import mnrl as mnrl_reference
from mtbert.workbook.checks.engine import check, expect, same, shaped, untouched


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
def features(answer, draw):
    """answer(u, v) -> (rows, 3 * width), u, v and |u - v| side by side; u, v (rows, width)."""
    rows, width = draw.whole(4, 6), draw.whole(7, 9)
    u, v = draw.normal(rows, width), draw.normal(rows, width)
    yield "gives one row of features a pair, three times as wide as a vector"
    shaped(answer(u, v), rows, 3 * width)
    yield "begins with u, then v"
    same(torch.as_tensor(answer(u, v))[:, : 2 * width], torch.cat([u, v], dim=1))
    yield "the last third is the difference of u and v, number by number"
    same(torch.as_tensor(answer(u, v))[:, 2 * width :].abs(), (u - v).abs())
    yield "it has no sign: the order of the sentences does not matter"
    same(torch.as_tensor(answer(v, u))[:, 2 * width :], (u - v).abs())


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
    labels[:2] = torch.tensor([0.0, 3.0])  # at least one pair with unequal labels
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
