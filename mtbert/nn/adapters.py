"""Adapters: small task-specific modules inside an encoder that all tasks share.

An adapter computes a vector per token from the hidden states at its hook points, and the encoder adds that vector to
them. The last matrix of an adapter starts at zero and no other matrix does: the encoder's output is unchanged at first,
and yet the first step already moves the adapter (if all its matrices were zero, no gradient would ever reach them).

To add an adapter: write a subclass of ``Adapter``, choose its hook points from ``HookPoint`` in bert.py, and add one
entry to ``ADAPTERS``: recipes then accept its name.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtbert.data.batch import PackedBatch
from mtbert.nn.attention import packed_attention
from mtbert.nn.bert import BertConfig, HookPoint
from mtbert.utils.errors import UserError, shorten

Activation = Literal["identity", "gelu"]
_ACTIVATIONS: dict[Activation, type[nn.Module]] = {"identity": nn.Identity, "gelu": nn.GELU}


@dataclass(frozen=True)
class AdapterShape:
    """The sizes of an adapter.

    Attributes:
        size: inner width; 0 for the default of its kind, a fraction of the encoder's width.
        heads: attention heads inside a PAL; None for as many as the encoder has.
        projections: number of matrices in each projection, with GELU between them.
        activation: applied to the output of a projection.
    """

    size: int = 0
    heads: int | None = None
    projections: int = 1
    activation: Activation = "identity"


class Adapter(nn.Module):
    """What one task adds to an encoder at its ``hook_points``."""

    hook_points: tuple[HookPoint, ...] = ()

    def forward(self, point: HookPoint, layer: int, x: Tensor, batch: PackedBatch) -> Tensor:
        """What to add at a hook point of a layer: (tokens, 3 * hidden) at "qkv", (tokens, hidden) elsewhere.

        x: hidden states of the task's tokens, (tokens, hidden). batch: the task's part of the batch.
        """
        raise NotImplementedError


class ProjectedAttention(Adapter):
    """A projected attention layer, PAL (Stickland & Murray 2019): TS(h) = V^D MH(V^E h), in parallel to every layer.

    V^E (hidden -> size) and V^D (size -> hidden) are shared by all layers. Each layer has its own query, key and value
    matrices for attention in ``size`` dimensions, without an output matrix. The activation follows V^D: "identity" as
    in the paper's equation, "gelu" as in its authors' code.
    """

    hook_points = ("layer",)

    def __init__(self, config: BertConfig, shape: AdapterShape):
        super().__init__()
        size = shape.size
        self.heads, self.p = shape.heads or config.num_attention_heads, config.attention_probs_dropout_prob
        if size % self.heads:
            raise UserError(f"adapter_size is {size}, but must be a multiple of the {self.heads} heads")
        self.encode = _projection(config.hidden_size, size, size, shape.projections)
        self.qkv = nn.ModuleList(nn.Linear(size, 3 * size) for _ in range(config.num_hidden_layers))
        self.decode = _projection(size, size, config.hidden_size, shape.projections)
        self.activate = _ACTIVATIONS[shape.activation]()
        _init_weights(self, self.decode[-1])

    def forward(self, point: HookPoint, layer: int, x: Tensor, batch: PackedBatch) -> Tensor:
        small = self.encode(x)  # (tokens, size)
        p = self.p if self.training else 0.0
        mixed = packed_attention(self.qkv[layer](small), batch, self.heads, p)  # (tokens, size)
        return self.activate(self.decode(mixed))


class LowRank(Adapter):
    """TS(h) = V^D g(V^E h) in parallel to every layer, with a V^E and a V^D per layer; g is the ``activation``.

    With the identity as g this is a matrix of rank ``size`` (Stickland & Murray 2019, "low-rank layers").
    """

    hook_points = ("layer",)

    def __init__(self, config: BertConfig, shape: AdapterShape):
        super().__init__()
        layers, hidden, size = range(config.num_hidden_layers), config.hidden_size, shape.size
        self.encode = nn.ModuleList(_projection(hidden, size, size, shape.projections) for _ in layers)
        decoders = [_projection(size, size, hidden, shape.projections) for _ in layers]
        self.decode = nn.ModuleList(decoders)
        self.activate = _ACTIVATIONS[shape.activation]()
        _init_weights(self, *(decoder[-1] for decoder in decoders))

    def forward(self, point: HookPoint, layer: int, x: Tensor, batch: PackedBatch) -> Tensor:
        return self.decode[layer](self.activate(self.encode[layer](x)))


class LayerOnTop(Adapter):
    """A task-specific transformer layer on top of the shared encoder.

    BERT's layer applies LayerNorm after the residual sum, so it cannot start as the identity. This one applies it
    before: a = W_o MHA(LN(x)), f = W_2 gelu(W_1 LN(x + a)), and a + f is added to x. W_o and W_2 start at zero.
    """

    hook_points = ("top",)

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
        _init_weights(self, self.attention_output, self.output)

    def forward(self, point: HookPoint, layer: int, x: Tensor, batch: PackedBatch) -> Tensor:
        qkv = self.qkv(self.attention_norm(x))  # (tokens, 3 * hidden)
        attended = self.attention_output(packed_attention(qkv, batch, self.heads, self.p if self.training else 0.0))
        return attended + self.output(F.gelu(self.intermediate(self.output_norm(x + attended))))


class Bottleneck(Adapter):
    """W_up gelu(W_down x), added to the outputs of attention and of the feed-forward block (Houlsby et al. 2019)."""

    hook_points = ("attention", "feed_forward")

    def __init__(self, config: BertConfig, shape: AdapterShape):
        super().__init__()
        hidden, layers, size = config.hidden_size, range(config.num_hidden_layers), shape.size
        self.attention = nn.ModuleList(_projection(hidden, size, hidden, 2) for _ in layers)
        self.feed_forward = nn.ModuleList(_projection(hidden, size, hidden, 2) for _ in layers)
        _init_weights(self, *(module[-1] for module in (*self.attention, *self.feed_forward)))

    def forward(self, point: HookPoint, layer: int, x: Tensor, batch: PackedBatch) -> Tensor:
        return (self.attention if point == "attention" else self.feed_forward)[layer](x)


class LoRA(Adapter):
    """(alpha / r) B A x, added to query and value (Hu et al. 2021): their matrices W become W + (alpha / r) B A.

    A is (size, hidden) and random; B is (hidden, size) and starts at zero; r is ``size``, and alpha = 2 r.
    """

    hook_points = ("qkv",)
    scale = 2.0

    def __init__(self, config: BertConfig, shape: AdapterShape):
        super().__init__()
        layers, hidden, size = config.num_hidden_layers, config.hidden_size, shape.size
        self.a = nn.ParameterList(torch.randn(2, size, hidden) / math.sqrt(hidden) for _ in range(layers))
        self.b = nn.ParameterList(torch.zeros(2, hidden, size) for _ in range(layers))

    def forward(self, point: HookPoint, layer: int, x: Tensor, batch: PackedBatch) -> Tensor:
        (a_query, a_value), (b_query, b_value) = self.a[layer], self.b[layer]
        query = F.linear(F.linear(x, a_query), b_query)  # (tokens, hidden)
        value = F.linear(F.linear(x, a_value), b_value)
        return self.scale * torch.cat([query, torch.zeros_like(query), value], dim=1)  # (tokens, 3 * hidden)


class AdapterSum(Adapter):
    """Several adapters of one task; their outputs at a hook point are summed."""

    def __init__(self, *adapters: Adapter):
        super().__init__()
        self.adapters = nn.ModuleList(adapters)
        self.hook_points = tuple(dict.fromkeys(point for adapter in adapters for point in adapter.hook_points))

    def forward(self, point: HookPoint, layer: int, x: Tensor, batch: PackedBatch) -> Tensor:
        added = [
            adapter(point, layer, x, batch) for adapter in self.adapters if point in cast(Adapter, adapter).hook_points
        ]
        return added[0] if len(added) == 1 else torch.stack(added).sum(0)


class TaskAdapters(nn.ModuleDict):
    """Adapters by task; every token passes through the adapter of its own task, if there is one."""

    def __init__(self, adapters: Mapping[str, Adapter] | None = None):
        super().__init__(adapters)

    def forward(self, point: HookPoint, layer: int, y: Tensor, x: Tensor, batch: PackedBatch) -> Tensor:
        """The hidden states ``y`` at a hook point, (tokens, width), with the adapters' additions; ValueError if
        ``batch.slices`` do not name the task of every sequence. ``x`` is the adapters' input, (tokens, hidden)."""
        if not any(point in cast(Adapter, adapter).hook_points for adapter in self.values()):
            return y
        added = [
            self[task](point, layer, x[tokens], part)
            if task in self and point in cast(Adapter, self[task]).hook_points
            else torch.zeros_like(y[tokens])
            for task, (tokens, part) in batch.by_task.items()
        ]
        return y + (added[0] if len(added) == 1 else torch.cat(added))


