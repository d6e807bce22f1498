"""Heads: from the vector of a sentence, the vectors u and v of a pair, or all of a sequence's tokens, to what a task
asks for.

A head's name says which features it sees and what it computes from them. Heads over a pair need "bi" encoding; heads
over one vector or over tokens serve single sentences and "cross"-encoded pairs.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from mtbert.data.batch import PackedBatch
from mtbert.data.tasks import Task
from mtbert.nn.dropout import dropout
from mtbert.nn.pooling import pool
from mtbert.utils.errors import UserError


class TokenVectors(NamedTuple):
    """What a head over tokens is given: hidden (tokens, width), and the batch that says where each sequence begins."""

    hidden: Tensor
    batch: PackedBatch


class Linear(nn.Module):
    """dropout, then W x + b."""

    def __init__(self, width: int, num_outputs: int, p: float):
        super().__init__()
        self.dense = nn.Linear(width, num_outputs)
        self.p = p

    def forward(self, features: Tensor) -> Tensor:
        return self.dense(dropout(features, self.p, self.training))  # (rows, outputs)


class TwoLayer(nn.Module):
    """dropout, W_1, GELU, dropout, W_2; the hidden layer is as wide as the encoder's vectors."""

    def __init__(self, width: int, num_outputs: int, p: float, hidden: int):
        super().__init__()
        self.first = nn.Linear(width, hidden)
        self.second = nn.Linear(hidden, num_outputs)
        self.p = p

    def forward(self, features: Tensor) -> Tensor:
        wide = nn.functional.gelu(self.first(dropout(features, self.p, self.training)))  # (rows, hidden)
        return self.second(dropout(wide, self.p, self.training))  # (rows, outputs)


class TwoLayerRelu(nn.Module):
    """W_1, dropout, ReLU, W_2: Cambronero & Meza's head for cross-encoded pairs."""

    def __init__(self, width: int, num_outputs: int, p: float, hidden: int):
        super().__init__()
        self.first = nn.Linear(width, hidden)
        self.second = nn.Linear(hidden, num_outputs)
        self.p = p

    def forward(self, features: Tensor) -> Tensor:
        return self.second(dropout(self.first(features), self.p, self.training).relu())  # (rows, outputs)


class SigmoidScaled(nn.Module):
    """top * sigmoid(head): a score that cannot leave its scale."""

    def __init__(self, task: Task, head: nn.Module):
        super().__init__()
        self.max_label, self.head = task.max_label, head

    def forward(self, vectors: Tensor) -> Tensor:
        return self.max_label * self.head(vectors).sigmoid()


class Convolution(nn.Module):
    """A convolution of kernel 3 over a sequence's tokens, then the maximum over them (Kim 2014).

    Cambronero & Meza put no other layer on top; how they come from tokens to a sentence they do not say.
    """

    def __init__(self, width: int, num_outputs: int, p: float):
        super().__init__()
        self.dense = nn.Linear(3 * width, num_outputs)
        self.p = p

    def forward(self, token_vectors: TokenVectors) -> Tensor:
        hidden = dropout(token_vectors.hidden, self.p, self.training)
        return pool(
            self.dense(windows(hidden, token_vectors.batch)), token_vectors.batch, "max"
        )  # (sequences, outputs)


def windows(hidden: Tensor, batch: PackedBatch) -> Tensor:
    """(tokens, width) -> (tokens, 3 * width): the token before, the token itself, the token after.

    The first and last token of a sequence have zeros for the neighbour that they lack.
    """
    lengths = batch.seqlens[batch.seq_ids]
    before = hidden.roll(1, 0) * (batch.positions > 0)[:, None]
    after = hidden.roll(-1, 0) * (batch.positions + 1 < lengths)[:, None]
    return torch.cat([before, hidden, after], dim=1)


