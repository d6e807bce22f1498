"""Ways to form batches, and the fill of each."""

import pytest

from mtbert.workbook import padding

LENGTHS = [7, 3, 9, 4, 8, 2, 6, 5, 1]


@pytest.mark.parametrize("way", padding.WAYS)
def test_every_way_reads_every_sequence_once(way):
    batches = padding.WAYS[way](LENGTHS, 2, seed=1)
    assert sorted(sum(batches, [])) == sorted(LENGTHS)
    assert [len(batch) for batch in batches] == [2, 2, 2, 2, 1]


def test_windows_are_sorted_inside_and_hold_what_is_together_in_random_order():
    random, windows = padding.in_random_order(LENGTHS, 2), padding.in_windows(LENGTHS, 2, batches=2)
    assert sum(windows[:2], []) == sorted(sum(random[:2], []))
    assert sum(windows[2:4], []) == sorted(sum(random[2:4], []))


def test_fill_is_the_share_of_cells_that_hold_a_token():
    assert padding.padded([[1, 3], [2]]) == [[3, 3], [2]]
    assert padding.fill([[1, 3], [2]]) == 6 / 8
    assert padding.fill([[4]]) == 1


def test_each_way_fills_batches_better_than_the_one_before():
    (row,) = padding.fills({"sst": LENGTHS * 40}, size=4).itertuples(index=False)
    assert list(row) == sorted(row) and row[-1] == 1
