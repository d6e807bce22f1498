"""Samplers: which tasks take part in each step, as a pure function of the seed."""

from collections import Counter
from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mtbert.data import SAMPLERS, LengthGroupedBatchSampler, SamplerConfig, apportion
from mtbert.data.sampling import (
    AnnealedSampler,
    ApportionedSampler,
    CurriculumSampler,
    MixedSampler,
    OversamplingCurriculumSampler,
    OversamplingSampler,
    ProportionalSampler,
    RoundRobinSampler,
    SequentialSampler,
    SquareRootSampler,
    StagesSampler,
    TemperatureSampler,
)

APPORTIONED = sorted(name for name, kind in SAMPLERS.items() if issubclass(kind, ApportionedSampler))
REAL = {"sst": 8544, "quora": 75842, "sts": 6040}
COUNTS = st.dictionaries(st.sampled_from(["sst", "quora", "sts"]), st.integers(1, 40), min_size=1)
SEEDS = st.integers(0, 2**40)
SIZES = {"sst": 3, "quora": 7, "sts": 4}


def plan(sampler, steps, start=0):
    """(number, {task: rows}) of the steps."""
    return [
        (step.number, {task: rows.tolist() for task, rows in step.rows.items()})
        for step in islice(sampler.steps(start), steps)
    ]


def tasks_of(sampler, epoch=0):
    """The task of each step of an epoch with one task a step."""
    return [task for (task,) in sampler.epoch(epoch)]


@given(st.sampled_from(sorted(SAMPLERS)), COUNTS, st.integers(0, 100), SEEDS)
def test_steps_from_k_are_the_tail_of_steps_from_0(name, counts, start, seed):
    steps = plan(SAMPLERS[name](counts, SIZES, seed), start + 10)
    assert plan(SAMPLERS[name](counts, SIZES, seed), 10, start) == steps[start:]
    assert [number for number, _ in steps] == list(range(start + 10))


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


def test_mixed_cycles_smaller_sets_across_epochs_and_reshuffles_them():
    steps = plan(MixedSampler({"quora": 21, "sts": 8}, SIZES), 10)  # 3 steps an epoch, 2 batches of sts a pass
    passes = [steps[i][1]["sts"] + steps[i + 1][1]["sts"] for i in range(0, 10, 2)]
    assert all(sorted(rows) == list(range(8)) for rows in passes)
    assert len({tuple(rows) for rows in passes}) == 5


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
    shorter = SequentialSampler({"quora": 70, "sts": 16}, SIZES, 0, SamplerConfig(steps_per_epoch=7))  # of 10 and 4
    assert tasks_of(shorter) == ["quora"] * 5 + ["sts"] * 2


def test_stages_give_each_task_its_epochs_alone_in_the_order_given():
    sampler = StagesSampler({"sts": 40, "quora": 90}, SIZES, 0, SamplerConfig(epochs=4, steps_per_epoch=5))
    assert [set(tasks_of(sampler, epoch)) for epoch in range(4)] == [{"sts"}, {"sts"}, {"quora"}, {"quora"}]


def test_alone_first_reads_each_small_set_alone_in_half_of_the_epochs_and_then_mixes():
    rows = {"sst": 30, "quora": 70, "sts": 8}  # 10, 10 and 2 batches
    sampler = SAMPLERS["alone_first"](rows, SIZES, 0, SamplerConfig(epochs=4))
    assert sampler.steps_per_epoch == (2 * 10 + 2 * 2 + 2 * 10) / 4
    steps = [tasks for epoch in range(4) for tasks in sampler.epoch(epoch)]
    assert steps == [("sst",)] * 20 + [("sts",)] * 4 + [tuple(rows)] * 20
    shorter = SAMPLERS["alone_first"](rows, SIZES, 0, SamplerConfig(epochs=2, steps_per_epoch=11))
    counts = Counter(tasks for epoch in range(2) for tasks in shorter.epoch(epoch))
    assert counts == {("sst",): 10, ("sts",): 2, tuple(rows): 10}


