"""Checks of notebook 12: FLOPs of a step, the roofline, sorting in windows, the gain of a faster part, MFU."""

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
def floor(answer, draw):
    """answer(work, moved, rate, bandwidth) -> the least seconds for so many FLOPs and bytes, by the roofline."""
    rate, bandwidth = draw.between(50, 100), draw.between(5, 10)
    yield "is one number"
    shaped(answer(200.0, 20.0, rate, bandwidth))
    yield "much arithmetic on few bytes waits for arithmetic"
    same(answer(1000.0, 1.0, rate, bandwidth), 1000 / rate)
    yield "little arithmetic on many bytes waits for memory"
    same(answer(1.0, 1000.0, rate, bandwidth), 1000 / bandwidth)
    yield "both run at the same time: the longer one counts, not their sum"
    same(answer(10 * rate, 9 * bandwidth, rate, bandwidth), 10.0)


@check
def windows(answer, draw):
    """answer(lengths, order, window, size) -> batches, lists of indices of sequences.

    order is cut into windows, each window is sorted by length and cut into batches of size.
    """
    size = draw.whole(3, 5)
    window = 3 * size
    lengths, order = _lengths(draw, 2 * window + size + 2)
    yield "gives a list of batches, each a list of sequence numbers"
    batches = _batches(answer(lengths, order, window, size))
    yield "every sequence is in exactly one batch, including those of the last, short one"
    indices = sorted(sum(batches, []))
    expect(indices == sorted(order), f"{len(order)} sequences went in, {len(indices)} or other ones came out")
    yield "no batch has more than size sequences, and only the last may have fewer"
    expect([len(batch) for batch in batches] == [*[size] * (len(order) // size), 2], f"sizes {list(map(len, batches))}")
    yield "a window holds neighbors in the given order"
    expect(sorted(sum(batches[:3], [])) == sorted(order[:window]), "the first three batches are not the first window")
    yield "inside a window the lengths rise"
    first = [lengths[index] for index in sum(batches[:3], [])]
    expect(first == sorted(first), f"the lengths are {first}")
    yield "equals the reference"
    parts = [sorted(order[start : start + window], key=lengths.__getitem__) for start in range(0, len(order), window)]
    expected = [part[start : start + size] for part in parts for start in range(0, len(part), size)]
    expect(batches == expected, f"{batches[0]} comes first, but should be {expected[0]}")


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


def _lengths(draw: Draw, count: int) -> tuple[list[int], list[int]]:
    """Different lengths, and an order in which to read them."""
    shuffled = torch.randperm(count, generator=draw.generator) + 3
    return shuffled.tolist(), torch.randperm(count, generator=draw.generator).tolist()


def _batches(got) -> list[list[int]]:
    """The answer as lists of whole numbers; fail the property if it is not that."""
    try:
        return [[int(index) for index in batch] for batch in returned(got)]
    except TypeError:
        raise AssertionError("your function should return a list of lists of sequence numbers") from None


def _about(got, expected: int) -> None:
    """Fail the property unless a large number is right up to rounding; the message names the factor."""
    got = float(shaped(got))
    expect(
        abs(got / expected - 1) < 1e-6, f"it is {got:.6g}, but should be {expected:.6g} ({got / expected:.3f} times)"
    )
