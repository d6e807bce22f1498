"""Every task's gradient of the weights they share, out of one forward and one backward for all of them.

In a PackedBatch each task's rows stand side by side, and no layer mixes two sequences. So one backward of the summed
losses has each task's gradient of every activation, in that task's own rows. Tasks meet only where a weight's gradient
is taken: for y = W x it is a sum of g x^T over all rows. Here that sum is taken over each task's rows apart, which is
the same arithmetic, and exact.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

from mtbert.data.batch import PackedBatch
from mtbert.optim.flat import FlatParameters, GradientVector

Share = Callable[..., None]  # (vector, gradient of some rows of the output, what was kept of the same rows)


class PerTaskGradients:
    """Where a backward of several tasks' losses leaves its gradients: each in the vector of its task.

    vectors: per task. A parameter that one task owns has its whole gradient from that task.
    """

    def __init__(self, flat: FlatParameters, vectors: dict[str, GradientVector]):
        self.flat, self.vectors = flat, vectors

    def add(self, name: str, where: slice, shape: torch.Size, gradient: Tensor) -> None:
        """Called for what no ``PerTaskGradMode`` has told apart. Raises RuntimeError naming a parameter that tasks share."""
        owner = self.flat.owners[name]
        if owner not in self.vectors:
            raise RuntimeError(
                f"the tasks' gradients of {name} cannot be told apart: share weights through linear, layer_norm or "
                "embedding on all tokens or all sequences of the batch, or add each task's loss by itself"
            )
        self.vectors[owner].add(name, where, shape, gradient)


class PerTaskGradMode(TorchFunctionMode):
    """While it is active, a forward over ``batch`` prepares a backward that tells the tasks' gradients apart.

    Calls of ``linear``, ``layer_norm`` and ``embedding`` with weights that no single task owns compute what they
    always do, input gradients included; the gradients of their weights go to a ``PerTaskGradients``, task by task. Their
    input has a row for each token of the batch, or for each sequence, in the batch's order. All else runs as ever.

    Raises ValueError unless the batch's ``slices`` name the task of every sequence, in order.
    """

    def __init__(self, flat: FlatParameters, batch: PackedBatch):
        super().__init__()
        self.flat, self.tasks = flat, set(batch.slices)
        tokens = {task: its_tokens for task, (its_tokens, _) in batch.parts.items()}
        self.slices = {batch.tokens: tokens, len(batch): batch.slices}

    def __torch_function__(self, func, types, args=(), kwargs=None) -> Any:
        override = _OVERRIDES.get(func) if torch.is_grad_enabled() else None
        out = override(self, *args, **(kwargs or {})) if override else None
        return func(*args, **(kwargs or {})) if out is None else out

    def is_shared(self, x: Tensor, dimensions: int, *weights: Tensor | None) -> bool:
        """Whether the rows of ``x`` have tasks, and all that is trained of ``weights`` is shared by them."""
        names = [self.flat.names[weight] for weight in weights if weight in self.flat.names]
        shared = bool(names) and all(self.flat.owners[name] not in self.tasks for name in names)
        return shared and x.ndim == dimensions and len(x) in self.slices

    def tap(self, out: Tensor, share: Share, kept: tuple[Tensor, ...], *weights: Tensor | None) -> Tensor:
        """``out``, whose backward calls ``share`` with each task's vector and rows of the gradient and of ``kept``."""

        def assign_grads(gradient: Tensor, *kept: Tensor) -> None:
            if not isinstance(self.flat.destination, PerTaskGradients):
                raise RuntimeError("a forward with the tasks apart needs a backward with the tasks apart")
            for task, rows in self.slices[len(gradient)].items():
                if task in self.flat.destination.vectors:
                    share(self.flat.destination.vectors[task], gradient[rows], *(tensor[rows] for tensor in kept))

        trained = [weight for weight in weights if weight is not None and weight.requires_grad]
        return _Tap.apply(out, assign_grads, tuple(tensor.detach() for tensor in kept), *trained)


class _Tap(torch.autograd.Function):
    """The identity; on the way back, ``assign_grads`` sees the gradient that passes. The weights make it pass at all."""

    @staticmethod
    def forward(
        ctx, out: Tensor, assign_grads: Callable[..., None], kept: tuple[Tensor, ...], *weights: Tensor
    ) -> Tensor:
        ctx.assign_grads = assign_grads
        ctx.save_for_backward(*kept)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        first_weight = ctx.next_functions[1][0]
        if torch._C._will_engine_execute_node(first_weight):  # not where only an input's gradient is asked for
            ctx.assign_grads(gradient, *ctx.saved_tensors)
        return gradient, *[None] * (len(ctx.needs_input_grad) - 1)


def _linear(mode: PerTaskGradMode, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor | None:
    if not mode.is_shared(input, 2, weight, bias):
        return None
    if torch.is_autocast_enabled(input.device.type) and input.dtype != torch.float64:
        input = input.to(torch.get_autocast_dtype(input.device.type))  # as autocast would, and so it is kept

    def share(vector: GradientVector, gradient: Tensor, of_input: Tensor) -> None:
        if weight.requires_grad:
            mode.flat.add_product(vector, weight, gradient, of_input)
        if bias is not None and bias.requires_grad:
            mode.flat.add_gradient(vector, bias, gradient.sum(0))

    return mode.tap(F.linear(input, weight.detach(), _detached(bias)), share, (input,), weight, bias)


def _layer_norm(
    mode: PerTaskGradMode,
    input: Tensor,
    normalized_shape: list[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor | None:
    if len(normalized_shape) != 1 or not mode.is_shared(input, 2, weight, bias):
        return None
    trained = [part is not None and part.requires_grad for part in (weight, bias)]
    values = _detached(weight), _detached(bias)
    out, mean, scale = torch.native_layer_norm(input, normalized_shape, *values, eps)

    def share(vector: GradientVector, gradient: Tensor, of_input: Tensor, mean: Tensor, scale: Tensor) -> None:
        _, *found = torch.ops.aten.native_layer_norm_backward(
            gradient, of_input.to(gradient.dtype), normalized_shape, mean, scale, *values, [False, *trained]
        )
        for parameter, its_gradient, wanted in zip((weight, bias), found, trained, strict=True):
            if wanted:
                mode.flat.add_gradient(vector, parameter, its_gradient)

    return mode.tap(out, share, (input, mean, scale), weight, bias)


def _embedding(
    mode: PerTaskGradMode,
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor | None:
    plain = padding_idx is None and max_norm is None and not scale_grad_by_freq
    if not plain or not mode.is_shared(input, 1, weight):
        return None

    def share(vector: GradientVector, gradient: Tensor, ids: Tensor) -> None:
        if sparse:
            gradient = torch.sparse_coo_tensor(ids[None], gradient, weight.shape, check_invariants=False)
        else:
            gradient = torch.ops.aten.embedding_dense_backward(gradient, ids, len(weight), -1, False)
        mode.flat.add_gradient(vector, weight, gradient)

    return mode.tap(F.embedding(input, weight.detach()), share, (input,), weight)


def _detached(weight: Tensor | None) -> Tensor | None:
    return None if weight is None else weight.detach()


_OVERRIDES = {F.linear: _linear, F.layer_norm: _layer_norm, F.embedding: _embedding}
