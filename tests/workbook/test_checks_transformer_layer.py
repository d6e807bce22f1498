"""The checks of notebook 02: right answers pass, each classic mistake fails at the property that names it."""

import math

import pytest
import torch
import torch.nn.functional as F

from mtbert.workbook.checks import transformer_layer as checks


def fails_at(result, text):
    return not result.passed and result.lines[-1].startswith("[FAIL]") and text in result.lines[-1]


# -- layer norm ---------------------------------------------------------------------------------------------------


def layer_norm(x, gain, bias, eps, dim=-1, correction=0, inside=True):
    centred = x - x.mean(dim, keepdim=True)
    variance = x.var(dim, keepdim=True, correction=correction)
    below = (variance + eps).sqrt() if inside else variance.sqrt() + eps
    return centred / below * gain + bias


def spoiling(x, gain, bias, eps):
    right = layer_norm(x, gain, bias, eps)
    x -= x.mean(-1, keepdim=True)
    return right


def only_rows(x, gain, bias, eps):
    return torch.stack([layer_norm(row, gain, bias, eps) for row in x]) if x.ndim == 2 else x


@pytest.mark.parametrize("answer", [layer_norm, lambda x, g, b, eps: F.layer_norm(x, g.shape, g, b, eps)])
def test_layer_norm_passes(answer):
    assert all(checks.layer_norm(answer).passed for _ in range(5))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda x, g, b, eps: layer_norm(x, g, b, eps).flatten(), "keeps the shape"),
        (lambda x, g, b, eps: layer_norm(x, g, b, eps, dim=0), "over the last dimension"),
        (lambda x, g, b, eps: x * g + b, "mean 0"),
        (lambda x, g, b, eps: (x - x.mean(-1, keepdim=True)) * g + b, "mean square 1"),
        (lambda x, g, b, eps: layer_norm(x, g, b, eps, correction=1), "not over n - 1"),
        (lambda x, g, b, eps: layer_norm(x, g, b, 0.0), "eps is added"),
        (lambda x, g, b, eps: layer_norm(x, g, b, eps, inside=False), "inside the root"),
        (lambda x, g, b, eps: layer_norm(x, g, b, 1e-12), "inside the root"),
        (lambda x, g, b, eps: layer_norm(x, 1, b, eps), "multiplies by the gain"),
        (lambda x, g, b, eps: layer_norm(x, g, 0, eps), "then adds the bias"),
        (lambda x, g, b, eps: (layer_norm(x, 1, 0, eps) + b) * g, "then adds the bias"),
        (only_rows, "any number of dimensions"),
        (spoiling, "left as they were"),
    ],
)
def test_layer_norm_names_the_mistake(answer, said):
    assert fails_at(checks.layer_norm(answer), said), checks.layer_norm(answer)


# -- GELU ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [F.gelu, lambda x: x * torch.distributions.Normal(0, 1).cdf(x)])
def test_gelu_passes(answer):
    assert all(checks.gelu(answer).passed for _ in range(5))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda x: F.gelu(x).sum(), "keeps the shape"),
        (lambda x: x * (1 + torch.erf(x / math.sqrt(2))), "stay as they are"),
        (lambda x: (1 + torch.erf(x / math.sqrt(2))) / 2, "stay as they are"),
        (lambda x: x * torch.erf(x / math.sqrt(2)), "large negative numbers become 0"),
        (torch.relu, "not ReLU"),
        (lambda x: x * (1 + torch.erf(x)) / 2, "erf of x / sqrt(2)"),
        (lambda x: x * torch.sigmoid(x), "stay as they are"),
        (lambda x: x * torch.sigmoid(1.702 * x), "erf of x / sqrt(2)"),
        (lambda x: F.gelu(x, approximate="tanh"), "not an approximation"),
        (lambda x: F.gelu(x) if x.ndim < 3 else x, "other shapes"),
    ],
)
def test_gelu_names_the_mistake(answer, said):
    assert fails_at(checks.gelu(answer), said), checks.gelu(answer)


# -- the residual sub-layer ---------------------------------------------------------------------------------------


def test_sublayer_passes():
    assert all(checks.sublayer(lambda x, m, dense, drop, norm: norm(x + drop(dense(m)))).passed for _ in range(5))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda x, m, dense, drop, norm: m, "gives (tokens, hidden)"),
        (lambda x, m, dense, drop, norm: norm(drop(dense(m))), "adds x"),
        (lambda x, m, dense, drop, norm: norm(x + drop(x)), "adds x"),
        (lambda x, m, dense, drop, norm: norm(x), "adds dense(mixed)"),
        (lambda x, m, dense, drop, norm: x + drop(dense(m)), "the norm comes last"),
        (lambda x, m, dense, drop, norm: x + drop(norm(dense(m))), "the norm comes last"),
        (lambda x, m, dense, drop, norm: norm(x) + drop(dense(m)), "the norm comes last"),
        (lambda x, m, dense, drop, norm: norm(x + dense(m)), "uses dropout"),
        (lambda x, m, dense, drop, norm: norm(drop(x + dense(m))), "x is never dropped"),
        (lambda x, m, dense, drop, norm: norm(drop(x) + drop(dense(m))), "x is never dropped"),
        (lambda x, m, dense, drop, norm: drop(norm(x + dense(m))), "x is never dropped"),
        (lambda x, m, dense, drop, norm: norm(x + dense(drop(m))), "after the dense layer"),
        (lambda x, m, dense, drop, norm: norm(x + drop(dense(drop(m)))), "applied once"),
        (lambda x, m, dense, drop, norm: norm(x + drop(drop(dense(m)))), "applied once"),
    ],
)
def test_sublayer_names_the_mistake(answer, said):
    assert fails_at(checks.sublayer(answer), said), checks.sublayer(answer)


# -- the parameters of a layer ------------------------------------------------------------------------------------


def count(h, m, squares=4, biases=5, norms=2, per_norm=2):
    return squares * h * h + 2 * h * m + m + biases * h + norms * per_norm * h


def test_layer_parameters_passes_and_gives_the_published_number():
    assert all(checks.layer_parameters(count).passed for _ in range(5))
    assert count(768, 3072) == 7_087_872


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda h, m: None, "one whole number: your function returned nothing"),
        (lambda h, m: "many", "one whole number"),
        (lambda h, m: 7_087_872, "one more intermediate unit"),
        (lambda h, m: count(h, m) - m, "one more intermediate unit"),
        (lambda h, m: count(h, m) - h * m, "one more intermediate unit"),
        (lambda h, m: count(h, m, squares=3), "four square matrices"),
        (lambda h, m: count(h, m) + 36 * h * h, "four square matrices"),
        (lambda h, m: count(h, m, biases=1), "five biases"),
        (lambda h, m: count(h, m, norms=1), "two layer norms"),
        (lambda h, m: count(h, m, per_norm=1), "two layer norms"),
        (lambda h, m: count(h, m) + (h > 100), "agrees with the package's layer"),
    ],
)
def test_layer_parameters_names_the_mistake(answer, said):
    for _ in range(5):
        assert fails_at(checks.layer_parameters(answer), said), checks.layer_parameters(answer)
