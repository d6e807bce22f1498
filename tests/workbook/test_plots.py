"""Every drawing function gives a complete figure, and what is computed for drawing is right."""

import base64
import inspect
import io
import math
import re
import threading
from importlib import import_module

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from ipywidgets import IntSlider
from ipywidgets.widgets.widget import _instances
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from PIL import Image as PillowImage
from scipy.stats import chi2
from workbook.figures import BOWL, CLAIMS, EXAMPLES, PRINTED, REGIONS, THRESHOLDS, WALK, draw

from mtbert.workbook import plots
from mtbert.workbook.plots import sts_heads, style
from mtbert.workbook.plots.explore import LiveFigure, explore
from mtbert.workbook.plots.output import alt_text, extent, png
from mtbert.workbook.plots.start import cost_note

pytestmark = pytest.mark.usefixtures("close_figures")
MODULES = ["runs", *(name for name in plots.__all__ if inspect.ismodule(getattr(plots, name)) and name != "explore")]
UNMEASURED = CLAIMS.assign(difference=math.nan, low=math.nan, high=math.nan, verdict="not measured")


def lines(axes) -> dict[str, np.ndarray]:
    """The points of each line by its label."""
    return {line.get_label(): np.column_stack(line.get_data()).astype(float) for line in axes.lines}


def texts(axes) -> list[str]:
    return [text.get_text() for text in axes.texts if text.get_text()]


def names(axis) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


def points_with(axes, marker: str) -> list[tuple[float, float]]:
    """The single points drawn with a marker, sorted."""
    single = [line for line in axes.lines if line.get_marker() == marker and len(line.get_xdata()) == 1]
    return sorted((float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in single)


def clipped_error_bars(figure: Figure) -> list[tuple[float, float]]:
    """The ends of error bars that lie outside of their axes."""
    clipped = []
    for axes in figure.axes:
        bars = [container for container in axes.containers if isinstance(container, ErrorbarContainer)]
        ends = [end for bar in bars for line in bar.lines[2] for end in np.concatenate(line.get_segments())]
        (left, right), (bottom, top) = sorted(axes.get_xlim()), sorted(axes.get_ylim())
        clipped += [(x, y) for x, y in ends if not (left <= x <= right and bottom <= y <= top)]
    return clipped


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_figure_has_titles_axis_names_and_finite_limits(name):
    plots.use_style()
    figure = draw(name)
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    assert panels and figure.get_figwidth() <= 11
    assert all(axes.get_title() for axes in panels if axes.axison)
    assert all(axes.get_xlabel() + axes.get_ylabel() for axes in panels if axes.axison)
    assert all(np.isfinite([*axes.get_xlim(), *axes.get_ylim()]).all() for axes in figure.axes)
    assert not clipped_error_bars(figure)
    if figure.get_layout_engine() is None:  # the others are laid out already
        plots.caption(figure, "What to see.")
        assert figure.texts[-1].get_text() == "What to see."


def test_every_drawing_function_has_an_example():
    drawing = {
        f"{module}.{name}"
        for module in MODULES
        for name, function in inspect.getmembers(import_module(f"mtbert.workbook.plots.{module}"), inspect.isfunction)
        if function.__module__.endswith(f".{module}") and inspect.signature(function).return_annotation is Figure
    }
    assert drawing == set(EXAMPLES)


BARS = {
    "start.costs": ("width", [10, 20, 0.5, 1.5]),  # seconds, then gigabytes
    "single_task.classes": ("height", [0.25, 0.5, 0.25]),
    "single_task.distances": ("height", [0, 0, 0, 1, 2, 0, 0, 0, 0]),  # right answers in the middle
    "reports.alarms": ("height", [0.25, 0.5, 0, 0.25, 0.75, 0.25, 0, 0]),  # shares of the families
    "throughput.shares": ("width", [25, 50, 75, 50]),
}


@pytest.mark.parametrize("name", BARS)
def test_bars_have_the_sizes_given(name):
    side, expected = BARS[name]
    bars = [bar for axes in draw(name).axes for bar in axes.patches]
    np.testing.assert_allclose([getattr(bar, f"get_{side}")() for bar in bars], expected)


def test_conflicts_are_compared_with_a_coin_centered_on_half_of_the_steps():
    (axes,) = draw("surgery.conflicts").axes
    low, high = axes.patches[0].get_x(), axes.patches[0].get_x() + axes.patches[0].get_width()
    assert low + high == 12 and 0 < low < 3


@pytest.mark.parametrize(
    ("name", "panel", "index", "ends"),
    [
        ("single_task.truncation", 0, 0, (0.6 - 0.24**0.5 / 60**0.5, 0.6 + 0.24**0.5 / 60**0.5)),
        ("transformer_layer.probes", 0, 1, (0.45, 0.55)),  # 0.5 and one standard error over 100 rows
        ("surgery.differences", 0, 0, (-0.01, 0.03)),
        ("confusion_matrices.intervals", 0, 0, (0.0, 0.3)),
    ],
)
def test_an_interval_reaches_from_low_to_high(name, panel, index, ends):
    segment = np.array(draw(name).axes[panel].collections[0].get_segments()[index], dtype=float)
    vertical = segment[0, 0] == segment[1, 0] and ends[0] != ends[1]
    np.testing.assert_allclose(segment[:, 1 if vertical else 0], ends, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "panel", "label", "expected"),
    [
        ("pals.growth", 0, "pal", [[2, 10e-6], [4, 40e-6]]),  # in millions
        ("sts_heads.mappings", 1, "half", np.stack([np.linspace(-1, 1, 9), np.full(9, 0.5)], 1)),  # the slope
        ("data_strategies.stages", 0, "one", [[5, 0.45], [10, 0.35]]),  # the mean over the seeds
        ("throughput.chunks", 0, "float32", [[1, 0.5], [4, 0.9]]),  # in megabytes
        ("attention.cost", 0, "counted", [[32, 0.1], [64, 0.2], [128, 0.3]]),
        ("attention.cost", 0, "measured", [[32, 0.1], [64, 0.3], [128, 0.5]]),
    ],
)
def test_a_line_has_the_points_given(name, panel, label, expected):
    np.testing.assert_allclose(lines(draw(name).axes[panel])[label], expected, rtol=1e-6)


