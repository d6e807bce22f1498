"""Answers to the exercises of notebook 08: other right ones, and usual mistakes by the property that they break."""

import torch
import torch.nn.functional as F
from workbook.exercises import edited, solutions

cosine_score, _, mnrl, cosent = solutions("sts_heads").values()


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


RIGHT = {
    "cosine_score": [lambda u, v: 5 * torch.cosine_similarity(u, v).clamp(min=0)],
    "features": [lambda u, v: torch.hstack([u, v, (v - u).abs()])],
}
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
    "features": [
        ("begins with u", lambda u, v: torch.cat([v, u, (u - v).abs()], dim=1)),
        ("the last third", lambda u, v: torch.cat([u, v, u * v], dim=1)),
        ("the last third is the difference", lambda u, v: torch.cat([u, v, (u - v) ** 2], dim=1)),
        ("it has no sign", lambda u, v: torch.cat([u, v, u - v], dim=1)),
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
        ("", weighted),
    ],
}
