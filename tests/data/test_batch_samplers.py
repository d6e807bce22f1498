"""Which rows of a task form each batch, as a pure function of seed, task and pass."""

import gc
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtbert.data.batch_samplers import (
    BatchSampler,
    LengthGroupedBatchSampler,
    NoDuplicatesBatchSampler,
    SinglePositiveBatchSampler,
    build_batch_sampler,
    derived_seed,
)
from mtbert.data.read import Example, Rows, read_split
from mtbert.data.tasks import get_task
from mtbert.utils.errors import UserError

SEEDS = st.integers(0, 2**40)
TEXTS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=40)
LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=80).map(torch.tensor)
PAIRS = [(f"left {i % 17}", f"right {i}") for i in range(60)]
LABELS = [float(i % 6) for i in range(60)]


def batches_of(sampler, pass_index=0) -> list[list[int]]:
    """The batches of one pass."""
    start = pass_index * sampler.num_batches
    return [sampler.batch(start + i).tolist() for i in range(sampler.num_batches)]


def rows_of(sampler, pass_index=0) -> list[int]:
    return [row for batch in batches_of(sampler, pass_index) for row in batch]


def sts_rows(pairs=PAIRS, labels=LABELS) -> Rows:
    examples = [Example(str(i), pair, label) for i, (pair, label) in enumerate(zip(pairs, labels, strict=True))]
    return Rows(get_task("sts"), "train", Path("sts-train.csv"), "", examples)


def test_derived_seeds_are_the_same_everywhere():
    assert derived_seed(0, "sst", 0) == 2045953888470717470
    assert derived_seed(0, "sst", 1) != derived_seed(0, "sst", 0) != derived_seed(1, "sst", 0)


