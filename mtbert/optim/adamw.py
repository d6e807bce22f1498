"""AdamW, written as in the papers. Training uses its faster equivalent, ``mtbert.optim.fused_adamw``."""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor


class AdamW(torch.optim.Optimizer):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, Algorithm 2).

    Step t of a parameter theta with gradient g, in the efficient form of Adam (Kingma & Ba 2015, section 2)::

        theta <- theta - lr * weight_decay * theta              decay comes first, on the old weights
        m     <- beta1 * m + (1 - beta1) * g
        v     <- beta2 * v + (1 - beta2) * g * g
        theta <- theta - alpha_t * m / (sqrt(v) + eps_t)        alpha_t = lr * sqrt(1 - beta2^t) / (1 - beta1^t)

    The bias correction is folded into the step size. With eps_t = eps * sqrt(1 - beta2^t) the last line equals
    lr * m_hat / (sqrt(v_hat) + eps), which is what torch.optim.AdamW computes. As in torch, and unlike in Algorithm 2,
    lr multiplies the decay as well.

    Args:
        params: Tensors or parameter groups, as for any torch optimizer. Those without a gradient are skipped.
        betas: Decay rates of the moments m and v, in [0, 1).
        eps: Positive; keeps the denominator above 0 where v is 0.

    Raises:
        ValueError: If a setting is out of range or NaN; ``lr`` and ``weight_decay`` must be at least 0.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ):
        if not (lr >= 0 and eps > 0 and weight_decay >= 0):  # written so that NaN fails as well
            raise ValueError(f"lr {lr} and weight_decay {weight_decay} must be at least 0, and eps {eps} above 0")
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas must be in [0, 1), not {betas}")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable | None = None):
        """Update every parameter that has a gradient; returns what ``closure`` returns, if one is given."""
        with torch.enable_grad():
            loss = closure() if closure is not None else None
        for group in self.param_groups:
            for theta in group["params"]:
                if theta.grad is not None:
                    coefficients = self._next_coefficients(theta, group)
                    state = self.state[theta]
                    adamw_update(theta, theta.grad, state["exp_avg"], state["exp_avg_sq"], coefficients)
        return loss

    def _next_coefficients(self, theta: Tensor, group: dict) -> tuple[float, ...]:
        """Advance the step count of ``theta``, and return the coefficients of ``adamw_update`` for that step."""
        state = self.state[theta]
        if not state:
            state.update(step=0, exp_avg=torch.zeros_like(theta), exp_avg_sq=torch.zeros_like(theta))  # t, m and v
        state["step"] += 1
        lr, (beta1, beta2) = group["lr"], group["betas"]
        correction = math.sqrt(1 - beta2 ** state["step"])
        alpha = lr * correction / (1 - beta1 ** state["step"])
        return lr * group["weight_decay"], 1 - beta1, beta2, 1 - beta2, alpha, group["eps"] * correction


def adamw_update(theta: Tensor, g: Tensor, m: Tensor, v: Tensor, coefficients: tuple[float, ...]) -> None:
    """The four lines of ``AdamW``, in place, on tensors of one shape."""
    decay, one_minus_beta1, beta2, one_minus_beta2, alpha, eps = coefficients
    if decay:
        theta.mul_(1 - decay)
    m.lerp_(g, one_minus_beta1)  # m + (1 - beta1) (g - m)
    v.mul_(beta2).addcmul_(g, g, value=one_minus_beta2)
    # on a CPU the square root of an exact zero is ten times slower, and v starts at zero
    root = v.add(torch.finfo(v.dtype).tiny).sqrt_()
    theta.addcdiv_(m, root.add_(eps), value=-alpha)
