"""The checks of notebook 03: right answers pass, and each classic mistake fails at the property that it breaks."""

import pytest
import torch

from mtbert.optim import learning_rate_factor
from mtbert.workbook.checks import adamw as checks


def assert_fails_at(result, property_):
    assert not result.passed, "a wrong answer passed"
    assert result.lines[-1].startswith(f"[FAIL] {property_}"), str(result)
    assert all(line.startswith("[ OK ]") for line in result.lines[:-1])


def assert_passes(check, answer):
    for _ in range(10):  # fresh inputs each time
        result = check(answer)
        assert result.passed, str(result)


# -- momentum ---------------------------------------------------------------------------------------------------------


def momentum(theta, gradient, velocity, lr, mu):
    velocity = mu * velocity + gradient
    return theta - lr * velocity, velocity


def averaged(theta, gradient, velocity, lr, mu):
    velocity = mu * velocity + (1 - mu) * gradient
    return theta - lr * velocity, velocity


def rate_inside(theta, gradient, velocity, lr, mu):
    velocity = mu * velocity + lr * gradient
    return theta - velocity, velocity


def uphill(theta, gradient, velocity, lr, mu):
    velocity = mu * velocity + gradient
    return theta + lr * velocity, velocity


def nesterov(theta, gradient, velocity, lr, mu):
    velocity = mu * velocity + gradient
    return theta - lr * (gradient + mu * velocity), velocity


def gradient_only(theta, gradient, velocity, lr, mu):
    return theta - lr * gradient, mu * velocity + gradient


def in_place(theta, gradient, velocity, lr, mu):
    velocity *= mu
    velocity += gradient
    return theta - lr * velocity, velocity


def test_momentum_accepts_the_right_answer():
    assert_passes(checks.momentum, momentum)


@pytest.mark.parametrize(
    ("answer", "property_"),
    [
        (lambda *arguments: None, "returns the new parameters and the new velocity"),
        (lambda *arguments: momentum(*arguments)[0], "returns the new parameters and the new velocity"),
        (lambda *arguments: (torch.zeros(()), torch.zeros(())), "returns the new parameters and the new velocity"),
        (in_place, "makes new tensors"),
        (uphill, "with mu = 0 it is a step of SGD"),
        (lambda theta, *rest: (theta, torch.zeros_like(theta)), "with mu = 0 it is a step of SGD"),
        (averaged, "the velocity becomes mu * velocity + gradient"),
        (rate_inside, "the velocity becomes mu * velocity + gradient"),
        (gradient_only, "the parameters move by lr times the new velocity"),
        (nesterov, "the parameters move by lr times the new velocity"),
    ],
)
def test_momentum_names_the_mistake(answer, property_):
    for _ in range(5):
        assert_fails_at(checks.momentum(answer), property_)


# -- Adam's direction -------------------------------------------------------------------------------------------------


def direction(m, v, t, beta1, beta2, eps):
    return m / (1 - beta1**t) / ((v / (1 - beta2**t)).sqrt() + eps)


def test_direction_accepts_the_right_answer():
    assert_passes(checks.direction, direction)


def test_direction_accepts_the_efficient_form_with_a_scaled_eps():
    def efficient(m, v, t, beta1, beta2, eps):
        root = (1 - beta2**t) ** 0.5
        return root / (1 - beta1**t) * m / (v.sqrt() + eps * root)

    assert_passes(checks.direction, efficient)


