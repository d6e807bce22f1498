"""Checks of notebook 01: attention weights, masks, heads, the attention sublayer, and the mask of packed sequences."""

import math
from functools import cache

import torch
from torch import Tensor, nn

from mtbert.data.batch import pack_sequences
from mtbert.nn.attention import attention, packed_attention
from mtbert.nn.bert import Bert
from mtbert.nn.pretrained import load_encoder
from mtbert.workbook.checks.engine import check, expect, no_known_mistake, same, shaped

_PROJECTIONS = ("query", "key", "value", "output")


@check
def weights(answer, draw):
    """answer(query, key) -> weights (..., queries, keys); query (..., queries, d), key (..., keys, d)."""
    d = 4 * draw.whole(4, 8)
    query, key = draw.normal(3, d), draw.normal(5, d)
    scores = query @ key.mT
    yield "gives one weight for each query and each key"
    got = shaped(answer(query, key), 3, 5)
    yield "the weights of a query are not negative and add up to 1"
    expect((got >= 0).all(), "some weights are negative: did you take the softmax?")
    along_queries = torch.allclose(got.sum(0), torch.ones(5), atol=1e-4)
    sums = got.sum(-1)
    expect(
        torch.allclose(sums, torch.ones(3), atol=1e-4) or not along_queries,
        "the columns add up to 1, but the rows should: take the softmax over the keys, dim=-1",
    )
    same(sums, torch.ones(3))
    yield "the key with the largest dot product gets the largest weight"
    best = scores.argmax(-1, keepdim=True)
    others = got.scatter(-1, best, 0).amax(-1, keepdim=True)
    expect((got.gather(-1, best) > others).all(), "another key has at least as large a weight")
    yield "divides the dot products by the square root of the width"
    right = (scores / math.sqrt(d)).softmax(-1)
    mistakes = {
        "they are not divided at all": scores,
        "they are divided by the width itself": scores / d,
        "they are divided by the root of the number of keys": scores / math.sqrt(5),
        "they are divided by the root of the number of queries": scores / math.sqrt(3),
        "they are multiplied": scores * math.sqrt(d),
    }
    no_known_mistake(got, right, {name: wrong.softmax(-1) for name, wrong in mistakes.items()})
    yield "stays finite for large dot products, as torch's softmax does: exp of a large number overflows"
    same(answer(100 * query, 100 * key), (1e4 * scores / math.sqrt(d)).softmax(-1), tolerance=1e-3)
    yield "works on all heads of a batch at once"
    query, key = draw.normal(2, 3, 4, 8), draw.normal(2, 3, 5, 8)
    scores = query @ key.mT
    mistakes = {
        "take the softmax over the last dimension, dim=-1": (scores / math.sqrt(8)).softmax(1),
        "the width is the last dimension, query.shape[-1]": (scores / math.sqrt(3)).softmax(-1),
    }
    no_known_mistake(shaped(answer(query, key), 2, 3, 4, 5), (scores / math.sqrt(8)).softmax(-1), mistakes)


