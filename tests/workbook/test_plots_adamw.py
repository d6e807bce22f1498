"""The figures of notebook 03 show what they are given."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from mtbert.workbook.plots import adamw as draw

BOWL = draw.Surface(lambda x: x.square().sum(-1), (-2, 1, -1, 1))
PATH = torch.tensor([[-1.5, 0.5], [-0.5, 0.2], [0.0, 0.0]])


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def named(axes) -> bool:
    return all((axes.get_title(), axes.get_xlabel(), axes.get_ylabel()))


def drawn(axes) -> dict[str, np.ndarray]:
    """The points of each line by its label."""
    return {line.get_label(): np.column_stack(line.get_data()) for line in axes.lines}


def test_walks_draw_the_points_visited_and_the_goal():
    figure = draw.walks(BOWL, {"one": {"SGD": PATH}, "two": {"SGD": PATH / 2, "Adam": PATH}})
    left, right = figure.axes
    assert named(left) and left.get_title() == "one"
    assert drawn(left)["SGD"] == pytest.approx(PATH.numpy())
    assert drawn(right)["Adam"] == pytest.approx(PATH.numpy())
    assert drawn(left)["_goal"].tolist() == [[0, 0]]
    assert left.get_xlim() == (-2, 1) and left.get_ylim() == (-1, 1)
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["SGD", "Adam"]


def test_walks_take_a_surface_for_each_panel():
    other = BOWL._replace(window=(0, 4, 0, 4), goals=[(1, 1), (3, 3)])
    left, right = draw.walks([BOWL, other], {"one": {"SGD": PATH}, "two": {"SGD": PATH}}).axes
    assert left.get_xlim() == (-2, 1) and right.get_xlim() == (0, 4)
    assert [line.get_label() for line in right.lines].count("_goal") == 2


def test_a_walk_that_diverges_is_drawn_as_far_as_it_is_a_number():
    path = torch.cat([PATH, torch.tensor([[1e30, 0.0], [math.nan, math.inf]])])
    points = drawn(draw.walks(BOWL, {"one": {"SGD": path}}).axes[0])["SGD"]
    assert len(points) == 4 and np.isfinite(points).all()


@pytest.mark.parametrize("shape", [(3,), (3, 3), (2, 3, 2)])
def test_a_walk_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"Adam: a walk is \(points, 2\)"):
        draw.walks(BOWL, {"one": {"Adam": torch.zeros(shape)}})


def test_lines_draw_each_series_over_its_places():
    series = {"a": torch.tensor([1.0, 10.0]), "AdamW": [3.0, 4.0]}
    (axes,) = draw.lines(series, "title", ("x", "y"), x=[0.1, 10], scales=("log", "linear")).axes
    assert named(axes) and axes.get_xscale() == "log" and axes.get_yscale() == "linear"
    assert drawn(axes)["a"].tolist() == [[0.1, 1], [10, 10]]
    assert drawn(axes)["AdamW"].tolist() == [[0.1, 3], [10, 4]]
    styles = {(line.get_color(), line.get_linestyle()) for line in axes.lines}
    assert len(styles) == 2


def test_lines_count_steps_from_one():
    (axes,) = draw.lines({"a": [5.0, 6.0, 7.0]}, "title", ("step", "y")).axes
    assert drawn(axes)["a"][:, 0].tolist() == [1, 2, 3]


def test_lines_of_another_length_are_refused():
    with pytest.raises(ValueError, match="a: "):
        draw.lines({"a": [1.0, 2.0]}, "title", ("x", "y"), x=[1, 2, 3])


def test_a_sweep_shows_the_last_steps_by_rate_and_the_way_at_the_best():
    runs = {
        "SGD": {0.1: [2.0, 1.8, 1.6, 1.4], 0.3: [2.0, 1.6, 1.2, 1.0], 1.0: [2.0, 90.0]},
        "AdamW": {0.001: [2.0, 1.0, 0.6, 0.4], 0.003: [2.0, 2.0, math.nan, math.nan], 0.01: [9.0, 9.0, 9.0, 9.0]},
    }
    left, right = draw.sweep(runs, last=2, constant=1.5).axes
    assert left.get_title() and left.get_xlabel() and left.get_ylabel() and right.get_title() and right.get_xlabel()
    assert drawn(left)["SGD"] == pytest.approx(np.array([[0.1, 1.5], [0.3, 1.1]]))
    assert drawn(left)["_SGD diverged"][:, 0].tolist() == [1.0]
    assert drawn(left)["_AdamW diverged"][:, 0].tolist() == [0.003, 0.01]
    assert drawn(right)["SGD, 0.3"] == pytest.approx(np.array([[2, 1.8], [3, 1.4], [4, 1.1]]))
    assert drawn(right)["AdamW, 0.001"] == pytest.approx(np.array([[2, 1.5], [3, 0.8], [4, 0.5]]))
    assert drawn(left)["constant answer"][:, 1].tolist() == [1.5, 1.5]


def test_an_optimiser_whose_runs_all_diverged_has_no_curve():
    _, right = draw.sweep({"SGD": {1.0: [2.0, math.inf]}, "AdamW": {0.1: [2.0, 1.0]}}, last=1, constant=1.5).axes
    assert [name for name in drawn(right) if name.startswith("SGD")] == []
