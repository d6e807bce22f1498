"""Checks of notebook 02: layer norm, GELU, the residual sub-layer, and the parameters of a layer."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from mtbert.workbook.checks.engine import check, expect, returned, same, shaped, untouched


@check
def layer_norm(answer, draw):
    """answer(x, gain, bias, eps) -> (..., width); x (..., width), gain and bias (width,), eps a number."""
    ones, zeros, eps = torch.ones(5), torch.zeros(5), 1e-12
    x = draw.normal(3, 5) * 4 + 7
    yield "keeps the shape"
    shaped(answer(x, ones, zeros, eps), 3, 5)
    yield "every row has mean 0: the mean is taken over the last dimension"
    same(shaped(answer(x, ones, zeros, eps), 3, 5).mean(-1), torch.zeros(3), 1e-3)
    yield "every row has mean square 1: divide by the root of the variance, which divides by n, not by n - 1"
    same(shaped(answer(x, ones, zeros, eps), 3, 5).pow(2).mean(-1), torch.ones(3), 1e-3)
    yield "eps is added to the variance, inside the root"
    same(answer(x, ones, zeros, 2.0), F.layer_norm(x, (5,), eps=2.0))
    gain, bias = draw.normal(5), draw.normal(5)
    yield "multiplies by the gain, then adds the bias"
    same(answer(x, gain, bias, eps), F.layer_norm(x, (5,), gain, bias, eps))
    yield "works for any number of dimensions in front"
    for shape in [(5,), (2, 3, 5), (draw.whole(2, 4), 1, 2, 5)]:
        x = draw.normal(*shape)
        same(answer(x, gain, bias, eps), F.layer_norm(x, (5,), gain, bias, eps))
    yield "does not change x: take x - mean, not x -= mean"
    untouched(lambda tensor: answer(tensor, gain, bias, eps), x)


@check
def gelu(answer, draw):
    """answer(x) -> GELU of every number; x of any shape."""
    yield "keeps the shape"
    shaped(answer(draw.normal(3, 4)), 3, 4)
    yield "0 stays 0, and large positive numbers stay as they are"
    same(answer(torch.tensor([0.0, 8.0, 10.0])), [0.0, 8.0, 10.0])
    yield "large negative numbers become 0"
    same(answer(torch.tensor([-8.0, -10.0])), [0.0, 0.0])
    yield "small negative numbers give something below 0: it is not ReLU"
    small = torch.tensor([-0.5, -0.1])
    expect((torch.as_tensor(answer(small)) < -0.01).all(), "-0.5 and -0.1 should give something below 0")
    yield "x is weighted with the share of the normal distribution below x: erf of x / sqrt(2)"
    same(answer(torch.tensor([-1.0, 1.0])), [-0.15866, 0.84134], 4e-4)
    yield "it is the exact form, not an approximation by tanh or a sigmoid"
    grid = torch.linspace(-4, 4, 81)
    same(answer(grid), F.gelu(grid), 2e-5)


@check
def sublayer(answer, draw):
    """answer(x, mixed, dense, drop, norm) -> (tokens, hidden); x (tokens, hidden), mixed (tokens, width).

    dense, drop and norm are functions: dense maps (tokens, width) to (tokens, hidden), the others keep the shape.
    """
    tokens, width, hidden = 4, 6, 3
    x, mixed = draw.normal(tokens, hidden), draw.normal(tokens, width)
    weight, bias = draw.normal(hidden, width), 1 + draw.uniform(hidden)

    def dense(v: Tensor) -> Tensor:
        return F.linear(v, weight, bias)

    def nothing(v: Tensor) -> Tensor:
        return torch.zeros(len(v), hidden)

    keep = torch.clone
    yield "gives (tokens, hidden)"
    shaped(answer(x, mixed, dense, keep, keep), tokens, hidden)
    yield "adds x: where the dense layer gives zeros, the result is x"
    same(answer(x, mixed, nothing, keep, keep), x)
    yield "adds dense(mixed)"
    same(answer(x, mixed, dense, keep, keep), x + dense(mixed))
    yield "the norm comes last, applied to the sum"
    same(answer(x, mixed, dense, keep, lambda v: 5 - v * v), 5 - (x + dense(mixed)) ** 2)
    yield "uses dropout after the dense layer and before the sum: where everything is dropped, x remains"
    same(answer(x, mixed, dense, torch.zeros_like, keep), x)
    yield "dropout is applied once, before the sum and before the norm"
    result = dense(mixed)
    expected = F.layer_norm(x + result * _mask(result), (hidden,))
    same(answer(x, mixed, dense, lambda v: v * _mask(v), lambda v: F.layer_norm(v, (hidden,))), expected)


def _mask(v: Tensor) -> Tensor:
    """Dropout without randomness: every third number is dropped, the others are scaled by 1.5."""
    return (torch.arange(v.numel()).view(v.shape) % 3 > 0) * 1.5


@check
def layer_parameters(answer, draw):
    """answer(hidden, intermediate) -> the number of parameters of a BERT layer."""
    h, m = draw.whole(2, 20), draw.whole(21, 60)
    yield "gives one whole number"
    got = returned(answer(h, m))
    expect(isinstance(got, int | float | Tensor) and math.isfinite(got) and got == int(got), f"it is {got!r}")
    yield "one more intermediate unit costs 2 x hidden + 1"
    step = answer(h, m + 1) - answer(h, m)
    expect(step == 2 * h + 1, f"with hidden = {h} it costs {step}, not {2 * h + 1}")
    yield "attention has four square matrices: query, key, value and output"
    squares = (answer(h + 1, 0) - 2 * answer(h, 0) + answer(h - 1, 0)) / 2
    expect(squares == 4, f"you count {squares:g} x hidden x hidden")
    yield "the rest is 9 x hidden: five biases of that size, and a gain and a bias in each of two layer norms"
    rest = (answer(h, 0) - 4 * h * h) / h
    expect(rest == 9, f"you count {rest:g} x hidden")
