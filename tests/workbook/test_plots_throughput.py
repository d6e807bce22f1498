"""The figures of notebook 12 show the numbers that they were given, with titles and axis names."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pandas as pd
import pytest

from mtbert.nn.flops import DeviceSpec
from mtbert.workbook.plots import throughput as draw

CEILING = DeviceSpec(operations=8e9, bandwidth=2e9)
BATCHES = {"random": [[3, 1], [2, 4]], "packed": [[3], [1], [2], [4]]}
LADDER = pd.DataFrame(
    {"speedup": [1.0, 2.0], "gain": [1.0, 2.0], "low": [1.0, 1.8], "high": [1.0, 2.3]}, index=["first", "second"]
)
FIGURES = {
    "roofline": lambda: draw.roofline(CEILING, {"a": (0.5, 1e9), "b": (40.0, 7e9)}),
    "shares": lambda: draw.shares({"here": {"a": 1.0, "b": 3.0}, "there": {"a": 1.0, "b": 1.0}}, "Shares"),
    "cells": lambda: draw.cells(BATCHES),
    "fills": lambda: draw.fills(pd.DataFrame({"random": [0.4], "packed": [1.0]}, index=["sst"])),
    "counts": lambda: draw.counts({"ours": 3, "theirs": 9}, "Launches", "calls"),
    "chunks": lambda: draw.chunks([2**20, 2**22], {"float32": [0.5, 0.9]}),
    "ladder": lambda: draw.ladder(LADDER, "Ladder"),
    "ratios": lambda: draw.ratios({"itself": [0.9, 1.0, 1.2], "other": [2.0, 2.2, 1.9]}, "Ratios"),
}


pytestmark = pytest.mark.usefixtures("close_figures")


@pytest.mark.parametrize("name", FIGURES)
def test_every_panel_has_a_title_and_the_first_has_axis_names(name):
    figure = FIGURES[name]()
    assert figure.get_figwidth() <= 10
    assert all(axes.get_title() for axes in figure.axes)
    first = figure.axes[0]
    assert first.get_xlabel() and (first.get_ylabel() or name in ("shares", "counts", "ladder", "ratios"))


def test_the_roof_rises_with_the_bandwidth_up_to_the_ridge_and_is_flat_behind_it():
    (axes,) = FIGURES["roofline"]().axes
    roof = axes.lines[0].get_xydata()
    np.testing.assert_allclose(roof[1], [4.0, 8.0])  # 8e9 operations a second / 2e9 bytes a second
    np.testing.assert_allclose(roof[0, 1] / roof[0, 0], 2.0)
    assert roof[2, 1] == 8.0
    points = {line.get_label(): line.get_xydata()[0].tolist() for line in axes.lines[2:]}
    assert points == {"a": [0.5, 1.0], "b": [40.0, 7.0]}


def test_shares_fill_a_bar_to_a_hundred():
    (axes,) = FIGURES["shares"]().axes
    first, second = axes.containers
    assert [bar.get_width() for bar in first] == [25.0, 50.0] and [bar.get_width() for bar in second] == [75.0, 50.0]
    assert [bar.get_x() for bar in second] == [25.0, 50.0]


def test_cells_show_tokens_and_the_padding_above_them():
    random, packed = FIGURES["cells"]().axes
    assert random.get_title() == "random: fill 0.71" and packed.get_title() == "packed: fill 1.00"
    padding, tokens = random.containers
    assert [bar.get_height() for bar in padding] == [3, 3, 4, 4]
    assert [bar.get_height() for bar in tokens] == [3, 1, 2, 4]
    assert len(random.lines) == 1 and len(packed.lines) == 0  # an edge between batches, none between packed sequences


def test_bars_are_the_counts_and_fills_that_were_given():
    (axes,) = FIGURES["counts"]().axes
    assert [bar.get_width() for bar in axes.containers[0]] == [3, 9]
    (axes,) = FIGURES["fills"]().axes
    assert [container[0].get_height() for container in axes.containers] == [0.4, 1.0]


def test_the_ladder_shows_speedups_and_the_quartiles_of_each_gain():
    left, right = FIGURES["ladder"]().axes
    assert [bar.get_width() for bar in left.containers[0]] == [1.0, 2.0]
    np.testing.assert_allclose([segment[:, 0] for segment in right.collections[0].get_segments()], [[1, 1], [1.8, 2.3]])
    assert list(right.lines[1].get_xdata()) == [1.0, 2.0]


def test_ratios_show_every_round_and_the_median():
    (axes,) = FIGURES["ratios"]().axes
    dots, median = axes.lines[:2]
    assert list(dots.get_xdata()) == [0.9, 1.0, 1.2] and list(median.get_xdata()) == [1.0, 1.0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["itself", "other"]


def test_pieces_are_drawn_in_megabytes():
    (axes,) = FIGURES["chunks"]().axes
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [[1, 0.5], [4, 0.9]])