def test_a_walk_that_diverges_is_drawn_as_far_as_it_is_a_number():
    path = torch.cat([WALK, torch.tensor([[1e30, 0.0], [math.nan, math.inf]])])
    points = lines(draw("adamw.walks", BOWL, {"one": {"SGD": path}}).axes[0])["SGD"]
    assert len(points) == 4 and np.isfinite(points).all()


def test_a_sweep_shows_the_last_steps_by_rate_and_the_curve_at_the_best():
    runs = {
        "SGD": {0.1: [2.0, 1.8, 1.6, 1.4], 0.3: [2.0, 1.6, 1.2, 1.0], 1.0: [2.0, 90.0]},
        "AdamW": {0.001: [2.0, 1.0, 0.6, 0.4], 0.003: [2.0, 2.0, math.nan, math.nan], 0.01: [9.0, 9.0, 9.0, 9.0]},
        "Adam": {1.0: [2.0, math.inf, 1.0, 1.0]},
    }
    left, right = (lines(axes) for axes in draw("adamw.sweep", runs, last=2, constant=1.5).axes)
    np.testing.assert_allclose(left["SGD"], [[0.1, 1.5], [0.3, 1.1]])
    assert left["_SGD diverged"][:, 0].tolist() == [1.0] and left["_AdamW diverged"][:, 0].tolist() == [0.003, 0.01]
    np.testing.assert_allclose(right["SGD, lr 0.3"], [[2, 1.8], [3, 1.4], [4, 1.1]])
    np.testing.assert_allclose(right["AdamW, lr 0.001"], [[2, 1.5], [3, 0.8], [4, 0.5]])
    assert left["class frequencies"][:, 1].tolist() == [1.5, 1.5]
    assert not any(name.startswith("Adam,") for name in right)  # all its runs diverged