@check
def masked(answer, draw):
    """answer(query, key, value, mask) -> (queries, d).

    query (queries, d); key, value (keys, d); mask (queries, keys) bool, true where a query may look.
    """
    query, key, value = draw.normal(4, 8), draw.normal(6, 8), draw.normal(6, 8)
    yield "with nothing hidden it equals ordinary attention"
    everything = torch.ones(4, 6, dtype=torch.bool)
    mistakes = {
        "it hides where the mask is True, but True means: may attend": value.mean(0).expand(4, 8),
        "the dot products are not divided by the root of the width": (query @ key.mT).softmax(-1) @ value,
    }
    got = shaped(answer(query, key, value, everything), 4, 8)
    no_known_mistake(got, attention(query, key, value), mistakes)
    yield "the remaining weights add up to 1"
    mask = _some_of_each(draw, 4, 6)
    same(answer(query, key, torch.ones(6, 8), mask), torch.ones(4, 8))
    yield "a query looks where the mask is true"
    got, right = shaped(answer(query, key, value, mask), 4, 8), attention(query, key, value, mask)
    masks = {"it looks exactly where the mask is false": ~mask, "it looks everywhere: is the mask used?": everything}
    mistakes = {name: attention(query, key, value, wrong) for name, wrong in masks.items()}
    zeroed = (query @ key.mT / math.sqrt(8) * mask).softmax(-1) @ value
    mistakes["a score of 0 still has weight: fill the hidden scores with a very small number"] = zeroed
    no_known_mistake(got, right, mistakes)
    yield "a hidden key has no weight, even if it matches best: change the scores, not the weights"
    best = key.clone()
    best[2] = 300 * query[0] / query[0].square().sum()  # by far the largest dot product with the first query
    mask[0, 2] = False
    mask[0, 3] = True
    same(answer(query, best, value, mask)[0], attention(query, best, value, mask)[0])
    yield "a hidden key has no weight, even if all visible keys match badly"
    bad = torch.where(mask[0, :, None], -best[2], key)
    same(answer(query, bad, value, mask)[0], attention(query, bad, value, mask)[0])
    mask[2] = torch.arange(6) < 3
    bad = key.clone()
    bad[:3] = -3000 * query[2] / query[2].square().sum()  # scores of about -1000
    same(answer(query, bad, value, mask)[2], value[:3].mean(0))
    yield "a query that may see nothing gets the mean of all values, as in mtbert.nn.attention"
    mask[1] = False
    got = shaped(answer(query, key, value, mask), 4, 8)
    expect(got.isfinite().all(), "some numbers are NaN: a row of minus infinity gives 0 / 0")
    same(got, attention(query, key, value, mask))


@check
def heads(answer, draw):
    """answer(query, key, value, heads) -> (tokens, d); query, key, value (tokens, d)."""
    heads, width, tokens = 3, 4, draw.whole(5, 8)
    d = heads * width
    query, key, value = draw.normal(tokens, d), draw.normal(tokens, d), draw.normal(tokens, d)
    yield "gives as many numbers per token as it got"
    got = shaped(answer(query, key, value, heads), tokens, d)
    yield "with one head it equals ordinary attention"
    alone = {"every token attends only to itself: move the heads in front of the tokens before attention": value}
    no_known_mistake(shaped(answer(query, key, value, 1), tokens, d), attention(query, key, value), alone)
    yield "every column of every token ends up where it came from"
    row = draw.normal(1, d).expand(tokens, d)  # any weighted mean of equal values is that value
    wrong = [x.reshape(heads, tokens, width) for x in (query, key, row)]
    mistakes = {
        "move the tokens to the front again before you merge": row.reshape(tokens, heads, width).transpose(0, 1),
        "view(heads, tokens, -1) deals out whole tokens, not columns": attention(*wrong),
    }
    mistakes = {name: result.reshape(tokens, d) for name, result in mistakes.items()}
    no_known_mistake(shaped(answer(query, key, row, heads), tokens, d), row, mistakes)
    yield "each head uses neighboring columns, and only those"
    changed = query.clone()
    changed[:, width : 2 * width] += 3 * draw.normal(tokens, width)
    moved = (shaped(answer(changed, key, value, heads), tokens, d) - got).abs().amax(0) > 1e-4
    others = torch.cat([moved[:width], moved[2 * width :]])
    expect(not others.any(), "the query of head 1 changed, and so did the output of head 0 or 2")
    expect(moved[width : 2 * width].any(), "the query of head 1 changed, but not its output")
    yield "divides by the root of a head's width, not of the full width"
    parts = [attention(*(x[:, i : i + width] for x in (query, key, value))) for i in range(0, d, width)]
    same(got, torch.cat(parts, dim=-1))


