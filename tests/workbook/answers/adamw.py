"""Answers to the exercises of notebook 03: right ones, and usual mistakes by the property that they break."""

import torch

from mtbert.optim import learning_rate_factor


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


def direction(m, v, t, beta1, beta2, eps):
    return m / (1 - beta1**t) / ((v / (1 - beta2**t)).sqrt() + eps)


def moments(gradient, m, v, beta1, beta2):
    return beta1 * m + (1 - beta1) * gradient, beta2 * v + (1 - beta2) * gradient**2


def adamw(theta, gradient, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m, v = moments(gradient, m, v, beta1, beta2)
    return (1 - lr * weight_decay) * theta - lr * direction(m, v, t, beta1, beta2, eps), m, v


def coupled(theta, gradient, m, v, t, lr, beta1, beta2, eps, weight_decay):
    return adamw(theta, gradient + weight_decay * theta, m, v, t, lr, beta1, beta2, eps, 0.0)


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


def efficient_direction(m, v, t, beta1, beta2, eps):
    root = (1 - beta2**t) ** 0.5
    return root / (1 - beta1**t) * m / (v.sqrt() + eps * root)


RIGHT = {
    "factor": [factor, lambda step, total, warmup_ratio: learning_rate_factor(step, total, warmup_ratio, "linear")],
    "momentum": [momentum],
    "direction": [direction, efficient_direction],
    "step": [adamw],
}
WRONG = {
    "momentum": [
        ("returns the new parameters and the new velocity", lambda *arguments: momentum(*arguments)[0]),
        ("returns the new parameters and the new velocity", lambda *arguments: (torch.zeros(()), torch.zeros(()))),
        ("makes new tensors", in_place),
        ("with mu = 0 it is a step of SGD", uphill),
        ("with mu = 0 it is a step of SGD", lambda theta, *rest: (theta, torch.zeros_like(theta))),
        ("the velocity becomes mu * velocity + gradient", averaged),
        ("the velocity becomes mu * velocity + gradient", rate_inside),
        ("the parameters move by lr times the new velocity", gradient_only),
        ("the parameters move by lr times the new velocity", nesterov),
    ],
    "direction": [
        ("keeps the shape", lambda m, v, t, b1, b2, e: m.sum()),
        ("after very many steps", lambda m, v, t, b1, b2, e: m),
        ("after very many steps", lambda m, v, t, b1, b2, e: m.sign()),
        ("m is divided by 1 - beta1^t", lambda m, v, t, b1, b2, e: m / (v.sqrt() + e)),
        ("m is divided by 1 - beta1^t", lambda m, v, t, b1, b2, e: direction(m, v, t + 1, b1, b2, e)),
        ("v is divided by 1 - beta2^t", lambda m, v, t, b1, b2, e: m / (1 - b1**t) / (v.sqrt() + e)),
        ("v is divided by 1 - beta2^t", lambda m, v, t, b1, b2, e: m / (1 - b1**t) / (v.sqrt() / (1 - b2**t) + e)),
        ("eps is added last", lambda m, v, t, b1, b2, e: m / (1 - b1**t) / (v / (1 - b2**t) + e).sqrt()),
        ("eps is added last", lambda m, v, t, b1, b2, e: (1 - b2**t) ** 0.5 / (1 - b1**t) * m / (v.sqrt() + e)),
    ],
    "step": [
        ("returns the new parameters, m and v", lambda theta, gradient, m, v, t, lr, *_: theta - lr * gradient),
        ("returns the new parameters, m and v", lambda *arguments: adamw(*arguments)[:2]),
        ("makes new tensors", step_in_place),
        ("m and v are running means", lambda theta, gradient, m, v, *_: (theta, m, v)),
        ("m and v are running means", square_of_the_mean),
        ("m and v are running means", corrected_moments_kept),
        ("without decay, the first step is lr * sign(gradient)", uncorrected),
        ("later steps are corrected", corrected_as_in_the_first_step),
        ("eps is added to the root of the corrected v", eps_inside),
        ("the decay does not enter", coupled),
        ("with zero gradient, m and v, theta becomes", no_decay),
        ("with zero gradient, m and v, theta becomes", decay_without_rate),
        ("the decay is a share of the old weights", decayed_after),
    ],
    "factor": [
        ("is one number", lambda *_: [0.5, 1.0]),
        ("the rate of step 0", lambda *_: 1.0),
        ("the rate of step 0", rising_by(lambda step, rising: step / rising)),
        ("rises by the same amount", rising_by(lambda step, rising: 1 / (rising + 1))),
        ("rises by the same amount", rising_by(lambda step, rising: ((step + 1) / (rising + 1)) ** (1 + step / 10))),
        ("the first step after the warm-up has the full rate", falling_from_the_start),
        ("the first step after the warm-up has the full rate", full_a_step_late),
        ("then falls by the same amount", constant_after_the_warm_up),
        ("then falls by the same amount", zero_in_the_last_step),
        ("without warm-up it begins at 1", divides_by_the_warm_up),
        ("the warm-up is a whole number of steps", rounded),
    ],
}
