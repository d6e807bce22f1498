"""Ways to form batches of sequences, as lists of their lengths, and what padding costs."""

from collections.abc import Callable, Sequence

import pandas as pd
import torch

Batches = list[list[int]]


def in_random_order(lengths: Sequence[int], size: int, seed: int = 0) -> Batches:
    """Batches of ``size`` sequences in random order."""
    order = torch.randperm(len(lengths), generator=torch.Generator().manual_seed(seed)).tolist()
    return _cut([lengths[index] for index in order], size)


def in_windows(lengths: Sequence[int], size: int, seed: int = 0, batches: int = 10) -> Batches:
    """Random order, then sorted by length within windows of so many batches."""
    windows = in_random_order(lengths, batches * size, seed)
    return [batch for window in windows for batch in _cut(sorted(window), size)]


def by_length(lengths: Sequence[int], size: int, seed: int = 0) -> Batches:
    """All sequences sorted by length, then cut; ``seed`` changes nothing."""
    return _cut(sorted(lengths), size)


WAYS: dict[str, Callable[..., Batches]] = {"random": in_random_order, "windows of ten": in_windows, "sorted": by_length}


def padded(batches: Batches) -> Batches:
    """The batches with every sequence as long as its batch's longest: what a rectangular batch computes."""
    return [[max(batch)] * len(batch) for batch in batches]


def fill(batches: Batches) -> float:
    """The share of the cells of rectangular batches that hold a token."""
    return sum(map(sum, batches)) / sum(map(sum, padded(batches)))


def fills(lengths: dict[str, Sequence[int]], size: int = 32, seed: int = 0) -> pd.DataFrame:
    """The fill of each data set (rows) by way to form batches (columns). Packed batches have no padding."""
    shares = {
        name: {way: fill(form(of_set, size, seed)) for way, form in WAYS.items()} | {"packed": 1.0}
        for name, of_set in lengths.items()
    }
    return pd.DataFrame(shares).T


def _cut(values: Sequence[int], size: int) -> Batches:
    return [list(values[start : start + size]) for start in range(0, len(values), size)]
