"""Checks of the exercises in 05_multitask."""

import torch

from mtbert.training.evaluation import overall as reference_overall
from mtbert.workbook.checks.engine import check, expect, same, shaped


@check
def fill(answer, draw):
    """(lengths: list of token counts; batch_size) -> share of padded rectangles that is tokens, one number."""
    size = draw.whole(3, 6)
    lengths = draw.wholes(2, 60, size * draw.whole(3, 6)).tolist()
    yield "is 1 where all sequences have the same length"
    same(answer([7] * 2 * size, size), 1.0)
    yield "counts one batch right: tokens over longest times rows"
    first = lengths[:size]
    same(answer(list(first), size), sum(first) / (size * max(first)))
    yield "pads each batch to its own longest sequence, and counts all of them together"
    batches = [lengths[start : start + size] for start in range(0, len(lengths), size)]
    cells = sum(len(batch) * max(batch) for batch in batches)
    same(answer(list(lengths), size), sum(lengths) / cells)
    yield "takes the rows that are left for a shorter last batch"
    more = [*lengths, 50, 10]
    same(answer(list(more), size), sum(more) / (cells + 2 * 50))


@check
def features(answer, draw):
    """(u (rows, width), v (rows, width)) -> (rows, 3 * width): u, v, |u - v| side by side."""
    rows, width = draw.whole(2, 5), draw.whole(3, 6)
    u, v = draw.normal(rows, width), draw.normal(rows, width)
    yield "has three times the width"
    got = shaped(answer(u, v), rows, 3 * width)
    yield "begins with u, then v"
    same(got[:, : 2 * width], torch.cat([u, v], dim=1))
    yield "ends with the size of the difference, which is never negative"
    expect((got[:, 2 * width :] >= 0).all(), "some of the last numbers are negative")
    same(got[:, 2 * width :], (u - v).abs())


@check
def passes(answer, draw):
    """(rows: dict of task to row count; batch_size: dict) -> dict: how often a mixed epoch reads each set."""
    size = {"a": draw.whole(2, 8), "b": draw.whole(2, 8), "c": draw.whole(2, 8)}
    batches = {"a": draw.whole(50, 90), "b": draw.whole(5, 15), "c": draw.whole(20, 40)}
    rows = {task: size[task] * batches[task] for task in size}

    def found(rows):
        got = answer(dict(rows), dict(size))
        expect(
            isinstance(got, dict) and got.keys() == rows.keys(), f"it should return one number for each of {[*rows]}"
        )
        return [float(got[task]) for task in rows]

    yield "reads the set with the most batches once"
    same(found(rows)[0], 1.0)
    yield "reads the others as often as their batches go into the largest number of batches"
    same(found(rows), [batches["a"] / batches[task] for task in rows])
    yield "goes by batches, not by rows"
    wide = dict(size, a=10 * size["a"])
    got = answer(dict(rows, a=rows["a"] * 10), wide)
    same([float(got[task]) for task in rows], [batches["a"] / batches[task] for task in rows])
    yield "counts a batch that is not full as a batch"
    same(found(dict(rows, b=rows["b"] + 1)), [1.0, batches["a"] / (batches["b"] + 1), batches["a"] / batches["c"]])


@check
def overall(answer, draw):
    """({"sst": accuracy, "quora": accuracy, "sts": correlation}) -> (plain, normalised)."""
    sst, quora, sts = (0.2 + 0.7 * draw.uniform(3)).tolist()
    scores = {"sst": sst, "quora": quora, "sts": sts}

    def found(scores):
        got = answer(dict(scores))
        expect(got is not None and len(got) == 2, "it should return two numbers: plain, normalised")
        return got

    yield "plain is the mean of the three"
    same(found(scores)[0], (sst + quora + sts) / 3)
    yield "normalised is 1 for a perfect model"
    same(found(dict.fromkeys(scores, 1.0))[1], 1.0)
    yield "normalised maps the correlation alone, from [-1, 1] to [0, 1]"
    same(found({"sst": 0.0, "quora": 0.0, "sts": -1.0})[1], 0.0)
    same(found({"sst": sst, "quora": quora, "sts": -1.0})[1], (sst + quora) / 3)
    yield "both agree with the package"
    wanted = reference_overall(scores)
    same(list(found(scores)), [wanted["plain"], wanted["normalised"]], tolerance=1e-6)
