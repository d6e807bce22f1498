"""Checks of notebook 09: shares of the steps, whole numbers of steps, oversampling, a sampler, and deleted words."""

import functools
import itertools
import random
import statistics
from collections import Counter
from random import Random
from typing import Any

import torch
from torch import Tensor

from mtbert.data.sampling import apportion as apportioned
from mtbert.workbook.checks.engine import Answer, by_key, check, expect, returned, same, several


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
def sampler(answer, draw):
    """answer(rows, batch_size, steps_per_epoch, temperatures, seed) -> a sampler.

    rows: a dict; temperatures: a list, one an epoch. Its method counts(epoch) gives a dict, and steps(start=0) yields
    (task, row numbers) without end.
    """
    batch, length, seed = draw.whole(3, 5), draw.whole(24, 30), draw.whole(0, 10**6)
    rows = {"small": draw.whole(5, 9), "middle": draw.whole(20, 30), "large": draw.whole(60, 90)}
    settings = batch, length, [1.0, 3.0]

    def build(seed: int = seed, temperatures: list[float] | None = None) -> Any:
        made = returned(answer(dict(rows), batch, length, temperatures or settings[2], seed))
        missing = [name for name in ("counts", "steps") if not callable(getattr(made, name, None))]
        expect(not missing, f"{type(made).__name__} has no method {' and no method '.join(missing)}")
        return made

    yield "step 1: counts(epoch) gives whole numbers that add up to the steps of an epoch"
    counts = [_counts(build(), epoch, rows) for epoch in range(4)]
    for of_epoch in counts:
        expect(all(count == int(count) >= 0 for count in of_epoch), f"it gave {of_epoch}")
        expect(sum(of_epoch) == length, f"{sum(of_epoch):g} steps in an epoch of {length}")
    yield "step 1: shares follow rows ** (1 / temperature), apportioned by the largest remainders"
    for temperature in (1.0, 2.0, 5.0):
        weights = {task: count ** (1 / temperature) for task, count in rows.items()}
        expected = list(apportioned(weights, length).values())
        same(_counts(build(temperatures=[temperature]), 0, rows), expected)
    yield "step 1: every epoch has its own temperature, and the last one stays"
    for epoch, temperature in enumerate([1.0, 3.0, 3.0, 3.0]):
        weights = {task: count ** (1 / temperature) for task, count in rows.items()}
        same(counts[epoch], list(apportioned(weights, length).values()))
    yield "step 2: steps() yields (task, row numbers), again and again"
    taken = _take(build(), 4 * length, rows)
    yield "step 2: every epoch has the steps that counts(epoch) says"
    tasks = [task for task, _ in taken]
    for epoch in range(4):
        of_epoch = Counter(tasks[epoch * length : (epoch + 1) * length])
        same([of_epoch[task] for task in rows], counts[epoch])
    yield "step 2: the order of the tasks is random, and a new one in every epoch"
    third, fourth = tasks[2 * length : 3 * length], tasks[3 * length :]
    blocks = sum(1 for _ in itertools.groupby(third))
    expect(blocks > len(rows), "an epoch takes its tasks in blocks, one after the other")
    expect(third != fourth, "two epochs with the same counts have the same order")
    yield "step 3: a pass over a task reads each of its rows once, in batches of batch_size; the last may be smaller"
    passes = {task: _passes([read for name, read in taken if name == task], rows[task], batch) for task in rows}
    yield "step 3: the rows are shuffled, in a new order in every pass"
    in_order = [task for task in ("middle", "large") if any(one == sorted(one) for one in passes[task])]
    expect(not in_order, f"{' and '.join(in_order)}: a pass reads the rows in their order in the file")
    expect(len({tuple(one) for one in passes["small"]}) > 1, "all passes over a task have the same order")
    yield "step 4: a seed repeats all steps, another seed does not, and no global random numbers are drawn"
    states = random.getstate(), torch.get_rng_state()
    again, other = _take(build(), 2 * length, rows), _take(build(seed + 1), 2 * length, rows)
    expect(again == taken[: 2 * length], "two samplers with one seed take different steps")
    expect(other != again, "samplers with different seeds take the same steps")
    unchanged = states[0] == random.getstate() and torch.equal(states[1], torch.get_rng_state())
    expect(unchanged, "the global random numbers were used: make a generator of your own from the seed")
    yield "step 5: a new sampler's steps(start) are those of the uninterrupted run from number start on"
    for start in (1, length, length + draw.whole(3, length - 3), 3 * length):
        rest = _take(build(), 4 * length - start, rows, start)
        expect(rest == taken[start:], f"steps({start}) differs from what steps() gives after {start} steps")


