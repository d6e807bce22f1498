"""Packed batches: no padding, and every token knows its sequence and its place in it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtbert.data import PackedBatch, pack
from mtbert.data.batch import LengthGroups, StaticBatch, StaticShape
from mtbert.data.tokens import EncodedDataset

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=25)


def numbered(lengths, start=0) -> PackedBatch:
    """A batch whose tokens are numbered in order."""
    total = sum(lengths)
    return PackedBatch(torch.arange(start, start + total), torch.arange(total) % 2, list(lengths))


@given(LENGTHS)
def test_offsets_are_where_sequences_begin_and_end(lengths):
    batch = numbered(lengths)
    assert batch.cu_seqlens.tolist() == [sum(lengths[:i]) for i in range(len(lengths) + 1)]
    assert batch.cu_seqlens.dtype == torch.int32
    assert batch.seqlens.tolist() == lengths
    assert (len(batch), batch.tokens, batch.max_seqlen) == (len(lengths), sum(lengths), max(lengths))


@given(LENGTHS)
def test_positions_begin_at_0_in_every_sequence(lengths):
    assert numbered(lengths).positions.tolist() == [place for length in lengths for place in range(length)]


@given(LENGTHS)
def test_sequence_of_names_each_tokens_sequence(lengths):
    wanted = [number for number, length in enumerate(lengths) for _ in range(length)]
    assert numbered(lengths).seq_ids.tolist() == wanted


@given(st.dictionaries(st.sampled_from(["sst", "quora", "sts", "yelp"]), LENGTHS, min_size=1))
def test_joined_batches_stand_one_after_the_other_each_in_its_slice(by_task):
    parts = {task: numbered(lengths, 1000 * number) for number, (task, lengths) in enumerate(by_task.items())}
    whole = PackedBatch.join(parts)
    assert list(whole.slices) == list(parts)
    assert whole.lengths == [length for lengths in by_task.values() for length in lengths]
    for task, where in whole.slices.items():
        start, end = whole.cu_seqlens[where.start], whole.cu_seqlens[where.stop]
        assert torch.equal(whole.ids[start:end], parts[task].ids)
        assert torch.equal(whole.token_types[start:end], parts[task].token_types)
        assert whole.lengths[where] == parts[task].lengths


@given(LENGTHS)
def test_pack_lays_lists_end_to_end(lengths):
    batch = numbered(lengths)
    ids = [each.tolist() for each in batch.ids.split(lengths)]
    types = [each.tolist() for each in batch.token_types.split(lengths)]
    packed = pack(ids, types)
    assert torch.equal(packed.ids, batch.ids) and torch.equal(packed.token_types, batch.token_types)
    assert packed.lengths == lengths
    assert not pack(ids).token_types.any()


@pytest.mark.parametrize("lengths", [[], [0], [3, 0, 2]])
def test_a_batch_without_sequences_or_with_an_empty_one_is_refused(lengths):
    with pytest.raises(ValueError, match="at least one"):
        numbered(lengths)


def test_lengths_must_add_up_to_the_tokens():
    with pytest.raises(ValueError, match="add up to 5, but the batch has 6 tokens"):
        PackedBatch(torch.zeros(6), torch.zeros(6), [2, 3])


def test_a_batch_keeps_its_slices_when_it_moves():
    batch = PackedBatch.join({"sst": numbered([2, 3]), "sts": numbered([4])}).to("cpu")
    assert batch.slices == {"sst": slice(0, 2), "sts": slice(2, 3)}


# -- fixed shapes -----------------------------------------------------------------------------------------------------


def table_of(lengths, per_row=1) -> EncodedDataset:
    """Sequences whose tokens are numbered in order."""
    total = sum(lengths)
    cu_seqlens = torch.tensor([0, *lengths]).cumsum(0)
    return EncodedDataset(torch.arange(total, dtype=torch.int32), torch.arange(total) % 2, cu_seqlens, per_row, 0)


def fixed(table: EncodedDataset, task: str, rows: torch.Tensor) -> StaticBatch:
    shape = table.static_shape(rows)
    return table.static_batch(task, shape.spans(*table.spans(rows)), shape)


@given(LENGTHS, st.data())
def test_a_fixed_batch_begins_with_the_rows_and_fills_what_is_left(lengths, data):
    table = table_of(lengths)
    rows = torch.tensor(data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=12)))
    shape, batch, plain = table.static_shape(rows), fixed(table, "sst", rows), table.batch(rows)
    assert torch.equal(batch.ids[: plain.tokens], plain.ids)
    assert torch.equal(batch.token_types[: plain.tokens], plain.token_types)
    assert torch.equal(batch.positions[: plain.tokens], plain.positions)
    assert batch.lengths[: len(plain)] == plain.lengths and batch.slices == {"sst": slice(0, len(plain))}
    assert batch.tokens == shape.tokens == sum(batch.lengths) and shape.tokens % 64 == 0
    assert len(batch) == shape.sequences + shape.dummy_sequences
    assert all(1 <= length <= batch.max_seqlen == max(16, *lengths) for length in batch.lengths)


def test_batches_of_as_many_rows_share_few_shapes():
    generator = torch.Generator().manual_seed(0)
    table = table_of(torch.randint(5, 60, (500,), generator=generator).tolist())
    batches = [torch.randint(500, (32,), generator=generator) for _ in range(300)]
    shapes = [table.static_shape(rows) for rows in batches]
    assert len(set(shapes)) <= 2
    assert sum(table.spans(rows)[1].sum() for rows in batches) > 0.75 * sum(shape.tokens for shape in shapes)


def test_joined_fixed_batches_keep_each_task_with_its_fillers():
    tables = {"sst": table_of([3, 5, 2]), "sts": table_of([4, 1, 6, 2], per_row=2)}
    rows = torch.tensor([1, 0])
    alone = {task: fixed(table, task, rows) for task, table in tables.items()}
    whole = StaticBatch.join(alone)
    assert whole.lengths == alone["sst"].lengths + alone["sts"].lengths
    assert whole.slices == {"sst": slice(0, 2), "sts": slice(len(alone["sst"]), len(alone["sst"]) + 4)}
    for task, (tokens, part) in whole.parts.items():
        assert torch.equal(whole.ids[tokens], part.ids) and torch.equal(part.ids, alone[task].ids)
        assert part.lengths == alone[task].lengths and part.slices == alone[task].slices


def test_what_a_fixed_shape_does_not_hold_is_refused():
    shape = StaticShape(sequences=2, tokens=16, max_seqlen=8)
    assert shape.dummy_sequences == 2 and shape.holds(torch.tensor([8, 6])) and not shape.holds(torch.tensor([8, 7]))
    with pytest.raises(ValueError, match="3 sequences of 6 tokens do not fit"):
        shape.spans(torch.zeros(3, dtype=torch.int64), torch.tensor([2, 2, 2]))
    with pytest.raises(ValueError, match="do not have the shapes"):
        StaticBatch(torch.zeros(15), torch.zeros(15), torch.tensor([5, 5, 3, 2]), {"sst": shape})


# -- groups of similar length -----------------------------------------------------------------------------------------


def cells(batch, groups):
    """(shape, mask, tokens) of each group; the mask in full, the tokens (sequences, longest)."""
    start = 0
    for (count, longest), mask in zip(groups.shapes, groups.masks, strict=True):
        block = groups.token_of[start : start + count * longest].view(count, longest)
        yield (count, longest), torch.ones(count, longest, dtype=bool) if mask is None else mask, block
        start += count * longest
    assert start == len(groups.token_of)


@given(LENGTHS)
def test_every_token_has_exactly_one_cell(lengths):
    batch = numbered(lengths)
    groups = batch.groups
    assert torch.equal(groups.token_of[groups.cell_of], batch.ids)
    real = torch.cat([block[mask] for _, mask, block in cells(batch, groups)])
    assert real.sort().values.tolist() == list(range(batch.tokens))


@given(LENGTHS)
def test_a_row_of_a_group_is_a_sequence_in_order_and_padding_repeats_its_first_token(lengths):
    batch = numbered(lengths)
    rows = [
        (row[keep], row[~keep])
        for _, mask, block in cells(batch, batch.groups)
        for row, keep in zip(block, mask, strict=True)
    ]
    assert len(rows) == len(lengths)
    for tokens, padding in rows:
        sequence = int(batch.seq_ids[tokens[0]])
        assert tokens.tolist() == list(range(batch.cu_seqlens[sequence], batch.cu_seqlens[sequence + 1]))
        assert (padding == tokens[0]).all()


@given(LENGTHS)
def test_masks_are_there_exactly_where_there_is_padding(lengths):
    batch = numbered(lengths)
    for mask in batch.groups.masks:
        assert mask is None or (not mask.all() and mask[:, 0].all())


@given(LENGTHS, st.floats(1.0, 3.0))
def test_no_sequence_is_much_longer_than_the_shortest_of_its_group(lengths, stretch):
    batch = numbered(lengths)
    groups = LengthGroups.of(batch, stretch)
    for (_, longest), mask, _ in cells(batch, groups):
        sizes = mask.sum(1)
        assert sizes.max() == longest <= stretch * sizes.min() + 4


@given(LENGTHS)
def test_groups_are_no_more_than_the_stretch_asks_for(lengths):
    batch = numbered(lengths)
    shortest = [int(mask.sum(1).min()) for _, mask, _ in cells(batch, batch.groups)]
    assert all(later > 1.5 * earlier + 4 for earlier, later in zip(shortest, shortest[1:], strict=False))
