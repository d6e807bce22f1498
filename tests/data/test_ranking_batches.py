"""The batches that ranking losses need, as pure functions of seed, task and pass."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtbert.data.read import Example, Rows, read_split
from mtbert.data.sampling import MixedSampler, NoDuplicatesBatchSampler, SinglePositiveBatchSampler, batch_sampler
from mtbert.data.tasks import get_task
from mtbert.utils.errors import UserError

TEXTS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=40)


def drawn(order, passes: int = 1, start: int = 0) -> list[list[int]]:
    return [order.batch(start + i).tolist() for i in range(passes * order.batches)]


def rows_of(pairs, labels) -> Rows:
    examples = [Example(str(i), pair, label) for i, (pair, label) in enumerate(zip(pairs, labels, strict=True))]
    return Rows(get_task("sts"), "train", Path("sts-train.csv"), "", examples)


# -- distinct pairs ---------------------------------------------------------------------------------------------------


@given(TEXTS, st.integers(1, 9), st.integers(0, 2**40))
def test_no_text_stands_twice_in_a_batch_and_no_row_twice_in_a_pass(texts, size, seed):
    order = NoDuplicatesBatchSampler("sts", range(len(texts)), texts, size, seed)
    for turn in range(2):
        batches = drawn(order, 1, turn * order.batches)
        assert all(len(batch) <= size for batch in batches)
        taken = [row for batch in batches for row in batch]
        assert len(taken) == len(set(taken))
        for batch in batches:
            held = [text for row in batch for text in set(texts[row])]
            assert len(held) == len(set(held))


@given(TEXTS, st.integers(1, 9), st.integers(0, 2**40))
def test_a_row_waits_only_if_every_batch_is_full_or_holds_one_of_its_texts(texts, size, seed):
    order = NoDuplicatesBatchSampler("sts", range(len(texts)), texts, size, seed)
    batches = drawn(order)
    for row in set(range(len(texts))) - {row for batch in batches for row in batch}:
        held = [{text for other in batch for text in texts[other]} for batch in batches if len(batch) < size]
        assert all(texts[row][0] in each or texts[row][1] in each for each in held)


@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 2**40))
def test_without_repeated_texts_every_row_comes_once_and_batches_are_even(rows, size, seed):
    order = NoDuplicatesBatchSampler("sts", range(rows), [(2 * i, 2 * i + 1) for i in range(rows)], size, seed)
    batches = drawn(order)
    assert len(batches) == -(-rows // size)
    assert sorted(row for batch in batches for row in batch) == list(range(rows))
    assert max(map(len, batches)) - min(map(len, batches)) <= 1


def test_a_text_that_many_rows_share_makes_as_many_batches():
    order = NoDuplicatesBatchSampler("sts", range(6), [("hub", str(i)) for i in range(6)], 32, 0)
    assert sorted(drawn(order)) == [[0], [1], [2], [3], [4], [5]]


# -- one positive -----------------------------------------------------------------------------------------------------


@given(st.integers(1, 20), st.integers(1, 40), st.integers(2, 9), st.integers(0, 2**40))
def test_each_batch_has_one_positive_and_each_negative_comes_once(positives, negatives, size, seed):
    order = SinglePositiveBatchSampler("sts", range(positives), range(100, 100 + negatives), size, seed)
    batches = drawn(order)
    assert len(batches) == -(-negatives // (size - 1))
    assert all(batch[0] < 100 and all(row >= 100 for row in batch[1:]) and 2 <= len(batch) <= size for batch in batches)
    assert sorted(row for batch in batches for row in batch[1:]) == list(range(100, 100 + negatives))
    times = [sum(batch[0] == row for batch in batches) for row in range(positives)]
    assert max(times) - min(times) <= 1


# -- both -------------------------------------------------------------------------------------------------------------

PAIRS = [(f"left {i % 17}", f"right {i}") for i in range(60)]
LABELS = [float(i % 6) for i in range(60)]


@pytest.mark.parametrize("make", ["positives", "one positive"])
def test_passes_are_reshuffled_and_a_batch_depends_on_its_number_alone(make):
    rows = rows_of(PAIRS, LABELS)
    order = batch_sampler(make, rows, 4, 3, 3.0)
    whole = drawn(order, 3)
    again = batch_sampler(make, rows, 4, 3, 3.0)
    assert [again.batch(i).tolist() for i in reversed(range(len(whole)))] == whole[::-1]
    each = [whole[i * order.batches : (i + 1) * order.batches] for i in range(3)]
    assert each[0] != each[1] != each[2]
    assert drawn(batch_sampler(make, rows, 4, 4, 3.0), 3) != whole


def test_positives_are_the_rows_from_the_bound_on():
    rows = rows_of(PAIRS, LABELS)
    taken = {row for batch in drawn(batch_sampler("positives", rows, 4, 0, 3.0)) for row in batch}
    assert taken == {i for i in range(60) if LABELS[i] >= 3}
    for batch in drawn(batch_sampler("one positive", rows, 4, 0, 4.0)):
        assert [LABELS[row] >= 4 for row in batch] == [True] + [False] * (len(batch) - 1)


def test_case_and_spaces_do_not_make_a_text_another():
    rows = rows_of([("A cat.", "x"), ("a  CAT", "y"), ("p", "q"), ("r", "s")], [5.0] * 4)
    for seed in range(5):
        assert not any({0, 1} <= set(batch) for batch in drawn(batch_sampler("positives", rows, 2, seed, 3.0)))


@pytest.mark.parametrize(
    ("make", "bound", "expected"),
    [
        ("positives", 4.5, "no row has a similarity from 4.5: lower positive_threshold"),
        ("one positive", 0.0, "no row has a similarity below 0: raise positive_threshold"),
    ],
)
def test_a_file_without_positives_or_negatives_is_named(make, bound, expected):
    with pytest.raises(UserError, match=f"^sts-train.csv: {expected}$"):
        batch_sampler(make, rows_of([("a", "b"), ("c", "d")], [4.0, 1.0]), 2, 0, bound)


def test_a_sampler_takes_the_order_it_is_given():
    order = batch_sampler("positives", rows_of(PAIRS, LABELS), 4, 0, 3.0)
    sampler = MixedSampler({"sst": 8, "sts": 60}, {"sst": 4, "sts": 4}, 0, orders={"sts": order})
    assert sampler.steps_per_epoch == order.batches == 8
    steps = sampler.steps()
    assert all(torch.equal(next(steps).rows["sts"], order.batch(i)) for i in range(20))


@pytest.mark.parametrize(("task", "bound"), [("sts", 3.0), ("quora", 1.0)])
def test_of_the_real_sets_every_positive_finds_a_place(real_data, task, bound):
    rows = read_split(real_data, get_task(task), "train")
    order = batch_sampler("positives", rows, 32, 0, bound)
    batches = drawn(order)
    assert sum(map(len, batches)) == sum(label >= bound for label in rows.labels)
    assert min(map(len, batches)) >= 16
