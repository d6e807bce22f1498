"""Checks of notebook 01: attention weights, masks, heads, and the mask of packed sequences."""

import math

import torch

from mtbert.nn.attention import attention
from mtbert.workbook.checks.engine import check, expect, same, shaped


@check
def weights(answer, draw):
    """answer(query (..., queries, d), key (..., keys, d)) -> (..., queries, keys)."""
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
    expect((got.gather(-1, best) > others).all(), "another key has as large a weight, or a larger one")
    yield "divides the dot products by the square root of the width"
    right = (scores / math.sqrt(d)).softmax(-1)
    slips = {
        "they are not divided at all": scores,
        "they are divided by the width itself": scores / d,
        "they are divided by the root of the number of keys": scores / math.sqrt(5),
        "they are multiplied": scores * math.sqrt(d),
    }
    for slip, wrong in slips.items():
        expect(torch.allclose(got, right, atol=1e-4) or not torch.allclose(got, wrong.softmax(-1), atol=1e-4), slip)
    same(got, right)
    yield "stays finite for large dot products"
    same(answer(100 * query, 100 * key), (1e4 * scores / math.sqrt(d)).softmax(-1), tolerance=1e-3)
    yield "works on all heads of a batch at once"
    query, key = draw.normal(2, 3, 4, 8), draw.normal(2, 3, 5, 8)
    same(answer(query, key), (query @ key.mT / math.sqrt(8)).softmax(-1))


@check
def masked(answer, draw):
    """answer(query (queries, d), key (keys, d), value (keys, d), mask (queries, keys) bool) -> (queries, d)."""
    query, key, value = draw.normal(4, 8), draw.normal(6, 8), draw.normal(6, 8)
    yield "with nothing hidden it is plain attention"
    everything = torch.ones(4, 6, dtype=torch.bool)
    same(answer(query, key, value, everything), attention(query, key, value))
    yield "the weights that are left add up to 1"
    mask = _some_of_each(draw, 4, 6)
    same(answer(query, key, torch.ones(6, 8), mask), torch.ones(4, 8))
    yield "a query looks where the mask is true"
    got, right = shaped(answer(query, key, value, mask), 4, 8), attention(query, key, value, mask)
    slips = {"it looks exactly where the mask is false": ~mask, "it looks everywhere: is the mask used?": everything}
    for slip, wrong in slips.items():
        close = torch.allclose(got, attention(query, key, value, wrong), atol=1e-4)
        expect(torch.allclose(got, right, atol=1e-4) or not close, slip)
    same(got, right)
    yield "a hidden key has no weight, however well it fits"
    fits = key.clone()
    fits[2] = 300 * query[0] / query[0].square().sum()  # the best key by far, for the first query
    mask[0, 2] = False
    mask[0, 3] = True
    same(answer(query, fits, value, mask)[0], attention(query, fits, value, mask)[0])
    yield "a query that may see nothing gives no NaN"
    mask[1] = False
    got = shaped(answer(query, key, value, mask), 4, 8)
    expect(got.isfinite().all(), "some numbers are NaN: minus infinity in the whole row is 0 / 0")
    yield "and it gets the mean of all values, as in the package"
    same(got[1], value.mean(0))
    same(got, attention(query, key, value, mask))


@check
def heads(answer, draw):
    """answer(query, key, value (tokens, d) each, heads) -> (tokens, d)."""
    number, width, tokens = 3, 4, draw.whole(5, 8)
    d = number * width
    query, key, value = draw.normal(tokens, d), draw.normal(tokens, d), draw.normal(tokens, d)
    yield "gives as many numbers per token as it got"
    got = shaped(answer(query, key, value, number), tokens, d)
    yield "with one head it is plain attention"
    same(answer(query, key, value, 1), attention(query, key, value))
    yield "every column of every token comes back to its place"
    row = draw.normal(1, d)  # where all values are alike, any weighted mean of them is the same again
    same(answer(query, key, row.expand(tokens, d), number), row.expand(tokens, d))
    yield "each head owns neighbouring columns, and only those"
    changed = query.clone()
    changed[:, width : 2 * width] += 3 * draw.normal(tokens, width)
    moved = (shaped(answer(changed, key, value, number), tokens, d) - got).abs().amax(0) > 1e-4
    others = torch.cat([moved[:width], moved[2 * width :]])
    expect(not others.any(), "head 1 got another query, and head 0 or 2 moved")
    expect(moved[width : 2 * width].any(), "head 1 got another query, and stayed")
    yield "divides by the root of a head's width, not of the whole"
    parts = [attention(*(x[:, i : i + width] for x in (query, key, value))) for i in range(0, d, width)]
    same(got, torch.cat(parts, dim=-1))


@check
def blocks(answer, draw):
    """answer(lengths: list of int) -> (tokens, tokens) bool, true within a sequence."""
    lengths = [draw.whole(2, 3), draw.whole(4, 5), draw.whole(6, 7)]
    if draw.whole(0, 1):
        lengths.reverse()
    tokens = sum(lengths)
    right = torch.block_diag(*(torch.ones(n, n) for n in lengths)).bool()
    yield "is a square with a row and a column for every token"
    got = shaped(answer(list(lengths)), tokens, tokens)
    yield "holds true and false"
    expect(got.dtype == torch.bool, f"it holds {str(got.dtype).removeprefix('torch.')}")
    yield "every token sees itself"
    expect(got.diagonal().all(), "the diagonal has a false")
    yield "no token sees another sequence"
    expect(not (got & ~right).any(), f"for lengths {lengths}, {_first(got & ~right)} is true")
    yield "every token sees the whole of its own sequence"
    expect(not (~got & right).any(), f"for lengths {lengths}, {_first(~got & right)} is false")
    yield "two sequences of the same length stay apart"
    got = shaped(answer([3, 1, 3]), 7, 7).bool()
    expect(torch.equal(got, torch.block_diag(*(torch.ones(n, n) for n in (3, 1, 3))).bool()), "for lengths [3, 1, 3]")


def _some_of_each(draw, rows: int, columns: int) -> torch.Tensor:
    """Random true and false, with at least two of each in every row, and rows that differ."""
    order = draw.uniform(rows, columns).argsort(-1)
    return order < 2 + torch.arange(rows)[:, None] % (columns - 3)


def _first(wrong: torch.Tensor) -> str:
    """The first true entry in words, if there is one."""
    return f"entry {wrong.nonzero()[0].tolist()}" if wrong.any() else "nothing"
