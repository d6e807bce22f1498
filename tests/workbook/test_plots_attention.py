"""The figures of notebook 01 show the numbers that they were given, with titles and axis names."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest

from mtbert.workbook.plots import attention as draw

WORDS = ["tea", "is", "hot"]
RNG = np.random.default_rng(0)
WEIGHTS = RNG.dirichlet(np.ones(3), size=3)


pytestmark = pytest.mark.usefixtures("close_figures")


def panels(figure):
    return [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]


def shown(axes) -> np.ndarray:
    return np.asarray(axes.images[0].get_array())


FIGURES = {
    "arrows": lambda: draw.arrows(RNG.random((3, 2)), WORDS, ("hot", "wet"), "Arrows"),
    "scaling": lambda: draw.scaling([4, 16], {"spread": {"measured": [2, 4]}, "weight": {"scaled": [0.1, 0.2]}}),
    "blocks": lambda: draw.blocks(np.eye(3, dtype=bool), WORDS, "Blocks"),
    "cost": lambda: draw.cost([32, 64, 128], {"matrices": [1, 2, 4], "attention": [1, 4, 16]}, "Cost"),
    "maps": lambda: draw.maps({"head 0.0": WEIGHTS, "head 0.1": WEIGHTS}, WORDS),
    "scores": lambda: draw.scores({"trained": RNG.random((2, 4))}, "weight one back"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_panel_has_a_title_and_the_first_has_axis_names(name):
    figure = FIGURES[name]()
    assert figure.get_figwidth() <= 10
    assert all(axes.get_title() for axes in panels(figure) if axes.get_xlabel())
    assert figure.axes[0].get_title() and figure.axes[0].get_xlabel() and figure.axes[0].get_ylabel()


def test_maps_and_scores_draw_what_they_are_given():
    figure = draw.maps({"a": WEIGHTS, "b": WEIGHTS.T}, WORDS)
    np.testing.assert_allclose(shown(figure.axes[0]), WEIGHTS)
    np.testing.assert_allclose(shown(figure.axes[1]), WEIGHTS.T)
    scores = np.arange(8.0).reshape(2, 4)
    np.testing.assert_allclose(shown(draw.scores({"trained": scores}, "s").axes[0]), scores)


def test_every_piece_stands_beside_its_row_and_under_its_column():
    left, right = draw.maps({"a": WEIGHTS, "b": WEIGHTS}, WORDS).axes[:2]
    assert [tick.get_text() for tick in left.get_yticklabels()] == WORDS
    assert [tick.get_text() for tick in right.get_xticklabels()] == WORDS


def test_blocks_paints_true_and_false():
    mask = np.eye(3, dtype=bool)
    np.testing.assert_array_equal(shown(draw.blocks(mask, WORDS, "t").axes[0]), mask)


def test_cost_fits_the_slope_in_the_doubly_logarithmic_plane():
    lengths = [32, 64, 128, 256]
    figure = draw.cost(lengths, {"linear": [2e-5 * n for n in lengths], "square": [1e-6 * n**2 for n in lengths]}, "t")
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["linear: slope 1.0 at the end", "square: slope 2.0 at the end"]
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), [0.02 * n for n in lengths])


def test_scores_share_one_scale_and_frame_the_best_head_of_each():
    figure = draw.scores({"trained": [[0.1, 0.9], [0.2, 0.3]], "untrained": [[0.1, 0.1], [0.2, 0.1]]}, "s")
    left, right = figure.axes[:2]
    assert left.images[0].get_clim() == right.images[0].get_clim() == (0, 0.9)
    assert left.patches[0].get_xy() == (0.5, -0.5) and right.patches[0].get_xy() == (-0.5, 0.5)
    assert left.get_title() == "trained: best 0.1, 0.90"


@pytest.mark.parametrize(
    "call",
    [
        lambda: draw.arrows(np.zeros((3, 3)), WORDS, ("x", "y"), "t"),
        lambda: draw.scaling([4, 16], {"spread": {"measured": [2]}}),
        lambda: draw.blocks(np.ones((3, 2), dtype=bool), WORDS, "t"),
        lambda: draw.cost([1, 2, 3], {"a": [1, 2]}, "t"),
        lambda: draw.maps({"a": WEIGHTS}, WORDS[:2]),
        lambda: draw.scores({"a": [1.0, 2.0]}, "s"),
    ],
)
def test_a_wrong_shape_is_refused(call):
    with pytest.raises(ValueError, match="should be|one number per"):
        call()
