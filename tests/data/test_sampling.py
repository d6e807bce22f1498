"""Samplers: which task next and which rows, as a pure function of the seed."""

from collections import Counter
from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mtbert.data import SAMPLERS
from mtbert.data.sampling import (
    AnnealedSampler,
    BatchSampler,
    CurriculumSampler,
    LengthGroupedBatchSampler,
    MixedSampler,
    OversamplingCurriculumSampler,
    OversamplingSampler,
    PlannedSampler,
    ProportionalSampler,
    RoundRobinSampler,
    SamplerConfig,
    SequentialSampler,
    SquareRootSampler,
    StagesSampler,
    TemperatureSampler,
    apportion,
    derived_seed,
)

PLANNED = sorted(name for name, kind in SAMPLERS.items() if issubclass(kind, PlannedSampler))
REAL = {"sst": 8544, "quora": 75842, "sts": 6040}
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
    return [
        [row for i in range(order.batches) for row in order.batch(turn * order.batches + i).tolist()]
        for turn in range(count)
    ]


@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 2**40))
def test_each_pass_is_a_permutation(rows, size, seed):
    for each in passes(BatchSampler("sst", rows, size, seed), 3):
        assert sorted(each) == list(range(rows))


def test_passes_tasks_and_seeds_are_shuffled_differently():
    orders = [
        *passes(BatchSampler("sst", 50, 8, 0), 3),
        *passes(BatchSampler("sts", 50, 8, 0), 1),
        *passes(BatchSampler("sst", 50, 8, 1), 1),
    ]
    assert len({tuple(order) for order in orders}) == 5
    assert list(range(50)) not in orders


@given(st.integers(1, 60), st.integers(1, 20))
def test_the_last_short_batch_keeps_its_rows(rows, size):
    order = BatchSampler("sst", rows, size, 0)
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
    sampler = MixedSampler({"sst": 20, "sts": 9}, SIZES, 5)
    torch.manual_seed(1)
    first = plan(sampler, 12)
    torch.manual_seed(2)
    two_at_once = [
        (one.rows["sst"].tolist(), other.rows["sst"].tolist())
        for one, other in islice(zip(sampler.steps(), sampler.steps(4), strict=True), 8)
    ]
    assert plan(sampler, 12) == first
    assert two_at_once == [(first[i][1]["sst"], first[i + 4][1]["sst"]) for i in range(8)]


@pytest.mark.parametrize("name", SAMPLERS)
def test_another_seed_gives_another_plan(name):
    counts = {"sst": 30, "quora": 40, "sts": 20}
    assert plan(SAMPLERS[name](counts, SIZES, 0), 10) != plan(SAMPLERS[name](counts, SIZES, 1), 10)


@given(COUNTS)
def test_mixed_takes_a_batch_of_every_task_until_the_largest_is_read_once(counts):
    sampler = MixedSampler(counts, SIZES)
    largest = max(counts, key=lambda task: -(-counts[task] // SIZES[task]))
    assert sampler.steps_per_epoch == -(-counts[largest] // SIZES[largest])
    steps = plan(sampler, sampler.steps_per_epoch)
    assert all(set(rows) == set(counts) for _, rows in steps)
    assert sorted(row for _, rows in steps for row in rows[largest]) == list(range(counts[largest]))


def test_mixed_cycles_the_shorter_sets_reshuffled():
    steps = plan(MixedSampler({"quora": 70, "sts": 8}, SIZES), 10)
    rounds = [steps[i][1]["sts"] + steps[i + 1][1]["sts"] for i in range(0, 10, 2)]
    assert all(sorted(each) == list(range(8)) for each in rounds)
    assert len({tuple(each) for each in rounds}) == 5


def test_a_cycled_pass_runs_on_across_epochs():
    sampler = MixedSampler({"quora": 21, "sts": 8}, SIZES)  # 3 steps an epoch, 2 batches a pass
    steps = plan(sampler, 2 * sampler.steps_per_epoch)
    for i in (0, 2, 4):
        assert sorted(steps[i][1]["sts"] + steps[i + 1][1]["sts"]) == list(range(8))


def test_round_robin_takes_the_tasks_in_turn():
    sampler = RoundRobinSampler({"sst": 6, "quora": 21, "sts": 4}, SIZES)
    assert sampler.steps_per_epoch == 9
    assert [list(rows) for _, rows in plan(sampler, 9)] == [["sst"], ["quora"], ["sts"]] * 3


def test_sequential_reads_each_set_once_in_the_order_given():
    sampler = SequentialSampler({"sts": 9, "quora": 8, "sst": 3}, SIZES)
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


# -- who gets how many steps ------------------------------------------------------------------------------------------


def tasks_of(sampler, epoch=0):
    return [task for (task,) in sampler.epoch(epoch)]


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1e6), min_size=1), st.integers(0, 10_000))
def test_apportioned_steps_are_all_given_and_none_is_a_whole_step_off_its_share(weights, total):
    weights["last"] = 1.0  # some weight there must be
    counts, whole = apportion(weights, total), sum(weights.values())
    assert sum(counts.values()) == total and min(counts.values()) >= 0
    assert all(abs(counts[task] - total * weight / whole) < 1 + 1e-6 for task, weight in weights.items())