@pytest.mark.parametrize(
    ("answer", "property_"),
    [
        (lambda *_: None, "keeps the shape"),
        (lambda m, v, t, b1, b2, e: m.sum(), "keeps the shape"),
        (lambda m, v, t, b1, b2, e: m, "after very many steps"),
        (lambda m, v, t, b1, b2, e: m.sign(), "after very many steps"),
        (lambda m, v, t, b1, b2, e: m / (1 - b1**t) / (v / (1 - b2**t) + e), "after very many steps"),
        (lambda m, v, t, b1, b2, e: m / (v.sqrt() + e), "m is divided by 1 - beta1^t"),
        (lambda m, v, t, b1, b2, e: m / ((v / (1 - b2**t)).sqrt() + e), "m is divided by 1 - beta1^t"),
        (lambda m, v, t, b1, b2, e: direction(m, v, t + 1, b1, b2, e), "m is divided by 1 - beta1^t"),
        (lambda m, v, t, b1, b2, e: m / (1 - b1**t) / (v.sqrt() + e), "v is divided by 1 - beta2^t"),
        (lambda m, v, t, b1, b2, e: m / (1 - b1**t) / (v.sqrt() / (1 - b2**t) + e), "v is divided by 1 - beta2^t"),
        (lambda m, v, t, b1, b2, e: m / (1 - b1**t) / (v / (1 - b2**t) + e).sqrt(), "eps is added last"),
        (
            lambda m, v, t, b1, b2, e: (1 - b2**t) ** 0.5 / (1 - b1**t) * m / (v.sqrt() + e),  # the short form
            "eps is added last",
        ),
    ],
)
def test_direction_names_the_mistake(answer, property_):
    for _ in range(5):
        assert_fails_at(checks.direction(answer), property_)


# -- a step of AdamW --------------------------------------------------------------------------------------------------


def moments(gradient, m, v, beta1, beta2):
    return beta1 * m + (1 - beta1) * gradient, beta2 * v + (1 - beta2) * gradient**2