@pytest.mark.filterwarnings("error")
def test_other_seeds_stand_as_a_range_at_the_best_rate_and_their_mean_is_the_curve():
    runs, repeats = {"SGD": {0.1: [2.0, 1.5], 1.0: [2.0, 1.8]}}, [[1.9, 1.2], [2.1, 1.5]]
    left, right = draw("adamw.sweep", runs, 1, 1.5, {"SGD": repeats}).axes
    np.testing.assert_allclose(left.collections[0].get_segments()[0], [[0.1, 1.2], [0.1, 1.5]])
    np.testing.assert_allclose(lines(right)["SGD, lr 0.1"], [[1, 2.0], [2, 1.4]])
    band = right.collections[0].get_paths()[0].vertices
    assert [set(band[band[:, 0] == step, 1]) for step in (1, 2)] == [{1.9, 2.1}, {1.2, 1.5}]
    _, right = draw("adamw.sweep", runs, 1, 1.5, {"SGD": [[1.9]]}).axes  # another seed diverged
    np.testing.assert_allclose(lines(right)["SGD, lr 0.1"], [[1, 1.95], [2, np.inf]])


def test_a_gramian_is_shown_with_the_step_and_the_harm_that_it_does():
    _, table, harm = draw("surgery.gramian").axes
    assert texts(table) == ["1.00", "-0.50", "-0.50", "1.25"]
    np.testing.assert_allclose([bar.get_width() for bar in harm.patches], [-0.25, -1.375])  # the step is (0.25, 1.5)
    assert not any(bar.get_hatch() for bar in harm.patches)
    harmed = draw("surgery.gramian", [[1.0, 0.0], [-3.0, 1.0]], [1.0, 1.0], "t").axes[2].patches
    assert [bool(bar.get_hatch()) for bar in harmed] == [True, False]


def test_tasks_have_their_proper_names():
    names_of = import_module("mtbert.workbook.plots.surgery").pair_title
    assert names_of("sst-sts") == "SST–STS" and names_of("quora, quora again") == "two batches of Quora"
    assert names_of("sts, sts shuffled") == "STS–shuffled STS"


def test_conflicts_are_crosses_and_the_running_mean_begins_when_the_window_is_full():
    axes, _ = draw("surgery.over_steps").axes
    np.testing.assert_allclose(lines(axes)["conflict"], [[2, -0.1], [4, -0.4]])
    np.testing.assert_allclose(lines(axes)["mean of 5"], [[5, 0.02], [6, 0.04]], atol=1e-12)
    assert len(lines(draw("surgery.over_steps", {"a-b": [0.1, -0.1]}).axes[0])["mean of 5"]) == 0


def test_padding_is_drawn_behind_the_tokens_and_counted_in_the_flops():
    left, right = draw("throughput.padding").axes
    assert [bar.get_height() for bar in left.patches] == [3, 3, 4, 4, 3, 1, 2, 4]  # the longest, then the own length
    assert left.get_title() == "fill 0.71"
    matrices, attention = np.array([bar.get_height() for bar in right.patches]).reshape(2, 2)
    assert matrices[0] / matrices[1] == pytest.approx(14 / 10)
    assert attention[0] / attention[1] == pytest.approx((9 + 9 + 16 + 16) / (9 + 1 + 4 + 16))


def test_the_roof_rises_with_the_bandwidth_up_to_the_ridge_and_is_flat_beyond_it():
    roof = draw("throughput.roofline").axes[0].lines[0].get_xydata()
    np.testing.assert_allclose(roof[1], [4.0, 8.0])  # 8e9 operations per second / 2e9 bytes per second
    np.testing.assert_allclose([roof[0, 1] / roof[0, 0], roof[2, 1]], [2.0, 8.0])


