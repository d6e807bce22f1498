"""All trainable parameters as one vector, and their gradients as another.

The papers write an optimizer for a vector theta and its gradient g. Here they are exactly that: every parameter is a
view into ``theta``, and each backward pass leaves its gradients in ``gradient``, in the same layout.
"""

import itertools
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn

from mtbert.utils.onednn import goes_through_onednn, transposed_product
from mtbert.utils.torch_private import sparse_rows


@dataclass(eq=False)
class ParameterShard:
    """A range of the vector, ``where``, whose parameters have the same owner, decay rule and factor on the rate."""

    owner: str
    decays: bool
    lr_scale: float
    names: list[str]
    where: slice
    parameter: nn.Parameter  # a leaf that views the range; its ``grad`` is a range of the gradient, None if not reached


class Destination(Protocol):
    """What receives the gradients of a backward pass, one parameter at a time."""

    def add(self, name: str, gradient: Tensor) -> None: ...


class GradientVector:
    """A gradient in the layout of the parameters: ``values``, (size,), out of date outside of ``has_grad``."""

    def __init__(self, flat: "FlatParameters", values: Tensor):
        self.flat, self.values = flat, values
        self.has_grad: set[str] = set()  # parameters that a gradient was added to since ``zero_grad``
        self.rows: dict[str, Tensor] = {}  # of an embedding with sparse gradients, those rows that may be nonzero

    def __getitem__(self, name: str) -> Tensor:
        """A view of one parameter's gradient, in its shape."""
        return self.values[self.flat.slices[name]].view(self.flat.shapes[name])

    def zero_grad(self) -> None:
        """Start over. Nothing is written yet: the first gradient added to a parameter overwrites the old values."""
        self.has_grad.clear()

    def add(self, name: str, gradient: Tensor) -> None:
        """Add a gradient of one parameter."""
        values, first = self[name], name not in self.has_grad
        self.has_grad.add(name)
        if gradient.is_sparse:
            rows, row_gradients = sparse_rows(gradient)
            if first:
                values[self.rows.get(name, rows)] = 0
            self.rows[name] = rows if first else torch.cat([self.rows[name], rows])
            values.index_add_(0, rows, row_gradients)
        elif first:
            values.copy_(gradient)
        else:
            values.add_(gradient)

    def add_product(self, name: str, left: Tensor, right: Tensor) -> None:
        """Add left^T right, of (n, rows) and (n, columns), without a temporary where torch multiplies."""
        if left.dtype != self.values.dtype or goes_through_onednn(left, right):
            self.add(name, transposed_product(left, right))
            return
        self[name].addmm_(left.T, right, beta=1 if name in self.has_grad else 0)
        self.has_grad.add(name)


def _collect(flat: "weakref.ref[FlatParameters]", name: str, parameter: nn.Parameter) -> None:
    """A hook of autograd, which the garbage collector cannot look into: a strong reference would live for ever."""
    if (owner := flat()) is not None:
        owner.collect(name, parameter)


