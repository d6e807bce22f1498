"""Answers to the exercises of notebook 07: other right ones, and usual mistakes by the property that they break."""

import torch
from workbook.exercises import edited, solutions

pal, begin, count, _ = solutions("pals").values()


def route(x, lengths, adapters, order=None):
    out, at = x.clone(), 0
    for task in order(lengths, adapters) if order else lengths:
        own = slice(at, at + lengths[task])
        if task in adapters:
            out[own] += adapters[task](x[own])
        at += lengths[task]
    return out


RIGHT = {"begin": [lambda h, s: (torch.zeros(h, s), torch.randn(s, h) / s**0.5)], "route": [route]}
WRONG = {
    "pal": [
        ("a single token", lambda x, *rest: x + pal(x, *rest)),
        ("where all keys are zero", lambda x, e, q, k, v, d, heads: x @ e @ v @ d),
        ("with one head", edited(pal, "softmax(-1) => softmax(0)")),
        ("with more heads", edited(pal, "width**0.5 => small.shape[1] ** 0.5")),
        ("with more heads", edited(pal, ".split(width, dim=1) => [:, :width].expand(heads, -1, -1)")),
    ],
    "begin": [
        ("adds exactly nothing", lambda h, s: (begin(h, s)[0], 0.02 * torch.randn(s, h))),
        ("it can learn", lambda h, s: (torch.zeros(h, s), torch.zeros(s, h))),
        ("drawn independently", lambda h, s: (torch.ones(h, s) * torch.rand(()) / 20, torch.zeros(s, h))),
        ("drawn independently", lambda h, s: (torch.randn(h, 1).expand(h, s) / 50, torch.zeros(s, h))),
        ("a vector keeps its scale", lambda h, s: (6 * begin(h, s)[0], begin(h, s)[1])),
    ],
    "count": [
        ("without layers", lambda h, s, n: count(h, s, n) - h + s),
        ("V^E and V^D are shared", edited(count, "layers * 3 => layers * 4")),
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