def test_the_note_on_costs_names_machines_and_notebooks_that_lack_a_measurement():
    table = pd.DataFrame({"notebook": ["01_a", "02_b"], "cores": [2, 8], "device": ["cpu (X)", "cpu (Y)"]})
    assert cost_note(table, ["01_a", "02_b"]) == "Measured on 2 cores (X) and 8 cores (Y)."
    assert cost_note(table[:1], ["01_a", "02_b"]) == "Measured on 2 cores (X). Not measured: 02."


def test_a_difference_on_other_rows_has_the_errors_of_both_scores_and_on_the_same_rows_that_of_disagreement():
    drawn = lines(draw("single_task.smallest_difference", 0.5, 0.25).axes[0])
    other, same = (drawn[name] for name in ("difference, other rows", "difference, same rows"))
    np.testing.assert_allclose(other[:, 1], 2 * np.sqrt(2 * 0.25 / other[:, 0]))  # p (1 - p) for each of two scores
    np.testing.assert_allclose(same[:, 1], 2 * np.sqrt(0.25 / same[:, 0]))


def test_printed_differences_are_hollow_measured_ones_full_and_missing_ones_absent():
    measured = pd.DataFrame({"sst": [0.02], "sts": [0.05]}, index=["low-rank"])
    left, _ = draw("pals.differences", PRINTED, measured, {"sst": (0.01, 0.03), "sts": (0.1, 0.1)}, "t").axes
    printed, ours = (container.lines for container in left.containers)
    assert printed[0].get_xdata().tolist() == [0.01, -0.02] and printed[0].get_markerfacecolor() == "white"
    np.testing.assert_array_equal(np.asarray(ours[0].get_xdata(), float), [np.nan, 0.02])
    np.testing.assert_allclose(printed[2][0].get_segments()[0][:, 0], [0.0, 0.02], atol=1e-9)
    np.testing.assert_allclose(ours[2][0].get_segments()[1][:, 0], [-0.01, 0.05])
    assert names(left.yaxis) == ["pal", "low-rank"]


def test_senses_draws_the_mean_of_each_kind_of_pair():
    cosines, same = torch.tensor([[1.0, 1.0, 1.0], [0.9, 0.5, 0.3]]), torch.tensor([True, False, False])
    (axes,) = draw("transformer_layer.senses", cosines, same, torch.ones(2, 3)).axes
    np.testing.assert_allclose(lines(axes)["same sense, mean"][:, 1], [1, 0.9])
    np.testing.assert_allclose(lines(axes)["different sense, mean"][:, 1], [1, 0.4])


def test_scores_share_one_scale_and_frame_the_best_head_of_each():
    encoders = {"trained": [[0.1, 0.9], [0.2, 0.3]], "untrained": [[0.1, 0.1], [0.2, 0.1]]}
    left, right = draw("attention.scores", encoders, "s").axes[:2]
    assert left.images[0].get_clim() == right.images[0].get_clim() == (0, 0.9)
    assert left.patches[0].get_xy() == (0.5, -0.5) and right.patches[0].get_xy() == (-0.5, 0.5)
    assert left.get_title() == "trained: best 0.1, 0.90"


def test_a_confusion_matrix_is_colored_by_the_shares_of_its_rows():
    counts, transposed = draw("confusion_matrices.matrices").axes
    assert texts(counts) == ["8", "2", "3", "1"] and texts(transposed) == ["8", "3", "2", "1"]
    np.testing.assert_allclose(counts.images[0].get_array(), [[0.8, 0.2], [0.75, 0.25]])


@pytest.mark.parametrize(("threshold", "row"), [(0.5, 1), (0.3, 0), (0.95, 2)])
def test_a_threshold_shows_the_matrix_of_the_nearest_row(threshold, row):
    left, _, right = draw("confusion_matrices.thresholds", THRESHOLDS, threshold).axes
    now = THRESHOLDS.iloc[row]
    assert texts(left) == [f"{now[name]:.0f}" for name in ("tn", "fp", "fn", "tp")]
    assert points_with(right, "o") == [(now.recall, now.precision)]
    assert right.lines[-1].get_ydata()[0] == 6 / 16  # precision of random answers: the share of duplicates