def test_what_is_left_over_goes_to_the_largest_remainders():
    assert apportion({"a": 4.6, "b": 3.3, "c": 2.1}, 10) == {"a": 5, "b": 3, "c": 2}
    assert apportion({"a": 1, "b": 1, "c": 0}, 4) == {"a": 2, "b": 2, "c": 0}


@given(st.sampled_from(PLANNED), COUNTS, st.integers(1, 5), st.integers(1, 60), st.integers(0, 2**40))
def test_an_epoch_holds_exactly_as_many_steps_of_each_task_as_it_promises(name, counts, epochs, steps, seed):
    sampler = SAMPLERS[name](counts, SIZES, seed, SamplerConfig(epochs, steps))
    for epoch in range(epochs):
        weights, found = sampler.weights(epoch), Counter(tasks_of(sampler, epoch))
        assert found.total() == steps == sampler.steps_per_epoch
        whole = sum(weights.values())
        assert all(abs(found[task] - steps * weight / whole) < 1 for task, weight in weights.items())


def shares(kind, epoch=0, pace=SamplerConfig(), rows=REAL):  # noqa: B008
    weights = kind(rows, dict.fromkeys(rows, 24), 0, pace).weights(epoch)
    return {task: weight / sum(weights.values()) for task, weight in weights.items()}


def powers(alpha, rows=REAL):
    whole = sum(count**alpha for count in rows.values())
    return pytest.approx({task: count**alpha / whole for task, count in rows.items()})


def test_shares_are_the_papers_powers_of_the_rows():
    assert shares(ProportionalSampler) == powers(1)
    assert shares(SquareRootSampler) == powers(0.5)
    assert [shares(AnnealedSampler, epoch, SamplerConfig(epochs=5)) for epoch in range(5)] == [
        powers(a) for a in (1, 0.8, 0.6, 0.4, 0.2)
    ]
    assert shares(AnnealedSampler) == powers(1)  # a run of a single epoch
    for temperature in (1.0, 2.0, 5.0):
        assert shares(TemperatureSampler, pace=SamplerConfig(temperature=temperature)) == powers(1 / temperature)
    assert shares(TemperatureSampler, pace=SamplerConfig(temperature=1e9)) == pytest.approx(dict.fromkeys(REAL, 1 / 3))


def test_a_proportional_epoch_reads_each_set_once_within_a_batch():
    sampler = ProportionalSampler(REAL, dict.fromkeys(REAL, 24))
    found = Counter(tasks_of(sampler))
    assert all(abs(found[task] - sampler.orders[task].batches) <= 1 for task in REAL)


def test_oversampling_repeats_a_small_set_at_most_k_times_and_not_beyond_the_largest():
    rows = {"large": 1000, "middle": 500, "small": 60}
    sampler = OversamplingSampler(rows, dict.fromkeys(rows, 10), 0, SamplerConfig(oversample=5))
    assert Counter(tasks_of(sampler)) == {"large": 100, "middle": 100, "small": 30}
    assert OversamplingSampler(rows, dict.fromkeys(rows, 10), 0, SamplerConfig(oversample=1)).counts(0) == {
        "large": 100,
        "middle": 50,
        "small": 6,
    }


ROWS, BATCHES = {"sst": 100, "quora": 1000}, {"sst": 10, "quora": 100}


