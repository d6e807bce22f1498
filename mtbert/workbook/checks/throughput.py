"""Checks of notebook 12: operations of a step, the roofline's floor, sorting in windows, a faster part, MFU."""

import torch

from mtbert.nn import flops
from mtbert.nn.bert import BertConfig
from mtbert.workbook.checks.engine import Draw, check, expect, same, shaped


@check
def operations(answer, draw):
    """(hidden, wide, layers, lengths) -> operations in the matrix products of a forward and a backward pass."""
    config = _config(draw)
    sizes = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    lengths = draw.wholes(3, 40, draw.whole(3, 6)).tolist()
    yield "is one number"
    shaped(answer(*sizes, lengths))
    yield "a single token: six operations for each weight of the matrices, and twelve times hidden for its attention"
    _about(answer(*sizes, [1]), flops.training_flops(config, [1]))
    yield "twice the layers are twice the work"
    _about(answer(sizes[0], sizes[1], 2 * sizes[2], [1]), 2 * flops.training_flops(config, [1]))
    yield "attention of one sequence grows with the square of its length"
    _about(answer(*sizes, [37]), flops.training_flops(config, [37]))
    yield "a token attends to its own sequence only: the squares are summed, not the sum squared"
    _about(answer(*sizes, lengths), flops.training_flops(config, lengths))


@check
def floor(answer, draw):
    """(operations, bytes, rate, bandwidth) -> the least seconds, by the roofline."""
    rate, bandwidth = draw.between(50, 100), draw.between(5, 10)
    yield "is one number"
    shaped(answer(200.0, 20.0, rate, bandwidth))
    yield "much arithmetic on few bytes waits for arithmetic"
    same(answer(1000.0, 1.0, rate, bandwidth), 1000 / rate)
    yield "little arithmetic on many bytes waits for memory"
    same(answer(1.0, 1000.0, rate, bandwidth), 1000 / bandwidth)
    yield "both go on at the same time: the longer one counts, not their sum"
    same(answer(10 * rate, 9 * bandwidth, rate, bandwidth), 10.0)


@check
def windows(answer, draw):
    """(lengths, order, window, size) -> batches, lists of sequence numbers: ``order`` cut into windows, each sorted by
    length, then cut into batches of ``size``."""
    size = draw.whole(3, 5)
    window = 3 * size
    lengths, order = _lengths(draw, 2 * window + size + 2)
    yield "gives a list of batches, each a list of sequence numbers"
    batches = _batches(answer(lengths, order, window, size))
    yield "every sequence is in exactly one batch, also those of the last, short one"
    found = sorted(number for batch in batches for number in batch)
    expect(found == sorted(order), f"{len(order)} sequences went in, {len(found)} came out, or others")
    yield "no batch has more than size sequences, and only the last may have fewer"
    expect([len(batch) for batch in batches] == [*[size] * (len(order) // size), 2], f"sizes {list(map(len, batches))}")
    yield "a window holds neighbours of the given order"
    expect(sorted(sum(batches[:3], [])) == sorted(order[:window]), "the first three batches are not the first window")
    yield "inside a window the lengths rise"
    first = [lengths[number] for number in sum(batches[:3], [])]
    expect(first == sorted(first), f"the lengths are {first}")
    yield "a window as long as the whole sorts everything"
    everything = [lengths[n] for batch in _batches(answer(lengths, order, len(order), size)) for n in batch]
    expect(everything == sorted(lengths), f"the lengths are {everything}")
    yield "equals a plain reference"
    wanted = [sorted(order[at : at + window], key=lengths.__getitem__) for at in range(0, len(order), window)]
    wanted = [part[at : at + size] for part in wanted for at in range(0, len(part), size)]
    expect(batches == wanted, f"{batches[0]} comes first, but should be {wanted[0]}")


@check
def speedup(answer, draw):
    """(seconds, factors), a list each: parts of a step and how many times faster each becomes -> the whole speedup."""
    seconds = draw.uniform(draw.whole(3, 5)) + 0.1
    ones = torch.ones_like(seconds)
    yield "is one number"
    shaped(answer(seconds.tolist(), ones.tolist()))
    yield "is 1 if nothing becomes faster"
    same(answer(seconds.tolist(), ones.tolist()), 1.0)
    yield "is k if every part becomes k times faster"
    same(answer(seconds.tolist(), (3 * ones).tolist()), 3.0)
    yield "of two equal parts, one made twice as fast: 4/3, neither 2 nor 1.5"
    same(answer([1.0, 1.0], [2.0, 1.0]), 4 / 3)
    yield "a part that costs nothing any more leaves the others"
    factors = ones.clone()
    factors[0] = 1e9
    same(answer(seconds.tolist(), factors.tolist()), seconds.sum() / seconds[1:].sum())
    yield "long parts count for more than short ones"
    factors = 1 + 3 * draw.uniform(len(seconds))
    same(answer(seconds.tolist(), factors.tolist()), seconds.sum() / (seconds / factors).sum())


@check
def mfu(answer, draw):
    """(per_token, lengths, seconds, peak) of a batch -> model FLOPs utilization."""
    per_token, seconds, peak = draw.between(2, 4), draw.between(3, 5), draw.between(200, 300)
    yield "is one number"
    shaped(answer(per_token, [5, 5], seconds, peak))
    yield "a step that does what the device can do at most has 1"
    same(answer(per_token, [10, 10], 20 * per_token / peak, peak), 1.0)
    yield "half the time is twice the share"
    same(answer(per_token, [10, 10], seconds / 2, peak), 2 * 20 * per_token / seconds / peak)
    yield "only real tokens count as work: what is computed on padding is not useful"
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
    """Different lengths, and an order to read them in."""
    shuffled = torch.randperm(count, generator=draw.generator) + 3
    return shuffled.tolist(), torch.randperm(count, generator=draw.generator).tolist()


def _batches(got) -> list[list[int]]:
    """The answer as lists of whole numbers; AssertionError if it is none."""
    expect(got is not None, "your function returned nothing; is there a return?")
    try:
        return [[int(number) for number in batch] for batch in got]
    except TypeError:
        raise AssertionError("your function should return a list of lists of sequence numbers") from None


def _about(got, wanted: int) -> None:
    """Equal up to rounding, for numbers that may be large; the message names the factor."""
    got = float(shaped(got))
    expect(abs(got / wanted - 1) < 1e-6, f"it is {got:.6g}, but should be {wanted:.6g} ({got / wanted:.3f} times)")
