"""Every check of notebook 01 accepts right answers and finds each classic mistake at the property it breaks."""

import math

import pytest
import torch

from mtbert.nn.attention import attention
from mtbert.workbook import checks

MANY = range(10)  # every check draws fresh inputs


def failing(result) -> str:
    assert not result.passed, f"a wrong answer passed:\n{result}"
    return result.lines[-1]


def wrong(check, answer, where: str):
    for _ in MANY:
        assert failing(check(answer)).startswith(f"[FAIL] {where}"), str(check(answer))


# -- weights


def scaled(query, key):
    return query @ key.mT / math.sqrt(query.shape[-1])


def softmax_by_hand(query, key):
    raised = scaled(query, key).exp()
    return raised / raised.sum(-1, keepdim=True)


def stable_by_hand(query, key):
    scores = scaled(query, key)
    raised = (scores - scores.amax(-1, keepdim=True)).exp()
    return raised / raised.sum(-1, keepdim=True)


def flat(query, key):
    return (query.reshape(-1, query.shape[-1]) @ key.reshape(-1, key.shape[-1]).T / query.shape[-1] ** 0.5).softmax(-1)


@pytest.mark.parametrize("answer", [lambda q, k: scaled(q, k).softmax(-1), stable_by_hand])
def test_weights_accepts_right_answers(answer):
    assert all(checks.attention.weights(answer).passed for _ in MANY)


@pytest.mark.parametrize(
    ("answer", "where"),
    [
        (lambda q, k: None, "gives one weight"),
        (lambda q, k: scaled(k, q).softmax(-1), "gives one weight"),
        (scaled, "the weights of a query"),
        (lambda q, k: scaled(q, k).softmax(0), "the weights of a query"),
        (lambda q, k: scaled(q, k).sigmoid(), "the weights of a query"),
        (lambda q, k: torch.full((len(q), len(k)), 1 / len(k)), "the key with the largest"),
        (lambda q, k: (-scaled(q, k)).softmax(-1), "the key with the largest"),
        (lambda q, k: (q @ k.mT).softmax(-1), "divides the dot products"),
        (lambda q, k: (q @ k.mT / q.shape[-1]).softmax(-1), "divides the dot products"),
        (lambda q, k: (q @ k.mT / math.sqrt(k.shape[-2])).softmax(-1), "divides the dot products"),
        (lambda q, k: (scaled(q, k).softmax(-1) / 2 + scaled(q, k).softmax(-1) / 2).pow(2), "the weights of a query"),
        (softmax_by_hand, "stays finite"),
        (flat, "works on all heads"),
    ],
)
def test_weights_finds_the_mistake(answer, where):
    wrong(checks.attention.weights, answer, where)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda q, k: (q @ k.mT).softmax(-1), "not divided at all"),
        (lambda q, k: (q @ k.mT / q.shape[-1]).softmax(-1), "by the width itself"),
        (lambda q, k: scaled(q, k).softmax(0), "dim=-1"),
    ],
)
def test_weights_says_what_the_mistake_is(answer, said):
    assert said in failing(checks.attention.weights(answer))


# -- masked


def fill(number, inverted=False):
    def answer(query, key, value, mask):
        scores = scaled(query, key).masked_fill(mask if inverted else ~mask, number)
        return scores.softmax(-1) @ value

    return answer


def after_softmax(query, key, value, mask):
    return (scaled(query, key).softmax(-1) * mask) @ value


def add(number):
    return lambda query, key, value, mask: (scaled(query, key) + number * ~mask).softmax(-1) @ value


LOWEST = torch.finfo(torch.float32).min


def zeros_for_nothing(query, key, value, mask):
    return fill(-math.inf)(query, key, value, mask).nan_to_num()


@pytest.mark.parametrize("answer", [attention, fill(LOWEST), add(LOWEST), fill(-1e9)])
def test_masked_accepts_right_answers(answer):
    assert all(checks.attention.masked(answer).passed for _ in MANY)


@pytest.mark.parametrize(
    ("answer", "where"),
    [
        (lambda q, k, v, m: (q @ k.mT).masked_fill(~m, LOWEST).softmax(-1) @ v, "with nothing hidden"),
        (fill(LOWEST, inverted=True), "with nothing hidden"),
        (after_softmax, "the weights that are left"),
        (lambda q, k, v, m: scaled(q, k).softmax(-1) @ v, "a query looks where"),
        (fill(0.0), "a query looks where"),
        (add(-20.0), "a hidden key has no weight"),
        (lambda q, k, v, m: (((q @ k.mT) - 60.0 * ~m) / math.sqrt(8)).softmax(-1) @ v, "a hidden key has no weight"),
        (fill(-math.inf), "a query that may see nothing"),
        (add(-math.inf), "with nothing hidden"),
        (zeros_for_nothing, "and it gets the mean"),
    ],
)
def test_masked_finds_the_mistake(answer, where):
    wrong(checks.attention.masked, answer, where)


