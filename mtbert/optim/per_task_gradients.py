"""Every task's gradient of the weights that tasks share, from one forward and one backward pass for all of them.

In a PackedBatch each task's rows are contiguous, and no layer mixes two sequences. So one backward pass of the summed
losses has each task's gradient of every activation, in that task's own rows. Tasks meet only where a weight's gradient
is computed: for y = W x it is a sum of g x^T over all rows. Here that sum is taken over each task's rows separately,
which is the same arithmetic, and exact.
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
from mtbert.utils.onednn import linear


class PerTaskGradients:
    """The destination of a backward pass of several tasks' losses: each task's gradient goes into its own vector."""

    def __init__(self, flat: FlatParameters, vectors: dict[str, GradientVector]):
        self.flat, self.vectors = flat, vectors

    def add(self, name: str, gradient: Tensor) -> None:
        """Take a whole gradient, that of a parameter that one task owns; RuntimeError if tasks share it."""
        owner = self.flat.owners[name]
        if owner not in self.vectors:
            raise RuntimeError(
                f"the tasks' gradients of {name} cannot be told apart: share weights through linear, layer_norm or "
                "embedding on all tokens or all sequences of the batch, or add each task's loss by itself"
            )
        self.vectors[owner].add(name, gradient)


class PerTaskGradMode(TorchFunctionMode):
    """While active, a forward pass over ``batch`` is prepared for a backward pass that splits gradients by task.

    Calls of ``linear``, ``layer_norm`` and ``embedding`` with weights that no single task owns compute what they always
    do, input gradients included; the gradients of their weights go to a ``PerTaskGradients``, task by task. Their input
    has a row for each token of the batch, or for each sequence, in the batch's order. Everything else runs unchanged.
    ValueError unless the batch's ``slices`` name the task of every sequence, in order.
    """

    def __init__(self, flat: FlatParameters, batch: PackedBatch):
        super().__init__()
        self.flat, self.tasks = flat, set(batch.slices)
        tokens = {task: token_slice for task, (token_slice, _) in batch.by_task.items()}
        self.slices = {batch.tokens: tokens, len(batch): batch.slices}  # each task's rows, by the number of all rows

    def __torch_function__(self, func, types, args=(), kwargs=None) -> Any:
        override = _OVERRIDES.get(func) if torch.is_grad_enabled() else None
        out = override(self, *args, **(kwargs or {})) if override else None
        return func(*args, **(kwargs or {})) if out is None else out

    def is_shared(self, x: Tensor, dimensions: int, *weights: Tensor | None) -> bool:
        """Whether the rows of ``x`` belong to tasks, and all trained ``weights`` are shared by them."""
        names = [self.flat.names[weight] for weight in weights if weight is not None and weight in self.flat.names]
        shared = bool(names) and all(self.flat.owners[name] not in self.tasks for name in names)
        return shared and x.ndim == dimensions and len(x) in self.slices

    def tap(self, out: Tensor, add: Callable[..., None], saved: tuple[Tensor, ...], *weights: Tensor | None) -> Tensor:
        """``out``; its backward pass calls ``add`` with each task's vector and rows of the gradient and ``saved``."""

        def split(gradient: Tensor, *saved: Tensor) -> None:
            destination = self.flat.destination
            if destination is None:  # autograd.grad in the middle of a forward pass, of an input alone (SMART)
                return
            if not isinstance(destination, PerTaskGradients):
                raise RuntimeError("a forward pass with per-task gradients needs Surgery.backward")
            for task, rows in self.slices[len(gradient)].items():
                if task in destination.vectors:
                    add(destination.vectors[task], gradient[rows], *(tensor[rows] for tensor in saved))

        trained = [weight for weight in weights if weight is not None and weight.requires_grad]
        return _Tap.apply(out, split, tuple(tensor.detach() for tensor in saved), *trained)


class _Tap(torch.autograd.Function):
    """The identity; its backward pass shows the gradient to ``split``. The weights are inputs so that it has one."""

    @staticmethod
    def forward(ctx, out: Tensor, split: Callable[..., None], saved: tuple[Tensor, ...], *weights: Tensor) -> Tensor:
        ctx.split = split
        ctx.save_for_backward(*saved)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        ctx.split(gradient, *ctx.saved_tensors)
        return gradient, *[None] * (len(ctx.needs_input_grad) - 1)


def _linear(mode: PerTaskGradMode, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor | None:
    if not mode.is_shared(input, 2, weight, bias):
        return None
    if torch.is_autocast_enabled(input.device.type) and input.dtype != torch.float64:
        input = input.to(torch.get_autocast_dtype(input.device.type))  # as autocast would; saved in that type

    def add(vector: GradientVector, gradient: Tensor, input: Tensor) -> None:
        if weight.requires_grad:
            vector.add_product(mode.flat.names[weight], gradient, input)
        if bias is not None and bias.requires_grad:
            vector.add(mode.flat.names[bias], gradient.sum(0))

    return mode.tap(linear(input, weight.detach(), _detached(bias)), add, (input,), weight, bias)


def _layer_norm(
    mode: PerTaskGradMode, input: Tensor, normalized_shape: list[int], weight=None, bias=None, eps: float = 1e-5
) -> Tensor | None:
    if len(normalized_shape) != 1 or not mode.is_shared(input, 2, weight, bias):
        return None
    needs_grad = [parameter is not None and parameter.requires_grad for parameter in (weight, bias)]
    values = _detached(weight), _detached(bias)
    out, mean, scale = torch.native_layer_norm(input, normalized_shape, *values, eps)

    def add(vector: GradientVector, gradient: Tensor, input: Tensor, mean: Tensor, scale: Tensor) -> None:
        _, *gradients = torch.ops.aten.native_layer_norm_backward(
            gradient, input.to(gradient.dtype), normalized_shape, mean, scale, *values, [False, *needs_grad]
        )
        for parameter, parameter_gradient, needed in zip((weight, bias), gradients, needs_grad, strict=True):
            if needed:
                vector.add(mode.flat.names[parameter], parameter_gradient)

    return mode.tap(out, add, (input, mean, scale), weight, bias)


def _embedding(mode: PerTaskGradMode, input: Tensor, weight: Tensor, sparse=False, **options) -> Tensor | None:
    plain = options["padding_idx"] is None and options["max_norm"] is None and not options["scale_grad_by_freq"]
    if not plain or not mode.is_shared(input, 1, weight):
        return None

    def add(vector: GradientVector, gradient: Tensor, ids: Tensor) -> None:
        if sparse:
            gradient = torch.sparse_coo_tensor(ids[None], gradient, weight.shape, check_invariants=False)
        else:
            gradient = torch.ops.aten.embedding_dense_backward(gradient, ids, len(weight), -1, False)
        vector.add(mode.flat.names[weight], gradient)

    return mode.tap(F.embedding(input, weight.detach()), add, (input,), weight)


def _detached(weight: Tensor | None) -> Tensor | None:
    return None if weight is None else weight.detach()


_OVERRIDES: dict[Callable, Callable] = {F.linear: _linear, F.layer_norm: _layer_norm, F.embedding: _embedding}
