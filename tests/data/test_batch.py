"""Packed batches: no padding, and every token knows its sequence and its position in it."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtbert.data import PackedBatch, pack_sequences
from mtbert.data.batch import LengthGroups
from mtbert.data.static_batch import StaticBatch, StaticShape
from mtbert.data.tokens import EncodedDataset

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=25)


def numbered(lengths, start=0) -> PackedBatch:
    """A batch whose tokens are numbered in order."""
    total = sum(lengths)
    return PackedBatch(torch.arange(start, start + total), torch.arange(total) % 2, list(lengths))


@given(LENGTHS)
def test_a_batch_knows_its_sequences_and_positions(lengths):
    batch = numbered(lengths)
    assert batch.cu_seqlens.tolist() == [sum(lengths[:i]) for i in range(len(lengths) + 1)]
    assert batch.cu_seqlens.dtype == torch.int32
    assert batch.seqlens.tolist() == lengths
    assert (len(batch), batch.tokens, batch.max_seqlen) == (len(lengths), sum(lengths), max(lengths))
    assert batch.positions.tolist() == [position for length in lengths for position in range(length)]
    assert batch.seq_ids.tolist() == [index for index, length in enumerate(lengths) for _ in range(length)]


@given(st.dictionaries(st.sampled_from(["sst", "quora", "sts", "yelp"]), LENGTHS, min_size=1))
def test_joined_batches_follow_one_another_each_in_its_slice(by_task):
    parts = {task: numbered(lengths, 1000 * index) for index, (task, lengths) in enumerate(by_task.items())}
    whole = PackedBatch.join(parts).to("cpu")
    assert list(whole.slices) == list(parts)
    assert whole.lengths == [length for lengths in by_task.values() for length in lengths]
    for task, sequences in whole.slices.items():
        tokens = slice(whole.cu_seqlens[sequences.start], whole.cu_seqlens[sequences.stop])
        assert torch.equal(whole.ids[tokens], parts[task].ids)
        assert torch.equal(whole.token_types[tokens], parts[task].token_types)
        assert whole.lengths[sequences] == parts[task].lengths
        assert torch.equal(whole.by_task[task][1].ids, parts[task].ids) and whole.by_task[task][0] == tokens


@given(LENGTHS)
def test_pack_lays_lists_end_to_end(lengths):
    batch = numbered(lengths)
    ids = [sequence.tolist() for sequence in batch.ids.split(lengths)]
    packed = pack_sequences(ids, [types.tolist() for types in batch.token_types.split(lengths)])
    assert torch.equal(packed.ids, batch.ids) and torch.equal(packed.token_types, batch.token_types)
    assert packed.lengths == lengths
    assert not pack_sequences(ids).token_types.any()


@pytest.mark.parametrize("lengths", [[], [0], [3, 0, 2]])
def test_a_batch_without_sequences_or_with_an_empty_one_is_refused(lengths):
    with pytest.raises(ValueError, match="at least one"):
        numbered(lengths)


def test_lengths_must_add_up_to_the_tokens():
    with pytest.raises(ValueError, match="5.* 6 tokens"):
        PackedBatch(torch.zeros(6), torch.zeros(6), [2, 3])


def dataset_of(lengths, sequences_per_row=1) -> EncodedDataset:
    """Sequences whose tokens are numbered in order."""
    total = sum(lengths)
    cu_seqlens = torch.tensor([0, *lengths]).cumsum(0)
    return EncodedDataset(
        torch.arange(total, dtype=torch.int32), torch.arange(total) % 2, cu_seqlens, sequences_per_row, 0
    )


def static(dataset: EncodedDataset, task: str, rows: torch.Tensor) -> StaticBatch:
    shape = StaticShape.for_rows(dataset, rows)
    return StaticBatch.from_spans(dataset, task, shape.spans(*dataset.spans(rows)), shape)


@given(LENGTHS, st.data())
def test_a_static_batch_begins_with_the_rows_and_fills_up_with_dummy_sequences(lengths, data):
    dataset = dataset_of(lengths)
    rows = torch.tensor(data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=12)))
    shape, batch, plain = StaticShape.for_rows(dataset, rows), static(dataset, "sst", rows), dataset.batch(rows)
    for name in ("ids", "token_types", "positions"):
        assert torch.equal(getattr(batch, name)[: plain.tokens], getattr(plain, name))
    assert batch.lengths[: len(plain)] == plain.lengths and batch.slices == {"sst": slice(0, len(plain))}
    assert batch.tokens == shape.tokens == sum(batch.lengths) and shape.tokens % 64 == 0
    assert len(batch) == shape.sequences + shape.dummy_sequences
    assert all(1 <= length <= batch.max_seqlen == max(16, *lengths) for length in batch.lengths)


def test_batches_of_as_many_rows_share_few_shapes():
    generator = torch.Generator().manual_seed(0)
    dataset = dataset_of(torch.randint(5, 60, (500,), generator=generator).tolist())
    batches = [torch.randint(500, (32,), generator=generator) for _ in range(300)]
    shapes = [StaticShape.for_rows(dataset, rows) for rows in batches]
    assert len(set(shapes)) <= 2
    assert sum(dataset.spans(rows)[1].sum() for rows in batches) > 0.75 * sum(shape.tokens for shape in shapes)


def test_joined_static_batches_keep_each_task_with_its_dummy_sequences():
    datasets = {"sst": dataset_of([3, 5, 2]), "sts": dataset_of([4, 1, 6, 2], sequences_per_row=2)}
    alone = {task: static(dataset, task, torch.tensor([1, 0])) for task, dataset in datasets.items()}
    whole = StaticBatch.join(alone)
    assert whole.lengths == alone["sst"].lengths + alone["sts"].lengths
    assert whole.slices == {"sst": slice(0, 2), "sts": slice(len(alone["sst"]), len(alone["sst"]) + 4)}
    for task, (tokens, part) in whole.by_task.items():
        assert torch.equal(whole.ids[tokens], part.ids) and torch.equal(part.ids, alone[task].ids)
        assert part.lengths == alone[task].lengths and part.slices == alone[task].slices


def test_sequences_that_do_not_fit_a_static_shape_are_refused():
    shape = StaticShape(sequences=2, tokens=16, max_seqlen=8)
    assert shape.dummy_sequences == 2 and shape.fits(torch.tensor([8, 6])) and not shape.fits(torch.tensor([8, 7]))
    with pytest.raises(ValueError, match="3 sequences of 6 tokens"):
        shape.spans(torch.zeros(3, dtype=torch.int64), torch.tensor([2, 2, 2]))
    with pytest.raises(ValueError, match="4 sequences of 15 tokens"):
        StaticBatch(torch.zeros(15), torch.zeros(15), torch.tensor([5, 5, 3, 2]), {"sst": shape})


def cells(groups):
    """(longest, mask, tokens) of each group; the mask in full, the tokens (sequences, longest)."""
    start = 0
    for (count, longest), mask in zip(groups.shapes, groups.masks, strict=True):
        tokens = groups.cell_to_token[start : start + count * longest].view(count, longest)
        yield longest, torch.ones(count, longest, dtype=bool) if mask is None else mask, tokens
        start += count * longest
    assert start == len(groups.cell_to_token)


@given(LENGTHS)
def test_every_token_has_one_cell_and_padding_repeats_the_first_token_of_its_sequence(lengths):
    batch = numbered(lengths)
    groups = batch.length_groups
    assert torch.equal(groups.cell_to_token[groups.token_to_cell], batch.ids)
    rows = [row for _, mask, tokens in cells(groups) for row in zip(tokens, mask, strict=True)]
    assert sorted(int(token) for tokens, mask in rows for token in tokens[mask]) == list(range(batch.tokens))
    assert len(rows) == len(lengths)
    for tokens, mask in rows:
        sequence = int(batch.seq_ids[tokens[0]])
        assert tokens[mask].tolist() == list(range(batch.cu_seqlens[sequence], batch.cu_seqlens[sequence + 1]))
        assert (tokens[~mask] == tokens[0]).all()
    for mask in groups.masks:  # there are masks exactly where there is padding
        assert mask is None or (not mask.all() and mask[:, 0].all())


@given(LENGTHS, st.floats(1.0, 3.0))
def test_groups_are_as_few_as_the_stretch_allows(lengths, stretch):
    shortest = []
    for longest, mask, _ in cells(LengthGroups.from_batch(numbered(lengths), stretch)):
        shortest.append(int(mask.sum(1).min()))
        assert mask.sum(1).max() == longest <= stretch * shortest[-1] + 4
    assert all(after > stretch * before + 4 for before, after in itertools.pairwise(shortest))
