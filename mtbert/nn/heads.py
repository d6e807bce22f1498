"""Heads: from a sentence's vector, the vectors of a pair, or all token vectors, to a task's logits.

To add a head: write a module that maps its input to (rows, outputs), and add one entry to ``HEADS``: recipes then
accept its name. Heads on a pair need "bi" encoding, or "both"; heads on one vector or on tokens serve single sentences
and "cross"-encoded pairs.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from mtbert.data.batch import PackedBatch
from mtbert.data.tasks import Task
from mtbert.data.tokens import Encoding
from mtbert.nn.dropout import dropout
from mtbert.nn.pooling import pool
from mtbert.utils.errors import UserError, shorten


class TokenVectors(NamedTuple):
    """The input of a head on tokens: hidden (tokens, width), and the batch that tells where each sequence begins."""

    hidden: Tensor
    batch: PackedBatch


class Linear(nn.Module):
    """Dropout, then W x + b."""

    def __init__(self, width: int, num_outputs: int, p: float):
        super().__init__()
        self.dense = nn.Linear(width, num_outputs)
        self.p = p

    def forward(self, features: Tensor) -> Tensor:
        return self.dense(dropout(features, self.p, self.training))  # (rows, outputs)


class TwoLayer(nn.Module):
    """Dropout, W_1, GELU, dropout, W_2."""

    def __init__(self, width: int, num_outputs: int, p: float, hidden: int):
        super().__init__()
        self.first = nn.Linear(width, hidden)
        self.second = nn.Linear(hidden, num_outputs)
        self.p = p

    def forward(self, features: Tensor) -> Tensor:
        wide = nn.functional.gelu(self.first(dropout(features, self.p, self.training)))  # (rows, hidden)
        return self.second(dropout(wide, self.p, self.training))  # (rows, outputs)


class TwoLayerRelu(TwoLayer):
    """W_1, dropout, ReLU, W_2: Cambronero & Meza's head for cross-encoded pairs."""

    def forward(self, features: Tensor) -> Tensor:
        return self.second(dropout(self.first(features), self.p, self.training).relu())  # (rows, outputs)


class SigmoidScaled(nn.Module):
    """max_label * sigmoid(head): a score that cannot leave its scale."""

    def __init__(self, task: Task, head: nn.Module):
        super().__init__()
        self.max_label, self.head = task.max_label, head

    def forward(self, vectors: Tensor) -> Tensor:
        return self.max_label * self.head(vectors).sigmoid()  # (rows, 1)


class Convolution(nn.Module):
    """A convolution of kernel size 3 over a sequence's tokens, then the maximum over them (Kim 2014).

    Cambronero & Meza put no other layer on top; they do not say how they get from tokens to a sentence.
    """

    def __init__(self, width: int, num_outputs: int, p: float):
        super().__init__()
        self.dense = nn.Linear(3 * width, num_outputs)
        self.p = p

    def forward(self, tokens: TokenVectors) -> Tensor:
        hidden = dropout(tokens.hidden, self.p, self.training)  # (tokens, width)
        convolved = self.dense(windows(hidden, tokens.batch))  # (tokens, outputs)
        return pool(convolved, tokens.batch, "max")  # (sequences, outputs)


def windows(hidden: Tensor, batch: PackedBatch) -> Tensor:
    """The previous token, the token itself and the next token: (tokens, width) -> (tokens, 3 * width).

    The neighbor that the first and the last token of a sequence lack is zero.
    """
    lengths = batch.seqlens[batch.seq_ids]  # (tokens,)
    before = hidden.roll(1, 0) * (batch.positions > 0)[:, None]
    after = hidden.roll(-1, 0) * (batch.positions + 1 < lengths)[:, None]
    return torch.cat([before, hidden, after], dim=1)


