"""Figures show the numbers they are given, with titles and named axes."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from ipywidgets import IntSlider

from mtbert.data.sampling import SAMPLERS
from mtbert.workbook import plots
from mtbert.workbook.plots import single_task, start
from mtbert.workbook.plots.explore import explore
from mtbert.workbook.plots.style import of_shape

matplotlib.use("Agg")
HISTORY = pd.DataFrame({"epoch": [1, 2], "loss sst": [1.5, 1.2], "sst": [0.4, 0.5]})
TABLE = pd.DataFrame(
    {
        "row": ["one", "one", "two"],
        "source": ["ours", "theirs", "ours"],
        "mean": [0.5, 0.6, 0.7],
        "half": [0.02, np.nan, 0.01],
    }
)
COSTS = pd.DataFrame({"notebook": ["01_a", "02_b"], "seconds": [10.0, 20.0], "peak_memory_mb": [500, 1500]})
FIGURES = {
    "classes": lambda: single_task.classes([0, 1, 1, 2], ["a", "b", "c"], "Classes"),
    "lengths": lambda: single_task.lengths({"sst": [3, 9], "cfimdb": [100, 600]}, 512),
    "curves": lambda: single_task.curves({"one": HISTORY, "other": HISTORY}, "sst", 0.3),
    "distances": lambda: single_task.distances([0, 4, 2], [1, 4, 2], 5),
    "truncation": lambda: single_task.truncation(
        pd.DataFrame({"max_length": [64, 128], "accuracy": [0.6, 0.7], "cut": [0.9, 0.4]}), 60
    ),
    "against": lambda: single_task.against(TABLE, "Against"),
    "costs": lambda: start.costs(COSTS),
}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.mark.parametrize("name", FIGURES)
def test_every_panel_has_a_title_and_a_named_axis(name):
    plots.use_style()
    figure = FIGURES[name]()
    assert figure.axes
    for axes in figure.axes:
        assert axes.get_title() and axes.get_xlabel() + axes.get_ylabel()
    plots.caption(figure, "What to see.")
    assert figure.texts[-1].get_text() == "What to see."


def test_the_plan_of_a_single_sampler_has_a_strip_of_its_own():
    figure = plots.plan({"mixed": SAMPLERS["mixed"]({"sst": 8, "sts": 8}, {"sst": 4, "sts": 4})}, 2)
    (axes,) = figure.axes
    assert len(axes.patches) == 4 and axes.get_xlabel() == "optimiser step"


def test_classes_show_shares_and_the_largest_darkest():
    bars = FIGURES["classes"]().axes[0].patches
    assert [bar.get_height() for bar in bars] == [0.25, 0.5, 0.25]
    assert bars[1].get_facecolor()[3] > bars[0].get_facecolor()[3]


def test_distances_count_right_answers_in_the_middle():
    heights = [bar.get_height() for bar in FIGURES["distances"]().axes[0].patches]
    assert heights == [0, 0, 0, 1, 2, 0, 0, 0, 0]


def test_truncation_draws_the_standard_error():
    (line,) = FIGURES["truncation"]().axes[0].collections
    low, high = line.get_segments()[0][:, 1]
    assert (high - low) / 2 == pytest.approx((0.6 * 0.4 / 60) ** 0.5)


def test_costs_are_drawn_in_seconds_and_gigabytes():
    left, right = FIGURES["costs"]().axes
    assert [bar.get_width() for bar in left.patches] == [10, 20]
    assert [bar.get_width() for bar in right.patches] == [0.5, 1.5]


def test_the_road_has_a_box_for_every_part_and_an_arrow_between_neighbours():
    axes = start.road().axes[0]
    assert len(axes.patches) == len(start.ROAD)
    arrows = [text for text in axes.texts if getattr(text, "arrow_patch", None) is not None]
    assert len(arrows) == len(start.ROAD) - 1


def test_explore_draws_first_and_again_when_a_control_moves(monkeypatch):
    drawn, shown = [], []

    def draw(layer, name):
        drawn.append((layer, name))
        if layer == 3:
            raise ValueError("no such layer")
        return plt.figure()

    class Handle:
        def update(self, figure):
            shown.append(figure)

    def display(thing, raw=False, display_id=False):
        if raw:
            assert "application/vnd.jupyter.widget-view+json" in thing and "layer, name" in thing["text/plain"]
            return None
        shown.append(thing)
        return Handle()

    monkeypatch.setattr("mtbert.workbook.plots.explore.display", display)
    controls = explore(draw, layer=IntSlider(1, 0, 5), name=["a", "b"])
    assert drawn == [(1, "a")] and len(shown) == 1
    controls["layer"].value = 2
    controls["name"].value = "b"
    assert drawn[1:] == [(2, "a"), (2, "b")] and len(shown) == 3
    assert not plt.get_fignums()  # none left open to be shown twice


def test_a_shape_is_checked_in_every_dimension_that_is_named():
    assert of_shape([[1, 2]], None, 2).dtype == float
    for shape in ((2,), (None, 3), (2, 2)):
        with pytest.raises(ValueError, match=r"the values are \(1, 2\), but should be \(.*"):
            of_shape([[1, 2]], *shape)
