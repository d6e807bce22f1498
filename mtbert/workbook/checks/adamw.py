"""Checks of notebook 03: momentum, Adam's direction, a step of AdamW, the schedule."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mtbert.optim import learning_rate_factor
from mtbert.workbook.checks.engine import Draw, check, expect, same, several, shaped, untouched


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
def direction(answer, draw):
    """answer(m, v, t, beta1, beta2, eps) -> what the learning rate multiplies, in the shape of m."""
    yield "keeps the shape"
    for shape in ((5,), (3, 4)):
        shaped(answer(draw.normal(*shape), draw.uniform(*shape) + 0.1, 2, 0.9, 0.999, 1e-8), *shape)
    m, v = draw.normal(3, 4), 4 * draw.uniform(3, 4) + 0.2
    beta1, beta2 = draw.between(0.6, 0.9), draw.between(0.9, 0.98)
    t = draw.whole(3, 6)
    yield "after very many steps it is m / sqrt(v)"
    same(answer(m, v, 10**6, beta1, beta2, 1e-12), m / v.sqrt())
    yield "m is divided by 1 - beta1^t"  # with beta2 = 0, v needs no correction
    same(answer(m, v, t, beta1, 0.0, 1e-12), m / (1 - beta1**t) / v.sqrt())
    yield "v is divided by 1 - beta2^t before the root is taken"
    same(answer(m, v, t, 0.0, beta2, 1e-12), m / (v / (1 - beta2**t)).sqrt())
    yield "eps is added last, to the root of the corrected v"
    same(answer(m, v, t, beta1, beta2, 0.5), _direction(m, v, t, beta1, beta2, 0.5))


@check
def step(answer, draw):
    """answer(theta, gradient, m, v, t, lr, beta1, beta2, eps, weight_decay) -> (theta, m, v), all new tensors."""
    yield "returns the new parameters, m and v, in the old shape"
    for shape in ((5,), (3, 4)):
        for part in several(answer(*_state(draw, *shape), 2, 0.1, 0.9, 0.99, 1e-8, 0.1), "parameters", "m", "v"):
            shaped(part, *shape)
    theta, gradient, m, v = state = _state(draw, 3, 4)
    zeros = torch.zeros(3, 4)
    lr, decay = draw.between(0.2, 0.4), draw.between(0.3, 0.6)
    # keep 1 - beta1 away from the root of 1 - beta2: their corrections would cancel in the first step
    beta1, beta2 = draw.between(0.6, 0.8), draw.between(0.97, 0.99)
    t = draw.whole(3, 6)
    yield "makes new tensors and leaves its arguments as they were"
    untouched(lambda *tensors: answer(*tensors, t, lr, beta1, beta2, 1e-8, decay), *state)
    new_m, new_v = beta1 * m + (1 - beta1) * gradient, beta2 * v + (1 - beta2) * gradient**2
    yield "m and v are running means of the gradient and of its square"
    _, got_m, got_v = answer(*state, t, lr, beta1, beta2, 1e-8, 0.0)
    same(got_m, new_m)
    same(got_v, new_v)
    yield "without decay, the first step is lr * sign(gradient): bias corrected"
    same(answer(theta, gradient, zeros, zeros, 1, lr, beta1, beta2, 1e-12, 0.0)[0], theta - lr * gradient.sign())
    for eps, sentence in (
        (1e-12, "later steps are corrected by 1 - beta1^t and 1 - beta2^t"),
        (0.5, "eps is added to the root of the corrected v"),
    ):
        yield sentence
        got = answer(*state, t, lr, beta1, beta2, eps, 0.0)[0]
        same(got, theta - lr * _direction(new_m, new_v, t, beta1, beta2, eps))
    yield "the decay does not enter the gradient, and so neither m nor v"
    got, got_m, got_v = answer(*state, t, lr, beta1, beta2, 1e-8, decay)
    same(got_m, new_m)
    same(got_v, new_v)
    yield "with zero gradient, m and v, theta becomes (1 - lr * weight_decay) * theta"
    same(answer(theta, zeros, zeros, zeros, t, lr, beta1, beta2, 1e-8, decay)[0], theta * (1 - lr * decay))
    yield "the decay is a share of the old weights, not of the new ones"
    same(got, theta * (1 - lr * decay) - lr * _direction(new_m, new_v, t, beta1, beta2, 1e-8))


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


def _state(draw: Draw, *shape: int) -> list[Tensor]:
    """theta, a gradient away from zero, m, and a positive v."""
    theta, gradient, m = _tensors(draw, 3, *shape)
    return [theta, gradient.sign() * (gradient.abs() + 0.1), m, draw.uniform(*shape) + 0.2]


def _direction(m: Tensor, v: Tensor, t: int, beta1: float, beta2: float, eps: float) -> Tensor:
    return m / (1 - beta1**t) / ((v / (1 - beta2**t)).sqrt() + eps)
