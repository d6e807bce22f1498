"""Checks of notebook 12: FLOPs of a step, batches by length, the gain of a faster part, MFU."""

import random
from collections import Counter

import numpy as np
import torch

from mtbert.nn import flops
from mtbert.nn.bert import BertConfig
from mtbert.workbook.checks.engine import Draw, check, expect, returned, same, shaped


@check
def training_flops(answer, draw):
    """answer(hidden, intermediate, layers, lengths) -> FLOPs of the matrix products, forward and backward."""
    config = _config(draw)
    sizes = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    lengths = draw.wholes(3, 40, draw.whole(3, 6)).tolist()
    yield "is one number"
    shaped(answer(*sizes, lengths))
    yield "a single token: six FLOPs for each weight of the matrices, and twelve times hidden for its attention"
    _about(answer(*sizes, [1]), flops.training_flops(config, [1]))
    yield "attention of one sequence grows with the square of its length"
    _about(answer(*sizes, [37]), flops.training_flops(config, [37]))
    yield "a token attends to its own sequence only: the squares are summed, not the sum squared"
    _about(answer(*sizes, lengths), flops.training_flops(config, lengths))


@check
def length_batches(answer, draw):
    """answer(lengths, budget, seed) -> batches, lists of row numbers: rows of similar length, batches in random order.

    A padded batch has at most ``budget`` cells; a row longer than that is a batch of its own.
    """

    def batches_of(lengths: list[int], seed: int = 0) -> list[list[int]]:
        return _batches(answer(list(lengths), budget, seed))

    budget, lengths = draw.whole(400, 600), _lengths(draw, 300)
    yield "step 1: gives a list of batches, each a list of row numbers"
    batches = batches_of(lengths)
    yield "step 1: every row is in exactly one batch"
    _once_each(batches, lengths)
    yield "step 2: no padded batch, rows times its longest length, has more cells than the budget"
    cells, rows = max((_cells(batch, lengths), batch) for batch in batches)
    expect(cells <= budget, f"{len(rows)} rows of up to {cells // len(rows)} tokens are {cells} cells of {budget}")
    yield "step 2: a row that is longer than the budget is a batch of its own"
    with_long = [*lengths[:100], budget + 9, *lengths[100:]]
    batches = batches_of(with_long)
    _once_each(batches, with_long)
    expect([100] in batches, f"row 100 has {budget + 9} tokens, and shares its batch with others")
    yield "step 2: batches use their budget: on average four fifths of it"
    batches = batches_of(lengths)
    used = sum(_cells(batch, lengths) for batch in batches) / len(batches) / budget
    expect(used >= 0.8, f"{len(batches)} batches use {used:.0%} of it")
    yield "step 3: rows of similar length share a batch: a fill of at least .9"
    fill = sum(lengths) / sum(_cells(batch, lengths) for batch in batches)
    expect(fill >= 0.9, f"the fill is {fill:.2f}")
    yield "step 4: batches come in random order, not by length"
    by_length = [abs(_rank_correlation(batches_of(lengths, seed), lengths)) for seed in range(4)]
    expect(sum(by_length) / 4 < 0.8, "from each batch to the next, the sequences become longer, or shorter")
    yield "step 4: the same seed gives the same batches"
    expect(batches_of(lengths, 3) == batches_of(lengths, 3), "two calls with seed 3 differ")
    yield "step 4: the global random numbers stay as they were"
    before = _random_states()
    batches_of(lengths, 5)
    expect(before == _random_states(), "a call seeds or draws from them: make a generator of your own")
    yield "step 5: another seed gives other groups, not only another order of the same ones"
    first, second = ({frozenset(batch) for batch in batches_of(lengths, seed)} for seed in (1, 2))
    again = len(first & second)
    expect(again < len(first) / 2, f"{again} of {len(first)} batches of seed 1 are also batches of seed 2")