class AdapterSpec(NamedTuple):
    """An entry of ``ADAPTERS``."""

    build: Callable[[BertConfig, AdapterShape], Adapter]
    default_size: Callable[[BertConfig], int] | None = None  # inner width; None for a kind without one
    has_projections: bool = False  # whether ``AdapterShape.projections`` and ``activation`` apply


ADAPTERS: dict[str, AdapterSpec] = {
    "pal": AdapterSpec(ProjectedAttention, lambda c: _scaled_size(c, 204, c.num_attention_heads), True),
    "low_rank": AdapterSpec(LowRank, lambda c: _scaled_size(c, 100), True),
    "top": AdapterSpec(LayerOnTop),
    "houlsby": AdapterSpec(Bottleneck, lambda c: _scaled_size(c, 64)),
    "lora": AdapterSpec(LoRA, lambda c: 8),
}


def adapter_parts(name: str) -> list[str]:
    """The kinds in an adapter's name, such as "low_rank+top", none of them twice; an empty list for "none"."""
    parts = [] if name == "none" else str(name).split("+")
    for part in parts:
        if part not in ADAPTERS or parts.count(part) > 1:
            raise UserError(
                f"adapter is {shorten(name)}: give none, or one or several (joined by +) of {', '.join(ADAPTERS)}"
            )
    return parts


