"""Adapters: small modules of one task's own inside an encoder that all tasks share.

Every adapter only adds: at some places of the encoder it computes a vector per token from the vectors there, and the
sum goes on. Its last matrix begins at zero, and no other one does: so the encoder's output is at first exactly what it
was without, and yet the first step already moves the adapter (were all matrices zero, no gradient would ever pass).
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtbert.data.batch import PackedBatch
from mtbert.nn.attention import packed_attention
from mtbert.nn.bert import BertConfig, HookPoint
from mtbert.utils.errors import UserError

Activation = Literal["identity", "gelu"]


@dataclass(frozen=True)
class AdapterShape:
    """What an adapter's kind leaves open.

    size: its inner width (None: the kind's usual share of the encoder's). heads: of attention inside it (None: as many
    as the encoder). projections: how many matrices each projection consists of, with GELU in between. activation: on
    what a projection gives.
    """

    size: int | None = None
    heads: int | None = None
    projections: int = 1
    activation: Activation = "identity"


class Adapter(nn.Module):
    """What one task adds to an encoder.

    places: where it adds something. ``forward(place, layer, x, batch)`` gives what it adds there: x are the task's
    tokens, (tokens, hidden), at that place of that layer; at "qkv" it returns (tokens, 3 * hidden), elsewhere
    (tokens, hidden). batch: the task's part of the batch.
    """

    places: tuple[HookPoint, ...] = ()

    def forward(self, place: HookPoint, layer: int, x: Tensor, batch: PackedBatch) -> Tensor:
        raise NotImplementedError


class ProjectedAttention(Adapter):
    """A projected attention layer, PAL (Stickland & Murray 2019): TS(h) = V^D MH(V^E h), beside every layer.

    V^E (hidden -> size) and V^D (size -> hidden) are shared by all layers; each layer has its own query, key and value
    matrices for attention in ``size`` dimensions, without an output matrix. The activation stands after V^D: "identity"
    as in the paper's equation, "gelu" as in its authors' code. Raises UserError unless the heads divide the size.
    """

    places = ("layer",)

    def __init__(self, config: BertConfig, shape: AdapterShape):
        super().__init__()
        size = shape.size
        self.heads, self.p = shape.heads or config.num_attention_heads, config.attention_probs_dropout_prob
        if size % self.heads:
            raise UserError(f"adapter_size is {size}, but must be a multiple of the {self.heads} heads")
        self.encode = _projection(config.hidden_size, size, size, shape.projections)
        self.qkv = nn.ModuleList(nn.Linear(size, 3 * size) for _ in range(config.num_hidden_layers))
        self.decode = _projection(size, size, config.hidden_size, shape.projections)
        self.activate = _activation(shape.activation)
        _begin(self, self.decode[-1])

    def forward(self, place: HookPoint, layer: int, x: Tensor, batch: PackedBatch) -> Tensor:
        small = self.encode(x)  # (tokens, size)
        mixed = packed_attention(self.qkv[layer](small), batch, self.heads, self.p if self.training else 0.0)
        return self.activate(self.decode(mixed))


class LowRank(Adapter):
    """TS(h) = V^D g(V^E h) beside every layer, which has its own V^E and V^D; g is the ``activation``.

    The identity g makes it a matrix of rank ``size`` (Stickland & Murray 2019, "low-rank layers").
    """

    places = ("layer",)

    def __init__(self, config: BertConfig, shape: AdapterShape):
        super().__init__()
        layers, hidden, size = range(config.num_hidden_layers), config.hidden_size, shape.size
        self.encode = nn.ModuleList(_projection(hidden, size, size, shape.projections) for _ in layers)
        self.decode = nn.ModuleList(_projection(size, size, hidden, shape.projections) for _ in layers)
        self.activate = _activation(shape.activation)
        _begin(self, *(decode[-1] for decode in self.decode))

    def forward(self, place: HookPoint, layer: int, x: Tensor, batch: PackedBatch) -> Tensor:
        return self.decode[layer](self.activate(self.encode[layer](x)))


class LayerOnTop(Adapter):
    """A transformer layer of the task's own above the shared encoder.

    BERT's layer normalises after the residual sum and could not begin as the identity. So this one normalises before:
    a = W_o MHA(LN(x)), f = W_2 gelu(W_1 LN(x + a)), and a + f is added to x, with W_o and W_2 zero at first.
    """

    places = ("top",)

    def __init__(self, config: BertConfig, shape: AdapterShape):
        super().__init__()
        hidden = config.hidden_size
        self.heads, self.p = config.num_attention_heads, config.attention_probs_dropout_prob
        self.attention_norm = nn.LayerNorm(hidden, config.layer_norm_eps)
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.attention_output = nn.Linear(hidden, hidden)
        self.output_norm = nn.LayerNorm(hidden, config.layer_norm_eps)
        self.intermediate = nn.Linear(hidden, config.intermediate_size)
        self.output = nn.Linear(config.intermediate_size, hidden)
        _begin(self, self.attention_output, self.output)

    def forward(self, place: HookPoint, layer: int, x: Tensor, batch: PackedBatch) -> Tensor:
        qkv = self.qkv(self.attention_norm(x))
        attended = self.attention_output(packed_attention(qkv, batch, self.heads, self.p if self.training else 0.0))
        return attended + self.output(F.gelu(self.intermediate(self.output_norm(x + attended))))


class Bottleneck(Adapter):
    """W_up gelu(W_down x), added to the outputs of attention and of the feed-forward part (Houlsby et al. 2019)."""

    places = ("attention", "feed_forward")

    def __init__(self, config: BertConfig, shape: AdapterShape):
        super().__init__()
        hidden, layers, size = config.hidden_size, range(config.num_hidden_layers), shape.size
        self.attention = nn.ModuleList(_two_layers(hidden, size) for _ in layers)
        self.feed_forward = nn.ModuleList(_two_layers(hidden, size) for _ in layers)
        _begin(self, *(module[-1] for module in (*self.attention, *self.feed_forward)))

    def forward(self, place: HookPoint, layer: int, x: Tensor, batch: PackedBatch) -> Tensor:
        return (self.attention if place == "attention" else self.feed_forward)[layer](x)


class LoRA(Adapter):
    """(alpha / r) B A x, added to query and value (Hu et al. 2021): as if W were W + (alpha / r) B A.

    A is (size, hidden), drawn; B is (hidden, size), zero at first; r is ``size``, and alpha = 2 r.
    """

    places = ("qkv",)
    scale = 2.0

    def __init__(self, config: BertConfig, shape: AdapterShape):
        super().__init__()
        layers, hidden, size = config.num_hidden_layers, config.hidden_size, shape.size
        self.a = nn.ParameterList(torch.randn(2, size, hidden) / math.sqrt(hidden) for _ in range(layers))
        self.b = nn.ParameterList(torch.zeros(2, hidden, size) for _ in range(layers))

    def forward(self, place: HookPoint, layer: int, x: Tensor, batch: PackedBatch) -> Tensor:
        (a_query, a_value), (b_query, b_value) = self.a[layer], self.b[layer]
        query = F.linear(F.linear(x, a_query), b_query)  # (tokens, hidden)
        value = F.linear(F.linear(x, a_value), b_value)
        return self.scale * torch.cat([query, torch.zeros_like(query), value], dim=1)


class AdapterSum(Adapter):
    """Several adapters of one task; what they add at a place is summed."""

    def __init__(self, *adapters: Adapter):
        super().__init__()
        self.adapters = nn.ModuleList(adapters)
        self.places = tuple(place for place in get_args(HookPoint) if any(place in part.places for part in adapters))

    def forward(self, place: HookPoint, layer: int, x: Tensor, batch: PackedBatch) -> Tensor:
        added = [part(place, layer, x, batch) for part in self.adapters if place in part.places]
        return added[0] if len(added) == 1 else torch.stack(added).sum(0)


class TaskAdapters(nn.ModuleDict):
    """An adapter for each of some tasks; every token passes its own task's.

    Called by the encoder with what stands at a place, it returns that with the adapters' additions.
    """

    def __init__(self, adapters: Mapping[str, Adapter] | None = None):
        super().__init__(adapters)

    def forward(self, place: HookPoint, layer: int, y: Tensor, x: Tensor, batch: PackedBatch) -> Tensor:
        """y: what stands at the place, (tokens, width). x: what the adapters see, (tokens, hidden). Raises ValueError
        if the batch does not say which task each of its sequences belongs to (``slices``)."""
        if not any(place in adapter.places for adapter in self.values()):
            return y
        added = [
            self[task](place, layer, x[tokens], part)
            if task in self and place in self[task].places
            else torch.zeros_like(y[tokens])
            for task, (tokens, part) in batch.parts.items()
        ]
        return y + (added[0] if len(added) == 1 else torch.cat(added))


class AdapterSpec(NamedTuple):
    """about: one line for lists. build: its class. usual_size: from an encoder's configuration; None for a kind that
    has no size. projects: whether the number of projections and the activation mean anything to it."""

    about: str
    build: Callable[[BertConfig, AdapterShape], Adapter]
    usual_size: Callable[[BertConfig], int] | None = None
    projects: bool = False


ADAPTERS: dict[str, AdapterSpec] = {
    "pal": AdapterSpec(
        "projected attention beside every layer",
        ProjectedAttention,
        lambda config: _share(config, 204, config.num_attention_heads),
        True,
    ),
    "low_rank": AdapterSpec("a low-rank matrix beside every layer", LowRank, lambda config: _share(config, 100), True),
    "top": AdapterSpec("a transformer layer on top", LayerOnTop),
    "houlsby": AdapterSpec(
        "bottlenecks after attention and feed-forward", Bottleneck, lambda config: _share(config, 64)
    ),
    "lora": AdapterSpec("low-rank changes of query and value", LoRA, lambda config: 8),
}


def adapter_parts(name: str) -> list[str]:
    """The kinds in an adapter's name, such as "low_rank+top"; none for "none". Raises UserError for another name."""
    parts = [] if name == "none" else str(name).split("+")
    for part in parts:
        if part not in ADAPTERS or parts.count(part) > 1:
            raise UserError(f"adapter is {name!r}: give none, or one or several (joined by +) of {', '.join(ADAPTERS)}")
    return parts