@check
def sublayer(answer, draw):
    """answer(x, mask, weights, heads) -> (rows, tokens, d).

    x (rows, tokens, d); mask (rows, tokens) bool, true for real tokens; weights maps "query", "key", "value" and
    "output" to a matrix (d, d) and a bias (d,), as nn.Linear holds them.
    """
    heads, d, tokens = 3, 12, draw.whole(5, 7)
    weights = {name: (draw.normal(d, d) / 3, draw.normal(d)) for name in _PROJECTIONS}
    x, everything = draw.normal(2, tokens, d), torch.ones(2, tokens, dtype=torch.bool)
    yield "gives as many numbers per token as it got"
    shaped(answer(x, everything, weights, heads), 2, tokens, d)
    yield "a single token keeps its own value: it is projected twice, by value and by output"
    alone, (w_value, b_value), (w_output, b_output) = x[:, :1], weights["value"], weights["output"]
    mistakes = {
        "multiply by the transposed matrix, x @ matrix.T, as nn.Linear does": (alone @ w_value + b_value) @ w_output
        + b_output,
        "the biases are missing": alone @ w_value.T @ w_output.T,
        "the output matrix is missing": alone @ w_value.T + b_value,
        "the rows of the batch see each other": _one_sequence(alone, weights, heads),
    }
    right = (alone @ w_value.T + b_value) @ w_output.T + b_output
    no_known_mistake(shaped(answer(alone, everything[:, :1], weights, heads), 2, 1, d), right, mistakes)
    yield "without padding it equals torch.nn.MultiheadAttention"
    no_known_mistake(
        shaped(answer(x, everything, weights, heads), 2, tokens, d),
        _torch_sublayer(x, everything, weights, heads),
        {
            "there is a single wide head": _torch_sublayer(x, everything, weights, 1),
            "move the heads back behind the tokens before you merge them": _merged_as_they_are(x, weights, heads),
            "divide by the root of a head's width, d / heads, not of d": _too_flat(x, weights, heads),
            "the mask hides where it is True, but True means: a real token": _mean_of_all(x, weights),
        },
    )
    yield "the rows of a batch do not see each other"
    same(answer(x[:1], everything[:1], weights, heads)[0], answer(x, everything, weights, heads)[0])
    yield "padding changes nothing for the real tokens"
    mask = torch.arange(tokens) < torch.tensor([[tokens], [2]])
    got, right = shaped(answer(x, mask, weights, heads), 2, tokens, d), _torch_sublayer(x, mask, weights, heads)
    unmasked = _torch_sublayer(x, everything, weights, heads)
    mistakes = {"the mask hides no key: the keys are the last dimension of the scores": unmasked[mask]}
    no_known_mistake(got[mask], right[mask], mistakes)
    yield "with the weights of MiniLM's first layer it gives that layer's attention"
    layer = _minilm().layers[0]
    names = zip(_PROJECTIONS, (*layer.qkv.weight.chunk(3), layer.attention_output.weight), strict=True)
    biases = (*layer.qkv.bias.chunk(3), layer.attention_output.bias)
    real = {name: (matrix.detach(), bias.detach()) for (name, matrix), bias in zip(names, biases, strict=True)}
    x = draw.normal(1, 6, 384)
    mixed = packed_attention(layer.qkv(x[0]), pack_sequences([[0] * 6]), layer.heads)
    same(shaped(answer(x, torch.ones(1, 6, dtype=torch.bool), real, 12), 1, 6, 384)[0], layer.attention_output(mixed))