class Dot(nn.Module):
    """a * (u . v) / sqrt(width) + b with learned a and b, which begin at 1 and 0."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.shift = nn.Parameter(torch.zeros(1))

    def forward(self, pair: Tensor) -> Tensor:
        product = pair.prod(1).sum(1, keepdim=True) / math.sqrt(pair.shape[2])  # (rows, 1)
        return self.scale * product + self.shift


class Cosine(nn.Module):
    """The cosine of u and v, mapped to the task's label.

    A score task: top * relu(cos), or top * (cos + 1) / 2 when ``shifted``. A binary task: the logit a * cos + b with
    learned a and b, which begin so that a cosine of one half means undecided.
    """

    def __init__(self, task: Task, shifted: bool = False):
        super().__init__()
        self.max_label, self.shifted = task.max_label, shifted
        self.scale = nn.Parameter(torch.tensor([10.0])) if task.kind == "binary" else None
        self.shift = nn.Parameter(torch.tensor([-5.0])) if task.kind == "binary" else None

    def forward(self, pair: Tensor) -> Tensor:
        cosine = torch.cosine_similarity(pair[:, 0], pair[:, 1], dim=1, eps=1e-8)[:, None]  # (rows, 1)
        if self.scale is not None:
            return self.scale * cosine + self.shift
        return self.max_label * ((cosine + 1) / 2 if self.shifted else cosine.relu())


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


class HeadSpec(NamedTuple):
    """What a head sees and serves.

    sees: one "vector" (n, width), the "pair" u and v (n, 2, width), or "tokens" (TokenVectors). about: one line for
    lists. build: (task, width, p) -> module. kinds: of tasks that it serves.
    """

    input_kind: Literal["vector", "pair", "tokens"]
    about: str
    build: Callable[[Task, int, float], nn.Module]
    kinds: tuple[str, ...] = ("multiclass", "binary", "regression")

    @property
    def pair(self) -> bool:
        return self.input_kind == "pair"


def _linear_on(features: Callable[[Tensor], Tensor], parts: int):
    return lambda task, width, p: Features(features, Linear(parts * width, task.num_outputs, p))


def _two_layer_on(features: Callable[[Tensor], Tensor], parts: int):
    return lambda task, width, p: Features(features, TwoLayer(parts * width, task.num_outputs, p, width))


def _bounded(build: Callable[[Task, int, float], nn.Module]):
    return lambda task, width, p: SigmoidScaled(task, build(task, width, p))


def _two_layer_relu(task: Task, width: int, p: float) -> nn.Module:
    head = TwoLayerRelu(width, task.num_outputs, p, width)
    return SigmoidScaled(task, head) if task.kind == "regression" else head


_PAIR_KINDS = ("binary", "regression")

HEADS: dict[str, HeadSpec] = {
    "linear": HeadSpec("vector", "W x + b", _linear_on(vector, 1)),
    "linear_sigmoid": HeadSpec("vector", "5 sigmoid(W x + b)", _bounded(_linear_on(vector, 1)), ("regression",)),
    "two_layer": HeadSpec("vector", "two layers with GELU", _two_layer_on(vector, 1)),
    "two_layer_relu": HeadSpec("vector", "two layers with ReLU; a score through 5 sigmoid", _two_layer_relu),
    "convolution": HeadSpec(
        "tokens", "convolution of kernel 3, maximum", lambda task, width, p: Convolution(width, task.num_outputs, p)
    ),
    "concat": HeadSpec("pair", "linear on (u, v)", _linear_on(concatenation, 2)),
    "concat_sigmoid": HeadSpec(
        "pair", "5 sigmoid of a linear layer on (u, v)", _bounded(_linear_on(concatenation, 2)), ("regression",)
    ),
    "concat_two_layer": HeadSpec("pair", "two layers on (u, v)", _two_layer_on(concatenation, 2)),
    "concat_diff": HeadSpec("pair", "linear on (u, v, |u - v|)", _linear_on(concatenation_difference, 3)),
    "concat_diff_two_layer": HeadSpec(
        "pair", "two layers on (u, v, |u - v|)", _two_layer_on(concatenation_difference, 3)
    ),
    "dot": HeadSpec("pair", "a u.v + b", lambda task, width, p: Dot(), _PAIR_KINDS),
    "cosine": HeadSpec(
        "pair", "relu(cos(u, v)), scaled to the label", lambda task, width, p: Cosine(task), _PAIR_KINDS
    ),
    "cosine_shifted": HeadSpec(
        "pair", "(cos(u, v) + 1) / 2, scaled", lambda task, width, p: Cosine(task, True), _PAIR_KINDS
    ),
}


def build_head(name: str, task: Task, width: int, p: float = 0.0) -> nn.Module:
    """The head of that name for a task, on vectors of ``width`` numbers, with dropout ``p`` on its inputs.

    Its weights are drawn as BERT's are: N(0, 0.02^2), biases 0; a regression head's bias begins where it predicts the
    middle of the scale, so that training need not first learn the mean. Raises UserError for an unknown name, or a head
    that does not serve this kind of task.
    """
    if name not in HEADS:
        raise UserError(f"unknown head {name!r}: choose from {', '.join(HEADS)}")
    if task.kind not in HEADS[name].kinds:
        raise UserError(f"head {name!r} gives {' or '.join(HEADS[name].kinds)}, but {task.name} has {task.kind}")
    head = HEADS[name].build(task, width, p)
    at_middle = 0.0 if isinstance(head, SigmoidScaled) else task.max_label / 2  # sigmoid(0) is the middle already
    for module in head.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.02)
            last = task.kind == "regression" and module.out_features == 1
            nn.init.constant_(module.bias, at_middle if last else 0.0)
    return head
