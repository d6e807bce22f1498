"""Checks of notebook 05: the fill of padded batches, features of a pair, passes over a set, overall scores."""

from mtbert.data.tasks import overall as reference_overall
from mtbert.workbook.checks.engine import by_key, check, same, several
from mtbert.workbook.checks.sts_heads import features as features


@check
def fill(answer, draw):
    """answer(lengths, batch_size) -> share of padded batches that is tokens; lengths is a list of token counts."""
    size = draw.whole(3, 6)
    lengths = draw.wholes(2, 60, size * draw.whole(3, 6)).tolist()
    yield "is 1 where all sequences have the same length"
    same(answer([7] * 2 * size, size), 1.0)
    yield "is right for one batch: tokens divided by longest times rows"
    first = lengths[:size]
    same(answer(list(first), size), sum(first) / (size * max(first)))
    yield "pads each batch to its own longest sequence, and counts all of them together"
    batches = [lengths[start : start + size] for start in range(0, len(lengths), size)]
    cells = sum(len(batch) * max(batch) for batch in batches)
    same(answer(list(lengths), size), sum(lengths) / cells)
    yield "puts the remaining rows into a shorter last batch"
    more = [*lengths, 50, 10]
    same(answer(list(more), size), sum(more) / (cells + 2 * 50))


@check
def passes(answer, draw):
    """answer(rows, batch_size) -> how often a mixed epoch reads each set; all three are dicts with a key per task."""
    size = {"a": draw.whole(2, 8), "b": draw.whole(2, 8), "c": draw.whole(2, 8)}
    batches = {"a": draw.whole(50, 90), "b": draw.whole(5, 15), "c": draw.whole(20, 40)}
    rows = {task: size[task] * batches[task] for task in size}

    def given(rows, size=size):
        return by_key(answer(dict(rows), dict(size)), rows)

    yield "reads the set with the most batches once"
    same(given(rows)[0], 1.0)
    yield "reads the others as often as their batches fit into the largest number of batches"
    same(given(rows), [batches["a"] / batches[task] for task in rows])
    yield "counts batches, not rows"
    wide = given(dict(rows, a=10 * rows["a"]), dict(size, a=10 * size["a"]))
    same(wide, [batches["a"] / batches[task] for task in rows])
    yield "counts a batch that is not full as a batch"
    same(given(dict(rows, b=rows["b"] + 1)), [1.0, batches["a"] / (batches["b"] + 1), batches["a"] / batches["c"]])


@check
def overall(answer, draw):
    """answer(scores) -> (plain, normalized); scores has accuracies for "sst" and "quora", a correlation for "sts"."""
    sst, quora, sts = (0.2 + 0.7 * draw.uniform(3)).tolist()
    scores = {"sst": sst, "quora": quora, "sts": sts}

    def given(scores):
        return several(answer(dict(scores)), "plain", "normalised")

    yield "plain is the mean of the three"
    same(given(scores)[0], (sst + quora + sts) / 3)
    yield "normalized is 1 for a perfect model"
    same(given(dict.fromkeys(scores, 1.0))[1], 1.0)
    yield "normalized maps only the correlation, from [-1, 1] to [0, 1]"
    same(given({"sst": 0.0, "quora": 0.0, "sts": -1.0})[1], 0.0)
    same(given({"sst": sst, "quora": quora, "sts": -1.0})[1], (sst + quora) / 3)
    yield "both agree with mtbert"
    expected = reference_overall(scores)
    same(list(given(scores)), [expected["plain"], expected["normalised"]], tolerance=1e-6)
