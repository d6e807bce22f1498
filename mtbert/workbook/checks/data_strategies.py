"""Checks of notebook 09: shares of the steps, whole numbers of steps, oversampling, and deleted words."""

import statistics
from random import Random

from mtbert.workbook.checks.engine import by_key, check, expect, same


@check
def shares(answer, draw):
    """answer(rows, alpha) -> a probability per task, proportional to rows to the power of alpha; rows is a dict."""
    rows = {name: draw.whole(50, 5000) for name in "abc"}
    yield "gives a number for each task"
    by_key(answer(dict(rows), 1.0), rows)
    yield "they add up to 1"
    for alpha in (0.0, 0.3, 1.0):
        same(sum(by_key(answer(dict(rows), alpha), rows)), 1.0)
    yield "with alpha = 1 a task with twice the rows has twice the share"
    same(by_key(answer({"a": 100, "b": 200}, 1.0), "ab"), [1 / 3, 2 / 3])
    yield "with alpha = 0 all tasks have the same share"
    same(by_key(answer(dict(rows), 0.0), rows), [1 / 3] * 3)
    yield "with alpha = 1/2 a task with four times the rows has twice the share"
    same(by_key(answer({"a": 100, "b": 400}, 0.5), "ab"), [1 / 3, 2 / 3])


@check
def apportion(answer, draw):
    """answer(weights, total) -> a whole number of steps per task, by largest remainders; weights is a dict."""
    weights = {name: draw.between(0.5, 9.0) for name in "abcd"}
    total = draw.whole(20, 60)
    yield "gives a whole number for each task"
    counts = by_key(answer(dict(weights), total), weights)
    expect(all(count == int(count) >= 0 for count in counts), f"it gave {counts}")
    yield "shares that are whole numbers stay as they are"
    same(by_key(answer({"a": 3.0, "b": 1.0, "c": 0.0}, 8), "abc"), [6, 2, 0])
    yield "all steps are given out, and no more"
    thirds = {"a": 1.0, "b": 1.0, "c": 1.0}  # rounding their shares gives 9 steps of 10, and 12 of 11
    for some, steps in ((weights, total), (weights, 1), (thirds, 10), (thirds, 11)):
        given = int(sum(by_key(answer(dict(some), steps), some)))
        expect(given == steps, f"{given} steps were given out of {steps}")
    yield "every task is less than one step away from its share"
    for count, weight in zip(by_key(answer(dict(weights), total), weights), weights.values(), strict=True):
        share = total * weight / sum(weights.values())
        expect(abs(count - share) < 1, f"{int(count)} steps, but the share is {share:.2f}")
    yield "the remaining steps go to the largest remainders"
    same(by_key(answer({"a": 4.6, "b": 3.3, "c": 2.1}, 10), "abc"), [5, 3, 2])
    same(by_key(answer({"a": 0.6, "b": 1.7, "c": 7.7}, 10), "abc"), [0, 2, 8])


@check
def oversample(answer, draw):
    """answer(rows, times) -> the rows of each task that an epoch reads; rows is a dict."""
    large = draw.whole(5000, 9000)
    yield "reads the largest set once"
    rows = {"small": draw.whole(100, 300), "large": large}
    same(by_key(answer(dict(rows), 5), rows)[1], large)
    yield "reads a small set as many times as asked"
    for times in (2, 5):
        same(by_key(answer(dict(rows), times), rows)[0], times * rows["small"])
    yield "never makes a set larger than the largest"
    rows = {"middle": large // 2, "large": large, "small": draw.whole(100, 300)}
    same(by_key(answer(dict(rows), 5), rows), [large, large, 5 * rows["small"]])
    yield "with times = 1 every set is read once"
    same(by_key(answer(dict(rows), 1), rows), list(rows.values()))


@check
def delete(answer, draw):
    """answer(words, share, random) -> the words, each deleted with probability share, but never all; random.Random."""
    words = [f"word{index}" for index in range(draw.whole(8, 12))]
    seed = draw.whole(0, 10**6)
    yield "gives a list of words, and leaves the one it was given alone"
    given = list(words)
    got = answer(given, 0.5, Random(seed))
    expect(isinstance(got, list) and all(isinstance(word, str) for word in got), f"it gave {got!r}")
    expect(given == words, "the list of the argument was changed: make a new one")
    yield "deletes nothing with a share of 0"
    expect(answer(list(words), 0.0, Random(seed)) == words, "words are missing")
    yield "the remaining words keep their order"
    for run in range(20):
        remaining = iter(words)
        got = answer(list(words), 0.4, Random(seed + run))
        expect(all(word in remaining for word in got), f"{' '.join(got)} is out of order")
    yield "always keeps one word, drawn at random"
    single = [answer(list(words), 1.0, Random(seed + run)) for run in range(40)]
    expect(all(len(got) == 1 for got in single), f"with a share of 1 it kept {[len(got) for got in single][:3]} words")
    expect(len({got[0] for got in single}) > 1, "it always keeps the same word")
    yield "draws from the random.Random it is given, and from nothing else"
    for share in (0.5, 1.0):  # words are deleted, and the one to keep is drawn
        for run in range(20):
            first, again = (answer(list(words), share, Random(seed + run)) for _ in range(2))
            expect(first == again, f"two generators with one seed left different words: {first} and {again}")
    yield "deletes the share of the words on average, deciding for each word on its own"
    counts = [len(answer(["word"] * 40, 0.25, Random(seed + run))) for run in range(200)]
    mean, std = statistics.fmean(counts), statistics.pstdev(counts, 30)
    expect(abs(mean - 30) < 1, f"of 40 words {mean:.1f} stayed, but 30 should")
    expected = (40 * 0.25 * 0.75) ** 0.5  # of a binomial distribution
    both = f"the standard deviation of the number that stays is {std:.1f}, not {expected:.1f}"
    expect(0.6 * expected < std < 1.6 * expected, both)
