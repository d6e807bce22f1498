"""Answers to the exercises of notebook 01: other right ones, and usual mistakes by the property that they break."""

import math

import torch
from workbook.exercises import edited, solutions

from mtbert.nn.attention import attention

_, masked, multi_head, attention_sublayer, block_mask = solutions("attention").values()


def scaled(query, key):
    return query @ key.mT / math.sqrt(query.shape[-1])


def stable_by_hand(query, key):
    scores = scaled(query, key)
    raised = (scores - scores.amax(-1, keepdim=True)).exp()
    return raised / raised.sum(-1, keepdim=True)


def fill(number):
    return edited(masked, f"torch.finfo(scores.dtype).min => {number}")


def add(number):
    return lambda query, key, value, mask: (scaled(query, key) + number * ~mask).softmax(-1) @ value


MERGED = "mixed.transpose(1, 2).flatten(2)"
LOWEST = torch.finfo(torch.float32).min


def looped(query, key, value, heads):
    parts = zip(*(part.chunk(heads, dim=1) for part in (query, key, value)), strict=True)
    return torch.cat([attention(*part) for part in parts], dim=1)


def scaled_by_the_whole(query, key, value, heads):
    return multi_head(query / math.sqrt(heads), key, value, heads)


def sublayer_by_sequence(x, mask, weights, heads):
    result = torch.zeros_like(x)
    for row, real in enumerate(mask):  # no padding at all: each row on its own
        parts = [torch.nn.functional.linear(x[row, real], *weights[name]) for name in ("query", "key", "value")]
        result[row, real] = torch.nn.functional.linear(multi_head(*parts, heads), *weights["output"])
    return result


def rows_mixed(x, mask, weights, heads):
    return attention_sublayer(x.flatten(0, 1)[None], mask.flatten()[None], weights, heads).view_as(x)


def dealt_out(query, key, value, heads):
    return attention(*(part.view(heads, len(part), -1) for part in (query, key, value))).reshape(query.shape)


def weights_hidden(weights):
    return weights / weights.sum(-1, keepdim=True).clamp(min=1e-9)


def inverted_where_something_is_hidden(query, key, value, mask):
    return attention(query, key, value, mask if mask.all() else ~mask)


RIGHT = {
    "weights": [stable_by_hand],
    "masked": [attention, add(LOWEST), fill(-1e9)],
    "heads": [looped],
    "sublayer": [sublayer_by_sequence],
    "blocks": [lambda lengths: torch.block_diag(*(torch.ones(n, n) for n in lengths)).bool()],
}
WRONG = {
    "weights": [
        ("the weights of a query", lambda q, k: scaled(q, k).sigmoid()),
        ("the key with the largest", lambda q, k: torch.full((len(q), len(k)), 1 / len(k))),
        ("stays finite", edited(stable_by_hand, " - scores.amax(-1, keepdim=True) => ")),
        ("not divided at all", lambda q, k: (q @ k.mT).softmax(-1)),
        ("by the width itself", lambda q, k: (q @ k.mT / q.shape[-1]).softmax(-1)),
        ("dim=-1", lambda q, k: scaled(q, k).softmax(0)),
        ("number of queries", lambda q, k: (q @ k.mT / math.sqrt(len(q))).softmax(-1)),
        ("over the last dimension", lambda q, k: scaled(q, k).softmax(1)),
        ("query.shape[-1]", lambda q, k: (q @ k.mT / math.sqrt(q.shape[1])).softmax(-1)),
    ],
    "masked": [
        ("not divided", lambda q, k, v, m: (q @ k.mT).masked_fill(~m, LOWEST).softmax(-1) @ v),
        ("True means: may attend", edited(masked, "masked_fill(~mask => masked_fill(mask")),
        ("a score of 0", lambda q, k, v, m: (scaled(q, k) * m).softmax(-1) @ v),
        ("it matches best", lambda q, k, v, m: weights_hidden(scaled(q, k).softmax(-1) * m) @ v),
        ("a query looks where", lambda q, k, v, m: scaled(q, k).softmax(-1) @ v),
        ("a hidden key has no weight", add(-20.0)),
        ("match badly", fill(-20.0)),
        ("match badly", fill(-100.0)),
        ("a hidden key has no weight", fill(-20)),
        ("a query that may see nothing", fill("-math.inf")),
        ("exactly where the mask is false", inverted_where_something_is_hidden),
    ],
    "heads": [
        ("with one head", lambda q, k, v, h: multi_head(v, k, q, h)),
        ("before you merge", edited(multi_head, "mixed.transpose(0, 1) => mixed")),
        ("whole tokens", dealt_out),
        ("only to itself", lambda q, k, v, h: attention(*(x.view(len(x), h, -1) for x in (q, k, v))).flatten(1)),
        ("each head uses", lambda q, k, v, h: attention(q, k, v)),
        ("divides by the root", scaled_by_the_whole),
    ],
    "sublayer": [
        ("as nn.Linear does", edited(attention_sublayer, "matrix.T => matrix")),
        ("the biases are missing", edited(attention_sublayer, "matrix.T + bias => matrix.T")),
        (
            "the output matrix is missing",
            edited(
                attention_sublayer,
                'project(mixed.transpose(1, 2).flatten(2), "output") => mixed.transpose(1, 2).flatten(2)',
            ),
        ),
        ("a single wide head", lambda x, mask, weights, heads: attention_sublayer(x, mask, weights, 1)),
        ("True means: a real token", edited(attention_sublayer, "mask[:, None, None, :] => ~mask[:, None, None, :]")),
        ("behind the tokens before", edited(attention_sublayer, f"{MERGED} => mixed.reshape(x.shape)")),
        ("not of d", edited(attention_sublayer, "attention(query => attention(query / math.sqrt(heads)")),
        ("the mask hides no key", edited(attention_sublayer, ", mask[:, None, None, :]) => )")),
        ("the keys are the last", edited(attention_sublayer, "mask[:, None, None, :] => mask[:, None, :, None]")),
        ("rows of the batch see each other", rows_mixed),
    ],
    "blocks": [
        ("no token sees another", lambda lengths: torch.ones(sum(lengths), sum(lengths), dtype=torch.bool)),
        ("every token sees the whole", lambda lengths: block_mask(lengths).tril()),
        ("two sequences of the same length", edited(block_mask, "torch.arange(len(lengths)) => torch.tensor(lengths)")),
    ],
}
