"""Answers to the exercises of notebook 03: other right ones, and usual mistakes by the property that they break."""

from collections import defaultdict

import torch
from workbook.exercises import edited, solutions

from mtbert.optim import AdamW, learning_rate_factor

momentum, clip, optimizer, factor = solutions("adamw").values()


def clip_by_vector(gradients, max_norm):
    norm = torch.nn.utils.parameters_to_vector(gradients).norm()
    return [gradient * (max_norm / norm).clamp(max=1) if norm > 0 else gradient for gradient in gradients]


class _WithStateOutside(optimizer):
    """Keeps its averages where state_dict does not look."""

    @torch.no_grad()
    def step(self):
        self.own = getattr(self, "own", defaultdict(dict))
        self.state, saved = self.own, self.state
        super().step()
        self.state = saved


class WithoutSuper(torch.optim.Optimizer):
    def __init__(self, params, lr, betas, eps, weight_decay):
        self.lr = lr


RIGHT = {
    "factor": [lambda step, total, warmup_ratio: learning_rate_factor(step, total, warmup_ratio, "linear")],
    "clip": [clip_by_vector],
    "optimizer": [AdamW, torch.optim.AdamW],
}
WRONG = {
    "momentum": [
        ("not one dict", lambda theta, *rest: {"theta": theta, "velocity": theta}),
        ("not one tensor of shape (5,)", lambda theta, *rest: theta),
        ("with mu = 0 it is a step of SGD", edited(momentum, "theta - lr => theta + lr")),
        ("the velocity becomes mu * velocity + gradient", edited(momentum, "+ gradient => + (1 - mu) * gradient")),
        ("the parameters move by", edited(momentum, "theta - lr * velocity => theta - lr * gradient")),
    ],
    "clip": [
        ("not one tensor of shape", lambda gradients, max_norm: torch.cat([g.flatten() for g in gradients])),
        ("as many tensors", lambda gradients, max_norm: gradients[0]),
        ("makes new tensors", edited(clip, "gradient * factor for => gradient.mul_(factor) for")),
        ("changes nothing if", edited(clip, "min(1.0, max_norm / max(total, 1e-12)) => max_norm / max(total, 1e-12)")),
        ("by the same number", lambda gradients, max_norm: [clip([gradient], max_norm)[0] for gradient in gradients]),
        ("by the same number", lambda gradients, max_norm: gradients),
        ("by the same number", lambda gradients, max_norm: [g.clamp(-max_norm, max_norm) for g in gradients]),
        ("all gradients are zero", edited(clip, "max(total, 1e-12) => total")),
    ],
    "optimizer": [
        ("call super().__init__", WithoutSuper),
        ("step 1", edited(optimizer, ', "eps": eps => ')),
        ("step 2: moves", edited(optimizer, "theta.sub_( => theta = theta - (")),
        ("step 2: moves", edited(optimizer, "theta.sub_(lr => theta.grad.mul_(2); theta.sub_(lr")),
        ("step 2: without decay", edited(optimizer, "theta.sub_(lr * m_hat => theta.sub_(lr * state['m']")),
        ("step 3: the averages", edited(optimizer, "if not state: => if True:")),
        ("step 3: the averages", edited(optimizer, ' ** state["t"] => ')),
        ("step 3: eps", edited(optimizer, '(v_hat.sqrt() + group["eps"]) => (v_hat + group["eps"]).sqrt()')),
        ("step 4: a gradient of zero", edited(optimizer, 'theta.mul_(1 - lr * group["weight_decay"]) => pass')),
        (
            "step 4: the decay acts",
            edited(
                optimizer,
                'theta.mul_(1 - lr * group["weight_decay"]) => pass',
                'group["eps"])) => group["eps"])); theta.mul_(1 - lr * group["weight_decay"])',
            ),
        ),
        ("step 5", edited(optimizer, 'lr, (beta1, beta2) = group["lr"] => lr, (beta1, beta2) = self.defaults["lr"]')),
        (
            "step 6",
            edited(
                optimizer,
                "if theta.grad is None: => if False:",
                "theta.grad**2 => (0 if theta.grad is None else theta.grad) ** 2",
                "(1 - beta1) * theta.grad => (1 - beta1) * (0 if theta.grad is None else theta.grad)",
            ),
        ),
        ("step 7", _WithStateOutside),
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
