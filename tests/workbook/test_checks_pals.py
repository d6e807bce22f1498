"""Every check of notebook 07 accepts right answers and finds each classic mistake at the property it breaks."""

import math

import pytest
import torch

from mtbert.workbook import checks

MANY = range(5)  # every check draws fresh inputs


def wrong(check, answer, where: str):
    for _ in MANY:
        result = check(answer)
        assert not result.passed, f"a wrong answer passed:\n{result}"
        assert result.lines[-1].startswith(f"[FAIL] {where}"), str(result)


# -- pal


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


def pal_interleaved(x, encode, query, key, value, decode, heads):
    """Every heads-th column belongs to a head, instead of a block of columns."""
    order = torch.arange(encode.shape[1]).view(-1, heads).T.flatten()
    return pal(x, encode, query[:, order], key[:, order], value[:, order], decode, heads)


def pal_in_place(x, encode, query, key, value, decode, heads):
    added = pal(x, encode, query, key, value, decode, heads)
    x += added
    return added


@pytest.mark.parametrize("answer", [pal])
def test_pal_accepts_right_answers(answer):
    assert all(checks.pals.pal(answer).passed for _ in MANY)


@pytest.mark.parametrize(
    ("answer", "where"),
    [
        (lambda x, *rest: None, "gives a vector"),
        (lambda x, encode, *rest: x @ encode, "gives a vector"),
        (pal_in_place, "leaves its arguments"),
        (lambda x, *rest: x + pal(x, *rest), "a token that is alone"),
        (lambda x, encode, q, k, v, decode, heads: x @ encode @ decode, "a token that is alone"),
        (lambda *given: pal(*given, inside=False), "a token that is alone"),
        (lambda x, e, q, k, v, d, heads: x @ e @ v @ d, "where all keys are zero"),
        (lambda *given: pal(*given, along=0), "with one head"),
        (lambda *given: pal(*given, root="none"), "with one head"),
        (lambda x, e, q, k, v, d, heads: pal(x, e, k, q, v, d, heads), "with one head"),
        (lambda x, e, q, k, v, d, heads: pal(x, e, q, k, v, d, 1), "with more heads"),
        (lambda *given: pal(*given, root="size"), "with more heads"),
        (lambda *given: pal(*given, shared_heads=True), "with more heads"),
        (pal_interleaved, "with more heads"),
    ],
)
def test_pal_finds_the_mistake(answer, where):
    wrong(checks.pals.pal, answer, where)


# -- begin


def begin(hidden, size, scale=1.0):
    return scale * torch.randn(hidden, size) / hidden**0.5, torch.zeros(size, hidden)


@pytest.mark.parametrize("answer", [begin, lambda h, s: (torch.zeros(h, s), torch.randn(s, h) / s**0.5)])
def test_begin_accepts_either_zero(answer):
    assert all(checks.pals.begin(answer).passed for _ in MANY)


def drawn_once(hidden, size):
    drawn = torch.randn(hidden, size, generator=torch.Generator().manual_seed(0))
    return drawn / hidden**0.5, torch.zeros(size, hidden)


@pytest.mark.parametrize(
    ("answer", "where"),
    [
        (lambda h, s: None, "gives two matrices"),
        (lambda h, s: torch.zeros(h, s), "gives two matrices"),
        (lambda h, s: (begin(h, s)[0].T, begin(h, s)[1].T), "gives two matrices"),
        (lambda h, s: (begin(h, s)[0], 0.02 * torch.randn(s, h)), "at first it adds exactly nothing"),
        (lambda h, s: (begin(h, s)[0], 1e-6 * torch.randn(s, h)), "at first it adds exactly nothing"),
        (lambda h, s: (torch.zeros(h, s), torch.zeros(s, h)), "it can learn"),
        (drawn_once, "what is not zero is drawn anew"),
        (lambda h, s: (torch.ones(h, s) * torch.rand(()) / 20, torch.zeros(s, h)), "every number has its own draw"),
        (lambda h, s: (torch.randn(h, 1).expand(h, s) / 50, torch.zeros(s, h)), "every number has its own draw"),
        (lambda h, s: begin(h, s, 6.0), "they keep a vector's scale"),
        (lambda h, s: begin(h, s, 0.1), "they keep a vector's scale"),
    ],
)
def test_begin_finds_the_mistake(answer, where):
    wrong(checks.pals.begin, answer, where)


