"""The figures of notebook 10 show the numbers that they were given, with titles and axis names."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pandas as pd
import pytest

from mtbert.experiments.metrics import calibration
from mtbert.workbook.plots import confusion_matrices as draw

MATRIX = np.array([[8, 2], [3, 1]])
CURVE = pd.DataFrame(
    {
        "threshold": [0.2, 0.5, 0.8],
        "tn": [1, 5, 9],
        "fp": [9, 5, 1],
        "fn": [0, 2, 4],
        "tp": [6, 4, 2],
        "precision": [0.4, 0.44, 0.67],
        "recall": [1, 0.67, 0.33],
    }
)


pytestmark = pytest.mark.usefixtures("close_figures")


def words(axes):
    return [text.get_text() for text in axes.texts]


def named(figure):
    for axes in figure.axes:
        assert axes.get_xlabel() and axes.get_ylabel() and axes.get_title()
    return figure.axes


def test_a_matrix_shows_its_counts_with_the_truth_from_top_to_bottom():
    one, two = named(draw.matrices({"ours": MATRIX, "theirs": MATRIX.T}, ["no", "yes"]))
    assert words(one) == ["8", "2", "3", "1"] and words(two) == ["8", "3", "2", "1"]
    assert one.get_ylabel() == "true" and one.get_xlabel() == "predicted" and one.get_title() == "ours"
    assert np.allclose(one.images[0].get_array(), [[0.8, 0.2], [0.75, 0.25]])


def test_a_matrix_may_show_shares_of_its_rows():
    (axes,) = named(draw.matrices({"ours": MATRIX}, ["no", "yes"], counts=False))
    assert words(axes) == ["0.80", "0.20", "0.75", "0.25"]


def test_distances_have_a_bar_for_each_source_and_distance():
    (axes,) = named(draw.distances({"a": [0.5, 0.5, 0], "b": [0.2, 0.3, 0.5]}, "how far off"))
    assert [bar.get_height() for bar in axes.patches] == [0.5, 0.5, 0, 0.2, 0.3, 0.5]


@pytest.mark.parametrize(("threshold", "row"), [(0.5, 1), (0.3, 0), (0.95, 2)])
def test_a_threshold_shows_the_matrix_of_the_nearest_row(threshold, row):
    left, _, right = named(draw.thresholds(CURVE, threshold))
    now = CURVE.iloc[row]
    assert words(left) == [f"{now[name]:.0f}" for name in ("tn", "fp", "fn", "tp")]
    (dot,) = [line for line in right.lines if line.get_marker() == "o"]
    assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (now.recall, now.precision)
    assert right.lines[-1].get_ydata()[0] == 6 / 16  # precision by chance: the share of duplicates


def test_reliability_draws_each_table_and_the_line_of_the_well_calibrated():
    table = calibration([0.1, 0.2, 0.9], [False, True, True], bins=2)
    (axes,) = named(draw.reliability({"ours": table}, "claims"))
    assert list(axes.lines[0].get_xdata()) == list(axes.lines[0].get_ydata()) == [0, 1]
    assert np.allclose(axes.lines[1].get_xdata(), table.claimed) and np.allclose(axes.lines[1].get_ydata(), table.true)
    sizes = axes.collections[0].get_sizes()
    assert sizes[0] == 2 * sizes[1]  # two rows and one


def test_intervals_reach_from_low_to_high():
    table = pd.DataFrame({"name": ["a", "b"], "difference": [0.1, -0.2], "low": [0.0, -0.5], "high": [0.3, -0.1]})
    (axes,) = named(draw.intervals(table, "differences", "accuracy"))
    ends = [line.get_xdata() for line in axes.lines if line.get_marker() == "|"]
    assert np.allclose(sorted(np.ravel(ends)), [-0.5, -0.1, 0.0, 0.3])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