def test_masked_names_a_mask_that_is_read_the_wrong_way_round():
    def answer(query, key, value, mask):  # careful enough to pass where nothing is hidden
        return attention(query, key, value, mask if mask.all() else ~mask)

    assert "exactly where the mask is false" in failing(checks.attention.masked(answer))


# -- heads


def multi_head(query, key, value, heads):
    cut = [part.unflatten(1, (heads, -1)).transpose(0, 1) for part in (query, key, value)]
    return attention(*cut).transpose(0, 1).flatten(1)


def looped(query, key, value, heads):
    parts = zip(*(part.chunk(heads, dim=1) for part in (query, key, value)), strict=True)
    return torch.cat([attention(*part) for part in parts], dim=1)


def tokens_dealt_out(query, key, value, heads):
    cut = [part.reshape(heads, len(query), -1) for part in (query, key, value)]
    return attention(*cut).reshape(len(query), -1)


def no_way_back(query, key, value, heads):
    cut = [part.unflatten(1, (heads, -1)).transpose(0, 1) for part in (query, key, value)]
    return attention(*cut).reshape(len(query), -1)


def interleaved(query, key, value, heads):
    cut = [part.unflatten(1, (-1, heads)).permute(2, 0, 1) for part in (query, key, value)]
    return attention(*cut).permute(1, 2, 0).flatten(1)


def mean_of_heads(query, key, value, heads):
    return multi_head(query, key, value, heads).unflatten(1, (heads, -1)).mean(1)


def reversed_heads(query, key, value, heads):
    cut = [part.unflatten(1, (heads, -1)).transpose(0, 1) for part in (query, key, value)]
    return attention(*cut).flip(0).transpose(0, 1).flatten(1)


def scaled_by_the_whole(query, key, value, heads):
    return multi_head(query / math.sqrt(heads), key, value, heads)


@pytest.mark.parametrize("answer", [multi_head, looped])
def test_heads_accepts_right_answers(answer):
    assert all(checks.attention.heads(answer).passed for _ in MANY)


@pytest.mark.parametrize(
    ("answer", "where"),
    [
        (mean_of_heads, "gives as many numbers"),
        (lambda q, k, v, h: multi_head(v, k, q, h), "with one head"),
        (tokens_dealt_out, "every column"),
        (no_way_back, "every column"),
        (reversed_heads, "every column"),
        (lambda q, k, v, h: attention(q, k, v), "each head owns"),
        (interleaved, "each head owns"),
        (scaled_by_the_whole, "divides by the root"),
    ],
)
def test_heads_finds_the_mistake(answer, where):
    wrong(checks.attention.heads, answer, where)


# -- blocks


def numbered(lengths):
    seq_ids = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    return seq_ids[:, None] == seq_ids


def by_length(lengths):
    length_of = torch.tensor(lengths).repeat_interleave(torch.tensor(lengths))
    return length_of[:, None] == length_of


def padded_blocks(lengths):
    """Blocks as wide as the longest sequence."""
    place = torch.arange(sum(lengths)) // max(lengths)
    return place[:, None] == place


@pytest.mark.parametrize(
    "answer", [numbered, lambda lengths: torch.block_diag(*(torch.ones(n, n) for n in lengths)).bool()]
)
def test_blocks_accepts_right_answers(answer):
    assert all(checks.attention.blocks(answer).passed for _ in MANY)


@pytest.mark.parametrize(
    ("answer", "where"),
    [
        (lambda lengths: torch.ones(len(lengths), max(lengths), dtype=torch.bool), "is a square"),
        (lambda lengths: numbered(lengths).float(), "holds true and false"),
        (lambda lengths: ~numbered(lengths), "every token sees itself"),
        (lambda lengths: torch.ones(sum(lengths), sum(lengths), dtype=torch.bool), "no token sees another"),
        (padded_blocks, "no token sees another"),
        (lambda lengths: numbered(lengths).tril(), "every token sees the whole"),
        (lambda lengths: torch.eye(sum(lengths), dtype=torch.bool), "every token sees the whole"),
        (by_length, "two sequences of the same length"),
    ],
)
def test_blocks_finds_the_mistake(answer, where):
    wrong(checks.attention.blocks, answer, where)
