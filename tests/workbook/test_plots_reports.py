"""The figures of notebook 11 show the numbers that they were given, with titles and axis names."""

import io
import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image as Picture

from mtbert.experiments import reports
from mtbert.workbook.plots import as_image, as_table, caption
from mtbert.workbook.plots import reports as draw

TABLE = pd.DataFrame(
    [
        ("Yin", "pooling", "a", "sst", 0.004, 0.03, 0.01, 0.05, "holds"),
        ("Li & Tang", "surgery", "b", "overall", -0.3, math.nan, math.nan, math.nan, "not measured"),
        ("Yin", "pooling", "c", "sts", 0.001, -0.7, -0.8, -0.6, "contradicted"),
        ("Yin", "surgery", "d", "sts", 0.001, 0.02, math.nan, math.nan, "undecided"),
    ],
    columns=["report", "topic", "claim", "metric", "printed", "difference", "low", "high", "verdict"],
)
REGIONS = [(0, math.inf), (-math.inf, 0), (-0.01, 0.01), (-math.inf, 0.01)]


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture
def forest():
    return draw.forest(TABLE, REGIONS, "All").axes[0]


def lines_at(axes, marker):
    return sorted(
        (float(line.get_xdata()[0]), float(line.get_ydata()[0]))
        for line in axes.lines
        if line.get_marker() == marker and len(line.get_xdata()) == 1
    )


def test_claims_stand_by_topic_in_the_order_of_the_first(forest):
    names = [tick.get_text() for tick in forest.get_yticklabels()]
    assert names == ["a · sst · Yin", "c · sts · Yin", "b · overall · Li & Tang", "d · sts · Yin"]
    assert [text.get_text() for text in forest.texts] == ["pooling", "surgery"]
    assert forest.get_title() == "All" and forest.get_xlabel() and forest.get_legend()
    heights = list(forest.get_yticks())
    assert [text.get_position()[1] for text in forest.texts] == [heights[0] - 1, heights[2] - 1]


def test_printed_differences_are_hollow_and_ours_have_interval_and_verdict(forest):
    hollow = [line for line in forest.lines if line.get_fillstyle() == "none"]
    assert [float(line.get_xdata()[0]) for line in hollow] == [0.004, 0.001, -0.3, 0.001]  # from top to bottom
    assert (0.03, 1.0) in lines_at(forest, "o") and lines_at(forest, "X") == [(-0.7, 2.0)]
    assert lines_at(forest, "s") == [(0.02, 5.0)]
    spans = [
        tuple(line.get_xdata()) for line in forest.lines if len(line.get_xdata()) == 2 and line.get_linewidth() > 1
    ]
    assert spans == [(0.01, 0.05), (-0.8, -0.6)]


def test_the_shade_is_where_the_claim_says_and_all_lies_inside(forest):
    low, high = forest.get_xlim()
    assert -low == high > 0.8
    shades = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in forest.patches]
    assert np.allclose(shades, [(0, high), (-0.01, 0.01), (low, 0), (low, 0.01)])


def test_a_forest_without_measurements_shows_what_is_printed():
    unmeasured = TABLE.assign(difference=math.nan, low=math.nan, high=math.nan, verdict="not measured")
    axes = draw.forest(unmeasured, REGIONS, "All").axes[0]
    assert sum(line.get_fillstyle() == "none" for line in axes.lines) == 4 and not lines_at(axes, "X")


def test_printed_overall_scores_lie_on_the_line_of_the_mean_that_was_used():
    table = reports.read()
    axes = draw.definitions(table, "Which").axes[0]
    plain, normalised = (line.get_ydata() for line in axes.lines[:2])
    rows = table[table.definition != ""]
    assert len(plain) == len(normalised) == len(rows)
    rounding = 0.5 * 10.0**-rows.decimals + 0.0006  # of the overall score and of the three
    for name, values in (("plain", plain), ("normalised", normalised)):
        assert (np.abs(values) < rounding)[rows.definition == name].all()
    assert sum(line.get_linewidth() == 6 for line in axes.lines) == (rows.definition == "neither").sum()
    assert axes.get_title() and axes.get_xlabel() and axes.get_ylabel()


def test_seeds_are_shown_as_distances_from_their_rows_mean():
    runs = pd.DataFrame(
        [
            ("x/c", 0, 0.1),
            ("x/c", 1, 0.1),
            ("x/a", 0, 0.3),
            ("x/a", 1, 0.5),
            ("x/b", 0, 0.9),
            ("y/a", 0, 0.1),
            ("y/a", 1, 0.2),
        ],
        columns=["recipe", "seed", "sts"],
    )
    axes = draw.seeds(runs, ["sts"], "Seeds").axes[0]
    points = next(line for line in axes.lines if line.get_marker() == "o")
    found = sorted(zip(points.get_ydata(), points.get_xdata(), strict=True))
    assert np.allclose(found, [(0, -0.1), (0, 0.1), (1, 0), (1, 0), (2, -0.05), (2, 0.05)])
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["x/a", "x/c", "y/a"]  # x/b has one seed
    bands = [band.get_paths()[0].get_extents() for band in axes.collections]
    assert np.allclose([(of.x1, of.y0, of.y1) for of in bands], [(0.2, -0.4, 1.4), (0.02**0.5, 1.6, 2.4)])
    assert axes.get_title() == "sts"


def test_bars_of_false_alarms_are_shares():
    figure = draw.alarms({"alone": [0, 1, 1, 3], "holm": [0, 0, 0, 1]}, "Alarms")
    left, right = figure.axes
    assert [bar.get_height() for bar in left.patches] == [0.25, 0.5, 0, 0.25]
    assert [bar.get_height() for bar in right.patches] == [0.75, 0.25, 0, 0]
    assert left.get_title() == "alone" and left.get_xlabel() and left.get_ylabel()


def test_a_figure_as_an_image_is_the_same_picture_in_less_room():
    unmeasured = TABLE.assign(difference=math.nan, low=math.nan, high=math.nan, verdict="not measured")
    figure = draw.forest(pd.concat([TABLE, *[unmeasured] * 14], ignore_index=True), REGIONS * 15, "All")
    usual = io.BytesIO()
    figure.savefig(usual, format="png", bbox_inches="tight")
    small = as_image(figure).data
    assert len(small) < len(usual.getvalue()) / 2 and not plt.get_fignums()
    wanted, got = (np.asarray(Picture.open(of).convert("RGB"), float) for of in (usual, io.BytesIO(small)))
    off = np.abs(got - wanted).max(axis=2)
    coloured = np.ptp(wanted, axis=2) > 100  # few marks among much text
    assert coloured.any() and off[coloured].max() < 25 and off.mean() < 2


def test_a_table_as_html_holds_every_cell():
    html = as_table(TABLE[["claim", "metric"]], index=False).data
    assert "\n" not in html and all(f"<td>{claim}</td>" in html for claim in TABLE.claim) and "<th>0</th>" not in html


@pytest.mark.parametrize("height", [2, 15])
def test_a_caption_stands_a_tenth_of_an_inch_below_any_figure(height):
    figure = plt.figure(figsize=(4, height))
    figure.add_subplot()
    caption(figure, "what to see")
    assert figure.texts[0].get_position()[1] * height == pytest.approx(-0.1)
