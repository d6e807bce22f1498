"""The figures of notebook 02 show the data they are given, with titles and axis names."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402

from mtbert.workbook.plots import transformer_layer as draw  # noqa: E402


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def named(figure, panels):
    for axes in figure.axes[:panels]:
        assert axes.get_title() and axes.get_xlabel()
    assert figure.axes[0].get_ylabel() and figure.get_size_inches()[0] <= 10
    return figure.axes


def heights(axes, name):
    (line,) = [line for line in axes.lines if line.get_label() == name]
    return line.get_ydata()


def test_scales_draws_both_stacks_on_one_log_scale():
    left, right = named(draw.scales({"0.1": [1, 0.5, 0.25]}, {"0.1": [1, 1, 1]}), 2)
    assert left.get_yscale() == right.get_yscale() == "log"
    assert list(heights(left, "0.1")) == [1, 0.5, 0.25] and list(heights(right, "0.1")) == [1, 1, 1]


def test_residuals_draws_gradients_left_and_likeness_right():
    left, right = named(draw.residuals({"a": [1e-3, 1], "b": [1, 1]}, {"a": [0, 0.9], "b": [0, 0.1]}), 2)
    assert list(heights(left, "a")) == [1e-3, 1] and list(heights(right, "b")) == [0, 0.1]


def test_gelu_draws_the_three_functions_and_the_difference():
    left, right = named(draw.gelu(limit=4.0), 2)
    exact = heights(left, "GELU, exact")
    np.testing.assert_allclose(exact, torch.nn.functional.gelu(torch.linspace(-4, 4, 801)))
    assert 4 < np.abs(right.lines[-1].get_ydata()).max() < 5


def test_block_names_every_part_with_its_sizes():
    figure = draw.block(8, 32)
    words = " ".join(text.get_text() for text in figure.axes[0].texts)
    for part in ("attention", "GELU", "dropout", "layer norm", "+", "8 → 3 × 8", "8 → 32", "32 → 8"):
        assert part in words
    assert words.count("layer norm") == words.count("dropout") == 2 and figure.axes[0].get_title()


def test_parameters_stacks_every_part():
    counts = {"one": {"words": 2_000_000, "layers": 5_000_000}, "two": {"words": 1_000_000, "layers": 1_000_000}}
    (axes,) = named(draw.parameters(counts), 1)
    widths = [[bar.get_width() for bar in bars] for bars in axes.containers]
    assert widths == [[2, 1], [5, 1]]
    assert [bar.get_x() for bar in axes.containers[1]] == [2, 1]


def test_probes_draws_one_standard_error():
    scores = {"[CLS]": {"trained": [0.25, 0.5]}, "mean": {"trained": [0.5, 0.5]}}
    left, right = named(draw.probes(scores, rows=100, majority=0.3), 2)
    line, _, (bars,) = left.containers[0]
    assert list(line.get_ydata()) == [0.25, 0.5]
    low, high = bars.get_segments()[1][:, 1]
    assert (low, high) == (pytest.approx(0.45), pytest.approx(0.55))
    assert list(heights(right, "commonest label")) == [0.3, 0.3]


def test_senses_draws_pairs_and_means():
    cosines, same = torch.tensor([[1.0, 1.0, 1.0], [0.9, 0.5, 0.3]]), torch.tensor([True, False, False])
    (axes,) = named(draw.senses(cosines, same, torch.ones(2, 3)), 1)
    np.testing.assert_allclose(heights(axes, "same sense, mean"), [1, 0.9])
    np.testing.assert_allclose(heights(axes, "other sense, mean"), [1, 0.4])
    with pytest.raises(ValueError, match="shapes do not fit"):
        draw.senses(cosines, same[:2], torch.ones(2, 3))


def test_token_cosines_draws_the_matrix():
    matrix = torch.tensor([[1.0, 0.2], [0.2, 1.0]])
    axes = named(draw.token_cosines(matrix, ["[CLS]", "film"], "After layer 0"), 1)[0]
    np.testing.assert_allclose(np.asarray(axes.collections[0].get_array()).reshape(2, 2), matrix)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["[CLS]", "film"]
    with pytest.raises(ValueError, match="3 pieces"):
        draw.token_cosines(matrix, ["a", "b", "c"], "")
