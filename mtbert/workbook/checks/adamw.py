"""Checks of notebook 03: momentum, Adam's direction, clipping, the optimizer AdamW, the schedule."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mtbert.optim import learning_rate_factor
from mtbert.workbook.checks.engine import Answer, Draw, check, equal, expect, returned, same, several, shaped, untouched


@check
def momentum(answer, draw):
    """answer(theta, gradient, velocity, lr, mu) -> (theta, velocity), both new tensors."""
    yield "returns the new parameters and the new velocity, in the old shape"
    for shape in ((5,), (3, 4)):
        for part in several(answer(*_tensors(draw, 3, *shape), 0.1, 0.9), "parameters", "velocity"):
            shaped(part, *shape)
    theta, gradient, velocity = _tensors(draw, 3, 3, 4)
    lr, mu = draw.between(0.05, 0.5), draw.between(0.5, 0.9)
    yield "makes new tensors and leaves its arguments as they were"
    untouched(lambda *tensors: answer(*tensors, lr, mu), theta, gradient, velocity)
    yield "with mu = 0 it is a step of SGD: theta - lr * gradient"
    same(answer(theta, gradient, velocity, lr, 0.0)[0], theta - lr * gradient)
    yield "the velocity becomes mu * velocity + gradient, without lr"
    same(answer(theta, gradient, velocity, lr, mu)[1], mu * velocity + gradient)
    yield "the parameters move by lr times the new velocity"
    same(answer(theta, gradient, velocity, lr, mu)[0], theta - lr * (mu * velocity + gradient))


@check
def clip(answer, draw):
    """answer(gradients, max_norm) -> new gradients; gradients: a list of tensors of any shapes."""
    gradients = [draw.normal(3, 4), 2 * draw.normal(5), draw.normal(2, 2, 2)]
    norm = float(torch.cat([gradient.flatten() for gradient in gradients]).norm())
    yield "returns a list with as many tensors, in the old shapes"
    for got, gradient in zip(several(answer(gradients, 1.0), *_names(gradients)), gradients, strict=True):
        shaped(got, *gradient.shape)
    yield "makes new tensors and leaves its arguments as they were"
    untouched(lambda *tensors: answer(list(tensors), norm / 2), *gradients)
    yield "changes nothing if the norm is at most max_norm"
    _same_list(answer(gradients, 2 * norm), gradients)
    yield "divides all tensors by the same number: the norm of all of them together, over max_norm"
    limit = draw.between(0.2, 0.6) * norm
    _same_list(answer(gradients, limit), [gradient * limit / norm for gradient in gradients])
    yield "gives finite numbers if all gradients are zero"
    _same_list(answer([torch.zeros(3), torch.zeros(2)], 1.0), [torch.zeros(3), torch.zeros(2)])


@check
def optimizer(answer, draw):
    """answer(params, lr, betas, eps, weight_decay) -> a torch.optim.Optimizer that takes steps of AdamW."""
    betas = (draw.whole(60, 80) / 100, draw.whole(970, 990) / 1000)
    lr, decay = draw.whole(20, 50) / 1000, draw.whole(30, 60) / 100
    yield "step 1: is a torch.optim.Optimizer that knows its settings"
    mine, _ = _build(answer, draw, lr, betas, 1e-8, decay)
    settings = {"lr": lr, "betas": betas, "eps": 1e-8, "weight_decay": decay}
    for name, value in settings.items():
        equal(mine.param_groups[0].get(name), value, f"param_groups[0][{name!r}]")
    yield "step 2: moves the parameter in place, and leaves its gradient as it was"
    mine, theta = _build(answer, draw, lr, betas, 1e-12, 0.0)
    before, place = theta.detach().clone(), theta.data_ptr()
    _step(mine, [theta], [gradient := _away_from_zero(draw, 3, 4)])
    expect(theta.data_ptr() == place, "the parameter has new storage: change it in place, for instance with copy_")
    expect(not torch.equal(theta, before), "the parameter did not move")
    same(theta.grad, gradient)
    yield "step 2: without decay, the first step is lr * sign(gradient)"
    same(theta, before - lr * gradient.sign())
    yield "step 3: the averages carry over from step to step, each with its own correction"
    _as_torch(answer, draw, steps=5, lr=lr, betas=betas, eps=1e-12, weight_decay=0.0)
    yield "step 3: eps is added to the root of the corrected v"
    _as_torch(answer, draw, steps=5, lr=lr, betas=betas, eps=0.5, weight_decay=0.0)
    yield "step 4: a gradient of zero leaves only the decay, a fraction lr * weight_decay of the weights"
    mine, theta = _build(answer, draw, lr, betas, 1e-8, decay)
    before = theta.detach().clone()
    _step(mine, [theta], [torch.zeros(3, 4)])
    same(theta, (1 - lr * decay) * before, 1e-5)
    yield "step 4: the decay acts on the old weights and enters neither m nor v"
    _as_torch(answer, draw, steps=5, lr=lr, betas=betas, eps=1e-8, weight_decay=decay)
    yield "step 5: each parameter group has settings of its own, and a rate changed between two steps counts"
    _groups(answer, draw, betas)
    yield "step 6: a parameter without a gradient is left alone and counts no step"
    _absent_gradient(answer, draw, lr, betas, decay)
    yield "step 7: state_dict holds all that a new optimizer needs to go on"
    _resumed(answer, draw, lr, betas, decay)


@check
def factor(answer, draw):
    """answer(step, total, warmup_ratio) -> the fraction of the peak learning rate in this step; the first step is 0."""
    total, warmup_ratio = 10 * draw.whole(3, 9), draw.whole(2, 5) / 10
    rising = int(warmup_ratio * total)

    def agree(steps: Sequence[int], warmup_ratio: float = warmup_ratio) -> None:
        for step in steps:
            expected = learning_rate_factor(step, total, warmup_ratio, "linear")
            got = float(shaped(answer(step, total, warmup_ratio)))
            case = f"step {step} of {total}, warm-up {warmup_ratio:g}"
            expect(abs(got - expected) < 1e-6, f"{case}: it is {got:.4g}, but should be {expected:.4g}")

    yield "is one number"
    shaped(answer(0, total, warmup_ratio))
    yield "the rate of step 0 is above 0: 1 / (warm-up steps + 1)"
    agree([0])
    yield "rises by the same amount in every step of the warm-up"
    agree(range(1, rising))
    yield "the first step after the warm-up has the full rate"
    agree([rising])
    yield "then falls by the same amount in every step, to 0 at step total"
    agree(range(rising + 1, total + 1))
    yield "without warm-up it begins at 1"
    agree(range(total), warmup_ratio=0.0)
    yield "the warm-up is a whole number of steps, rounded down"
    agree(range(total), warmup_ratio=(rising + 0.7) / total)


def _tensors(draw: Draw, count: int, *shape: int) -> list[Tensor]:
    return [draw.normal(*shape) for _ in range(count)]


def _same_list(got: Sequence, expected: Sequence[Tensor]) -> None:
    for one, other in zip(several(got, *_names(expected)), expected, strict=True):
        same(one, other)


def _names(tensors: Sequence[Tensor]) -> list[str]:
    return [f"tensor {index}" for index in range(1, len(tensors) + 1)]


def _away_from_zero(draw: Draw, *shape: int) -> Tensor:
    numbers = draw.normal(*shape)
    return numbers.sign() * (numbers.abs() + 0.1)


def _build(answer: Answer, draw: Draw, *settings: Any) -> tuple[torch.optim.Optimizer, nn.Parameter]:
    """The learner's optimizer of one new parameter, and that parameter."""
    theta = nn.Parameter(draw.normal(3, 4))
    return _made(answer([theta], *settings)), theta