def _counts(made: Any, epoch: int, rows: dict[str, int]) -> list[float]:
    return by_key(Answer(made.counts)(epoch), rows)


def _take(made: Any, count: int, rows: dict[str, int], *start: int) -> list[tuple[str, list[int]]]:
    """The first steps of a learner's sampler, as names and lists of row numbers."""

    @functools.wraps(getattr(made.steps, "__func__", made.steps))  # an exception is told with the line in its code
    def first() -> list | None:
        steps = made.steps(*start)
        return steps if steps is None else list(itertools.islice(steps, count))

    taken = Answer(first)()
    expect(taken is not None, "steps() returned nothing; is there a yield or a return?")
    expect(len(taken) == count, f"steps() ended after {len(taken)} steps")
    return [
        (_task(task, rows), _row_numbers(read)) for task, read in (several(step, "a task", "rows") for step in taken)
    ]


def _task(name: Any, rows: dict[str, int]) -> str:
    expect(isinstance(name, str) and name in rows, f"a step's task is {name!r}, not one of {[*rows]}")
    return name


def _row_numbers(read: Any) -> list[int]:
    numbers = read.flatten().tolist() if isinstance(read, Tensor) else list(read)
    expect(all(number == int(number) for number in numbers), f"a step reads the rows {numbers}")
    return [int(number) for number in numbers]


def _passes(batches: list[list[int]], count: int, size: int) -> list[list[int]]:
    """The rows of each complete pass, in the order in which they were read."""
    per_pass = -(-count // size)
    passes = []
    for start in range(0, len(batches) - per_pass + 1, per_pass):
        of_pass = batches[start : start + per_pass]
        expect(all(len(batch) == size for batch in of_pass[:-1]), f"a batch before the last has not {size} rows")
        read = list(itertools.chain.from_iterable(of_pass))
        expect(sorted(read) == list(range(count)), f"{per_pass} batches read {len(set(read))} of {count} rows")
        passes.append(read)
    return passes


@check
def delete(answer, draw):
    """answer(words, share, random) -> the words, each deleted with probability share, but never all; random.Random."""
    words = [f"word{index}" for index in range(draw.whole(8, 12))]
    seed = draw.whole(0, 10**6)
    yield "gives a list of words, and leaves the one it was given alone"
    given = list(words)
    got = answer(given, 0.5, Random(seed))
    expect(isinstance(returned(got), list), f"it gave a {type(got).__name__}, not a list")
    expect(all(isinstance(word, str) for word in got), f"it gave {got!r}")
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
    state = random.getstate()
    for share in (0.5, 1.0):
        answer(list(words), share, Random(seed))
    expect(random.getstate() == state, "the module's own random numbers were used: call the methods of the argument")
    yield "deletes the share of the words on average, deciding for each word on its own"
    counts = [len(answer(["word"] * 40, 0.25, Random(seed + run))) for run in range(200)]
    mean, std = statistics.fmean(counts), statistics.pstdev(counts, 30)
    expect(abs(mean - 30) < 1, f"of 40 words {mean:.1f} stayed, but 30 should")
    expected = (40 * 0.25 * 0.75) ** 0.5  # of a binomial distribution
    both = f"the standard deviation of the number that stays is {std:.1f}, not {expected:.1f}"
    expect(0.6 * expected < std < 1.6 * expected, both)
