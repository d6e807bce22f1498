"""Heads: from the vector of a sentence, or the vectors u and v of a pair, to what a task asks for.

A head's name says which features it sees and what it computes from them. Heads over a pair need "bi" encoding; heads
over one vector serve single sentences and "cross"-encoded pairs.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mtbert.data.tasks import Task
from mtbert.errors import UserError
from mtbert.nn.dropout import dropout


class Linear(nn.Module):
    """dropout, then W x + b."""

    def __init__(self, width: int, outputs: int, p: float):
        super().__init__()
        self.dense = nn.Linear(width, outputs)
        self.p = p

    def forward(self, features: Tensor) -> Tensor:
        return self.dense(dropout(features, self.p, self.training))  # (rows, outputs)


class TwoLayer(nn.Module):
    """dropout, W_1, GELU, dropout, W_2; the hidden layer is as wide as the encoder's vectors."""

    def __init__(self, width: int, outputs: int, p: float, hidden: int):
        super().__init__()
        self.first = nn.Linear(width, hidden)
        self.second = nn.Linear(hidden, outputs)
        self.p = p

    def forward(self, features: Tensor) -> Tensor:
        wide = nn.functional.gelu(self.first(dropout(features, self.p, self.training)))  # (rows, hidden)
        return self.second(dropout(wide, self.p, self.training))  # (rows, outputs)


class Cosine(nn.Module):
    """The cosine of u and v, mapped to the task's label.

    A score task: top * relu(cos), or top * (cos + 1) / 2 when ``shifted``. A binary task: the logit a * cos + b with
    learned a and b, which begin so that a cosine of one half means undecided.
    """

    def __init__(self, task: Task, shifted: bool = False):
        super().__init__()
        self.top, self.shifted = task.top, shifted
        self.scale = nn.Parameter(torch.tensor([10.0])) if task.kind == "binary" else None
        self.shift = nn.Parameter(torch.tensor([-5.0])) if task.kind == "binary" else None

    def forward(self, pair: Tensor) -> Tensor:
        cosine = torch.cosine_similarity(pair[:, 0], pair[:, 1], dim=1, eps=1e-8)[:, None]  # (rows, 1)
        if self.scale is not None:
            return self.scale * cosine + self.shift
        return self.top * ((cosine + 1) / 2 if self.shifted else cosine.relu())


def vector(single: Tensor) -> Tensor:
    """(rows, width), as it is: for a head on one vector."""
    return single


def concatenation(pair: Tensor) -> Tensor:
    """(rows, 2, width) -> (rows, 2 * width): u, v."""
    return pair.flatten(1)


def concatenation_difference(pair: Tensor) -> Tensor:
    """(rows, 2, width) -> (rows, 3 * width): u, v, |u - v| (Reimers & Gurevych 2019)."""
    u, v = pair.unbind(1)
    return torch.cat([u, v, (u - v).abs()], dim=1)


class Features(nn.Module):
    """A head on features of one vector or of a pair."""

    def __init__(self, features: Callable[[Tensor], Tensor], head: nn.Module):
        super().__init__()
        self.features, self.head = features, head

    def forward(self, vectors: Tensor) -> Tensor:
        return self.head(self.features(vectors))


class HeadKind(NamedTuple):
    """pair: whether the head sees u and v (n, 2, width) rather than one vector (n, width). about: one line for lists.
    build: (task, width, p) -> module."""

    pair: bool
    about: str
    build: Callable[[Task, int, float], nn.Module]


def _linear_on(features: Callable[[Tensor], Tensor], parts: int):
    return lambda task, width, p: Features(features, Linear(parts * width, task.outputs, p))


def _two_layer_on(features: Callable[[Tensor], Tensor], parts: int):
    return lambda task, width, p: Features(features, TwoLayer(parts * width, task.outputs, p, width))


HEADS: dict[str, HeadKind] = {
    "linear": HeadKind(False, "W x + b", _linear_on(vector, 1)),
    "two_layer": HeadKind(False, "two layers with GELU", _two_layer_on(vector, 1)),
    "concat": HeadKind(True, "linear on (u, v)", _linear_on(concatenation, 2)),
    "concat_two_layer": HeadKind(True, "two layers on (u, v)", _two_layer_on(concatenation, 2)),
    "concat_diff": HeadKind(True, "linear on (u, v, |u - v|)", _linear_on(concatenation_difference, 3)),
    "concat_diff_two_layer": HeadKind(
        True, "two layers on (u, v, |u - v|)", _two_layer_on(concatenation_difference, 3)
    ),
    "cosine": HeadKind(True, "relu(cos(u, v)), scaled to the label", lambda task, width, p: Cosine(task)),
    "cosine_shifted": HeadKind(True, "(cos(u, v) + 1) / 2, scaled", lambda task, width, p: Cosine(task, True)),
}  # fmt: skip


def build_head(name: str, task: Task, width: int, p: float = 0.0) -> nn.Module:
    """The head of that name for a task, on vectors of ``width`` numbers, with dropout ``p`` on its inputs.

    Its weights are drawn as BERT's are: N(0, 0.02^2), biases 0; a regression head's bias begins at the middle of the
    scale, so that training need not first learn the mean. Raises UserError for an unknown name.
    """
    if name not in HEADS:
        raise UserError(f"unknown head {name!r}: choose from {', '.join(HEADS)}")
    head = HEADS[name].build(task, width, p)
    for module in head.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.02)
            middle = task.top / 2 if task.kind == "score" and module.out_features == 1 else 0.0
            nn.init.constant_(module.bias, middle)
    return head