def adamw(theta, gradient, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m, v = moments(gradient, m, v, beta1, beta2)
    return (1 - lr * weight_decay) * theta - lr * direction(m, v, t, beta1, beta2, eps), m, v


def coupled(theta, gradient, m, v, t, lr, beta1, beta2, eps, weight_decay):
    return adamw(theta, gradient + weight_decay * theta, m, v, t, lr, beta1, beta2, eps, 0.0)


def coupled_after_the_moments(theta, gradient, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m, v = moments(gradient, m, v, beta1, beta2)
    return theta - lr * direction(m + weight_decay * theta, v, t, beta1, beta2, eps), m, v


def decayed_after(theta, gradient, m, v, t, lr, beta1, beta2, eps, weight_decay):
    theta, m, v = adamw(theta, gradient, m, v, t, lr, beta1, beta2, eps, 0.0)
    return theta * (1 - lr * weight_decay), m, v


def decay_without_rate(theta, gradient, m, v, t, lr, beta1, beta2, eps, weight_decay):
    return adamw(theta, gradient, m, v, t, lr, beta1, beta2, eps, weight_decay / lr)


def no_decay(theta, gradient, m, v, t, lr, beta1, beta2, eps, weight_decay):
    return adamw(theta, gradient, m, v, t, lr, beta1, beta2, eps, 0.0)


def uncorrected(theta, gradient, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m, v = moments(gradient, m, v, beta1, beta2)
    return (1 - lr * weight_decay) * theta - lr * m / (v.sqrt() + eps), m, v


def corrected_as_in_the_first_step(theta, gradient, m, v, t, *rest):
    return adamw(theta, gradient, m, v, 1, *rest)


def eps_inside(theta, gradient, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m, v = moments(gradient, m, v, beta1, beta2)
    return (1 - lr * weight_decay) * theta - lr * m / (1 - beta1**t) / (v / (1 - beta2**t) + eps).sqrt(), m, v


def square_of_the_mean(theta, gradient, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m = beta1 * m + (1 - beta1) * gradient
    v = beta2 * v + (1 - beta2) * m**2
    return (1 - lr * weight_decay) * theta - lr * direction(m, v, t, beta1, beta2, eps), m, v


def corrected_moments_kept(theta, gradient, m, v, t, lr, beta1, beta2, eps, weight_decay):
    theta, m, v = adamw(theta, gradient, m, v, t, lr, beta1, beta2, eps, weight_decay)
    return theta, m / (1 - beta1**t), v / (1 - beta2**t)


def step_in_place(theta, *rest):
    new, m, v = adamw(theta, *rest)
    return theta.copy_(new), m, v


def test_step_accepts_the_right_answer():
    assert_passes(checks.step, adamw)


@pytest.mark.parametrize(
    ("answer", "property_"),
    [
        (lambda theta, gradient, m, v, t, lr, *_: theta - lr * gradient, "returns the new parameters, m and v"),
        (lambda *arguments: adamw(*arguments)[:2], "returns the new parameters, m and v"),
        (step_in_place, "makes new tensors"),
        (lambda theta, gradient, m, v, *_: (theta, m, v), "m and v are running means"),
        (square_of_the_mean, "m and v are running means"),
        (corrected_moments_kept, "m and v are running means"),
        (uncorrected, "without decay, the first step is lr * sign(gradient)"),
        (corrected_as_in_the_first_step, "later steps are corrected"),
        (eps_inside, "eps is added to the root of the corrected v"),
        (coupled, "the decay stays out of the gradient"),
        (coupled_after_the_moments, "with zero gradient, m and v, theta becomes"),
        (no_decay, "with zero gradient, m and v, theta becomes"),
        (decay_without_rate, "with zero gradient, m and v, theta becomes"),
        (decayed_after, "the decay takes its share of the old weights"),
    ],
)
def test_step_names_the_mistake(answer, property_):
    for _ in range(5):
        assert_fails_at(checks.step(answer), property_)


# -- the schedule -----------------------------------------------------------------------------------------------------


def factor(step, total, warmup_ratio):
    rising = int(warmup_ratio * total)
    return (step + 1) / (rising + 1) if step < rising else (total - step) / (total - rising)


def rising_by(count):
    """A schedule right but for its warm-up, which is ``count(step, rising)``."""

    def answer(step, total, warmup_ratio):
        rising = int(warmup_ratio * total)
        return count(step, rising) if step < rising else factor(step, total, warmup_ratio)

    return answer


def rounded(step, total, warmup_ratio):
    rising = round(warmup_ratio * total)
    return (step + 1) / (rising + 1) if step < rising else (total - step) / (total - rising)


def falling_from_the_start(step, total, warmup_ratio):
    return factor(step, total, warmup_ratio) if step < int(warmup_ratio * total) else (total - step) / total


def full_a_step_late(step, total, warmup_ratio):
    rising = int(warmup_ratio * total)
    return (step + 1) / (rising + 1) if step < rising else (total - step - 1) / (total - rising)


def constant_after_the_warm_up(step, total, warmup_ratio):
    return factor(step, total, warmup_ratio) if step < int(warmup_ratio * total) else 1.0


def zero_in_the_last_step(step, total, warmup_ratio):
    rising = int(warmup_ratio * total)
    return (step + 1) / (rising + 1) if step < rising else (total - 1 - step) / (total - 1 - rising)


def divides_by_the_warm_up(step, total, warmup_ratio):
    rising = int(warmup_ratio * total)
    return factor(step, total, warmup_ratio) * rising / rising


@pytest.mark.parametrize(
    "answer", [factor, lambda step, total, warmup_ratio: learning_rate_factor(step, total, warmup_ratio, "linear")]
)
def test_factor_accepts_right_answers(answer):
    assert_passes(checks.factor, answer)


@pytest.mark.parametrize(
    ("answer", "property_"),
    [
        (lambda *_: None, "is one number"),
        (lambda *_: [0.5, 1.0], "is one number"),
        (lambda *_: 1.0, "step 0 already learns a little"),
        (rising_by(lambda step, rising: step / rising), "step 0 already learns a little"),
        (rising_by(lambda step, rising: (step + 1) / rising), "step 0 already learns a little"),
        (rising_by(lambda step, rising: 1 / (rising + 1)), "rises by the same amount"),
        (rising_by(lambda step, rising: ((step + 1) / (rising + 1)) ** (1 + step / 10)), "rises by the same amount"),
        (falling_from_the_start, "the first step after the warm-up has the full rate"),
        (full_a_step_late, "the first step after the warm-up has the full rate"),
        (constant_after_the_warm_up, "then falls by the same amount"),
        (zero_in_the_last_step, "then falls by the same amount"),
        (divides_by_the_warm_up, "without warm-up it begins at 1"),
        (rounded, "the warm-up is a whole number of steps"),
    ],
)
def test_factor_names_the_mistake(answer, property_):
    for _ in range(5):
        assert_fails_at(checks.factor(answer), property_)
