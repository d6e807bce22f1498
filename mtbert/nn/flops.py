"""What a training step has to compute and to move, counted from its sizes alone.

A multiplication and an addition count as one operation each, so a product of (m, k) and (k, n) takes 2 m k n. Lengths
are those that are computed with: real ones for a packed batch, the longest n times over for one that is padded.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mtbert.nn.bert import BertConfig

# Operations on one value, forward and backward, an exponential or a root counted as one.
_LAYER_NORM, _GELU, _SOFTMAX, _RESIDUAL, _ADAMW = 20, 14, 9, 2, 13


@dataclass(frozen=True)
class Part:
    """One kind of work in a training step: its floating-point operations, and the bytes that it reads and writes."""

    name: str
    operations: int
    bytes: int

    @property
    def intensity(self) -> float:
        """Operations for each byte moved."""
        return self.operations / self.bytes


@dataclass(frozen=True)
class DeviceSpec:
    """What a device can do at most: operations a second of its matrix products, bytes a second of its memory."""

    operations: float
    bandwidth: float

    def seconds(self, part: Part) -> float:
        """The least time for a part: it waits for arithmetic or for memory, whichever takes longer."""
        return max(part.operations / self.operations, part.bytes / self.bandwidth)

    def rate(self, intensity: float) -> float:
        """Operations a second within reach at so many operations a byte (Williams et al. 2009: the roofline)."""
        return min(self.operations, intensity * self.bandwidth)


# Datasheet figures, dense, without structured sparsity: bfloat16 (T4: float16) with float32 sums, and memory.
DATASHEET = {
    "T4": DeviceSpec(65e12, 0.32e12),
    "A100-SXM4-80GB": DeviceSpec(312e12, 2.039e12),
    "H100 80GB HBM3": DeviceSpec(989.4e12, 3.35e12),
    "H200": DeviceSpec(989.4e12, 4.8e12),
}


def datasheet(device_name: str) -> DeviceSpec | None:
    """The datasheet's ceiling of a device, by the name that CUDA gives it; None for one not listed."""
    return next((ceiling for name, ceiling in DATASHEET.items() if name in device_name), None)


def matrix_parameters(config: BertConfig) -> int:
    """Weights of the matrices that every token is multiplied with: 4 h^2 + 2 h f a layer, 12 h^2 for f = 4 h."""
    h, wide = config.hidden_size, config.intermediate_size
    return config.num_hidden_layers * (4 * h * h + 2 * h * wide)


def parameters(config: BertConfig) -> int:
    """All weights of the encoder but its pooler."""
    h, wide, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    tables = (config.vocab_size + config.max_position_embeddings + config.type_vocab_size) * h
    biases_and_norms = 2 * h + layers * (4 * h + wide + h + 4 * h)
    return tables + matrix_parameters(config) + biases_and_norms


def forward_flops(config: BertConfig, lengths: Sequence[int]) -> int:
    """Operations in the matrix products of one forward pass of the encoder over sequences of these lengths.

    Two for each matrix weight and token, and in each layer 4 h n^2 for a sequence of n tokens: Q K^T and A V.
    """
    squares = sum(length * length for length in lengths)
    attention = 4 * config.num_hidden_layers * config.hidden_size * squares
    return 2 * matrix_parameters(config) * sum(lengths) + attention


def training_flops(config: BertConfig, lengths: Sequence[int]) -> int:
    """Operations in the matrix products of one forward and one backward pass.

    Three times the forward pass: each product y = x W has two more on the way back, for x and for W. Heads, pooler,
    element-wise work and the optimiser are left out, as is usual for model FLOPs utilisation (Chowdhery et al. 2022,
    appendix B).
    """
    return 3 * forward_flops(config, lengths)


def mfu(flops: float, seconds: float, peak: float) -> float:
    """Model FLOPs utilisation: the model's operations a second, as a share of ``peak``, the device's."""
    return flops / seconds / peak


def device_mfu(flops: float, seconds: float, device: torch.device, peak: float | None = None) -> float | None:
    """MFU on a device. peak: operations a second; by default those of its datasheet, in bfloat16. None where the peak
    is not known, as on a CPU."""
    if peak is None and device.type == "cuda":
        spec = datasheet(torch.cuda.get_device_name(device))
        peak = spec and spec.operations
    return mfu(flops, seconds, peak) if peak and seconds else None


def step_parts(config: BertConfig, lengths: Sequence[int], width: int = 4) -> list[Part]:
    """The work of a training step by kind, if every operator reads its inputs and writes its outputs once.

    width: bytes of a number; those of AdamW have four, as master weights do. An element-wise operator reads x and
    writes y, and on the way back reads x and dy and writes dx: five numbers a value. AdamW reads theta, g, m and v, and
    writes theta, m and v: seven a weight. Dropout is left out.
    """
    h, wide, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    tokens, squares = sum(lengths), sum(length * length for length in lengths)
    scores = layers * config.num_attention_heads * squares
    shapes = [(h, 3 * h), (h, h), (h, wide), (wide, h)]
    products = 3 * layers * sum(tokens * (rows + columns) + rows * columns for rows, columns in shapes)
    norms, residuals, gelus = (2 * layers + 1) * tokens * h, 2 * layers * tokens * h, layers * tokens * wide
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
