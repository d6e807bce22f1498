"""The figures of notebook 07 show what they were given, with titles and axis names."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pandas as pd
import pytest

from mtbert import UserError
from mtbert.nn import ADAPTERS
from mtbert.workbook.plots import pals as draw

TRADE = pd.DataFrame({"trainable": [10, 1000], "milliseconds": [5.0, 8.0], "mean": [0.4, 0.6]}, index=["a", "b"])
SWAPS = pd.DataFrame([[0.5, 0.4], [0.1, 0.7]], index=["sst", "sts"], columns=["sst", "none"])
PRINTED = pd.DataFrame({"sst": [0.01, -0.02], "sts": [0.1, 0.0]}, index=["pal", "low-rank"])


pytestmark = pytest.mark.usefixtures("close_figures")


FIGURES = {
    "losses": lambda: draw.losses({"one": [1.0, 0.5], "two": [1.0, 0.1]}, 0.4),
    "growth": lambda: draw.growth([2, 4], {"pal": [10, 40], "top": [30, 30]}, {"equal": (3, 30)}),
    "trade": lambda: draw.trade(TRADE, "mean"),
    "swaps": lambda: draw.swaps(SWAPS),
    "differences": lambda: draw.differences(PRINTED, PRINTED / 2, {"sst": 0.03, "sts": 0.1}, "Differences"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_panel_has_a_title_and_names_its_axes(name):
    figure = FIGURES[name]()
    assert figure.get_figwidth() <= 10
    panels = figure.axes
    assert all(axes.get_title() and axes.get_xlabel() for axes in panels)
    assert panels[0].get_ylabel() or name == "differences"


def words(axes) -> set[str]:
    return {text.get_text() for text in axes.texts if text.get_text()}


@pytest.mark.parametrize("kind", ADAPTERS)
def test_every_kind_of_adapter_is_drawn_on_the_same_layer(kind):
    bare, drawn = (draw.places(kinds, "Where").axes[0] for kinds in ([], [kind]))
    assert words(bare) < words(drawn)
    assert len(drawn.patches) > len(bare.patches)
    assert drawn.get_title() == "Where"


def test_all_kinds_may_be_drawn_at_once_and_only_known_ones():
    assert {"PAL", "low-rank", "LoRA", "Houlsby", "on top"} <= words(draw.places(list(ADAPTERS), "All").axes[0])
    with pytest.raises(UserError, match="there is no drawing of 'prefix': choose from pal"):
        draw.places(["prefix"], "None")


def test_losses_are_lines_above_or_below_the_floor():
    (axes,) = FIGURES["losses"]().axes
    one, two, floor = axes.lines
    assert list(one.get_ydata()) == [1.0, 0.5] and list(two.get_ydata()) == [1.0, 0.1]
    assert set(floor.get_ydata()) == {0.4}


def test_growth_counts_in_millions_and_marks_points():
    (axes,) = FIGURES["growth"]().axes
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [[2, 10e-6], [4, 40e-6]])
    np.testing.assert_allclose(axes.lines[2].get_xydata(), [[3, 30e-6]])


def test_the_trade_shows_each_row_in_both_panels():
    left, right = FIGURES["trade"]().axes
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in left.lines] == [(10, 0.4), (1000, 0.6)]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in right.lines] == [(5.0, 0.4), (8.0, 0.6)]
    assert left.get_xscale() == "log"


def test_a_row_without_a_time_stands_in_the_first_panel_only():
    table = TRADE.assign(milliseconds=[np.nan, 8.0])
    left, right = draw.trade(table, "mean").axes
    assert not np.isnan(left.lines[0].get_xdata()[0]) and np.isnan(right.lines[0].get_xdata()[0])


def test_swaps_writes_every_score():
    axes = FIGURES["swaps"]().axes[0]
    assert [text.get_text() for text in axes.texts] == ["0.500", "0.400", "0.100", "0.700"]


def test_differences_are_hollow_where_printed_full_where_measured_and_absent_where_not():
    measured = pd.DataFrame({"sst": [0.02], "sts": [0.05]}, index=["low-rank"])
    left, _ = draw.differences(PRINTED, measured, {"sst": 0.03, "sts": 0.1}, "t").axes
    lines = {line.get_label(): line for line in left.lines}
    assert list(lines["printed"].get_xdata()) == [0.01, -0.02] and lines["printed"].get_fillstyle() == "none"
    np.testing.assert_array_equal(lines["measured"].get_xdata(), [np.nan, 0.02])
    assert [tick.get_text() for tick in left.get_yticklabels()] == ["pal", "low-rank"]
    assert left.patches[0].get_x() == -0.03
