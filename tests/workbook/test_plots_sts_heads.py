"""The figures of notebook 08 show the numbers that they were given, with titles and axis names."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
import torch

from mtbert.workbook.plots import sts_heads as draw

RNG = np.random.default_rng(0)
LABELS = np.array([0.0, 0.4, 1.0, 2.6, 3.4, 4.4, 4.6, 5.0])
PREDICTED = RNG.uniform(0, 5, 8)
PAIRS = RNG.normal(size=(8, 2, 12))


pytestmark = pytest.mark.usefixtures("close_figures")


FIGURES = {
    "mappings": lambda: draw.mappings({"half": lambda c: c / 2, "relu": torch.relu}, torch.linspace(-1, 1, 9), "Maps"),
    "against_labels": lambda: draw.against_labels({"one": PREDICTED, "two": PREDICTED / 2}, LABELS),
    "embeddings": lambda: draw.embeddings({"before": PAIRS, "after": 2 * PAIRS}, LABELS.tolist()),
    "by_label": lambda: draw.by_label({"one": PREDICTED, "two": PREDICTED / 2}, LABELS, "Cosines"),
    "over_radius": lambda: draw.over_radius([0.1, 1.0], {"found": [1e-3, 1.0], "random": [1e-5, 0.1]}, "Moves"),
    "in_batch": lambda: draw.in_batch(RNG.uniform(size=(3, 3)), "All against all"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_panel_has_a_title_and_named_axes(name):
    figure = FIGURES[name]()
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    assert panels and all(axes.get_title() and axes.get_xlabel() for axes in panels) and panels[0].get_ylabel()


def test_mappings_draw_the_curve_and_its_slope():
    left, right = FIGURES["mappings"]().axes
    np.testing.assert_allclose(left.lines[0].get_ydata(), np.linspace(-1, 1, 9) / 2)
    np.testing.assert_allclose(right.lines[0].get_ydata(), np.full(9, 0.5))
    assert [float(y) for y in right.lines[1].get_ydata()] == [0.0] * 5 + [1.0] * 4


def test_calibration_has_the_mean_of_each_whole_label_half_going_up():
    places, means = draw.calibration([1.0, 3.0, 2.0, 4.0], [0.0, 0.4, 4.5, 5.0])
    np.testing.assert_allclose(places, [0.2, 4.75])
    np.testing.assert_allclose(means, [2.0, 3.0])


def test_predictions_are_drawn_against_labels_with_their_means():
    one, two = FIGURES["against_labels"]().axes
    np.testing.assert_allclose(one.lines[0].get_xydata(), np.stack([LABELS, PREDICTED], 1))
    np.testing.assert_allclose(two.lines[1].get_xydata(), np.stack(draw.calibration(PREDICTED / 2, LABELS), 1))
    assert list(two.lines[2].get_xdata()) == list(two.lines[2].get_ydata())


def test_two_dimensions_keep_the_distances_of_vectors_that_lie_in_a_plane():
    angles = RNG.uniform(0, 6, (5, 2))
    circle = np.stack([np.cos(angles), np.sin(angles), np.zeros_like(angles)], axis=2) * RNG.uniform(1, 9, (5, 2, 1))
    flat, share = draw.in_two_dimensions(circle)
    unit = circle / np.linalg.norm(circle, axis=2, keepdims=True)
    apart = np.linalg.norm(unit[:, 0] - unit[:, 1], axis=1)
    np.testing.assert_allclose(np.linalg.norm(flat[:, 0] - flat[:, 1], axis=1), apart)
    assert share == pytest.approx(1)


def test_embeddings_join_the_two_of_a_pair():
    figure = FIGURES["embeddings"]()
    flat, _ = draw.in_two_dimensions(PAIRS)
    assert len(figure.axes[0].lines) == len(PAIRS)
    np.testing.assert_allclose(figure.axes[0].lines[3].get_xydata(), flat[3])


def test_a_box_stands_for_each_name_and_label_that_occurs():
    axes = FIGURES["by_label"]().axes[0]
    assert len(axes.patches) == 2 * 5  # no pair has the label 2
    axes = draw.by_label({"one": [0.1, 0.2, 0.3]}, [0.0, 0.2, 5.0], "Few").axes[0]
    assert len(axes.patches) == 2


def test_the_numbers_of_a_batch_are_written_in():
    scores = np.array([[0.1, 0.25], [1.0, -0.5]])
    axes = draw.in_batch(scores, "Two").axes[0]
    assert [text.get_text() for text in axes.texts] == ["0.10", "0.25", "1.00", "-0.50"]


def test_lines_over_the_radius_have_the_values_given():
    axes = FIGURES["over_radius"]().axes[0]
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert list(axes.lines[1].get_ydata()) == [1e-5, 0.1]


@pytest.mark.parametrize(
    "call",
    [
        lambda: draw.against_labels({"one": [1.0, 2.0]}, [1.0, 2.0, 3.0]),
        lambda: draw.by_label({"one": [1.0]}, [1.0, 2.0], "x"),
        lambda: draw.over_radius([1.0], {"a": [1.0, 2.0]}, "x"),
        lambda: draw.calibration([[1.0]], [[1.0]]),
    ],
)
def test_values_of_another_length_are_refused(call):
    with pytest.raises(ValueError, match="the values are"):
        call()
