"""Checks of notebook 06: projection, PCGrad on vectors and on the Gramian, a training step, GradVac's coefficient."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mtbert.optim import cosines
from mtbert.optim import pcgrad as reference
from mtbert.workbook.checks.engine import Draw, check, expect, same, shaped, untouched


@check
def project(answer, draw):
    """answer(gradient, other) -> gradient without its part along other if the two conflict; both (P,)."""
    size = draw.whole(4, 8)
    gradient, other = _pair(draw, size, -draw.between(0.3, 0.8))
    unit = other / other.norm()
    expected = gradient - (gradient @ unit) * unit
    yield "gives a vector as long as the gradient"
    shaped(answer(*_pair(draw, size, -0.5)), size)
    yield "makes a new tensor and leaves its arguments as they were"
    untouched(answer, gradient, other)
    yield "changes nothing where the two do not conflict"
    agreeing = _pair(draw, size, draw.between(0.3, 0.8))
    same(answer(*agreeing), agreeing[0])
    yield "in a conflict, removes the part of the gradient along an other of length 1"
    same(answer(gradient, unit), expected)
    yield "the length of the other does not matter, only its direction"
    for length in (0.3, 4.0):
        same(answer(gradient, length * unit), expected)
    yield "an other of all zeros is no conflict"
    same(answer(gradient, torch.zeros(size)), gradient)


@check
def pcgrad(answer, draw):
    """answer(gradients, order) -> the PCGrad step (P,); gradients (T, P); order: for each task, the others in order."""
    size = draw.whole(5, 8)
    yield "gives one vector, as long as a gradient"
    shaped(answer(_gradients(draw, _agreeing(3), size), _rising(3)), size)
    yield "leaves the gradients as they were"
    untouched(lambda tensor: answer(tensor, _rising(2)), _gradients(draw, _two(draw), size))
    yield "without a conflict it is the sum"
    gradients = _gradients(draw, _agreeing(3), size)
    same(answer(gradients, _rising(3)), gradients.sum(0))
    yield "two gradients in conflict are both changed, each by the other's original gradient"
    gradients = _gradients(draw, _two(draw), size)
    same(answer(gradients, _rising(2)), _step(gradients, _rising(2)))
    yield "whether two conflict depends on the gradient as changed so far, not on the original"
    gradients = _gradients(draw, _one_removal_ends_both(), size)
    same(answer(gradients, _rising(3)), _step(gradients, _rising(3)))
    yield "so does how much to remove"
    gradients = _gradients(draw, _one_against_two(draw), size)
    same(answer(gradients, _rising(3)), _step(gradients, _rising(3)))
    yield "takes the others in the order given"
    falling = [list(reversed(others)) for others in _rising(3)]
    same(answer(gradients, falling), _step(gradients, falling))


@check
def weights(answer, draw):
    """answer(gramian, order) -> (T,) weights of the gradients in the PCGrad step; gramian (T, T); order as above."""
    yield "gives one weight a task"
    shaped(answer(_agreeing(3), _rising(3)), 3)
    yield "leaves the Gramian as it was"
    untouched(lambda tensor: answer(tensor, _rising(2)), _two(draw))
    yield "without a conflict all weights are 1"
    same(answer(_agreeing(3), _rising(3)), torch.ones(3))
    yield "two gradients of length 1 in conflict: each weight grows by minus their product"
    cosine = -draw.between(0.3, 0.8)
    same(answer(torch.tensor([[1.0, cosine], [cosine, 1.0]]), _rising(2)), [1 - cosine, 1 - cosine])
    yield "for unequal lengths: the part along g_j is divided by its square, and counts for the weight of g_j"
    gramian = _two(draw)
    same(answer(gramian, _rising(2)), 1 - gramian[0, 1] / gramian.diagonal())
    yield "the products are those of the gradient as changed so far, row i of C times G"
    for gramian in (_one_removal_ends_both(), _one_against_two(draw)):
        same(answer(gramian, _rising(3)), _weights(gramian, _rising(3)))
    yield "takes the others in the order given"
    falling = [list(reversed(others)) for others in _rising(3)]
    same(answer(gramian, falling), _weights(gramian, falling))
    yield "a gradient of all zeros gives finite weights"
    same(answer(torch.diag(torch.tensor([2.0, 0.0])), _rising(2)), torch.ones(2))
    yield "equals the weights of mtbert.optim.pcgrad for two to five tasks"
    for tasks in range(2, 6):
        gradients, seed = draw.normal(tasks, 8), draw.whole(0, 10**6)
        gramian = gradients @ gradients.T
        same(answer(gramian, _orders(tasks, seed)), reference(gramian, torch.Generator().manual_seed(seed)), 1e-3)


@check
def vaccine(answer, draw):
    """answer(gradient, other, target) -> how much of other to add so that the cosine with it is the target."""
    size = draw.whole(4, 8)
    yield "is one number"
    shaped(answer(*_pair(draw, size, 0.2), 0.5))
    yield "is 0 where the cosine is at the target or above"
    for cosine, target in ((0.6, 0.3), (0.2, -0.4), (-0.3, -0.7)):
        same(answer(*_pair(draw, size, cosine), target), 0.0)
    yield "two gradients of length 1 and a target of 0: as in PCGrad, minus their product"
    cosine = -draw.between(0.3, 0.8)
    same(answer(*_units(draw, size, cosine), 0.0), -cosine)
    yield "gradients of any lengths and any target: afterwards the cosine is the target"
    for length, cosine, target in ((1.0, -0.4, 0.3), (0.2, 0.1, 0.6), (5.0, -0.7, -0.2)):
        one, two = _pair(draw, size, cosine)
        _reaches(answer, length * one, two, target)
    yield "is 0 where either gradient is all zeros"
    same(answer(torch.zeros(size), two, 0.5), 0.0)
    same(answer(one, torch.zeros(size), 0.5), 0.0)


@check
def training_step(answer, draw):
    """answer(losses, shared, optimizer, weigh, max_norm) -> the Gramian (T, T); takes a step of the optimizer."""
    yield "step 1: returns the Gramian of the tasks' gradients of the shared parameters"
    mine, theirs = _networks(draw)
    expected = _reference_step(theirs, torch.optim.SGD(theirs.everything, lr=0.01), 1e9)
    same(answer(*mine.arguments(torch.optim.SGD(mine.everything, lr=0.01), 1e9)), expected, 1e-3)
    yield "step 2: a head moves along its own task's gradient, whole"
    for head, other in zip(mine.heads, theirs.heads, strict=True):
        same(head, other)
    yield "step 3: the shared parameters move along the tasks' gradients times their weights"
    for parameter, other in zip(mine.shared, theirs.shared, strict=True):
        same(parameter, other)
    yield "step 4: afterwards, the norm of all gradients together is clipped to max_norm"
    _agree_after(answer, _networks(draw), lambda parameters: torch.optim.SGD(parameters, lr=1.0), 0.1)
    yield "step 5: nothing is left over from the step before"
    _agree_after(answer, _networks(draw), lambda parameters: torch.optim.SGD(parameters, lr=0.01), 1e9, steps=3)
    yield "step 6: a parameter that no loss reaches stays where it is, under weight decay as well"
    _agree_after(answer, _networks(draw), lambda parameters: torch.optim.AdamW(parameters, 0.1, weight_decay=0.5), 1e9)


@dataclass
class _Network:
    """Two shared parameters, a head for each of three tasks, and a head that no task uses."""

    shared: list[nn.Parameter]
    heads: list[nn.Parameter]
    inputs: Tensor
    targets: Tensor

    @property
    def everything(self) -> list[nn.Parameter]:
        return [self.heads[0], *self.shared, *self.heads[1:]]

    def losses(self) -> list[Tensor]:
        hidden = torch.tanh(self.inputs @ self.shared[0] + self.shared[1])  # (tasks, rows, width)
        return [((h @ head - y) ** 2).mean() for h, head, y in zip(hidden, self.heads[:3], self.targets, strict=True)]

    def arguments(self, optimizer: torch.optim.Optimizer, max_norm: float) -> tuple:
        return self.losses(), self.shared, optimizer, _weigh, max_norm


def _weigh(gramian: Tensor) -> Tensor:
    return _weights(gramian.detach(), _rising(len(gramian)))


def _networks(draw: Draw) -> list[_Network]:
    """Two copies of a network whose tasks' gradients conflict."""
    for _ in range(100):
        values = [draw.normal(5, 4), draw.normal(4), *(draw.normal(4) for _ in range(4))]
        inputs, targets = draw.normal(3, 6, 5), 3 * draw.normal(3, 6)
        pair = []
        for _ in range(2):
            shared, heads = ([nn.Parameter(value.clone()) for value in part] for part in (values[:2], values[2:]))
            pair.append(_Network(shared, heads, inputs, targets))
        jacobian = _jacobian(pair[0])
        cosine = cosines(jacobian @ jacobian.T)
        if cosine.min() < -0.1 and not torch.allclose(_weigh(jacobian @ jacobian.T), torch.ones(3), atol=0.05):
            break
    return pair