def test_a_step_tells_how_many_batches_of_each_task_were_read_before():
    steps = list(islice(ProportionalSampler({"sst": 9, "quora": 21}, SIZES).steps(), 20))
    for task in ("sst", "quora"):
        indices = [step.batch_indices[task] for step in steps if task in step.batch_indices]
        assert indices == list(range(len(indices)))


def test_a_sampler_takes_the_rows_from_the_batch_samplers_it_is_given():
    lengths = torch.randint(5, 40, (200,), generator=torch.Generator().manual_seed(0))
    grouped, again = (LengthGroupedBatchSampler("sst", lengths, 300, 7) for _ in range(2))
    sampler = SequentialSampler({"sst": 200, "sts": 9}, SIZES, 7, batch_samplers={"sst": grouped})
    assert sampler.steps_per_epoch == grouped.num_batches + 3
    for step in islice(sampler.steps(3), 5):
        assert step.rows["sst"].tolist() == again.batch(step.number).tolist()


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1e6), min_size=1), st.integers(0, 10_000))
def test_apportioned_steps_add_up_and_none_is_a_whole_step_off_its_share(weights, total):
    weights["last"] = 1.0  # the weights must not all be 0
    counts, total_weight = apportion(weights, total), sum(weights.values())
    assert sum(counts.values()) == total and min(counts.values()) >= 0
    assert all(abs(counts[task] - total * weight / total_weight) < 1 + 1e-6 for task, weight in weights.items())


def test_steps_left_over_go_to_the_largest_remainders():
    assert apportion({"a": 4.6, "b": 3.3, "c": 2.1}, 10) == {"a": 5, "b": 3, "c": 2}
    assert apportion({"a": 1, "b": 1, "c": 0}, 4) == {"a": 2, "b": 2, "c": 0}


@given(st.sampled_from(APPORTIONED), COUNTS, st.integers(1, 5), st.integers(1, 60), SEEDS)
def test_an_epoch_has_exactly_the_steps_of_each_task_that_its_weights_promise(name, counts, epochs, steps, seed):
    sampler = SAMPLERS[name](counts, SIZES, seed, SamplerConfig(epochs, steps))
    for epoch in range(epochs):
        weights, steps_of = sampler.weights(epoch), Counter(tasks_of(sampler, epoch))
        assert steps_of.total() == steps == sampler.steps_per_epoch
        total = sum(weights.values())
        assert all(abs(steps_of[task] - steps * weight / total) < 1 for task, weight in weights.items())


def shares(kind, epoch=0, **config):
    weights = kind(REAL, dict.fromkeys(REAL, 24), 0, SamplerConfig(**config)).weights(epoch)
    return {task: weight / sum(weights.values()) for task, weight in weights.items()}


def powers(alpha):
    total = sum(rows**alpha for rows in REAL.values())
    return pytest.approx({task: rows**alpha / total for task, rows in REAL.items()})


def test_shares_are_the_papers_powers_of_the_rows():
    assert shares(ProportionalSampler) == powers(1)
    assert shares(SquareRootSampler) == powers(0.5)
    for epoch, alpha in enumerate((1, 0.8, 0.6, 0.4, 0.2)):
        assert shares(AnnealedSampler, epoch, epochs=5) == powers(alpha)
    assert shares(AnnealedSampler, epochs=1) == powers(1)
    for temperature in (1.0, 2.0, 5.0):
        assert shares(TemperatureSampler, temperature=temperature) == powers(1 / temperature)
    assert shares(TemperatureSampler, temperature=1e9) == pytest.approx(dict.fromkeys(REAL, 1 / 3))


def test_a_proportional_epoch_reads_each_set_once_within_a_batch():
    sampler = ProportionalSampler(REAL, dict.fromkeys(REAL, 24))
    counts = Counter(tasks_of(sampler))
    assert all(abs(counts[task] - sampler.num_batches[task]) <= 1 for task in REAL)


