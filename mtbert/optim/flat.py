"""All trainable parameters as one vector, and their gradients as another.

The papers write an optimiser for a vector theta and a gradient g. Here they are exactly that: every parameter is a
view into ``theta``, and each backward pass leaves its gradients in ``gradient``, at the same places.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn


@dataclass
class ParameterShard:
    """A stretch of the vector whose parameters share an owner and a decay rule.

    parameter: (size,) a leaf that views the stretch; its ``grad`` is the matching stretch of the gradient after a
    backward pass that reached it, and None otherwise.
    """

    owner: str
    decays: bool
    names: list[str]
    where: slice
    parameter: nn.Parameter


class Destination(Protocol):
    """What takes the gradients of a backward pass, parameter by parameter."""

    def add(self, name: str, where: slice, shape: torch.Size, gradient: Tensor) -> None: ...


@dataclass
class GradientVector:
    """A gradient in the layout of the parameters: zeros where nothing was added since ``start``.

    values: (size,). reached: names of the parameters that something was added to. rows: per embedding whose gradient
    came as rows, the numbers of those that may differ from zero.
    """

    values: Tensor
    has_grad: set[str] = field(default_factory=set)
    rows: dict[str, Tensor] = field(default_factory=dict)

    def start(self) -> None:
        """Forget what was added; the numbers themselves are overwritten by what comes first."""
        self.has_grad.clear()

    def add(self, name: str, where: slice, shape: torch.Size, gradient: Tensor) -> None:
        place = self.values[where].view(shape)
        first = name not in self.has_grad
        self.has_grad.add(name)
        if gradient.is_sparse:
            rows = gradient._indices().squeeze(0)
            if first:
                place[self.rows.get(name, rows)] = 0
            self.rows[name] = rows if first else torch.cat([self.rows[name], rows])
            place.index_add_(0, rows, gradient._values())
        elif first:
            place.copy_(gradient)
        else:
            place.add_(gradient)

    def add_product(self, name: str, where: slice, left: Tensor, right: Tensor) -> None:
        """Add left^T right, of (n, rows) and (n, columns); written straight to its place if the types agree."""
        shape = torch.Size([left.shape[1], right.shape[1]])
        if left.dtype != self.values.dtype:
            self.add(name, where, shape, left.T @ right)
            return
        before = 1 if name in self.has_grad else 0
        self.has_grad.add(name)
        self.values[where].view(shape).addmm_(left.T, right, beta=before)


class FlatParameters:
    """Moves a model's trainable parameters into one vector; the model goes on working, on views.

    Parameters are laid out by owner (the encoder, or one task's head), those that weight decay applies to first.
    Biases and LayerNorm, the tensors of fewer than two dimensions, do not decay. Frozen parameters are left out.

    owner: maps a parameter's name to its owner; a step that does not reach an owner leaves it untouched.
    On a CPU, the embeddings of ``model`` are told to give their gradient as the few rows that a batch reads.
    """

    def __init__(self, model: nn.Module, owner: Callable[[str], str]):
        kept = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
        if not kept:
            raise ValueError("no trainable parameter: everything is frozen")
        groups: dict[tuple[str, bool], list[tuple[str, nn.Parameter]]] = {}
        for name, parameter in kept:
            groups.setdefault((owner(name), parameter.ndim > 1), []).append((name, parameter))

        first = kept[0][1]
        size = sum(parameter.numel() for _, parameter in kept)
        self.theta = torch.empty(size, dtype=first.dtype, device=first.device)
        self.vector = GradientVector(torch.zeros_like(self.theta))
        self.shards: list[ParameterShard] = []
        self.slices: dict[str, slice] = {}
        self.shapes: dict[str, torch.Size] = {}
        self.owners: dict[str, str] = {}
        self.names: dict[nn.Parameter, str] = {}
        self.destination: Destination = self.vector  # where a backward pass leaves its gradients
        for module in model.modules():
            if isinstance(module, nn.Embedding):
                module.sparse = first.device.type == "cpu"
        end = 0
        for (of, decays), members in sorted(groups.items(), key=lambda item: (not item[0][1], item[0][0])):
            start = end
            for name, parameter in members:
                end = self._move(name, parameter, end)
                self.owners[name], self.names[parameter] = of, name
            view = nn.Parameter(self.theta[start:end])
            self.shards.append(ParameterShard(of, decays, [name for name, _ in members], slice(start, end), view))

    def _move(self, name: str, parameter: nn.Parameter, start: int) -> int:
        """Make one parameter a view from ``start`` on, and let its gradient flow to the same place."""
        end = start + parameter.numel()
        view = self.theta[start:end].view_as(parameter)
        view.copy_(parameter.detach())
        parameter.data = view
        self.slices[name], self.shapes[name] = slice(start, end), parameter.shape
        parameter.register_post_accumulate_grad_hook(partial(self._collect, name))
        return end

    def _collect(self, name: str, parameter: nn.Parameter) -> None:
        """Called by autograd once a parameter's gradient is complete; there is none where it was taken on the way."""
        gradient, parameter.grad = parameter.grad, None
        if gradient is not None:
            self.destination.add(name, self.slices[name], self.shapes[name], gradient)

    def __len__(self) -> int:
        return len(self.theta)

    @property
    def gradient(self) -> Tensor:
        """(size,): the gradient that the optimiser will see."""
        return self.vector.values

    def groups(self, weight_decay: float) -> list[dict]:
        """The segments as parameter groups for an optimiser: decayed ones, then the others."""
        return [
            {"params": [part.parameter for part in self.shards if part.decays], "weight_decay": weight_decay},
            {"params": [part.parameter for part in self.shards if not part.decays], "weight_decay": 0.0},
        ]

    def backward(self, *losses: Tensor) -> list[nn.Parameter]:
        """Leave the gradient of the losses' sum in ``gradient``. Returns the segments that it reached.

        Raises RuntimeError as ``reached`` does.
        """
        self.vector.start()
        for loss in losses:
            self.add(loss, self.vector)
        return self.assign_grads()

    def add(self, loss: Tensor, destination: Destination) -> None:
        """Add the gradient of ``loss`` to a vector, or hand it to whatever else takes it."""
        if not loss.requires_grad:  # a frozen encoder under a head without weights has nothing to learn
            return
        self.destination = destination
        try:
            loss.backward()
        finally:
            self.destination = self.vector

    def add_gradient(self, destination: GradientVector, parameter: nn.Parameter, gradient: Tensor) -> None:
        """Add a gradient of one parameter."""
        name = self.names[parameter]
        destination.add(name, self.slices[name], self.shapes[name], gradient)

    def add_product(self, destination: GradientVector, parameter: nn.Parameter, left: Tensor, right: Tensor) -> None:
        """Add left^T right to the gradient of one matrix."""
        name = self.names[parameter]
        destination.add_product(name, self.slices[name], left, right)

    def has_grad(self, vector: GradientVector) -> list[ParameterShard]:
        """The segments that a vector has the gradient of.

        Raises RuntimeError naming a parameter that has none while others of the same segment do: such a parameter
        belongs frozen, or under an owner of its own.
        """
        found = []
        for shard in self.shards:
            missing = [name for name in shard.names if name not in vector.has_grad]
            if missing and len(missing) < len(shard.names):
                raise RuntimeError(
                    f"{missing[0]} has no gradient, though other parameters of {shard.owner} do: "
                    "freeze it or give it an owner of its own"
                )
            if not missing:
                found.append(shard)
        return found

    def assign_grads(self) -> list[nn.Parameter]:
        """Give each segment that ``vector`` reached its stretch of the gradient, and the others none; return those."""
        has_grad = self.has_grad(self.vector)
        for shard in self.shards:
            shard.parameter.grad = None
        for shard in has_grad:
            shard.parameter.grad = self.gradient[shard.where]
        return [shard.parameter for shard in has_grad]