def _jacobian(network: _Network) -> Tensor:
    rows = [torch.autograd.grad(loss, network.shared, retain_graph=True) for loss in network.losses()]
    return torch.stack([torch.cat([gradient.flatten() for gradient in row]) for row in rows])


def _reference_step(network: _Network, optimizer: torch.optim.Optimizer, max_norm: float) -> Tensor:
    jacobian, optimizer_parameters = _jacobian(network), network.everything
    gramian = jacobian @ jacobian.T
    optimizer.zero_grad()
    torch.stack(network.losses()).sum().backward()
    combined = (_weigh(gramian) @ jacobian).split([parameter.numel() for parameter in network.shared])
    for parameter, gradient in zip(network.shared, combined, strict=True):
        parameter.grad = gradient.view_as(parameter)
    nn.utils.clip_grad_norm_(optimizer_parameters, max_norm)
    optimizer.step()
    return gramian


def _agree_after(answer: Callable, pair: Sequence[_Network], build: Callable, max_norm: float, steps: int = 1) -> None:
    mine, theirs = pair
    optimizers = [build(network.everything) for network in pair]
    for _ in range(steps):
        answer(*mine.arguments(optimizers[0], max_norm))
        _reference_step(theirs, optimizers[1], max_norm)
    for parameter, other in zip(mine.everything, theirs.everything, strict=True):
        same(parameter, other, 1e-3)


