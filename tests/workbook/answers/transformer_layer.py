"""Answers to the exercises of notebook 02: other right ones, and usual mistakes by the property that they break."""

import math

import torch
import torch.nn.functional as F


def layer_norm(x, gain, bias, eps, dim=-1, correction=0, inside=True):
    centered = x - x.mean(dim, keepdim=True)
    variance = x.var(dim, keepdim=True, correction=correction)
    below = (variance + eps).sqrt() if inside else variance.sqrt() + eps
    return centered / below * gain + bias


def only_rows(x, gain, bias, eps):
    return torch.stack([layer_norm(row, gain, bias, eps) for row in x]) if x.ndim == 2 else x


def count(h, m, squares=4, biases=5, norms=2, per_norm=2):
    return squares * h * h + 2 * h * m + m + biases * h + norms * per_norm * h


RIGHT = {
    "layer_norm": [lambda x, g, b, eps: F.layer_norm(x, g.shape, g, b, eps)],
    "gelu": [F.gelu, lambda x: x * torch.distributions.Normal(0, 1).cdf(x)],
}
WRONG = {
    "layer_norm": [
        ("over the last dimension", lambda x, g, b, eps: layer_norm(x, g, b, eps, dim=0)),
        ("mean 0", lambda x, g, b, eps: x * g + b),
        ("mean square 1", lambda x, g, b, eps: (x - x.mean(-1, keepdim=True)) * g + b),
        ("not by n - 1", lambda x, g, b, eps: layer_norm(x, g, b, eps, correction=1)),
        ("eps is added", lambda x, g, b, eps: layer_norm(x, g, b, 0.0)),
        ("inside the root", lambda x, g, b, eps: layer_norm(x, g, b, eps, inside=False)),
        ("multiplies by the gain", lambda x, g, b, eps: layer_norm(x, 1, b, eps)),
        ("then adds the bias", lambda x, g, b, eps: layer_norm(x, g, 0, eps)),
        ("any number of dimensions", only_rows),
    ],
    "gelu": [
        ("stay as they are", lambda x: x * torch.sigmoid(x)),
        ("large negative numbers become 0", lambda x: x * torch.erf(x / math.sqrt(2))),
        ("not ReLU", torch.relu),
        ("erf of x / sqrt(2)", lambda x: x * (1 + torch.erf(x)) / 2),
        ("not an approximation", lambda x: F.gelu(x, approximate="tanh")),
    ],
    "sublayer": [
        ("adds x", lambda x, m, dense, drop, norm: norm(drop(dense(m)))),
        ("adds dense(mixed)", lambda x, m, dense, drop, norm: norm(x)),
        ("the norm comes last", lambda x, m, dense, drop, norm: x + drop(dense(m))),
        ("uses dropout", lambda x, m, dense, drop, norm: norm(x + dense(m))),
        ("before the sum", lambda x, m, dense, drop, norm: norm(drop(x + dense(m)))),
        ("before the sum", lambda x, m, dense, drop, norm: drop(norm(x + dense(m)))),
        ("after the dense layer", lambda x, m, dense, drop, norm: norm(x + dense(drop(m)))),
        ("applied once", lambda x, m, dense, drop, norm: norm(x + drop(dense(drop(m))))),
    ],
    "layer_parameters": [
        ("one more intermediate unit", lambda h, m: 7_087_872),
        ("four square matrices", lambda h, m: count(h, m, squares=3)),
        ("five biases", lambda h, m: count(h, m, biases=1)),
        ("two layer norms", lambda h, m: count(h, m, norms=1)),
    ],
}