@pytest.mark.parametrize(("oversample", "counts"), [(5, (100, 100, 30)), (1, (100, 50, 6))])
def test_oversampling_repeats_a_small_set_at_most_k_times_and_not_beyond_the_largest(oversample, counts):
    rows = {"large": 1000, "middle": 500, "small": 60}
    sampler = OversamplingSampler(rows, dict.fromkeys(rows, 10), 0, SamplerConfig(max_oversampling=oversample))
    assert sampler.counts(0) == dict(zip(rows, counts, strict=True)) == Counter(tasks_of(sampler))


ROWS, BATCHES = {"sst": 100, "quora": 1000}, {"sst": 10, "quora": 100}


@pytest.mark.parametrize(
    ("kind", "epoch", "rows_read"),
    [
        (ProportionalSampler, 0, {"sst": 100, "quora": 1000}),
        (OversamplingSampler, 0, {"sst": 500, "quora": 1000}),
        (CurriculumSampler, 1, {"sst": 100, "quora": 1000}),
        (OversamplingCurriculumSampler, 1, {"sst": 500, "quora": 1000}),
    ],
)
def test_samplers_by_rows_read_as_many_rows_whatever_the_batch_sizes(kind, epoch, rows_read):
    steps = sum(rows // BATCHES[task] for task, rows in rows_read.items())
    sampler = kind(ROWS, BATCHES, 0, SamplerConfig(epochs=2, steps_per_epoch=steps))
    assert {task: count * BATCHES[task] for task, count in sampler.counts(epoch).items()} == rows_read


def test_length_grouped_batches_count_by_their_mean_number_of_rows():
    grouped = {"sst": LengthGroupedBatchSampler("sst", torch.full((100,), 7), 70, 0)}
    sampler = ProportionalSampler(ROWS, {"sst": 1, "quora": 100}, 0, batch_samplers=grouped)
    assert sampler.counts(0) == {"sst": 10, "quora": 10}


def test_powers_are_shares_of_the_steps_whatever_the_batch_sizes():
    assert TemperatureSampler(ROWS, BATCHES, 0, SamplerConfig(temperature=1)).counts(0) == {"sst": 2, "quora": 18}


def test_a_curriculum_begins_with_the_largest_and_the_others_join_by_size():
    sampler = CurriculumSampler(REAL, dict.fromkeys(REAL, 24), 0, SamplerConfig(epochs=6, steps_per_epoch=100))
    joined = [{task for task, count in sampler.counts(epoch).items() if count} for epoch in range(7)]
    assert joined == [{"quora"}] * 2 + [{"quora", "sst"}] * 2 + [set(REAL)] * 3
    assert shares(CurriculumSampler, 5, epochs=6) == powers(1)
    # a short one still begins with the largest alone and ends with all
    assert shares(CurriculumSampler, 0, epochs=2)["quora"] == 1 and shares(CurriculumSampler, 1, epochs=2) == powers(1)
    last = shares(OversamplingCurriculumSampler, 2, epochs=3, max_oversampling=5)
    assert last == shares(OversamplingSampler, max_oversampling=5)
    assert shares(OversamplingCurriculumSampler, 0, epochs=3) == {"sst": 0.0, "quora": 1.0, "sts": 0.0}


def test_at_every_step_of_an_epoch_a_task_is_as_likely_as_its_share():
    """The order is random: over many seeds, the task of a step is distributed as the shares (chi-square)."""
    rows, draws = {"sst": 50, "quora": 30, "sts": 20}, 2000
    epochs = [tasks_of(ProportionalSampler(rows, dict.fromkeys(rows, 10), seed)) for seed in range(draws)]
    for step in (0, 4, 9):
        counts = Counter(epoch[step] for epoch in epochs)
        expected = [draws * rows[task] / 100 for task in rows]
        assert stats.chisquare([counts[task] for task in rows], expected).pvalue > 1e-3


def test_epochs_are_ordered_differently():
    sampler = ProportionalSampler({"sst": 50, "quora": 60}, SIZES)
    assert len({tuple(tasks_of(sampler, epoch)) for epoch in range(5)}) == 5
