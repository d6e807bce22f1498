"""The figures of notebook 06 show the numbers that they were given, with titles and axis names."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pandas as pd
import pytest
import torch

from mtbert.workbook.plots import surgery as draw

RNG = np.random.default_rng(0)
PAIR = np.array([[3.0, 1.0], [-1.0, 0.5]])
CHANGED = np.array([[1.0, 2.0], [-0.25, 0.75]])
WALKS = {"plain": [torch.tensor([[0.0, 0.0], [0.5, 0.5]])], "PCGrad": [torch.tensor([[0.1, 0.0], [0.2, 0.9]])]}
GRID = torch.stack(torch.meshgrid(torch.linspace(-1, 1, 9), torch.linspace(-1, 1, 9), indexing="xy"), dim=-1)
LOSSES = [lambda x: (x**2).sum(-1), lambda x: ((x - 0.5) ** 2).sum(-1)]
CURVE = torch.tensor([[0.0, 0.0], [0.5, 0.5]])
TABLE = pd.DataFrame(
    [("pcgrad", "sst", 0.01, 0.02), ("pcgrad", "sts", -0.01, np.nan), ("gradvac", "sst", 0.0, 0.01)],
    columns=["method", "metric", "mean", "half"],
)


pytestmark = pytest.mark.usefixtures("close_figures")


FIGURES = {
    "before_after": lambda: draw.before_after(PAIR, CHANGED, ("Before", "After")),
    "walks": lambda: draw.walks(LOSSES, GRID, WALKS, CURVE),
    "targets": lambda: draw.targets([0.1, 0.2], {"slow": [0.0, 0.1], "fast": [0.1, 0.2]}, "Targets"),
    "over_steps": lambda: draw.over_steps({"a-b": [0.1, -0.1, 0.2], "a-c": [0.0, 0.1, -0.3]}, window=2),
    "conflicts": lambda: draw.conflicts({"a-b": 3, "a-c": 9}, 12),
    "strips": lambda: draw.strips({"one": {"a": [0.1, 0.3], "b": [0.0]}, "two": {"c": [-0.2]}}, "cosine", "Strips"),
    "by_layer": lambda: draw.by_layer({"a, b": RNG.random((4, 3)), "a, a": RNG.random((4, 3))}, "xyz", ["a, a"]),
    "differences": lambda: draw.differences(TABLE, {"report": {"sst": 0.003}}, "Differences"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_panel_has_a_title_and_the_first_has_axis_names(name):
    figure = FIGURES[name]()
    assert figure.get_figwidth() <= 10
    assert all(axes.get_title() for axes in figure.axes)
    first = figure.axes[0]
    assert first.get_xlabel() and (first.get_ylabel() or name in ("conflicts", "strips", "differences"))


def heads(axes) -> list:
    """Where the arrows that were drawn end, without their names."""
    return [tuple(text.xy) for text in axes.texts if not text.get_text()]


def names(axes) -> list[str]:
    return [text.get_text() for text in axes.texts if text.get_text()]


def test_arrows_end_at_the_gradients_and_at_their_sum_and_what_moved_is_shown_twice():
    before, after = draw.before_after(PAIR, CHANGED, ("Before", "After")).axes
    assert heads(before) == [(2, 1.5), (3, 1), (-1, 0.5)]
    assert names(before) == ["sum", "$g_1$", "$g_2$"]
    assert heads(after) == [(0.75, 2.75), (3, 1), (1, 2), (-1, 0.5), (-0.25, 0.75)]
    assert names(after) == ["sum", "$g_1'$", "$g_2'$"]


def test_a_gradient_that_did_not_move_keeps_its_name():
    _, after = draw.before_after(PAIR, [PAIR[0], CHANGED[1]], ("Before", "After")).axes
    assert names(after) == ["sum", "$g_1$", "$g_2'$"]


def test_the_explorer_may_ask_for_gradients_that_vanish():
    draw.before_after([[1.0, 0.0], [-1.0, 0.0]], np.zeros((2, 2)), ("Before", "After")).canvas.draw()


def test_a_walk_begins_and_ends_where_it_did():
    left, right = draw.walks(LOSSES, GRID, WALKS, CURVE).axes
    for axes, paths in zip((left, right), WALKS.values(), strict=True):
        drawn = next(line for line in axes.lines if line.get_label() == "walk")
        np.testing.assert_allclose(drawn.get_xydata(), paths[0])


def test_conflicts_stand_apart_from_agreement_and_the_mean_begins_when_the_window_is_full():
    (axes,) = draw.over_steps({"a-b": [0.1, -0.1, 0.2, -0.4]}, window=2).axes
    lines = {line.get_label(): line for line in axes.lines}
    np.testing.assert_allclose(lines["agree"].get_xydata(), [[1, 0.1], [3, 0.2]])
    np.testing.assert_allclose(lines["conflict"].get_xydata(), [[2, -0.1], [4, -0.4]])
    np.testing.assert_allclose(lines["mean of 2"].get_xydata(), [[2, 0.0], [3, 0.05], [4, -0.1]], atol=1e-12)


def test_fewer_steps_than_the_window_have_no_mean():
    (axes,) = draw.over_steps({"a-b": [0.1, -0.1]}, window=5).axes
    assert {line.get_label(): len(line.get_xdata()) for line in axes.lines}["mean of 5"] == 0


def test_bars_are_the_counts_and_the_coin_is_centred_on_half():
    (axes,) = draw.conflicts({"a-b": 3, "a-c": 9}, 12).axes
    assert [bar.get_width() for bar in axes.containers[0]] == [3, 9]
    low, high = axes.patches[0].get_x(), axes.patches[0].get_x() + axes.patches[0].get_width()
    assert low + high == 12 and 0 < low < 3


def test_targets_and_strips_draw_what_they_are_given():
    (axes,) = draw.targets([0.1, 0.2], {"slow": [0.0, 0.1]}, "t").axes
    np.testing.assert_allclose(axes.lines[1].get_ydata(), [0.0, 0.1])
    (axes,) = FIGURES["strips"]().axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["a", "b", "c"]
    dots, mean = axes.lines[:2]
    assert list(dots.get_xdata()) == [0.1, 0.3] and list(mean.get_xdata()) == [0.2]


def test_by_layer_draws_the_means_of_the_batches():
    values = RNG.random((5, 3))
    (axes,) = draw.by_layer({"a, b": values}, "xyz").axes
    np.testing.assert_allclose(axes.containers[0][0].get_ydata(), values.mean(0))


def test_differences_without_any_measured_run_show_the_printed_ones():
    (axes,) = draw.differences(pd.DataFrame(), {"report": {"sst": 0.003, "sts": -0.002}}, "t").axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["sst", "sts"]
    assert list(axes.lines[0].get_xdata()) == [0.003, -0.002]


def test_differences_draw_an_interval_per_method_and_metric():
    (axes,) = FIGURES["differences"]().axes
    assert [container.get_label() for container in axes.containers] == ["pcgrad", "gradvac"]
    np.testing.assert_allclose(axes.containers[0][0].get_xdata(), [0.01, -0.01])
    first, second = axes.containers[0][2][0].get_segments()
    np.testing.assert_allclose(np.array(first, dtype=float)[:, 0], [-0.01, 0.03])
    np.testing.assert_allclose(np.array(second, dtype=float)[:, 0], [-0.01, -0.01])


@pytest.mark.parametrize(
    "call",
    [
        lambda: draw.before_after(PAIR.T[:1], CHANGED, ("a", "b")),
        lambda: draw.before_after(np.zeros((2, 3)), np.zeros((2, 3)), ("a", "b")),
        lambda: draw.walks(LOSSES, GRID, {"plain": [torch.zeros(4, 3)]}, CURVE),
        lambda: draw.targets([0.1, 0.2], {"slow": [0.1]}, "t"),
        lambda: draw.over_steps({"a": [[0.1]]}),
        lambda: draw.strips({"g": {"a": [[0.1]]}}, "x", "t"),
        lambda: draw.by_layer({"a": np.zeros((4, 2))}, "xyz"),
    ],
)
def test_a_wrong_shape_is_refused(call):
    with pytest.raises(ValueError, match="should be"):
        call()
