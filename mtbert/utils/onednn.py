"""Linear layers with products by oneDNN where those that torch takes leave half of the processor unused.

On a CPU torch multiplies float32 matrices by MKL, which does not use AVX-512 on AMD's processors. oneDNN, which torch
contains as well, does. The processor alone decides, so a resumed run computes what it would have computed.
"""

import functools
import platform
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import has_torch_function

from mtbert.utils.torch_private import onednn_product, operators_are_watched

# oneDNN generates about 600 kB of code for each size of a product, so the rows of a batch are filled up to a multiple
ROWS = 128


@functools.cache
def prefers_onednn() -> bool:
    """Whether this processor multiplies float32 matrices faster by oneDNN: one of AMD's with AVX-512."""
    if not torch.backends.mkldnn.is_available() or torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    cpuinfo = Path("/proc/cpuinfo")
    return "AuthenticAMD" in (cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else platform.processor())


def goes_through_onednn(x: Tensor, weight: Tensor) -> bool:
    """Whether oneDNN multiplies ``x``, (rows, n), with ``weight``: on a processor that prefers it, where it can."""
    return _is_plain(x, weight) and prefers_onednn()


def _is_plain(x: Tensor, weight: Tensor) -> bool:
    """Whether a product is large, in float32, on a CPU, and unobserved.

    Whatever looks at operators or replaces them gets torch's own: torch.compile, torch.func, autocast, and modes such
    as a FLOP counter.
    """
    return (
        not torch.compiler.is_compiling()
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and x.ndim == 2
        and len(x) >= ROWS
        and not torch.is_autocast_enabled("cpu")
        and not has_torch_function((x, weight))  # of their classes, or of a mode
        and not operators_are_watched()
    )


class Linear(nn.Linear):
    """``nn.Linear``, by ``linear``."""

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)

    def of_gelu(self, input: Tensor) -> Tensor:
        """The layer's output for GELU(input), (rows, inputs) -> (rows, outputs)."""
        return linear(input, self.weight, self.bias, gelu=True)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, gelu: bool = False) -> Tensor:
    """``F.linear``, x W^T + b of (rows, inputs) -> (rows, outputs), by oneDNN where this processor prefers it.

    With ``gelu``, of GELU(x), which oneDNN's path does not keep for the backward pass: it computes it again.
    """
    if goes_through_onednn(x, weight):
        return onednn_linear(x, weight, bias, gelu)
    return F.linear(F.gelu(x) if gelu else x, weight, bias)


def onednn_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, gelu: bool = False) -> Tensor:
    """``linear`` by oneDNN, on any processor and for any large arguments in float32 on a CPU."""
    return _Linear.apply(x, weight, bias, gelu)


class _Linear(torch.autograd.Function):
    """y = x W^T + b. For g, the gradient of y: dx = g W, dW = g^T x, and db is the sum of the rows of g."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None, gelu: bool) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.gelu = gelu
        return onednn_product(_fill_up(F.gelu(x) if gelu else x), weight, bias)[: len(x)]

    @staticmethod
    def backward(ctx, grad: Tensor):
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias, _ = ctx.needs_input_grad
        # a gradient of this gradient needs products that autograd knows
        by_onednn = _is_plain(grad, weight) and not torch.is_grad_enabled()
        d_x = d_weight = None
        if needs_x:
            d_x = onednn_product(_fill_up(grad), weight.T)[: len(x)] if by_onednn else grad @ weight
            d_x = torch.ops.aten.gelu_backward(d_x, x) if ctx.gelu else d_x
        if needs_weight:
            inputs = F.gelu(x) if ctx.gelu else x
            d_weight = _transposed_product(grad, inputs) if by_onednn else grad.T @ inputs
        return d_x, d_weight, grad.sum(0) if needs_bias else None, None


def transposed_product(left: Tensor, right: Tensor) -> Tensor:
    """left^T right of (rows, n) and (rows, m) -> (n, m), by oneDNN where this processor prefers it."""
    return _transposed_product(left, right) if goes_through_onednn(left, right) else left.T @ right


def _transposed_product(left: Tensor, right: Tensor) -> Tensor:
    end = len(left) - len(left) % ROWS
    return onednn_product(left[:end].T, right[:end].T).addmm_(left[end:].T, right[end:])  # the last rows by torch


def _fill_up(x: Tensor) -> Tensor:
    """``x`` with rows of zeros up to a multiple of ``ROWS``."""
    missing = -len(x) % ROWS
    return torch.cat([x, x.new_zeros(missing, x.shape[1])]) if missing else x