class FlatParameters:
    """Moves a model's trainable parameters into one vector. The model works on as before, on views.

    Parameters are laid out in shards: those that weight decay applies to first, then by owner and by ``lr_scale``.
    Tensors with fewer than two dimensions (biases and LayerNorm) do not decay. On a CPU, the model's embeddings are
    switched to sparse gradients: a batch reads only a few of their rows.

    Args:
        model: Its frozen parameters are left out; ValueError if everything is frozen.
        owner: Maps a parameter's name to its owner: "encoder", or a task. A step that does not reach an owner leaves
            its parameters alone.
        lr_scale: Maps a parameter's name to a factor on the learning rate; by default 1 for all.
    """

    def __init__(
        self, model: nn.Module, owner: Callable[[str], str], lr_scale: Callable[[str], float] = lambda name: 1.0
    ):
        trainable = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
        if not trainable:
            raise ValueError("no trainable parameter: everything is frozen")
        self.owners = {name: owner(name) for name, _ in trainable}
        self.shapes = {name: parameter.shape for name, parameter in trainable}
        self.names: dict[Tensor, str] = {parameter: name for name, parameter in trainable}
        first = trainable[0][1]
        size = sum(parameter.numel() for _, parameter in trainable)
        self.theta = torch.empty(size, dtype=first.dtype, device=first.device)
        self.vector = GradientVector(self, torch.zeros_like(self.theta))
        self.destination: Destination | None = None  # of the gradients of the backward pass under way
        for module in model.modules():
            if isinstance(module, nn.Embedding):
                module.sparse = first.device.type == "cpu"
        self.shards: list[ParameterShard] = []
        self.slices: dict[str, slice] = {}

        def place(item: tuple[str, nn.Parameter]) -> tuple[bool, str, float]:
            return item[1].ndim <= 1, self.owners[item[0]], lr_scale(item[0])

        end = 0
        for (no_decay, shard_owner, scale), members in itertools.groupby(sorted(trainable, key=place), key=place):
            start, names = end, []
            for name, parameter in members:
                names.append(name)
                self.slices[name] = slice(end, end + parameter.numel())
                end += parameter.numel()
                view = self.theta[self.slices[name]].view_as(parameter)
                view.copy_(parameter.detach())
                parameter.data = view
                parameter.register_post_accumulate_grad_hook(partial(_collect, weakref.ref(self), name))
            view = nn.Parameter(self.theta[start:end])
            self.shards.append(ParameterShard(shard_owner, not no_decay, scale, names, slice(start, end), view))

    def collect(self, name: str, parameter: nn.Parameter) -> None:
        """Called by autograd once a parameter's gradient is complete; it is None where ``PerTaskGradMode`` takes it."""
        gradient, parameter.grad = parameter.grad, None
        if gradient is not None:
            (self.destination or self.vector).add(name, gradient)
        elif self.destination is None:
            raise RuntimeError(f"{name} has per-task gradients only: use Surgery.backward")

    def __len__(self) -> int:
        return len(self.theta)

    @property
    def gradient(self) -> Tensor:
        """(size,): the gradient that the optimizer will see."""
        return self.vector.values

    def groups(self, weight_decay: float) -> list[dict]:
        """The shards as parameter groups for an optimizer, by ``lr_scale``: those that decay, then the others."""
        return [
            {
                "params": [s.parameter for s in self.shards if (s.decays, s.lr_scale) == (decays, scale)],
                "weight_decay": rate,
                "lr_scale": scale,
            }
            for decays, rate in ((True, weight_decay), (False, 0.0))
            for scale in sorted({shard.lr_scale for shard in self.shards})
        ]

    def backward(self, *losses: Tensor) -> list[nn.Parameter]:
        """Leave the gradient of the losses' sum in ``gradient``; returns and raises as ``assign_grads`` does."""
        self.vector.zero_grad()
        for loss in losses:
            self.add(loss, self.vector)
        return self.assign_grads()

    def add(self, loss: Tensor, destination: Destination) -> None:
        """Add the gradient of ``loss`` to a ``GradientVector``, or hand it to another destination."""
        if not loss.requires_grad:  # a frozen encoder under a head without weights has nothing to learn
            return
        self.destination = destination
        try:
            loss.backward()
        finally:
            self.destination = None

    def shards_with_grad(self, vector: GradientVector) -> list[ParameterShard]:
        """The shards that ``vector`` has the gradient of; RuntimeError if it has that of a part of one."""
        shards = []
        for shard in self.shards:
            missing = [name for name in shard.names if name not in vector.has_grad]
            if not missing:
                shards.append(shard)
            elif len(missing) < len(shard.names):
                raise RuntimeError(
                    f"{missing[0]} has no gradient, though other parameters of {shard.owner} do: "
                    "freeze it or give it an owner of its own"
                )
        return shards

    def assign_grads(self) -> list[nn.Parameter]:
        """Set ``grad`` of every shard's parameter: its range of the gradient, or None where ``vector`` has none.

        Returns the shards' parameters that have a gradient now, and raises as ``shards_with_grad`` does.
        """
        shards = self.shards_with_grad(self.vector)
        for shard in self.shards:
            shard.parameter.grad = self.gradient[shard.where] if shard in shards else None
        return [shard.parameter for shard in shards]
