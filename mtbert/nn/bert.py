"""BERT (Devlin et al. 2019) on packed batches: embeddings, the transformer layer, and a stack of layers.

In shape comments, ``tokens`` is the total number of tokens (word pieces) in the batch, over all of its sequences.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from mtbert.data.batch import PackedBatch
from mtbert.nn.attention import first_token_attention, packed_attention
from mtbert.nn.dropout import dropout
from mtbert.utils.errors import shorten
from mtbert.utils.onednn import Linear

# Where an adapter may add to the hidden states: at the query, key and value; at the outputs of attention and of the
# feed-forward block; at the sum before a layer's last LayerNorm; and at the output of the last layer.
HookPoint = Literal["qkv", "attention", "feed_forward", "layer", "top"]
# (hook point, hidden states y there, adapter input x (tokens, hidden)) -> y with the adapter's addition
AdapterHook = Callable[[HookPoint, Tensor, Tensor], Tensor]


_MAX_SIZE = 2**24  # so that no product of sizes overflows; layers are modules, of which no BERT has a thousand
_RANGES: dict[str, tuple[float, float]] = {
    "num_hidden_layers": (1, 1000),
    "pad_token_id": (0, _MAX_SIZE),
    "layer_norm_eps": (0, 1),
    "initializer_range": (0, 1),
    "hidden_dropout_prob": (0, 0.999),
    "attention_probs_dropout_prob": (0, 0.999),
}


@dataclass(frozen=True)
class BertConfig:
    """Sizes and rates of a BERT, named as in transformers' config.json. Defaults: bert-base-uncased.

    Raises:
        ValueError: if a value is not a number in its range, or the heads do not divide ``hidden_size``.
    """

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    initializer_range: float = 0.02
    pad_token_id: int = 0

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value, is_float = getattr(self, field.name), field.type is float
            if isinstance(value, bool) or not isinstance(value, (int, float) if is_float else int):
                kind = "number" if is_float else "whole number"
                raise ValueError(f"{field.name} is {shorten(value)}, but must be a {kind}")
            low, high = _RANGES.get(field.name, (1, _MAX_SIZE))
            if not low <= value <= high:  # NaN, too
                raise ValueError(f"{field.name} is {shorten(value)}, but must be from {low} to {high}")
        if self.pad_token_id >= self.vocab_size:
            raise ValueError(f"pad_token_id is {self.pad_token_id}, but must be below vocab_size, {self.vocab_size}")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} does not divide into {self.num_attention_heads} attention heads"
            )


class Embeddings(nn.Module):
    """LayerNorm(word + position + token type), then dropout."""

    def __init__(self, config: BertConfig):
        super().__init__()
        self.word = nn.Embedding(config.vocab_size, config.hidden_size)
        self.position = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.token_type = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.p = config.hidden_dropout_prob

    def forward(self, batch: PackedBatch) -> Tensor:
        if batch.max_seqlen > self.position.num_embeddings:
            raise ValueError(
                f"a sequence has {batch.max_seqlen} tokens, more than the {self.position.num_embeddings} positions "
                "of this encoder: truncate it"
            )
        summed = self.word(batch.ids) + self.position(batch.positions) + self.token_type(batch.token_types)
        return dropout(self.norm(summed), self.p, self.training)  # (tokens, hidden)


def identity(point: HookPoint, y: Tensor, x: Tensor) -> Tensor:
    """The hook that adds nothing."""
    return y


class Layer(nn.Module):
    """The transformer layer: h = LN(x + dropout(W_o MHA(x))), then LN(h + dropout(W_2 gelu(W_1 h))).

    Vaswani et al. 2017, sec. 3.1, with BERT's exact (erf) GELU. LayerNorm follows each residual sum (post-norm).
    """

    attend = staticmethod(packed_attention)
    attend_first = staticmethod(first_token_attention)

    def __init__(self, config: BertConfig):
        super().__init__()
        hidden = config.hidden_size
        self.heads = config.num_attention_heads
        self.qkv = Linear(hidden, 3 * hidden)  # W_q, W_k, W_v stacked: one matrix product instead of three
        self.attention_output = Linear(hidden, hidden)
        self.attention_norm = nn.LayerNorm(hidden, config.layer_norm_eps)
        self.intermediate = Linear(hidden, config.intermediate_size)
        self.output = Linear(config.intermediate_size, hidden)
        self.output_norm = nn.LayerNorm(hidden, config.layer_norm_eps)
        self.p = config.hidden_dropout_prob
        self.attention_p = config.attention_probs_dropout_prob

    def forward(self, x: Tensor, batch: PackedBatch, hook: AdapterHook = identity, first_only: bool = False) -> Tensor:
        """(tokens, hidden) -> (tokens, hidden). At each hook point ``hook`` may add an adapter's output.

        With ``first_only``, the output of each sequence's first token alone: (sequences, hidden).
        """
        qkv = hook("qkv", self.qkv(x), x)  # (tokens, 3 * hidden)
        attend = self.attend_first if first_only else self.attend
        mixed = attend(qkv, batch, self.heads, self.attention_p if self.training else 0.0)  # (tokens, hidden)
        if first_only:  # the first token needs every key and value, but from here on no other token
            x = x[batch.first_tokens]
        attended = dropout(self.attention_output(mixed), self.p, self.training)
        h = self.attention_norm(x + hook("attention", attended, attended))
        wide = self.intermediate(h)  # (tokens, intermediate)
        narrow = dropout(self.output.of_gelu(wide), self.p, self.training)  # (tokens, hidden)
        return self.output_norm(hook("layer", h + hook("feed_forward", narrow, narrow), x))


class Bert(nn.Module):
    """The encoder: a PackedBatch in, one vector per token out."""

    def __init__(self, config: BertConfig):
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.pooler = Linear(config.hidden_size, config.hidden_size)
        self.init_weights()

    @torch.no_grad()
    def init_weights(self) -> None:
        """Draw weights from N(0, initializer_range^2) and set biases to 0; LayerNorms keep weight 1 and bias 0."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                module.weight.normal_(0.0, self.config.initializer_range)
            if isinstance(module, nn.Linear):
                module.bias.zero_()
        self.embeddings.word.weight[self.config.pad_token_id].zero_()

    def forward(self, batch: PackedBatch, adapters: nn.Module | None = None, first_only: bool = False) -> Tensor:
        """The last layer's output, (tokens, hidden); ``adapters`` may add to hidden states (see ``TaskAdapters``).

        With ``first_only``, that of each sequence's first token alone: (sequences, hidden).
        """
        return self.encode(self.embeddings(batch), batch, adapters, first_only)

    def encode(
        self, hidden: Tensor, batch: PackedBatch, adapters: nn.Module | None = None, first_only: bool = False
    ) -> Tensor:
        """The last layer's output from the embeddings' output: (tokens, hidden) -> (tokens, hidden).

        With ``first_only``, (sequences, hidden): beyond queries, keys and values, the last layer then computes nothing
        for tokens other than the first. With ``adapters``, which may read any token of that layer, all are computed.
        """
        if not adapters:
            *lower, last = self.layers
            for layer in lower:
                hidden = layer(hidden, batch)
            return last(hidden, batch, first_only=first_only)
        for index, layer in enumerate(self.layers):
            hidden = layer(hidden, batch, lambda point, y, x, index=index: adapters(point, index, y, x, batch))
        hidden = adapters("top", len(self.layers), hidden, hidden, batch)
        return hidden[batch.first_tokens] if first_only else hidden