def build_adapter(name: str, config: BertConfig, shape: AdapterShape | None = None) -> Adapter:
    """A new adapter for one task, of one or several kinds joined by "+".

    UserError for an unknown name, or for a shape that the kind cannot have.
    """
    adapters = []
    for spec in (ADAPTERS[part] for part in adapter_parts(name)):
        part_shape = shape or AdapterShape()
        if spec.default_size and not part_shape.size:
            part_shape = dataclasses.replace(part_shape, size=spec.default_size(config))
        adapters.append(spec.build(config, part_shape))
    return adapters[0] if len(adapters) == 1 else AdapterSum(*adapters)


def _scaled_size(config: BertConfig, at_768: int, multiple: int = 1) -> int:
    """``at_768`` scaled from a width of 768 to the encoder's, rounded to a multiple."""
    return max(1, round(config.hidden_size * at_768 / 768 / multiple)) * multiple


def _projection(width: int, inner: int, out: int, matrices: int) -> nn.Sequential:
    """Linear maps from ``width`` to ``out`` through ``inner``, with GELU in between."""
    widths = [width, *[inner] * (matrices - 1), out]
    linears = [nn.Linear(start, end) for start, end in itertools.pairwise(widths)]
    return nn.Sequential(*[module for linear in linears for module in (nn.GELU(), linear)][1:])


@torch.no_grad()
def _init_weights(module: nn.Module, *zero: nn.Module) -> None:
    """Draw the matrices from N(0, 1 / inputs) and set biases to 0; set the matrices of ``zero`` to 0 as well.

    A vector thus keeps its scale until the last matrix, however narrow the adapter is. BERT's N(0, 0.02^2) suits wide
    matrices: after three of width 128 in a row so little is left of a vector that only the last bias would learn.
    """
    for linear in module.modules():
        if isinstance(linear, nn.Linear):
            linear.weight.normal_(0.0, 1 / math.sqrt(linear.in_features))
            linear.bias.zero_()
    for linear in zero:
        assert isinstance(linear, nn.Linear)
        linear.weight.zero_()
