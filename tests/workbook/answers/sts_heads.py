"""Answers to the exercises of notebook 08: other right ones, and usual mistakes by the property that they break."""

import torch
import torch.nn.functional as F
from workbook.exercises import edited, solutions

cosine_score, scorer, mnrl, cosent = (
    solutions("sts_heads")[name] for name in ("cosine_score", "scorer", "mnrl", "cosent")
)


def by_least_squares(pairs, labels):
    """A bilinear form: ridge regression on all symmetric products of an entry of u and one of v."""

    def products(pairs):
        u, v = pairs.double().unbind(1)
        outer = u[:, :, None] * v[:, None, :]
        return (outer + outer.mT).flatten(1)

    x = products(pairs)
    gram = x.T @ x + 0.1 * torch.eye(x.shape[1], dtype=torch.float64)
    weights = torch.linalg.solve(gram, x.T @ labels.double())
    return lambda pairs: (products(pairs) @ weights).clamp(0, 5)


def linear_on_both(pairs, labels):
    x = torch.cat([pairs.flatten(1), torch.ones(len(pairs), 1)], dim=1)
    weights = torch.linalg.lstsq(x, labels[:, None]).solution
    return lambda pairs: (torch.cat([pairs.flatten(1), torch.ones(len(pairs), 1)], dim=1) @ weights).squeeze(1)


def plain_cosine(pairs, labels):
    return lambda pairs: 5 * torch.cosine_similarity(pairs[:, 0], pairs[:, 1]).relu()


def wrapped(change):
    def train(pairs, labels):
        score = scorer(pairs, labels)
        return lambda pairs: change(score(pairs))

    return train


def in_place(u, v):
    u /= u.norm(dim=1, keepdim=True).clamp(min=1e-8)
    return cosine_score(u, v)


def by_exponentials(u, v, scale):
    scores = (scale * F.normalize(u, dim=1) @ F.normalize(v, dim=1).T).exp()
    return -(scores.diagonal() / scores.sum(1)).log().mean()


def weighted(cosines, labels, scale):
    differences = scale * (cosines[None, :] - cosines[:, None])
    by = (labels[:, None] - labels[None, :]).clamp(min=0)
    return (1 + (by.clamp(max=1) * by / by.max().clamp(min=1) * differences.exp()).sum()).log()


RIGHT = {"cosine_score": [lambda u, v: 5 * torch.cosine_similarity(u, v).clamp(min=0)], "scorer": [by_least_squares]}
WRONG = {
    "cosine_score": [
        ("leaves its arguments", in_place),
        ("a sentence and itself", lambda u, v: cosine_score(u, v) / 5),
        ("for vectors of length 1", lambda u, v: 5 * (torch.cosine_similarity(u, v) + 1) / 2),
        ("the length of a vector", lambda u, v: 5 * (u * v).sum(1).relu()),
        ("opposite directions", lambda u, v: 5 * torch.cosine_similarity(u, v)),
        ("a vector of zeros", lambda u, v: 5 * ((u * v).sum(1) / u.norm(dim=1) / v.norm(dim=1)).relu()),
        ("each row has its own", edited(cosine_score, "u.norm(dim=1) * v.norm(dim=1) => u.norm() * v.norm() / len(u)")),
    ],
    "scorer": [
        ("step 1", lambda pairs, labels: labels),
        ("the other pairs", wrapped(lambda scores: scores / scores.max())),
        ("the order of the two", linear_on_both),
        ("between 0 and 5", wrapped(lambda scores: scores - 1)),
        ("beats the plain cosine", plain_cosine),
        ("at least .90", edited(scorer, "range(100) => range(8)")),
        ("used as they are", wrapped(lambda scores: scores / 2)),
    ],
    "mnrl": [
        ("for a single pair", lambda u, v, scale: -scale * torch.cosine_similarity(u, v).mean()),
        ("where all sentences are equal", lambda u, v, scale: len(u) * mnrl(u, v, scale)),
        ("for vectors of length 1", lambda u, v, scale: mnrl(v, u, scale)),
        ("the scale multiplies", lambda u, v, scale: mnrl(u, v, 1.0)),
        ("the length of a vector", edited(mnrl, "F.normalize(u, dim=1) @ F.normalize(v, dim=1).T => u @ v.T")),
        ("does not overflow", by_exponentials),
    ],
    "cosent": [
        ("where all labels", edited(cosent, "] > labels => ] >= labels")),
        ("for two rows", lambda cosines, labels, scale: torch.zeros(())),
        ("the scale multiplies", lambda cosines, labels, scale: cosent(cosines, labels, 1.0)),
        ("counts once", weighted),
    ],
}