def test_calibration_averages_each_whole_prediction_with_halves_rounded_up():
    predictions, means, counts = sts_heads.calibration([0.0, 0.4, 4.5, 5.0, 5.1], [1.0, 3.0, 2.0, 4.0, 3.0])
    np.testing.assert_allclose([predictions, means, counts], [[0.2, 14.6 / 3], [2.0, 3.0], [2, 3]])


def test_claims_stand_by_report_with_what_is_printed_and_what_was_measured():
    axes = draw("reports.forest").axes[0]
    assert names(axes.yaxis) == ["b · overall", "a · sst", "c · sts", "d · sts"]
    heights = list(axes.get_yticks())
    assert [(text.get_text(), text.get_position()[1]) for text in axes.texts] == [
        ("Li & Tang", heights[0] - 1),
        ("Yin", heights[1] - 1),
    ]
    hollow = [float(line.get_xdata()[0]) for line in axes.lines if line.get_fillstyle() == "none"]
    assert hollow == [-0.3, 0.004, 0.001, 0.001]  # from top to bottom
    assert (0.03, 3.0) in points_with(axes, "o")
    assert points_with(axes, "X") == [(-0.7, 4.0)] and points_with(axes, "s") == [(0.02, 5.0)]
    intervals = [line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_linewidth() > 1]
    assert [tuple(line.get_xdata()) for line in intervals] == [(0.01, 0.05), (-0.8, -0.6)]
    low, high = axes.get_xlim()
    shades = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches]
    assert -low == high > 0.8 and np.allclose(shades, [(low, 0), (0, high), (-0.01, 0.01), (low, 0.01)])


def test_printed_overall_scores_lie_on_the_line_of_the_definition_in_use():
    (table, _) = EXAMPLES["reports.definitions"]
    axes = draw("reports.definitions").axes[0]
    rows = table[table.definition != ""]
    rounding = 0.5 * 10.0**-rows.decimals + 0.0006  # of the overall score and of the three
    for name, line in zip(("plain", "normalised"), axes.lines, strict=False):
        assert (np.abs(line.get_ydata()) < rounding)[rows.definition == name].all() and len(line.get_ydata()) == len(
            rows
        )
    assert sum(line.get_linewidth() == 6 for line in axes.lines) == (rows.definition == "neither").sum()


def test_the_deviation_over_seeds_stands_on_the_line_of_its_report_in_a_band_around_the_pooled_one():
    axes = draw("reports.seeds").axes[0]
    first, second = (dots.get_xydata() for dots in axes.lines if dots.get_marker() == "o")
    np.testing.assert_allclose(first, [(0.02**0.5, 0), (0, 0)], atol=1e-9)  # x/b has one seed
    np.testing.assert_allclose(second, [(0.005**0.5, 1)])
    assert names(axes.yaxis) == ["x", "y"]
    boxes = [band.get_paths()[0].get_extents() for band in axes.collections]
    quantiles = np.sqrt(chi2.ppf([0.025, 0.975], 1))
    for box, pooled in zip(boxes, (0.1, 0.005**0.5), strict=True):
        np.testing.assert_allclose([box.x0, box.x1], pooled * quantiles)


def test_power_is_drawn_over_the_size_of_a_difference_with_claims_of_equality_apart():
    axes = draw("reports.power").axes[0]
    drawn = lines(axes)
    np.testing.assert_allclose(drawn["one row is better (2 claims)"], [(0.2, 0.9), (0.03, np.nan)])
    np.testing.assert_allclose(drawn["alike, or no better (1 claims)"], [(0.01, 0.05)])
    assert set(drawn["tested from here: 80%"][:, 1]) == {0.8}