@given(st.integers(1, 60), st.integers(1, 20), SEEDS)
def test_each_pass_is_a_permutation_and_the_last_short_batch_keeps_its_rows(num_rows, size, seed):
    sampler = BatchSampler("sst", num_rows, size, seed)
    for index in range(3):
        assert sorted(rows_of(sampler, index)) == list(range(num_rows))
        sizes = [len(batch) for batch in batches_of(sampler, index)]
        assert sizes == [size] * (num_rows // size) + [num_rows % size] * (num_rows % size > 0)


def test_a_pass_holds_a_tensor_of_rows_and_no_object_per_batch():
    lengths = torch.full((20_000,), 7)
    for sampler in (
        BatchSampler("sst", 20_000, 2, 0),
        SinglePositiveBatchSampler("sst", range(10_000), range(10_000, 20_000), 2, 0),
        LengthGroupedBatchSampler("sst", lengths, 14, 0),
    ):
        before = len(gc.get_objects())
        first = sampler.batch(0).tolist()
        assert sampler.num_batches == 10_000 and len(gc.get_objects()) - before < 100
        assert sampler.batch(0).tolist() == first


def test_passes_tasks_and_seeds_are_shuffled_differently():
    orders = [rows_of(BatchSampler("sst", 50, 8, 0), index) for index in range(3)]
    orders += [rows_of(BatchSampler("sts", 50, 8, 0)), rows_of(BatchSampler("sst", 50, 8, 1)), list(range(50))]
    assert len({tuple(order) for order in orders}) == 6


@pytest.mark.parametrize("kind", ["all", "positives", "one positive"])
def test_passes_are_reshuffled_and_a_batch_depends_on_its_index_alone(kind):
    sampler, again = (build_batch_sampler(kind, sts_rows(), 4, 3, 3.0) for _ in range(2))
    passes = [batches_of(sampler, index) for index in range(3)]
    assert passes[0] != passes[1] != passes[2]
    batches = [batch for batches in passes for batch in batches]
    assert [again.batch(i).tolist() for i in reversed(range(len(batches)))] == batches[::-1]
    assert batches_of(build_batch_sampler(kind, sts_rows(), 4, 4, 3.0)) != passes[0]


@given(TEXTS, st.integers(1, 9), SEEDS)
def test_no_text_occurs_twice_in_a_batch_and_no_row_twice_in_a_pass(texts, size, seed):
    sampler = NoDuplicatesBatchSampler("sts", range(len(texts)), texts, size, seed)
    for index in range(2):
        rows = rows_of(sampler, index)
        assert len(rows) == len(set(rows))
        for batch in batches_of(sampler, index):
            batch_texts = [text for row in batch for text in set(texts[row])]
            assert len(batch) <= size and len(batch_texts) == len(set(batch_texts))


@given(TEXTS, st.integers(1, 9), SEEDS)
def test_a_row_is_left_out_only_if_every_batch_is_full_or_has_one_of_its_texts(texts, size, seed):
    batches = batches_of(NoDuplicatesBatchSampler("sts", range(len(texts)), texts, size, seed))
    with_room = [{text for row in batch for text in texts[row]} for batch in batches if len(batch) < size]
    for row in set(range(len(texts))) - {row for batch in batches for row in batch}:
        assert all(texts[row][0] in batch or texts[row][1] in batch for batch in with_room)


@given(st.integers(1, 60), st.integers(1, 9), SEEDS)
def test_without_repeated_texts_every_row_is_read_once_and_batches_are_even(rows, size, seed):
    sampler = NoDuplicatesBatchSampler("sts", range(rows), [(2 * i, 2 * i + 1) for i in range(rows)], size, seed)
    assert sampler.num_batches == -(-rows // size) and sorted(rows_of(sampler)) == list(range(rows))
    sizes = [len(batch) for batch in batches_of(sampler)]
    assert max(sizes) - min(sizes) <= 1


def test_a_text_that_many_rows_share_makes_as_many_batches():
    sampler = NoDuplicatesBatchSampler("sts", range(6), [("hub", str(i)) for i in range(6)], 32, 0)
    assert sorted(batches_of(sampler)) == [[0], [1], [2], [3], [4], [5]]


def test_case_and_spaces_do_not_make_a_text_different():
    rows = sts_rows([("A cat.", "x"), ("a  CAT", "y"), ("p", "q"), ("r", "s")], [5.0] * 4)
    for seed in range(5):
        assert not any({0, 1} <= set(batch) for batch in batches_of(build_batch_sampler("positives", rows, 2, seed, 3)))


@pytest.mark.parametrize(("task", "threshold"), [("sts", 3.0), ("quora", 1.0)])
def test_every_positive_of_the_real_sets_is_in_a_batch(real_data, task, threshold):
    rows = read_split(real_data, get_task(task), "train")
    batches = batches_of(build_batch_sampler("positives", rows, 32, 0, threshold))
    assert sum(map(len, batches)) == sum(label >= threshold for label in rows.labels)
    assert min(map(len, batches)) >= 16


@given(st.integers(1, 20), st.integers(1, 40), st.integers(2, 9), SEEDS)
def test_each_batch_has_one_positive_and_each_negative_is_read_once(positives, negatives, size, seed):
    sampler = SinglePositiveBatchSampler("sts", range(positives), range(100, 100 + negatives), size, seed)
    batches = batches_of(sampler)
    assert len(batches) == -(-negatives // (size - 1))
    assert all(batch[0] < 100 <= min(batch[1:]) and 2 <= len(batch) <= size for batch in batches)
    assert sorted(row for batch in batches for row in batch[1:]) == list(range(100, 100 + negatives))
    times = [sum(batch[0] == row for batch in batches) for row in range(positives)]
    assert max(times) - min(times) <= 1


def test_positives_are_the_rows_at_or_above_the_threshold():
    sampler = build_batch_sampler("positives", sts_rows(), 4, 0, 3.0)
    assert set(rows_of(sampler)) == {i for i in range(60) if LABELS[i] >= 3}
    for batch in batches_of(build_batch_sampler("one positive", sts_rows(), 4, 0, 4.0)):
        assert [LABELS[row] >= 4 for row in batch] == [True] + [False] * (len(batch) - 1)


@pytest.mark.parametrize(
    ("kind", "threshold", "message"),
    [
        ("positives", 4.5, "similarity from 4.5: lower positive_threshold"),
        ("one positive", 0.0, "similarity below 0: raise positive_threshold"),
    ],
)
def test_a_file_without_positives_or_negatives_is_named(kind, threshold, message):
    with pytest.raises(UserError, match=f"sts-train.csv: .*{message}"):
        build_batch_sampler(kind, sts_rows([("a", "b"), ("c", "d")], [4.0, 1.0]), 2, 0, threshold)


@given(LENGTHS, st.integers(1, 400), SEEDS)
def test_length_groups_permute_the_rows_and_miss_their_share_by_less_than_the_longest_row(lengths, tokens, seed):
    sampler = LengthGroupedBatchSampler("sst", lengths, tokens, seed)
    share = int(lengths.sum()) / sampler.num_batches
    for index in range(2):
        assert sorted(rows_of(sampler, index)) == list(range(len(lengths)))
        for batch in batches_of(sampler, index):
            assert batch and abs(int(lengths[batch].sum()) - share) < int(lengths.max())


@pytest.mark.parametrize("tokens", [512, 2048])
def test_tokens_per_step_are_within_a_tenth_of_the_budget(tokens):
    lengths = torch.distributions.LogNormal(3.0, 0.5).sample((5000,)).clamp(3, tokens // 10).long()
    sampler = LengthGroupedBatchSampler("sst", lengths, tokens, 0)
    counts = [int(lengths[batch].sum()) for index in range(3) for batch in batches_of(sampler, index)]
    assert all(0.9 * tokens <= count <= 1.1 * tokens for count in counts)


def test_length_groups_are_narrow_and_shuffled_and_differ_between_passes():
    lengths = torch.arange(1, 61).repeat_interleave(20)
    sampler = LengthGroupedBatchSampler("sst", lengths, 600, 0)
    first, second = batches_of(sampler), batches_of(sampler, 1)
    ranges = [int(lengths[batch].max() - lengths[batch].min()) for batch in first]
    assert sum(ranges) / len(ranges) < 12  # the range of all lengths is 59
    means = [float(lengths[batch].float().mean()) for batch in first]
    assert means != sorted(means)
    assert {frozenset(batch) for batch in first} != {frozenset(batch) for batch in second}
