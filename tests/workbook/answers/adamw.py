"""Answers to the exercises of notebook 03: other right ones, and usual mistakes by the property that they break."""

from workbook.exercises import edited, solutions

from mtbert.optim import learning_rate_factor

momentum, direction, adamw, factor = solutions("adamw").values()


def efficient_direction(m, v, t, beta1, beta2, eps):
    root = (1 - beta2**t) ** 0.5
    return root / (1 - beta1**t) * m / (v.sqrt() + eps * root)


RIGHT = {
    "factor": [lambda step, total, warmup_ratio: learning_rate_factor(step, total, warmup_ratio, "linear")],
    "direction": [efficient_direction],
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
        ("m and v are running means", edited(adamw, ", m, v\n => , m / (1 - beta1**t), v / (1 - beta2**t)\n")),
        ("without decay, the first", edited(adamw, "m / (1 - beta1**t) => m", "(v / (1 - beta2**t)) => v")),
        ("later steps are corrected", edited(adamw, "**t => **1")),
        ("eps is added to", edited(adamw, ".sqrt() + eps) => + eps).sqrt()")),
        (
            "the decay does not",
            lambda theta, gradient, *rest: adamw(theta, gradient + rest[-1] * theta, *rest[:-1], 0.0),
        ),
        ("with zero gradient, m and v, theta becomes", edited(adamw, "(1 - lr * weight_decay) * theta => theta")),
        ("the decay is a", edited(adamw, "* theta - lr * direction => * (theta - lr * direction)")),
    ],
    "factor": [
        ("the rate of step 0", lambda *_: 1.0),
        ("rises by the same amount", edited(factor, "(step + 1) / => 1 /")),
        ("the first step after the warm-up has the full rate", edited(factor, "/ (total - warmup_steps) => / total")),
        ("then falls by the same amount", edited(factor, "(total - step) / (total - warmup_steps) => 1.0")),
        ("without warm-up it begins", edited(factor, "(total - step) => warmup_steps / warmup_steps * (total - step)")),
        ("the warm-up is a whole number of steps", edited(factor, "int( => round(")),
    ],
}