def test_a_figure_as_a_png_is_the_same_picture_in_less_room():
    figure = draw("reports.forest", pd.concat([CLAIMS, *[UNMEASURED] * 6], ignore_index=True), REGIONS * 7, "All")
    original = io.BytesIO()
    figure.savefig(original, format="png", bbox_inches=extent(figure).padded(0.1))
    compact = png(figure)
    assert len(compact) < len(original.getvalue()) / 2
    want, got = (np.asarray(PillowImage.open(file).convert("RGB"), float) for file in (original, io.BytesIO(compact)))
    off = np.abs(got - want).max(axis=2)
    assert (np.ptp(want, axis=2) > 100).any() and off.max() < 25 and off.mean() < 2  # few marks among much text


def test_a_pale_gray_box_stays_gray():
    figure = draw("multitask.cross_and_bi")
    with PillowImage.open(io.BytesIO(png(figure))) as picture:
        colors = np.array([color for _, color in picture.convert("RGB").getcolors()])
    assert len(colors) > 64 and ((np.ptp(colors, axis=1) == 0) & (colors[:, 0] > 220) & (colors[:, 0] < 240)).any()


@pytest.fixture
def shown(monkeypatch):
    """What is displayed: (bundle of mime types, metadata) each."""
    outputs = []
    record = lambda bundle, raw, metadata=None: outputs.append((bundle, metadata))  # noqa: E731
    monkeypatch.setattr("mtbert.workbook.plots.output.display", record)
    monkeypatch.setattr("mtbert.workbook.plots.explore.display", record)
    return outputs


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_figure_is_shown_with_its_titles_axis_names_and_caption_as_alt_text(name, shown):
    figure = draw(name)
    plots.show(figure, "What to see.")
    (bundle, metadata), (caption, _) = shown
    assert caption["text/markdown"] == "*What to see.*"
    alt = metadata["image/png"]["alt"]
    assert alt == bundle["text/plain"] and alt.endswith("What to see.") and "\n" not in alt
    for axes in figure.axes:
        words = [axes.get_title(), axes.get_xlabel(), axes.get_ylabel()] if axes.axison else [axes.get_title()]
        assert axes.get_label() == "<colorbar>" or all(plain(word) in alt for word in words)


def plain(text: str) -> str:
    """As in alt text: without TeX."""
    return text.replace("$", "").replace("\\", "").replace("{", "").replace("}", "").replace("_", "")


def test_alt_text_has_no_tex_and_holds_the_texts_of_a_diagram():
    figure, (left, right) = style.panels(2, (10, 3))
    left.set(xlabel=r"$\theta_{1}$", ylabel="loss", title="a line\nbreak")
    right.axis("off")
    right.text(0, 0, "tokens")
    right.text(1, 0, "vectors")
    assert alt_text(figure) == "a line break: loss by theta1; tokens, vectors."


def test_a_narrow_figure_is_shown_in_the_full_width_so_that_its_text_has_the_size_of_others():
    figure, axes = style.subplots(figsize=(10, 3))
    axes.set(aspect="equal")  # a square
    with PillowImage.open(io.BytesIO(png(figure))) as picture:
        width, height = picture.size
    assert width >= 10 * figure.dpi > 3 * height


def test_no_drawing_touches_the_global_list_of_figures(shown):
    own = plt.figure()  # a cell's own figure stays the current one
    for name in EXAMPLES:
        plots.show(draw(name), "What to see.")
    assert plt.get_fignums() == [own.number] and not own.axes


def test_a_table_as_html_holds_every_cell():
    shown = plots.as_table(CLAIMS[["claim", "metric"]], index=False)
    html = shown.data
    assert repr(shown).splitlines() == ["claim\tmetric", *(CLAIMS.claim + "\t" + CLAIMS.metric)]
    assert "\n" not in html and all(f">{claim}</td>" in html for claim in CLAIMS.claim) and "<th>0</th>" not in html


