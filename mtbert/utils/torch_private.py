"""Every call of the package into torch's private interface, each with the reason why no public call serves.

Private functions may change with any release of torch: tests/utils/test_torch_private.py notices it.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode as TorchDispatchMode  # there is no public hook on operators

# (query, key and value: (tokens, heads, width); cu_seqlens (sequences + 1,) int32; max_seqlen; dropout p; scale of the
# scores) -> (tokens, heads, width)
VarlenKernel = Callable[[Tensor, Tensor, Tensor, Tensor, int, float, float], Tensor]


def flash_attention(
    query: Tensor, key: Tensor, value: Tensor, cu_seqlens: Tensor, max_seqlen: int, p: float, scale: float
) -> Tensor:
    """FlashAttention-2 (Dao 2023) over packed sequences, in bfloat16 or float16, on CUDA.

    ``torch.nn.attention.varlen.varlen_attn`` calls the same operator but has no dropout.
    """
    is_causal = return_debug_mask = False
    return torch.ops.aten._flash_attention_forward(
        query, key, value, cu_seqlens, cu_seqlens, max_seqlen, max_seqlen, p, is_causal, return_debug_mask, scale=scale
    )[0]


def memory_efficient_attention(
    query: Tensor, key: Tensor, value: Tensor, cu_seqlens: Tensor, max_seqlen: int, p: float, scale: float
) -> Tensor:
    """Memory-efficient attention (Rabe & Staats 2021) over packed sequences, in float32, on CUDA.

    ``F.scaled_dot_product_attention`` calls the same operator but takes no sequence boundaries.
    """
    bias, no_mask, compute_log_sumexp = None, 0, True
    query, key, value = (tensor.unsqueeze(0) for tensor in (query, key, value))  # (1, tokens, heads, width)
    output = torch.ops.aten._efficient_attention_forward(
        query,
        key,
        value,
        bias,
        cu_seqlens,
        cu_seqlens,
        max_seqlen,
        max_seqlen,
        p,
        no_mask,
        compute_log_sumexp,
        scale=scale,
    )[0]
    return output.squeeze(0)


def softmax_backward(grad: Tensor, weights: Tensor) -> Tensor:
    """The gradient of the scores, from ``weights = scores.softmax(-1)`` and their gradient, in one kernel.

    The same in public operators, ``weights * (grad - (grad * weights).sum(-1, keepdim=True))``, takes four.
    """
    return torch._softmax_backward_data(grad, weights, -1, weights.dtype)


def sparse_rows(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """The row indices (n,) and the rows (n, width) of a sparse gradient, which may name a row more than once.

    The public ``indices()`` and ``values()`` demand ``coalesce()`` first, which sorts the rows.
    """
    return gradient._indices().squeeze(0), gradient._values()


def allocations(profile: torch.profiler.profile) -> list[int]:
    """Bytes allocated (positive) and freed (negative), in the order in which they happened, of a finished profile.

    The public ``events()`` sums them up per operator, so no peak can be computed from it.
    """
    events = profile.profiler.kineto_results.events()  # type: ignore[union-attr]
    memory_events = sorted(
        (event for event in events if event.name() == "[memory]"), key=lambda event: event.start_ns()
    )
    return [event.nbytes() for event in memory_events]  # type: ignore[union-attr]


def onednn_product(left: Tensor, right: Tensor, bias: Tensor | None = None) -> Tensor:
    """left right^T + bias by oneDNN: (n, k), (m, k) and (m,) -> (n, m), float32 on a CPU.

    ``F.linear`` takes oneDNN for float32 only with reduced precision.
    """
    return torch.ops.mkldnn._linear_pointwise(left, right, bias, "none", [], "")


def operators_are_watched() -> bool:
    """Whether torch.func or a dispatch mode, such as a FLOP counter, looks at operators or replaces them."""
    return torch._C._are_functorch_transforms_active() or torch._C._len_torch_dispatch_stack() > 0
