"""Samplers: which task next and which rows, as a pure function of the seed."""

from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtbert.data import SAMPLERS
from mtbert.data.sampling import Mixed, RoundRobin, RowOrder, Sequential, derived_seed

COUNTS = st.dictionaries(st.sampled_from(["sst", "quora", "sts"]), st.integers(1, 40), min_size=1)
NAMES = st.sampled_from(sorted(SAMPLERS))
SIZES = {"sst": 3, "quora": 7, "sts": 4}


def plan(sampler, steps, start=0):
    """(number, {task: rows}) of so many steps."""
    return [
        (step.number, {task: rows.tolist() for task, rows in step.rows.items()})
        for step in islice(sampler.steps(start), steps)
    ]


def passes(order, count):
    """The rows of the first passes over a task, in order."""
    return [[row for i in range(order.batches) for row in order.batch(turn * order.batches + i).tolist()]
            for turn in range(count)]  # fmt: skip


@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 2**40))
def test_each_pass_is_a_permutation(rows, size, seed):
    for each in passes(RowOrder("sst", rows, size, seed), 3):
        assert sorted(each) == list(range(rows))


def test_passes_tasks_and_seeds_are_shuffled_differently():
    orders = [*passes(RowOrder("sst", 50, 8, 0), 3), *passes(RowOrder("sts", 50, 8, 0), 1),
              *passes(RowOrder("sst", 50, 8, 1), 1)]  # fmt: skip
    assert len({tuple(order) for order in orders}) == 5
    assert list(range(50)) not in orders


@given(st.integers(1, 60), st.integers(1, 20))
def test_the_last_short_batch_keeps_its_rows(rows, size):
    order = RowOrder("sst", rows, size, 0)
    sizes = [len(order.batch(i)) for i in range(order.batches)]
    assert sizes == [size] * (rows // size) + [rows % size] * (rows % size > 0)


@given(NAMES, COUNTS, st.integers(0, 100), st.integers(0, 2**40))
def test_steps_from_k_are_the_tail_of_steps_from_0(name, counts, start, seed):
    whole = plan(SAMPLERS[name](counts, SIZES, seed), start + 10)
    assert plan(SAMPLERS[name](counts, SIZES, seed), 10, start) == whole[start:]


@given(NAMES, COUNTS, st.integers(0, 2**40))
def test_the_same_seed_gives_the_same_plan(name, counts, seed):
    assert plan(SAMPLERS[name](counts, SIZES, seed), 30) == plan(SAMPLERS[name](counts, SIZES, seed), 30)


def test_a_plan_does_not_depend_on_what_was_drawn_before_or_on_torchs_own_seed():
    sampler = Mixed({"sst": 20, "sts": 9}, SIZES, 5)
    torch.manual_seed(1)
    first = plan(sampler, 12)
    torch.manual_seed(2)
    two_at_once = [(one.rows["sst"].tolist(), other.rows["sst"].tolist())
                   for one, other in islice(zip(sampler.steps(), sampler.steps(4), strict=True), 8)]  # fmt: skip
    assert plan(sampler, 12) == first
    assert two_at_once == [(first[i][1]["sst"], first[i + 4][1]["sst"]) for i in range(8)]


@pytest.mark.parametrize("name", SAMPLERS)
def test_another_seed_gives_another_plan(name):
    counts = {"sst": 30, "quora": 40, "sts": 20}
    assert plan(SAMPLERS[name](counts, SIZES, 0), 10) != plan(SAMPLERS[name](counts, SIZES, 1), 10)


@given(COUNTS)
def test_mixed_takes_a_batch_of_every_task_until_the_largest_is_read_once(counts):
    sampler = Mixed(counts, SIZES)
    largest = max(counts, key=lambda task: -(-counts[task] // SIZES[task]))
    assert sampler.steps_per_epoch == -(-counts[largest] // SIZES[largest])
    steps = plan(sampler, sampler.steps_per_epoch)
    assert all(set(rows) == set(counts) for _, rows in steps)
    assert sorted(row for _, rows in steps for row in rows[largest]) == list(range(counts[largest]))


def test_mixed_cycles_the_shorter_sets_reshuffled():
    steps = plan(Mixed({"quora": 70, "sts": 8}, SIZES), 10)
    rounds = [steps[i][1]["sts"] + steps[i + 1][1]["sts"] for i in range(0, 10, 2)]
    assert all(sorted(each) == list(range(8)) for each in rounds)
    assert len({tuple(each) for each in rounds}) == 5


def test_a_cycled_pass_runs_on_across_epochs():
    sampler = Mixed({"quora": 21, "sts": 8}, SIZES)  # 3 steps an epoch, 2 batches a pass
    steps = plan(sampler, 2 * sampler.steps_per_epoch)
    for i in (0, 2, 4):
        assert sorted(steps[i][1]["sts"] + steps[i + 1][1]["sts"]) == list(range(8))


def test_round_robin_takes_the_tasks_in_turn():
    sampler = RoundRobin({"sst": 6, "quora": 21, "sts": 4}, SIZES)
    assert sampler.steps_per_epoch == 9
    assert [list(rows) for _, rows in plan(sampler, 9)] == [["sst"], ["quora"], ["sts"]] * 3


def test_sequential_reads_each_set_once_in_the_order_given():
    sampler = Sequential({"sts": 9, "quora": 8, "sst": 3}, SIZES)
    assert sampler.steps_per_epoch == 6
    steps = plan(sampler, 12)
    for epoch in (steps[:6], steps[6:]):
        assert [list(rows) for _, rows in epoch] == [["sts"]] * 3 + [["quora"]] * 2 + [["sst"]]
        assert sorted(row for _, rows in epoch for row in rows.get("sts", [])) == list(range(9))


@given(NAMES, COUNTS)
def test_steps_are_numbered_from_where_they_start(name, counts):
    assert [number for number, _ in plan(SAMPLERS[name](counts, SIZES), 5, 3)] == [3, 4, 5, 6, 7]


def test_derived_seeds_are_the_same_everywhere():
    assert derived_seed(0, "sst", 0) == 2045953888470717470
    assert derived_seed(0, "sst", 1) != derived_seed(0, "sst", 0) != derived_seed(1, "sst", 0)
