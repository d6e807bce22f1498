"""Packed batches: no padding, and every token knows its sequence and its place in it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtbert.data import PackedBatch, pack
from mtbert.data.batch import LengthGroups

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=25)


def numbered(lengths, start=0) -> PackedBatch:
    """A batch whose tokens are numbered in order."""
    total = sum(lengths)
    return PackedBatch(torch.arange(start, start + total), torch.arange(total) % 2, list(lengths))


@given(LENGTHS)
def test_offsets_are_where_sequences_begin_and_end(lengths):
    batch = numbered(lengths)
    assert batch.offsets.tolist() == [sum(lengths[:i]) for i in range(len(lengths) + 1)]
    assert batch.offsets.dtype == torch.int32
    assert batch.counts.tolist() == lengths
    assert (len(batch), batch.tokens, batch.longest) == (len(lengths), sum(lengths), max(lengths))


@given(LENGTHS)
def test_positions_begin_at_0_in_every_sequence(lengths):
    assert numbered(lengths).positions.tolist() == [place for length in lengths for place in range(length)]


@given(LENGTHS)
def test_sequence_of_names_each_tokens_sequence(lengths):
    wanted = [number for number, length in enumerate(lengths) for _ in range(length)]
    assert numbered(lengths).sequence_of.tolist() == wanted


@given(st.dictionaries(st.sampled_from(["sst", "quora", "sts", "yelp"]), LENGTHS, min_size=1))
def test_joined_batches_stand_one_after_the_other_each_in_its_slice(by_task):
    parts = {task: numbered(lengths, 1000 * number) for number, (task, lengths) in enumerate(by_task.items())}
    whole = PackedBatch.join(parts)
    assert list(whole.slices) == list(parts)
    assert whole.lengths == [length for lengths in by_task.values() for length in lengths]
    for task, where in whole.slices.items():
        start, end = whole.offsets[where.start], whole.offsets[where.stop]
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
    rows = [(row[keep], row[~keep]) for _, mask, block in cells(batch, batch.groups)
            for row, keep in zip(block, mask, strict=True)]  # fmt: skip
    assert len(rows) == len(lengths)
    for tokens, padding in rows:
        sequence = int(batch.sequence_of[tokens[0]])
        assert tokens.tolist() == list(range(batch.offsets[sequence], batch.offsets[sequence + 1]))
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