def _made(optimizer: Any) -> torch.optim.Optimizer:
    expect(
        isinstance(returned(optimizer), torch.optim.Optimizer) and hasattr(optimizer, "param_groups"),
        f"it is {type(optimizer).__name__}: derive the class from torch.optim.Optimizer, and call super().__init__",
    )
    return optimizer


def _builders(answer: Answer) -> list[Callable[..., Any]]:
    """The learner's class, and torch's."""
    return [answer, torch.optim.AdamW]


def _step(optimizer: torch.optim.Optimizer, parameters: Sequence[nn.Parameter], gradients: Sequence) -> None:
    """Set the gradients and take a step. What the learner's step raises is told as the learner's."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = None if gradient is None else gradient.clone()
    Answer(optimizer.step)()


def _follow(optimizers: Sequence[torch.optim.Optimizer], copies: Sequence[Sequence[nn.Parameter]], gradients) -> None:
    """Take the same steps with each optimizer on its copy of the parameters, which must then be equal."""
    for step_gradients in gradients:
        for optimizer, parameters in zip(optimizers, copies, strict=True):
            _step(optimizer, parameters, step_gradients)
    for one, other in zip(*copies, strict=True):
        same(one, other)


def _twins(values: Sequence[Tensor]) -> list[list[nn.Parameter]]:
    return [[nn.Parameter(value.clone()) for value in values] for _ in range(2)]


def _as_torch(answer: Answer, draw: Draw, steps: int, **settings: Any) -> None:
    mine, theirs = _twins([draw.normal(3, 4)])
    optimizers = [_made(answer(mine, *settings.values())), torch.optim.AdamW(theirs, **settings)]
    _follow(optimizers, [mine, theirs], [[_away_from_zero(draw, 3, 4)] for _ in range(steps)])


def _groups(answer: Answer, draw: Draw, betas: tuple[float, float]) -> None:
    copies = _twins([draw.normal(3, 4), draw.normal(5)])
    optimizers = []
    for build, (matrix, bias) in zip(_builders(answer), copies, strict=True):
        groups = [{"params": [matrix], "weight_decay": 0.5}, {"params": [bias], "weight_decay": 0.0, "lr": 0.01}]
        optimizers.append(_made(build(groups, 0.03, betas, 1e-8, 0.1)))
    gradients = [[_away_from_zero(draw, 3, 4), _away_from_zero(draw, 5)] for _ in range(3)]
    _follow(optimizers, copies, gradients)
    for optimizer in optimizers:
        optimizer.param_groups[0]["lr"] = 0.08
    _follow(optimizers, copies, gradients)


def _absent_gradient(answer: Answer, draw: Draw, lr: float, betas: tuple[float, float], decay: float) -> None:
    copies = _twins([draw.normal(3, 4), draw.normal(5)])
    optimizers = [
        _made(build(copy, lr, betas, 1e-8, decay)) for build, copy in zip(_builders(answer), copies, strict=True)
    ]
    both = [_away_from_zero(draw, 3, 4), _away_from_zero(draw, 5)]
    _follow(optimizers, copies, [both, both, [both[0], None]])
    _follow(optimizers, copies, [[both[0], None], both])  # the second parameter's third step


def _resumed(answer: Answer, draw: Draw, lr: float, betas: tuple[float, float], decay: float) -> None:
    mine, theirs = _twins([draw.normal(3, 4)])
    reference = torch.optim.AdamW(theirs, lr, betas, 1e-8, decay)
    gradients = [[_away_from_zero(draw, 3, 4)] for _ in range(3)]
    optimizer = _made(answer(mine, lr, betas, 1e-8, decay))
    _follow([optimizer, reference], [mine, theirs], gradients)
    fresh = _made(answer(mine, lr, betas, 1e-8, decay))
    fresh.load_state_dict(optimizer.state_dict())
    _follow([fresh, reference], [mine, theirs], gradients)