def build_adapter(name: str, config: BertConfig, shape: AdapterShape | None = None) -> Adapter:
    """The adapter of that name for one task, on an encoder of that configuration.

    Raises UserError for an unknown name, or a shape that the kind cannot have.
    """
    built = [_build(ADAPTERS[part], config, shape or AdapterShape()) for part in adapter_parts(name)]
    return built[0] if len(built) == 1 else AdapterSum(*built)


def _build(kind: AdapterSpec, config: BertConfig, shape: AdapterShape) -> Adapter:
    if kind.usual_size and not shape.size:
        shape = dataclasses.replace(shape, size=kind.usual_size(config))
    return kind.build(config, shape)


def _share(config: BertConfig, of_768: int, multiple: int = 1) -> int:
    """The same share of the encoder's width as ``of_768`` is of 768, to the nearest multiple."""
    return max(1, round(config.hidden_size * of_768 / 768 / multiple)) * multiple


def _projection(width: int, inner: int, out: int, matrices: int) -> nn.Sequential:
    """Linear maps from ``width`` to ``out`` through ``inner``, with GELU in between."""
    widths = [width, *[inner] * (matrices - 1), out]
    maps = [nn.Linear(start, end) for start, end in zip(widths, widths[1:], strict=False)]
    return nn.Sequential(*[part for each in maps for part in (nn.GELU(), each)][1:])


def _two_layers(width: int, size: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, size), nn.GELU(), nn.Linear(size, width))


def _activation(name: Activation) -> nn.Module:
    return nn.GELU() if name == "gelu" else nn.Identity()


@torch.no_grad()
def _begin(module: nn.Module, *zero: nn.Linear) -> None:
    """Draw the matrices from N(0, 1 / inputs), with biases 0, but begin some of them at zero.

    So a vector keeps its scale on the way to the last matrix, however narrow the adapter is. BERT's N(0, 0.02^2) suits
    wide matrices: three of 128 in a row leave so little of a vector that only the last bias would learn.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear):
            part.weight.normal_(0.0, 1 / math.sqrt(part.in_features))
            part.bias.zero_()
    for part in zero:
        part.weight.zero_()