@check
def speedup(answer, draw):
    """answer(seconds, factors) -> the speedup of the step; for each part, its time and how much faster it becomes."""
    seconds = draw.uniform(draw.whole(3, 5)) + 0.1
    ones = torch.ones_like(seconds)
    yield "is one number"
    shaped(answer(seconds.tolist(), ones.tolist()))
    yield "is 1 if nothing becomes faster"
    same(answer(seconds.tolist(), ones.tolist()), 1.0)
    yield "is k if every part becomes k times faster"
    same(answer(seconds.tolist(), (3 * ones).tolist()), 3.0)
    yield "for two equal parts, one of them twice as fast, it is 4/3, neither 2 nor 1.5"
    same(answer([1.0, 1.0], [2.0, 1.0]), 4 / 3)
    yield "long parts count for more than short ones"
    factors = 1 + 3 * draw.uniform(len(seconds))
    same(answer(seconds.tolist(), factors.tolist()), seconds.sum() / (seconds / factors).sum())


@check
def mfu(answer, draw):
    """answer(per_token, lengths, seconds, peak) -> model FLOPs utilization of a batch."""
    per_token, seconds, peak = draw.between(2, 4), draw.between(3, 5), draw.between(200, 300)
    yield "is one number"
    shaped(answer(per_token, [5, 5], seconds, peak))
    yield "is 1 for a step that uses all of the device"
    same(answer(per_token, [10, 10], 20 * per_token / peak, peak), 1.0)
    yield "in half the time it is twice as high"
    same(answer(per_token, [10, 10], seconds / 2, peak), 2 * 20 * per_token / seconds / peak)
    yield "only real tokens count: work on padding is not useful"
    lengths = [draw.whole(2, 5), draw.whole(20, 30), draw.whole(8, 12)]
    same(answer(per_token, lengths, seconds, peak), sum(lengths) * per_token / seconds / peak)


def _config(draw: Draw) -> BertConfig:
    hidden = 8 * draw.whole(2, 6)
    return BertConfig(
        hidden_size=hidden,
        num_attention_heads=2,
        num_hidden_layers=draw.whole(2, 5),
        intermediate_size=hidden * draw.whole(2, 5) + 1,
    )


def _lengths(draw: Draw, count: int) -> list[int]:
    """Lengths like those of sentences: most are short, a few are long."""
    return [5 + int(20 * value) for value in draw.normal(count).mul(0.6).exp()]


def _cells(batch: list[int], lengths: list[int]) -> int:
    """Cells of the padded batch."""
    return len(batch) * max((lengths[row] for row in batch), default=0)


def _once_each(batches: list[list[int]], lengths: list[int]) -> None:
    rows = Counter(row for batch in batches for row in batch)
    missing, twice = set(range(len(lengths))) - rows.keys(), [row for row, count in rows.items() if count > 1]
    expect(not rows.keys() - set(range(len(lengths))), f"there are only rows 0 to {len(lengths) - 1}")
    expect(not missing, f"rows in no batch: {len(missing)}, such as row {min(missing, default=0)}")
    expect(not twice, f"rows in more than one: {len(twice)}, such as row {min(twice, default=0)}")


def _rank_correlation(batches: list[list[int]], lengths: list[int]) -> float:
    """Spearman's correlation of a batch's place and its mean length."""
    means = torch.tensor([sum(lengths[row] for row in batch) / len(batch) for batch in batches if batch])
    places = torch.arange(float(len(means)))
    return float(torch.corrcoef(torch.stack([places, means.argsort().argsort().float()]))[0, 1])


def _random_states() -> tuple:
    numpy = np.random.get_state(legacy=False)["state"]
    return torch.get_rng_state().tolist(), random.getstate(), numpy["key"].tolist(), numpy["pos"]


def _batches(got) -> list[list[int]]:
    """The answer as lists of whole numbers; fail the property if it is not that."""
    try:
        return [[int(index) for index in batch] for batch in returned(got)]
    except TypeError:
        raise AssertionError("your function should return a list of lists of row numbers") from None


def _about(got, expected: int) -> None:
    """Fail the property unless a large number is right up to rounding; the message names the factor."""
    got = float(shaped(got))
    expect(
        abs(got / expected - 1) < 1e-6, f"it is {got:.6g}, but should be {expected:.6g} ({got / expected:.3f} times)"
    )