class Dot(nn.Module):
    """a * (u . v) / sqrt(width) + b with learned a and b, initially 1 and 0."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.shift = nn.Parameter(torch.zeros(1))

    def forward(self, pair: Tensor) -> Tensor:
        product = pair.prod(1).sum(1, keepdim=True) / math.sqrt(pair.shape[2])  # (rows, 1)
        return self.scale * product + self.shift


class Cosine(nn.Module):
    """The cosine of u and v, mapped to the task's label.

    A regression task: max_label * relu(cos), or max_label * (cos + 1) / 2 if ``shifted``. A binary task: the logit
    a * cos + b with learned a and b, initially such that a cosine of one half is undecided.
    """

    def __init__(self, task: Task, shifted: bool = False):
        super().__init__()
        self.max_label, self.shifted = task.max_label, shifted
        self.scale = nn.Parameter(torch.tensor([10.0])) if task.kind == "binary" else None
        self.shift = nn.Parameter(torch.tensor([-5.0])) if task.kind == "binary" else None

    def forward(self, pair: Tensor) -> Tensor:
        cosine = torch.cosine_similarity(pair[:, 0], pair[:, 1], dim=1, eps=1e-8)[:, None]  # (rows, 1)
        if self.scale is not None and self.shift is not None:
            return self.scale * cosine + self.shift
        return self.max_label * ((cosine + 1) / 2 if self.shifted else cosine.relu())


class CosineTwoLayer(nn.Module):
    """max_label * cos(f(u), f(v)), f a two-layer network as wide as the encoder: Ahmed & Karamardian's head.

    Nothing keeps the score from being negative. They do not give the network's width or activation.
    """

    def __init__(self, task: Task, width: int, p: float):
        super().__init__()
        self.max_label, self.network = task.max_label, TwoLayer(width, width, p, width)

    def forward(self, pair: Tensor) -> Tensor:
        u, v = self.network(pair).unbind(1)
        return self.max_label * torch.cosine_similarity(u, v, dim=1, eps=1e-8)[:, None]  # (rows, 1)


class CosineAndCross(nn.Module):
    """The output of ``Cosine`` for u and v plus w . c + b, where c is the vector of the pair read as one sequence.

    The cosine compares two sentences that were read apart, which suits similarity; c comes from an encoder whose
    attention sees both at once, and corrects it (bi- and cross-encoder: Humeau et al. 2020, sec. 4).
    """

    def __init__(self, task: Task, width: int, p: float):
        super().__init__()
        self.cosine, self.correction = Cosine(task), Linear(width, 1, p)

    def forward(self, vectors: Tensor) -> Tensor:
        return self.cosine(vectors[:, :2]) + self.correction(vectors[:, 2])  # (rows, 1)


def concatenation(pair: Tensor) -> Tensor:
    """u, v: (rows, 2, width) -> (rows, 2 * width)."""
    return pair.flatten(1)


def concatenation_difference(pair: Tensor) -> Tensor:
    """u, v, |u - v| (Reimers & Gurevych 2019): (rows, 2, width) -> (rows, 3 * width)."""
    u, v = pair.unbind(1)
    return torch.cat([u, v, (u - v).abs()], dim=1)


class Features(nn.Module):
    """A head on features of one vector or of a pair."""

    def __init__(self, features: Callable[[Tensor], Tensor], head: nn.Module):
        super().__init__()
        self.features, self.head = features, head

    def forward(self, vectors: Tensor) -> Tensor:
        return self.head(self.features(vectors))  # (rows, outputs)


Build = Callable[[Task, int, float], nn.Module]  # (task, width, dropout p) -> head


class HeadSpec(NamedTuple):
    """An entry of ``HEADS``; ``kinds`` are the kinds of tasks that the head serves.

    Its ``input_kind`` is one "vector" (rows, width), a "pair" u and v (rows, 2, width), "both", u, v and the vector of
    the pair as one sequence (rows, 3, width), or "tokens", ``TokenVectors``.
    """

    input_kind: Literal["vector", "pair", "both", "tokens"]
    build: Build
    kinds: tuple[str, ...] = ("multiclass", "binary", "regression")

    @property
    def encoding(self) -> Encoding:
        """What the encoding of a pair must be."""
        return ENCODINGS.get(self.input_kind, "cross")


def _linear(features: Callable[[Tensor], Tensor], parts: int) -> Build:
    return lambda task, width, p: Features(features, Linear(parts * width, task.num_outputs, p))


def _two_layer(features: Callable[[Tensor], Tensor], parts: int) -> Build:
    return lambda task, width, p: Features(features, TwoLayer(parts * width, task.num_outputs, p, width))


def _sigmoid(build: Build) -> Build:
    return lambda task, width, p: SigmoidScaled(task, build(task, width, p))


def _two_layer_relu(task: Task, width: int, p: float) -> nn.Module:
    head = TwoLayerRelu(width, task.num_outputs, p, width)
    return SigmoidScaled(task, head) if task.kind == "regression" else head


_PAIR_KINDS = ("binary", "regression")
ENCODINGS: dict[str, Encoding] = {"pair": "bi", "both": "both"}  # of input kinds; all others need "cross"
VECTORS_PER_ROW = {"pair": 2, "both": 3}  # of input kinds

HEADS: dict[str, HeadSpec] = {
    "linear": HeadSpec("vector", _linear(nn.Identity(), 1)),
    "linear_sigmoid": HeadSpec("vector", _sigmoid(_linear(nn.Identity(), 1)), ("regression",)),
    "two_layer": HeadSpec("vector", _two_layer(nn.Identity(), 1)),
    "two_layer_relu": HeadSpec("vector", _two_layer_relu),
    "convolution": HeadSpec("tokens", lambda task, width, p: Convolution(width, task.num_outputs, p)),
    "concat": HeadSpec("pair", _linear(concatenation, 2)),
    "concat_sigmoid": HeadSpec("pair", _sigmoid(_linear(concatenation, 2)), ("regression",)),
    "concat_two_layer": HeadSpec("pair", _two_layer(concatenation, 2)),
    "concat_diff": HeadSpec("pair", _linear(concatenation_difference, 3)),
    "concat_diff_two_layer": HeadSpec("pair", _two_layer(concatenation_difference, 3)),
    "dot": HeadSpec("pair", lambda task, width, p: Dot(), _PAIR_KINDS),
    "cosine": HeadSpec("pair", lambda task, width, p: Cosine(task), _PAIR_KINDS),
    "cosine_shifted": HeadSpec("pair", lambda task, width, p: Cosine(task, shifted=True), _PAIR_KINDS),
    "cosine_two_layer": HeadSpec("pair", CosineTwoLayer, ("regression",)),
    "cosine_and_cross": HeadSpec("both", CosineAndCross, _PAIR_KINDS),
}


def build_head(name: str, task: Task, width: int, p: float = 0.0) -> nn.Module:
    """A new head for a task.

    Weights are drawn as BERT's are, from N(0, 0.02^2), with biases 0. The last bias of a regression head starts at the
    middle of the scale, so that training need not first learn the mean, unless the layer corrects a cosine.

    Raises:
        UserError: for a name that is not in ``HEADS``, or a head that does not serve this kind of task.
    """
    if name not in HEADS:
        raise UserError(f"unknown head {shorten(name)}: choose from {', '.join(HEADS)}")
    if task.kind not in HEADS[name].kinds:
        raise UserError(f"head {name!r} gives {' or '.join(HEADS[name].kinds)}, but {task.name} has {task.kind}")
    head = HEADS[name].build(task, width, p)
    # sigmoid(0) is the middle already
    middle = 0.0 if isinstance(head, SigmoidScaled | CosineAndCross) else task.max_label / 2
    for module in head.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.02)
            is_last = task.kind == "regression" and module.out_features == 1
            nn.init.constant_(module.bias, middle if is_last else 0.0)
    return head
