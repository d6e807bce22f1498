"""Answers to the exercises of notebook 03: right ones, and usual mistakes by the property that they break."""

from workbook.edits import edited

from mtbert.optim import learning_rate_factor


def momentum(theta, gradient, velocity, lr, mu):
    velocity = mu * velocity + gradient
    return theta - lr * velocity, velocity


def direction(m, v, t, beta1, beta2, eps):
    return m / (1 - beta1**t) / ((v / (1 - beta2**t)).sqrt() + eps)


def moments(gradient, m, v, beta1, beta2):
    return beta1 * m + (1 - beta1) * gradient, beta2 * v + (1 - beta2) * gradient**2


def adamw(theta, gradient, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m, v = moments(gradient, m, v, beta1, beta2)
    return (1 - lr * weight_decay) * theta - lr * direction(m, v, t, beta1, beta2, eps), m, v


def factor(step, total, warmup_ratio):
    rising = int(warmup_ratio * total)
    return (step + 1) / (rising + 1) if step < rising else (total - step) / (total - rising)


def efficient_direction(m, v, t, beta1, beta2, eps):
    root = (1 - beta2**t) ** 0.5
    return root / (1 - beta1**t) * m / (v.sqrt() + eps * root)


RIGHT = {
    "factor": [lambda step, total, warmup_ratio: learning_rate_factor(step, total, warmup_ratio, "linear")],
    "direction": [efficient_direction],
    "step": [adamw],
}
WRONG = {
    "momentum": [
        ("with mu = 0 it is a step of SGD", edited(momentum, "theta - lr => theta + lr")),
        ("the velocity becomes mu * velocity + gradient", edited(momentum, "+ gradient => + (1 - mu) * gradient")),
        ("the parameters move by", edited(momentum, "theta - lr * velocity => theta - lr * gradient")),
    ],
    "direction": [
        ("after very many steps", lambda m, v, t, b1, b2, e: m),
        ("m is divided by 1 - beta1^t", lambda m, v, t, b1, b2, e: m / (v.sqrt() + e)),
        ("v is divided by 1 - beta2^t", lambda m, v, t, b1, b2, e: m / (1 - b1**t) / (v.sqrt() + e)),
        ("eps is added last", lambda m, v, t, b1, b2, e: m / (1 - b1**t) / (v / (1 - b2**t) + e).sqrt()),
    ],
    "step": [
        ("m and v are running means", lambda theta, gradient, m, v, *_: (theta, m, v)),
        ("m and v are running means", edited(adamw, "eps), m, v => eps), m / (1 - beta1**t), v / (1 - beta2**t)")),
        ("without decay, the first", edited(adamw, "direction(m, v, t, beta1, beta2, eps) => m / (v.sqrt() + eps)")),
        ("later steps are corrected", edited(adamw, "direction(m, v, t, => direction(m, v, 1,")),
        ("eps is added to", edited(adamw, "v, t, beta1, beta2, eps => v + eps * (1 - beta2**t), t, beta1, beta2, 0")),
        (
            "the decay does not",
            lambda theta, gradient, *rest: adamw(theta, gradient + rest[-1] * theta, *rest[:-1], 0.0),
        ),
        ("with zero gradient, m and v, theta becomes", edited(adamw, "(1 - lr * weight_decay) * theta => theta")),
        ("the decay is a", edited(adamw, "* theta - lr => * (theta - lr", "eps), m => eps)), m")),
    ],
    "factor": [
        ("the rate of step 0", lambda *_: 1.0),
        ("rises by the same amount", edited(factor, "(step + 1) / => 1 /")),
        ("the first step after the warm-up has the full rate", edited(factor, "/ (total - rising) => / total")),
        ("then falls by the same amount", edited(factor, "(total - step) / (total - rising) => 1.0")),
        ("without warm-up it begins", edited(factor, "/ (total - rising) => / (total - rising) * rising / rising")),
        ("the warm-up is a whole number of steps", edited(factor, "int( => round(")),
    ],
}