@pytest.mark.parametrize(
    ("kind", "epoch", "read"),
    [
        (ProportionalSampler, 0, {"sst": 100, "quora": 1000}),
        (OversamplingSampler, 0, {"sst": 500, "quora": 1000}),
        (CurriculumSampler, 1, {"sst": 100, "quora": 1000}),
        (OversamplingCurriculumSampler, 1, {"sst": 500, "quora": 1000}),
    ],
)
def test_what_goes_by_rows_reads_as_many_whatever_the_size_of_batches(kind, epoch, read):
    steps = sum(rows // BATCHES[task] for task, rows in read.items())
    sampler = kind(ROWS, BATCHES, 0, SamplerConfig(epochs=2, steps_per_epoch=steps))
    assert {task: count * BATCHES[task] for task, count in sampler.counts(epoch).items()} == read


def test_batches_of_like_lengths_count_by_the_rows_that_they_hold_on_average():
    lengths = torch.full((100,), 7)
    orders = {"sst": LengthGroupedBatchSampler("sst", lengths, 70, 0)}
    assert ProportionalSampler(ROWS, {"sst": 1, "quora": 100}, 0, orders=orders).counts(0) == {"sst": 10, "quora": 10}


def test_powers_are_shares_of_the_steps_whatever_the_size_of_batches():
    assert TemperatureSampler(ROWS, BATCHES, 0, SamplerConfig(temperature=1)).counts(0) == {"sst": 2, "quora": 18}


def test_a_curriculum_begins_with_the_largest_and_the_others_join_by_size():
    sampler = CurriculumSampler(REAL, dict.fromkeys(REAL, 24), 0, SamplerConfig(epochs=6, steps_per_epoch=100))
    joined = [{task for task, count in sampler.counts(epoch).items() if count} for epoch in range(7)]
    assert joined == [{"quora"}] * 2 + [{"quora", "sst"}] * 2 + [set(REAL)] * 3
    assert shares(CurriculumSampler, 5, SamplerConfig(epochs=6)) == powers(1)


def test_a_short_curriculum_still_begins_with_the_largest_alone_and_ends_with_all():
    assert [shares(CurriculumSampler, epoch, SamplerConfig(epochs=2))["quora"] for epoch in (0, 1)] == [
        1.0,
        powers(1).expected["quora"],
    ]


def test_an_oversampled_curriculum_ends_in_the_shares_of_oversampling():
    pace = SamplerConfig(epochs=3, oversample=5)
    assert shares(OversamplingCurriculumSampler, 2, pace) == shares(OversamplingSampler, 0, pace)
    assert shares(OversamplingCurriculumSampler, 0, pace) == {"sst": 0.0, "quora": 1.0, "sts": 0.0}


def test_stages_give_each_task_its_epochs_alone_in_the_order_given():
    sampler = StagesSampler({"sts": 40, "quora": 90}, SIZES, 0, SamplerConfig(epochs=4, steps_per_epoch=5))
    assert [set(tasks_of(sampler, epoch)) for epoch in range(4)] == [{"sts"}, {"sts"}, {"quora"}, {"quora"}]


def test_alone_first_reads_each_small_set_alone_in_half_of_the_epochs_and_then_mixes():
    rows = {"sst": 30, "quora": 70, "sts": 8}  # 10, 10 and 2 batches
    sampler = SAMPLERS["alone_first"](rows, SIZES, 0, SamplerConfig(epochs=4))
    assert sampler.steps_per_epoch == (2 * 10 + 2 * 2 + 2 * 10) / 4
    plan_of_run = [tasks for epoch in range(4) for tasks in sampler.epoch(epoch)]
    assert plan_of_run == [("sst",)] * 20 + [("sts",)] * 4 + [tuple(rows)] * 20
    shorter = SAMPLERS["alone_first"](rows, SIZES, 0, SamplerConfig(epochs=2, steps_per_epoch=11))
    found = Counter(tasks for epoch in range(2) for tasks in shorter.epoch(epoch))
    assert found == {("sst",): 10, ("sts",): 2, tuple(rows): 10}


def test_a_shorter_sequential_epoch_keeps_its_order_and_its_proportions():
    sampler = SequentialSampler(
        {"quora": 70, "sts": 16}, SIZES, 0, SamplerConfig(steps_per_epoch=7)
    )  # 10 and 4 batches
    assert tasks_of(sampler) == ["quora"] * 5 + ["sts"] * 2


def test_at_any_place_of_an_epoch_a_task_stands_as_often_as_its_share_says():
    """The order is random: over many seeds, the task at a place is distributed as the shares (chi-square)."""
    rows, draws = {"sst": 50, "quora": 30, "sts": 20}, 2000
    samplers = [ProportionalSampler(rows, dict.fromkeys(rows, 10), seed) for seed in range(draws)]
    for place in (0, 4, 9):
        found = Counter(tasks_of(sampler)[place] for sampler in samplers)
        assert (
            stats.chisquare([found[task] for task in rows], [draws * rows[task] / 100 for task in rows]).pvalue > 1e-3
        )


def test_epochs_are_ordered_differently():
    sampler = ProportionalSampler({"sst": 50, "quora": 60}, SIZES)
    assert len({tuple(tasks_of(sampler, epoch)) for epoch in range(5)}) == 5


def test_a_step_says_how_often_each_task_was_read_before():
    steps = list(islice(ProportionalSampler({"sst": 9, "quora": 21}, SIZES).steps(), 20))
    for task in ("sst", "quora"):
        turns = [step.turns[task] for step in steps if task in step.turns]
        assert turns == list(range(len(turns)))


# -- rows of similar length -------------------------------------------------------------------------------------------

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=80).map(torch.tensor)