def test_texts_of_a_table_stand_on_the_left_and_numbers_on_the_right():
    texts, numbers = plots.as_table(CLAIMS[["claim"]]).data, plots.as_table(CLAIMS[["difference"]]).data
    assert texts.count("text-align: left") == 2 * (1 + len(CLAIMS))  # with the index, and both headers
    assert "left" not in numbers


@pytest.mark.parametrize("height", [2, 15])
def test_a_caption_stands_a_tenth_of_an_inch_below_any_figure(height):
    figure, _ = style.subplots(figsize=(4, height))
    plots.caption(figure, "what to see")
    assert figure.texts[0].get_position()[1] * height == pytest.approx(-0.1)


def square(side: float, title: str = "square"):
    figure, axes = style.subplots(figsize=(side, side))
    axes.set(title=title)
    return figure


def test_explore_draws_at_first_and_again_when_a_control_moves(shown):
    calls = []

    def figure_of(layer, name):
        calls.append((layer, name))
        return square(3, f"{name} {layer}")

    controls = explore(figure_of, layer=IntSlider(1, 0, 5), name=["a", "b"])
    (widget, _), (static, metadata) = shown
    assert "layer, name" in widget["text/plain"] and "image/png" in static
    assert calls == [(1, "a")] and metadata["image/png"]["alt"] == "a 1."
    picture = picture_in(widget)
    before = picture.value
    controls["layer"].value = 2
    controls["name"].value = "b"
    assert calls[1:] == [(2, "a"), (2, "b")] and 'alt="b 2."' in picture.value and picture.value != before
    assert len(shown) == 2  # redrawn in place


def picture_in(bundle) -> LiveFigure:
    """The figure of an explorer, found from what was displayed."""
    panel = _instances[bundle["application/vnd.jupyter.widget-view+json"]["model_id"]]
    return next(child for child in panel.children if isinstance(child, LiveFigure))


def test_an_explorer_keeps_its_last_figure_and_says_why_there_is_no_new_one(shown):
    def figure_of(layer):
        if layer == 3:
            raise ValueError("no <layer> 3")
        return square(2)

    controls = explore(figure_of, layer=(0, 5))
    picture = picture_in(shown[0][0])
    panel = _instances[shown[0][0]["application/vnd.jupyter.widget-view+json"]["model_id"]]
    errors, before = panel.children[1], picture.value
    controls["layer"].value = 3
    assert "no &lt;layer&gt; 3" in errors.value and picture.value == before
    controls["layer"].value = 4
    assert errors.value == ""


@pytest.mark.parametrize("side", [2, 3, 6])
def test_a_live_figure_keeps_the_size_of_its_first(side):
    with plt.style.context("default"):  # larger text would reach beyond a small figure
        live = LiveFigure(square(3))
        first = pixels(live)
        assert room(live) == first
        live.draw(square(side))
    assert room(live) == first
    assert pixels(live) == first if side <= 3 else min(pixels(live)) > max(first)  # shown smaller, not cut


def pixels(live: LiveFigure) -> tuple[int, int]:
    """The size of the image."""
    encoded = re.search('base64,([^"]*)', live.value).group(1)
    return PillowImage.open(io.BytesIO(base64.b64decode(encoded))).size


def room(live: LiveFigure) -> tuple[int, int]:
    """The size in which the image is shown on a page that is wide enough."""
    width, *ratio = re.search(r"width: (\d+)px; aspect-ratio: (\d+) / (\d+)", live.value).groups()
    assert width == ratio[0]
    return int(ratio[0]), int(ratio[1])


def test_an_explorer_moved_from_another_thread_leaves_the_figures_of_the_running_cell_alone(shown):
    controls = explore(lambda layer: square(2 + layer), layer=(0, 5))
    own = plt.figure()

    def move():
        for layer in (0, 1, 2):
            controls["layer"].value = layer

    mover = threading.Thread(target=move)
    mover.start()
    drawn = [draw("runs.bars") for _ in range(5)]
    mover.join()
    assert plt.get_fignums() == [own.number] and not own.axes and all(len(figure.axes) == 1 for figure in drawn)