@check
def blocks(answer, draw):
    """answer(lengths) -> (tokens, tokens) bool, true within a sequence; lengths is a list of whole numbers."""
    lengths = [draw.whole(2, 3), draw.whole(4, 5), draw.whole(6, 7)]
    if draw.whole(0, 1):
        lengths.reverse()
    tokens, right = sum(lengths), _blocks(lengths)
    yield "is a square with a row and a column for every token"
    got = shaped(answer(list(lengths)), tokens, tokens)
    yield "holds true and false"
    expect(got.dtype == torch.bool, f"it holds {str(got.dtype).removeprefix('torch.')}: convert it with .bool()")
    yield "every token sees itself"
    expect(got.diagonal().all(), "the diagonal contains false")
    yield "no token sees another sequence"
    expect(not (got & ~right).any(), f"for lengths {lengths}, {_first(got & ~right)} is true")
    yield "every token sees the whole of its own sequence"
    expect(not (~got & right).any(), f"for lengths {lengths}, {_first(~got & right)} is false")
    yield "two sequences of the same length do not see each other"
    expect(torch.equal(shaped(answer([3, 1, 3]), 7, 7).bool(), _blocks([3, 1, 3])), "for lengths [3, 1, 3]")


def _torch_sublayer(x: Tensor, mask: Tensor, weights: dict[str, tuple[Tensor, Tensor]], heads: int) -> Tensor:
    """The attention sublayer by torch's own implementation."""
    # draws no random numbers, unlike the constructor
    module = nn.utils.skip_init(nn.MultiheadAttention, x.shape[-1], heads, batch_first=True)
    for parameter, index in ((module.in_proj_weight, 0), (module.in_proj_bias, 1)):
        parameter.data = torch.cat([weights[name][index] for name in _PROJECTIONS[:3]])
    module.out_proj.weight.data, module.out_proj.bias.data = weights["output"]
    with torch.no_grad():
        return module(x, x, x, key_padding_mask=~mask, need_weights=False)[0]


def _one_sequence(x: Tensor, weights: dict[str, tuple[Tensor, Tensor]], heads: int) -> Tensor:
    """The sublayer if the rows of the batch were one long sequence."""
    joined = x.flatten(0, 1)[None]
    return _torch_sublayer(joined, torch.ones(joined.shape[:2], dtype=torch.bool), weights, heads).view_as(x)


def _merged_as_they_are(x: Tensor, weights: dict[str, tuple[Tensor, Tensor]], heads: int) -> Tensor:
    """The sublayer if (heads, tokens, width) is cut into rows of d numbers as it lies in memory."""
    parts = (nn.functional.linear(x, *weights[name]) for name in _PROJECTIONS[:3])
    mixed = attention(*(part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in parts))
    return nn.functional.linear(mixed.reshape(x.shape), *weights["output"])


def _too_flat(x: Tensor, weights: dict[str, tuple[Tensor, Tensor]], heads: int) -> Tensor:
    """The sublayer if the scores are divided by the root of the whole width."""
    matrix, bias = weights["query"]
    flat = weights | {"query": (matrix / math.sqrt(heads), bias / math.sqrt(heads))}
    return _torch_sublayer(x, torch.ones(x.shape[:2], dtype=torch.bool), flat, heads)


def _mean_of_all(x: Tensor, weights: dict[str, tuple[Tensor, Tensor]]) -> Tensor:
    """The sublayer if all tokens have the same weight."""
    mean = nn.functional.linear(x, *weights["value"]).mean(1, keepdim=True).expand_as(x)
    return nn.functional.linear(mean, *weights["output"])


@cache
def _minilm() -> Bert:
    return load_encoder("minilm").bert.eval()


def _some_of_each(draw, rows: int, columns: int) -> torch.Tensor:
    """Random true and false, with at least two of each in every row, and rows that differ."""
    order = draw.uniform(rows, columns).argsort(-1)
    return order < 2 + torch.arange(rows)[:, None] % (columns - 3)


def _blocks(lengths: list[int]) -> torch.Tensor:
    return torch.block_diag(*(torch.ones(n, n) for n in lengths)).bool()


def _first(wrong: torch.Tensor) -> str:
    """The first true entry, in words."""
    return f"entry {wrong.nonzero()[0].tolist()}" if wrong.any() else "nothing"
