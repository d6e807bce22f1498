"""Answers to the exercises of notebook 07: right ones, and usual mistakes by the property that they break."""

import math

import torch
from workbook.edits import edited


def pal(x, encode, query, key, value, decode, heads, root="head", along=-1, shared_heads=False, inside=True):
    small = x @ encode
    size = small.shape[1]
    width = size // heads
    mixed = []
    for head in range(heads):
        columns = slice(head * width, (head + 1) * width) if not shared_heads else slice(0, width)
        q, k, v = (((small if inside else x[:, :size]) @ matrix)[:, columns] for matrix in (query, key, value))
        scale = {"head": math.sqrt(width), "size": math.sqrt(size), "none": 1.0}[root]
        mixed.append((q @ k.T / scale).softmax(along) @ v)
    return torch.cat(mixed, dim=1) @ decode


def begin(hidden, size, scale=1.0):
    return scale * torch.randn(hidden, size) / hidden**0.5, torch.zeros(size, hidden)


def count(hidden, size, layers, biases=True, shared=True, output=False):
    projections = 2 * hidden * size + (size + hidden if biases else 0)
    inner = (4 if output else 3) * (size**2 + (size if biases else 0))
    return (projections if shared else layers * projections) + layers * inner


def route(x, lengths, adapters, order=None, start=0):
    out, at = x.clone(), start
    for task in order(lengths, adapters) if order else lengths:
        own = slice(at, at + lengths[task])
        if task in adapters:
            out[own] += adapters[task](x[own])
        at += lengths[task]
    return out


RIGHT = {"begin": [lambda h, s: (torch.zeros(h, s), torch.randn(s, h) / s**0.5)]}
WRONG = {
    "pal": [
        ("a single token", lambda x, *rest: x + pal(x, *rest)),
        ("where all keys are zero", lambda x, e, q, k, v, d, heads: x @ e @ v @ d),
        ("with one head", lambda *given: pal(*given, along=0)),
        ("with more heads", lambda *given: pal(*given, root="size")),
        ("with more heads", lambda *given: pal(*given, shared_heads=True)),
    ],
    "begin": [
        ("adds exactly nothing", lambda h, s: (begin(h, s)[0], 0.02 * torch.randn(s, h))),
        ("it can learn", lambda h, s: (torch.zeros(h, s), torch.zeros(s, h))),
        ("drawn independently", lambda h, s: (torch.ones(h, s) * torch.rand(()) / 20, torch.zeros(s, h))),
        ("drawn independently", lambda h, s: (torch.randn(h, 1).expand(h, s) / 50, torch.zeros(s, h))),
        ("a vector keeps its scale", lambda h, s: begin(h, s, 6.0)),
    ],
    "count": [
        ("without layers", lambda h, s, n: count(h, s, n) - h + s),
        ("V^E and V^D are shared", lambda h, s, n: count(h, s, n, output=True)),
        ("a PAL of 204", lambda h, s, n: count(h, s, n) + (h if n else 0)),
    ],
    "route": [
        ("leaves x as it was", edited(route, "x.clone() => x")),
        ("one task, one adapter", lambda x, lengths, adapters: x.clone()),
        ("several tasks", edited(route, "        at += lengths[task]\n => ")),
        ("several tasks", lambda *given: route(*given, order=lambda lengths, adapters: sorted(lengths))),
        (
            "the order is that",
            lambda *given: route(*given, order=lambda n, a: [t for t in ("sst", "quora", "sts") if t in n]),
        ),
        ("an adapter sees the", edited(route, "adapters[task](x[own]) => adapters[task](x)[own]")),
    ],
}