@given(LENGTHS, st.integers(1, 400), st.integers(0, 2**40))
def test_each_pass_over_length_groups_is_a_permutation(lengths, tokens, seed):
    for each in passes(LengthGroupedBatchSampler("sst", lengths, tokens, seed), 3):
        assert sorted(each) == list(range(len(lengths)))


@given(LENGTHS, st.integers(1, 400), st.integers(0, 2**40))
def test_a_batch_is_off_its_share_of_the_tokens_by_less_than_the_longest_row(lengths, tokens, seed):
    order = LengthGroupedBatchSampler("sst", lengths, tokens, seed)
    share = int(lengths.sum()) / order.batches
    for number in range(2 * order.batches):
        batch = order.batch(number)
        assert len(batch) and abs(int(lengths[batch].sum()) - share) < int(lengths.max())


@pytest.mark.parametrize("tokens", [512, 2048])
def test_tokens_per_step_are_within_a_tenth_of_the_budget(tokens):
    lengths = torch.distributions.LogNormal(3.0, 0.5).sample((5000,)).clamp(3, tokens // 10).long()
    order = LengthGroupedBatchSampler("sst", lengths, tokens, 0)
    counts = [int(lengths[order.batch(number)].sum()) for number in range(3 * order.batches)]
    assert all(0.9 * tokens <= count <= 1.1 * tokens for count in counts)


def test_rows_of_a_length_group_are_of_similar_length_and_groups_change_and_are_shuffled():
    lengths = torch.arange(1, 61).repeat_interleave(20)
    order = LengthGroupedBatchSampler("sst", lengths, 600, 0)
    batches = [order.batch(number) for number in range(order.batches)]
    spreads = [int(lengths[batch].max() - lengths[batch].min()) for batch in batches]
    assert sum(spreads) / len(spreads) < 12  # of 59 between all
    means = [float(lengths[batch].float().mean()) for batch in batches]
    assert means != sorted(means)
    assert {tuple(sorted(batch.tolist())) for batch in batches} != {
        tuple(sorted(order.batch(order.batches + number).tolist())) for number in range(order.batches)
    }


def test_a_sampler_takes_the_rows_from_the_orders_that_it_is_given():
    lengths = torch.randint(5, 40, (200,), generator=torch.Generator().manual_seed(0))
    order = LengthGroupedBatchSampler("sst", lengths, 300, 7)
    sampler = SequentialSampler({"sst": 200, "sts": 9}, SIZES, 7, orders={"sst": order})
    assert sampler.steps_per_epoch == order.batches + 3
    again = LengthGroupedBatchSampler("sst", lengths, 300, 7)  # drawn from its seed alone
    for step in islice(sampler.steps(3), 5):
        assert step.rows["sst"].tolist() == again.batch(step.number).tolist()