# -- count


def count(hidden, size, layers, biases=True, shared=True, output=False):
    projections = 2 * hidden * size + (size + hidden if biases else 0)
    inner = (4 if output else 3) * (size**2 + (size if biases else 0))
    return (projections if shared else layers * projections) + layers * inner


@pytest.mark.parametrize(
    ("answer", "where"),
    [
        (lambda h, s, n: None, "is a whole number"),
        (lambda h, s, n: count(h, s, n) + 0.5, "is a whole number"),
        (lambda h, s, n: count(h, s, n, biases=False), "without layers"),
        (lambda h, s, n: count(h, s, n) - h + s, "without layers"),
        (lambda h, s, n: count(h, s, n, shared=False), "without layers"),
        (lambda h, s, n: count(h, s, n, output=True), "V^E and V^D are shared"),
        (lambda h, s, n: 2 * h * s + s + h + 3 * n * s**2, "V^E and V^D are shared"),
        (lambda h, s, n: count(h, s, n) + (h if n else 0), "a PAL of 204"),
    ],
)
def test_count_finds_the_mistake(answer, where):
    wrong(checks.pals.count, answer, where)


def test_count_accepts_the_right_answer():
    assert all(checks.pals.count(count).passed for _ in MANY)


# -- route


def route(x, lengths, adapters, order=None, start=0):
    out, at = x.clone(), start
    for task in order(lengths, adapters) if order else lengths:
        own = slice(at, at + lengths[task])
        if task in adapters:
            out[own] += adapters[task](x[own])
        at += lengths[task]
    return out


def route_in_place(x, lengths, adapters):
    at = 0
    for task, length in lengths.items():
        x[at : at + length] += adapters[task](x[at : at + length]) if task in adapters else 0
        at += length
    return x


def route_masked(x, lengths, adapters):
    """Every adapter sees all tokens; what is not its task's is masked afterwards."""
    out, at = x.clone(), 0
    for task, length in lengths.items():
        if task in adapters:
            mask = torch.zeros(len(x), 1)
            mask[at : at + length] = 1
            out = out + mask * adapters[task](x)
        at += length
    return out


def route_replaced(x, lengths, adapters):
    parts = x.split(list(lengths.values()))
    return torch.cat([adapters.get(task, lambda own: own)(own) for task, own in zip(lengths, parts, strict=True)])


def route_never_moves(x, lengths, adapters):
    out = x.clone()
    for task, length in lengths.items():
        if task in adapters:
            out[:length] += adapters[task](x[:length])
    return out


@pytest.mark.parametrize("answer", [route])
def test_route_accepts_right_answers(answer):
    assert all(checks.pals.route(answer).passed for _ in MANY)


@pytest.mark.parametrize(
    ("answer", "where"),
    [
        (lambda x, lengths, adapters: None, "keeps the shape"),
        (lambda x, lengths, adapters: x[: lengths["sst"]], "keeps the shape"),
        (route_in_place, "leaves x as it was"),
        (lambda x, lengths, adapters: x.clone(), "one task, one adapter"),
        (route_replaced, "one task, one adapter"),
        (route_never_moves, "several tasks"),
        (lambda *given: route(*given, order=lambda lengths, adapters: sorted(lengths)), "several tasks"),
        (
            lambda *given: route(*given, order=lambda n, a: [t for t in ("sst", "quora", "sts") if t in n]),
            "the order is that of the lengths",
        ),
        (
            lambda x, lengths, adapters: torch.cat(
                [o + adapters[t](o) for t, o in zip(lengths, x.split(list(lengths.values())), strict=True)]
            ),
            "a task without an adapter",
        ),
        (
            lambda *given: route(*given, order=lambda n, a: [task for task in n if task in a]),
            "a task without an adapter",
        ),
        (route_masked, "an adapter sees the tokens of its own task"),
    ],
)
def test_route_finds_the_mistake(answer, where):
    wrong(checks.pals.route, answer, where)
