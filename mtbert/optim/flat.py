"""All trainable parameters as one vector, and their gradients as another.

The papers write an optimiser for a vector theta and a gradient g. Here they are exactly that: every parameter is a
view into ``theta``, and each backward pass leaves its gradients in ``gradient``, at the same places.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn


@dataclass
class Segment:
    """A stretch of the vector whose parameters share an owner and a decay rule.

    parameter: (size,) a leaf that views the stretch; its ``grad`` is the matching stretch of the gradient after a
    backward pass that reached it, and None otherwise.
    """

    owner: str
    decays: bool
    names: list[str]
    where: slice
    parameter: nn.Parameter


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
        self.gradient = torch.zeros_like(self.theta)
        self.segments: list[Segment] = []
        self._reached: set[str] = set()
        self._rows: dict[str, Tensor] = {}  # of a sparse gradient: the rows that are not zero
        for module in model.modules():
            if isinstance(module, nn.Embedding):
                module.sparse = first.device.type == "cpu"
        end = 0
        for (of, decays), members in sorted(groups.items(), key=lambda item: (not item[0][1], item[0][0])):
            start = end
            for name, parameter in members:
                end = self._move(name, parameter, end)
            view = nn.Parameter(self.theta[start:end])
            self.segments.append(Segment(of, decays, [name for name, _ in members], slice(start, end), view))

    def _move(self, name: str, parameter: nn.Parameter, start: int) -> int:
        """Make one parameter a view from ``start`` on, and let its gradient flow to the same place."""
        end = start + parameter.numel()
        view = self.theta[start:end].view_as(parameter)
        view.copy_(parameter.detach())
        parameter.data = view
        place = self.gradient[start:end].view_as(parameter)
        parameter.register_post_accumulate_grad_hook(partial(self._collect, name, place))
        return end

    def _collect(self, name: str, place: Tensor, parameter: nn.Parameter) -> None:
        """Called by autograd once a parameter's gradient is complete: the first one of a step overwrites."""
        gradient, parameter.grad = parameter.grad, None
        first = name not in self._reached
        self._reached.add(name)
        if gradient.is_sparse:
            rows = gradient._indices().squeeze(0)
            if first:
                place[self._rows.get(name, rows)] = 0
            self._rows[name] = rows if first else torch.cat([self._rows[name], rows])
            place.index_add_(0, rows, gradient._values())
        elif first:
            place.copy_(gradient)
        else:
            place.add_(gradient)

    def __len__(self) -> int:
        return len(self.theta)

    def groups(self, weight_decay: float) -> list[dict]:
        """The segments as parameter groups for an optimiser: decayed ones, then the others."""
        return [
            {"params": [part.parameter for part in self.segments if part.decays], "weight_decay": weight_decay},
            {"params": [part.parameter for part in self.segments if not part.decays], "weight_decay": 0.0},
        ]

    def backward(self, loss: Tensor) -> list[nn.Parameter]:
        """Leave the gradient of ``loss`` in ``gradient``. Returns the segments that it reached.

        Raises RuntimeError naming a parameter that the loss does not depend on while it does on others of the same
        segment: such a parameter belongs frozen, or under an owner of its own.
        """
        self._reached.clear()
        if loss.requires_grad:  # a frozen encoder under a head without weights has nothing to learn
            loss.backward()
        reached = []
        for segment in self.segments:
            missing = [name for name in segment.names if name not in self._reached]
            if missing and len(missing) < len(segment.names):
                raise RuntimeError(f"{missing[0]} has no gradient, though other parameters of {segment.owner} do: "
                                   "freeze it or give it an owner of its own")  # fmt: skip
            segment.parameter.grad = None if missing else self.gradient[segment.where]
            if not missing:
                reached.append(segment.parameter)
        return reached
