"""Answers to the exercises of notebook 06: right ones, and usual mistakes by the property that they break."""

import math

import torch
from workbook.edits import edited


def project(gradient, other, by=lambda gradient, other: other @ other, sign=-1, along="other", when="conflict"):
    product = gradient @ other
    if {"conflict": product < 0, "always": True, "agree": product > 0}[when]:
        away = {"other": other, "itself": gradient}[along]
        return gradient + sign * product / by(gradient, other) * away
    return gradient


def project_without_if(gradient, other):
    return gradient - (gradient @ other).clamp(max=0) / (other @ other) * other


def pcgrad(gradients, order):
    changed = gradients.clone()
    for i, others in enumerate(order):
        for j in others:
            product = changed[i] @ gradients[j]
            if product < 0:
                changed[i] -= product / gradients[j].square().sum() * gradients[j]
    return changed.sum(0)


def weights(gramian, order, guard=True, own=False, axis=0, changed_rows=True, mean=False):
    changed = torch.eye(len(gramian))
    for i, others in enumerate(order):
        for j in others:
            product = changed[i] @ gramian[:, j] if changed_rows else gramian[i, j]
            if product < 0 or not guard:
                changed[i, j] -= product.clamp(max=0) / (gramian[i, i] if own else gramian[j, j])
    return changed.mean(axis) if mean else changed.sum(axis)


def vaccine(gradient, other, target, guard=True, always=False, swapped=False, root=True, sign=1):
    own, length = gradient.norm(), other.norm()
    if guard and own * length == 0:
        return 0.0
    cosine = float(gradient @ other / (own * length))
    if cosine >= target and not always:
        return 0.0
    bent = math.sqrt(1 - target**2)
    amount = sign * (target * math.sqrt(max(0, 1 - cosine**2)) - cosine * bent) / (bent if root else 1)
    return amount * (length / own if swapped else own / length)


RIGHT = {"project": [lambda g, o: g if g @ o >= 0 else g - (g @ o) / o.norm() * (o / o.norm())]}
WRONG = {
    "project": [
        ("changes nothing", lambda g, o: project(o, g)),
        ("in a conflict", lambda g, o: g),
        ("the length of the other", lambda g, o: project(g, o, by=lambda g, o: 1)),
        ("an other of all zeros", project_without_if),
    ],
    "pcgrad": [
        ("without a conflict", lambda g, order: pcgrad(g, order) / len(g)),
        ("two gradients in conflict", lambda g, order: g.sum(0)),
        ("leaves the gradients", edited(pcgrad, "gradients.clone() => gradients")),
        ("whether two conflict", edited(pcgrad, "product < 0 => gradients[i] @ gradients[j] < 0")),
        ("so does how much", edited(pcgrad, "-= product / => -= gradients[i] @ gradients[j] /")),
        ("takes the others", lambda g, order: pcgrad(g, [sorted(others) for others in order])),
    ],
    "weights": [
        ("without a conflict", lambda g, order: weights(g, order, mean=True)),
        ("two gradients of length 1", lambda g, order: torch.ones(len(g))),
        ("for unequal lengths", lambda g, order: weights(g, order, own=True)),
        ("the products are those", lambda g, order: weights(g, order, changed_rows=False)),
        ("takes the others", lambda g, order: weights(g, [sorted(others) for others in order])),
        ("a gradient of all zeros", lambda g, order: weights(g, order, guard=False)),
    ],
    "vaccine": [
        ("is 0 where the cosine", lambda g, o, target: vaccine(g, o, target, always=True)),
        ("and a target of 0", lambda g, o, target: 0.0),
        ("and a target of 0", lambda g, o, target: vaccine(g, o, target, sign=-1)),
        ("and any target", lambda g, o, target: vaccine(g, o, target, root=False)),
        ("of any lengths", lambda g, o, target: vaccine(g, o, target, swapped=True)),
        ("either gradient is all zeros", lambda g, o, target: vaccine(g, o, target, guard=False)),
    ],
}
