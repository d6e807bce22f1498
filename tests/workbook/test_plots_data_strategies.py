"""The figures of notebook 09 show the numbers that they were given, with titles and axis names."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pandas as pd
import pytest

from mtbert.workbook.plots import data_strategies as draw

EPOCHS = [{"sst": 3, "quora": 5}, {"sst": 4, "quora": 4}]
CURVE = pd.DataFrame(
    {
        "seed": [0, 0, 1, 1],
        "step": [5, 10, 5, 10],
        "epoch": [1, 2, 1, 2],
        "score": [0.4, 0.3, 0.5, 0.4],
        "loss": [1.0, 0.5, 1.2, 0.7],
    }
)
TABLE = pd.DataFrame(
    [("a", "sst", 0.4, 0.02), ("b", "sst", 0.5, np.nan), ("a", "plain", 0.6, 0.01), ("b", "plain", 0.5, np.nan)],
    columns=["recipe", "metric", "mean", "half"],
)
FIGURES = {
    "shares": lambda: draw.shares({"sst": [0.5, 0.1], "sts": [0.5, 0.9]}, [0, 1], {"root": 0.5}),
    "steps_by_epoch": lambda: draw.steps_by_epoch({"by_rows": EPOCHS, "even": EPOCHS}, columns=2),
    "draws": lambda: draw.draws({"sst": [3, 4], "quora": [6, 5]}, {"sst": 3, "quora": 6}, "Draws"),
    "stages": lambda: draw.stages({"one": CURVE, "other": CURVE}, "sst", [(0, 5, "SST"), (5, 10, "Quora")], "Stages"),
    "passes": lambda: draw.passes({"few rows": CURVE}, "Training"),
    "tokens": lambda: draw.tokens({"shuffled": [90, 140], "grouped": [99, 101]}, 100),
    "strategies": lambda: draw.strategies(TABLE, {"sst": "SST", "plain": "mean"}, "Strategies"),
}


pytestmark = pytest.mark.usefixtures("close_figures")


@pytest.mark.parametrize("name", FIGURES)
def test_every_panel_has_a_title_and_the_first_has_axis_names(name):
    figure = FIGURES[name]()
    assert figure.get_figwidth() <= 10
    assert all(axes.get_title() for axes in figure.axes)
    first = figure.axes[0]
    assert first.get_xlabel() and (first.get_ylabel() or name in ("draws", "tokens", "strategies"))


def test_bars_are_as_high_as_the_steps_and_stand_on_each_other():
    bars = FIGURES["steps_by_epoch"]().axes[0].patches
    assert [(bar.get_y(), bar.get_height()) for bar in bars] == [(0, 3), (0, 4), (3, 5), (4, 4)]


def test_stages_show_the_mean_over_the_seeds_and_each_seed():
    lines = FIGURES["stages"]().axes[0].lines
    assert lines[0].get_ydata() == pytest.approx([0.45, 0.35])
    assert [list(line.get_ydata()) for line in lines[1:3]] == [[0.4, 0.3], [0.5, 0.4]]


def test_passes_show_loss_and_score():
    left, right = FIGURES["passes"]().axes
    assert left.lines[0].get_ydata() == pytest.approx([1.1, 0.6])
    assert right.lines[0].get_ydata() == pytest.approx([0.45, 0.35])


def test_strategies_show_means_in_rows_of_their_names():
    left, right = FIGURES["strategies"]().axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["a", "b"]
    assert list(right.lines[0].get_xdata()) == [0.6, 0.5]


def test_every_batch_and_every_draw_is_a_dot():
    assert list(FIGURES["tokens"]().axes[0].lines[0].get_xdata()) == [90, 140]
    assert list(FIGURES["draws"]().axes[0].lines[0].get_xdata()) == [3, 4]