# -- references


def _step(gradients: Tensor, order: Sequence[Sequence[int]]) -> Tensor:
    """PCGrad on vectors; order: for each task, the others."""
    return _weights(gradients @ gradients.T, order) @ gradients


def _weights(gramian: Tensor, order: Sequence[Sequence[int]]) -> Tensor:
    changed = torch.eye(len(gramian))
    for i, others in enumerate(order):
        for j in others:
            changed[i, j] -= (changed[i] @ gramian[:, j]).clamp(max=0) / gramian[j, j]
    return changed.sum(0)


def _orders(tasks: int, seed: int) -> list[list[int]]:
    """The orders that ``mtbert.optim.pcgrad`` draws from a generator of that seed."""
    generator = torch.Generator().manual_seed(seed)
    return [[j for j in torch.randperm(tasks, generator=generator).tolist() if j != i] for i in range(tasks)]


def _rising(tasks: int) -> list[list[int]]:
    return [[j for j in range(tasks) if j != i] for i in range(tasks)]


def _reaches(answer: Callable, gradient: Tensor, other: Tensor, target: float) -> None:
    """Fail the property unless adding the answer brings the cosine to the target."""
    amount = shaped(answer(gradient, other, target))
    now = torch.stack([gradient + amount * other, other])
    got = float(cosines(now @ now.T)[0, 1])
    expect(abs(got - target) < 1e-3, f"the cosine is {got:.3f}, but should be {target:.3f}")


# -- inputs


def _pair(draw: Draw, size: int, cosine: float) -> tuple[Tensor, Tensor]:
    """Two vectors of unequal lengths with that cosine."""
    lengths = torch.tensor([draw.between(2, 3), draw.between(0.5, 0.8)])
    both = _gradients(draw, torch.tensor([[1.0, cosine], [cosine, 1.0]]), size)
    return tuple(both * lengths[:, None])


def _units(draw: Draw, size: int, cosine: float) -> list[Tensor]:
    """Two vectors of length 1 with that cosine."""
    return [vector / vector.norm() for vector in _pair(draw, size, cosine)]


def _gradients(draw: Draw, gramian: Tensor, size: int) -> Tensor:
    """(T, size) vectors with that Gramian in a random orientation."""
    basis, _ = torch.linalg.qr(draw.normal(size, len(gramian)))  # (size, T), orthonormal columns
    return torch.linalg.cholesky(gramian) @ basis.T


def _agreeing(tasks: int) -> Tensor:
    """A Gramian without a conflict, of gradients of unequal lengths."""
    return torch.diag(1.0 + torch.arange(tasks)) + 0.5


def _two(draw: Draw) -> Tensor:
    """The Gramian of two gradients in conflict, one of them three times as long."""
    product = 3 * -draw.between(0.3, 0.8)
    return torch.tensor([[9.0, product], [product, 1.0]])


def _one_removal_ends_both() -> Tensor:
    """The first conflicts with the second and the third; removing the second also ends the conflict with the third."""
    return torch.tensor([[2.0, -1.0, -0.2], [-1.0, 1.0, 0.6], [-0.2, 0.6, 1.5]])


def _one_against_two(draw: Draw) -> Tensor:
    """The first conflicts with both others, whichever is removed first; how much is left depends on the order."""
    a, b = -draw.between(0.8, 1.2), -draw.between(1.3, 1.6)
    return torch.tensor([[4.0, a, b], [a, 1.0, 0.4], [b, 0.4, 2.0]])
