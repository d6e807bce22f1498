"""The FLOPs and bytes of a training step, computed from its sizes alone.

A multiplication and an addition count as one FLOP each, so a product of (m, k) and (k, n) takes 2 m k n. Lengths are
those that are computed with: the real ones for a packed batch, the longest n times for a padded one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mtbert.nn.bert import BertConfig

# FLOPs per value, forward and backward, an exponential or a root counted as one.
_LAYER_NORM, _GELU, _SOFTMAX, _RESIDUAL, _ADAMW = 20, 14, 9, 2, 13


@dataclass(frozen=True)
class Part:
    """One kind of work in a training step: its FLOPs, and the bytes that it reads and writes."""

    name: str
    flops: int
    bytes: int


@dataclass(frozen=True)
class DeviceSpec:
    """A device's limits: FLOPs per second of its matrix products, bytes per second of its memory."""

    peak_flops: float
    bandwidth: float

    def seconds(self, part: Part) -> float:
        """The least time for a part, which is bound by arithmetic or by memory, whichever takes longer."""
        return max(part.flops / self.peak_flops, part.bytes / self.bandwidth)

    def rate(self, intensity: float) -> float:
        """Attainable FLOPs per second at an arithmetic intensity (the roofline of Williams et al. 2009)."""
        return min(self.peak_flops, intensity * self.bandwidth)


# Datasheet figures, dense, without structured sparsity: bfloat16 (T4: float16) with float32 sums, and memory.
DATASHEET = {
    "T4": DeviceSpec(65e12, 0.32e12),
    "A100-SXM4-80GB": DeviceSpec(312e12, 2.039e12),
    "H100 80GB HBM3": DeviceSpec(989.4e12, 3.35e12),
    "H200": DeviceSpec(989.4e12, 4.8e12),
}


def datasheet(device_name: str) -> DeviceSpec | None:
    """The datasheet figures of a device, by CUDA's name for it; None for a device that is not listed."""
    return next((spec for name, spec in DATASHEET.items() if name in device_name), None)


def matrix_parameters(config: BertConfig) -> int:
    """Weights of the matrices that every token is multiplied with: 4 h^2 + 2 h f per layer, 12 h^2 for f = 4 h."""
    h, f = config.hidden_size, config.intermediate_size
    return config.num_hidden_layers * (4 * h * h + 2 * h * f)


def parameters(config: BertConfig) -> int:
    """All weights of the encoder except its pooler."""
    h, f, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    embeddings = (config.vocab_size + config.max_position_embeddings + config.type_vocab_size) * h
    biases_and_norms = 2 * h + layers * (4 * h + f + h + 4 * h)
    return embeddings + matrix_parameters(config) + biases_and_norms


def forward_flops(config: BertConfig, lengths: Sequence[int]) -> int:
    """FLOPs of the matrix products in the encoder's forward pass over sequences of these lengths.

    Two per matrix weight and token, and in each layer 4 h n^2 for a sequence of n tokens: Q K^T and A V.
    """
    squares = sum(length * length for length in lengths)
    attention = 4 * config.num_hidden_layers * config.hidden_size * squares
    return 2 * matrix_parameters(config) * sum(lengths) + attention


def training_flops(config: BertConfig, lengths: Sequence[int]) -> int:
    """FLOPs of the matrix products in one forward and one backward pass.

    Three times the forward pass: each product y = x W has two more in the backward pass, for x and for W. Heads,
    pooler, elementwise work and the optimizer are left out, as usual (Chowdhery et al. 2022, appendix B).
    """
    return 3 * forward_flops(config, lengths)


def mfu(flops: float, seconds: float, peak: float) -> float:
    """Model FLOPs utilization: the model's FLOPs per second as a fraction of the device's ``peak``."""
    return flops / seconds / peak


def device_mfu(flops: float, seconds: float, device: torch.device, peak: float | None = None) -> float | None:
    """MFU on a device, by default against its datasheet's peak in bfloat16; None where that is unknown, as on a CPU."""
    if peak is None and device.type == "cuda":
        spec = datasheet(torch.cuda.get_device_name(device))
        peak = spec and spec.peak_flops
    return mfu(flops, seconds, peak) if peak and seconds else None


def step_parts(config: BertConfig, lengths: Sequence[int], width: int = 4) -> list[Part]:
    """The work of a training step by kind, if every operator reads its inputs and writes its outputs once.

    An elementwise operator reads x and writes y, and in the backward pass reads x and dy and writes dx: five numbers
    per value. AdamW reads theta, g, m and v, and writes theta, m and v: seven per weight. Dropout is left out. A number
    has ``width`` bytes, but those of AdamW always have four, as master weights do.
    """
    h, f, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    tokens, squares = sum(lengths), sum(length * length for length in lengths)
    scores = layers * config.num_attention_heads * squares
    shapes = [(h, 3 * h), (h, h), (h, f), (f, h)]
    products = 3 * layers * sum(tokens * (rows + columns) + rows * columns for rows, columns in shapes)
    norms, residuals, gelus = (2 * layers + 1) * tokens * h, 2 * layers * tokens * h, layers * tokens * f
    weights = parameters(config)
    return [
        Part("matrix products", 6 * matrix_parameters(config) * tokens, width * products),
        Part("attention products", 12 * layers * h * squares, width * 6 * (2 * layers * tokens * h + scores)),
        Part("softmax", _SOFTMAX * scores, width * 5 * scores),
        Part("layer norm", _LAYER_NORM * norms, width * 5 * norms),
        Part("GELU", _GELU * gelus, width * 5 * gelus),
        Part("residual sums", _RESIDUAL * residuals, width * 6 * residuals),
        Part("AdamW", _ADAMW * weights, 4 * 7 * weights),
    ]
