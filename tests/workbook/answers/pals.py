"""Answers to the exercises of notebook 07: other right ones, and usual mistakes by the property that they break."""

import torch
from torch import nn
from workbook.exercises import edited, solutions

from mtbert.nn.attention import packed_attention

count, pal, adapter = (solutions("pals")[name] for name in ("count", "pal", "adapter"))


def route(x, lengths, adapters, order=None):
    out, at = x.clone(), 0
    for task in order(lengths, adapters) if order else lengths:
        own = slice(at, at + lengths[task])
        if task in adapters:
            out[own] += adapters[task](x[own])
        at += lengths[task]
    return out


class _Packed(adapter):
    """The package's kernel does the attention of all sequences at once."""

    def forward(self, point, layer, x, batch):
        return self.decode(packed_attention(self.qkv[layer](self.encode(x)), batch, self.heads))


class _NoHook(nn.Module):
    pass


class _NoSuper(nn.Module):
    hook_points = ("layer",)

    def __init__(self, *shape):
        self.shape = shape


class _OneForAllLayers(adapter):
    def __init__(self, hidden, size, heads, layers):
        super().__init__(hidden, size, heads, layers)
        self.qkv = nn.Linear(size, 3 * size)


class _Random(adapter):
    def __init__(self, *shape):
        super().__init__(*shape)
        nn.init.normal_(self.decode.weight)


class _Saddle(adapter):
    def __init__(self, *shape):
        super().__init__(*shape)
        nn.init.zeros_(self.encode.weight)


class _FirstLayer(_Packed):
    def forward(self, point, layer, x, batch):
        return super().forward(point, 0, x, batch)


class _Together(_Packed):
    """Every token sees the whole batch."""

    def forward(self, point, layer, x, batch):
        query, key, value = (
            part.unflatten(1, (self.heads, -1)).transpose(0, 1) for part in self.qkv[layer](self.encode(x)).chunk(3, 1)
        )
        weights = (query @ key.mT / query.shape[-1] ** 0.5).softmax(-1)
        return self.decode((weights @ value).transpose(0, 1).flatten(1))


class _OneHead(_Packed):
    def forward(self, point, layer, x, batch):
        return self.decode(packed_attention(self.qkv[layer](self.encode(x)), batch, 1))


class _Detached(_Packed):
    def forward(self, point, layer, x, batch):
        return self.decode(packed_attention(self.qkv[layer](self.encode(x).detach()), batch, self.heads))


RIGHT = {
    "adapter": [_Packed],
    "begin": [lambda h, s: (torch.zeros(h, s), torch.randn(s, h) / s**0.5)],
    "route": [route],
}
WRONG = {
    "pal": [
        ("a single token", lambda x, *rest: x + pal(x, *rest)),
        ("where all keys are zero", lambda x, e, q, k, v, d, heads: x @ e @ v @ d),
        ("with one head", edited(pal, "softmax(-1) => softmax(0)")),
        ("with more heads", edited(pal, "width**0.5 => small.shape[1] ** 0.5")),
        ("with more heads", edited(pal, ".split(width, dim=1) => [:, :width].expand(heads, -1, -1)")),
    ],
    "count": [
        ("without layers", lambda h, s, n: count(h, s, n) - h + s),
        ("V^E and V^D are shared", edited(count, "layers * 3 => layers * 4")),
        ("a PAL of 204", lambda h, s, n: count(h, s, n) + (h if n else 0)),
    ],
    "adapter": [
        ("wants to be called", lambda *shape: None),
        ("wants to be called", lambda *shape: _NoHook()),
        ("wants to be called", _NoSuper),
        ("the right shapes", _OneForAllLayers),
        ("adds exactly zero", _Random),
        ("only decode is zero", _Saddle),
        ("for one sequence", _OneHead),
        ("each layer has its own", _FirstLayer),
        ("no sequence sees another", _Together),
        ("gets a gradient", _Detached),
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
