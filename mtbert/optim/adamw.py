"""AdamW (Loshchilov & Hutter 2019, Algorithm 2) in the efficient form of Adam (Kingma & Ba 2015, section 2)."""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

# Values of the vector worked on at a time: few enough that they stay in the processor's cache from line to line.
_CHUNK = 2**18


class AdamW(torch.optim.Optimizer):
    """Adam with decoupled weight decay.

    One step, for a parameter theta with gradient g, in its t-th step::

        theta <- theta - lr * weight_decay * theta                  the old weights decay
        m     <- beta1 * m + (1 - beta1) * g
        v     <- beta2 * v + (1 - beta2) * g * g
        theta <- theta - alpha_t * m / (sqrt(v) + eps_t)            alpha_t = lr * sqrt(1 - beta2^t) / (1 - beta1^t)

    Bias correction is folded into the step size. With eps_t = eps * sqrt(1 - beta2^t) this is exactly
    lr * m_hat / (sqrt(v_hat) + eps), what torch.optim.AdamW computes. A parameter without a gradient is not touched.

    params: tensors or parameter groups, as for any torch optimiser. lr > 0 or 0, betas in [0, 1), eps > 0,
    weight_decay >= 0; ValueError otherwise.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ):
        if not (lr >= 0 and eps > 0 and weight_decay >= 0):  # so asked, a NaN is refused as well
            raise ValueError(f"lr {lr} and weight_decay {weight_decay} must not be negative, eps {eps} be positive")
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas must be in [0, 1), not {betas}")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable | None = None):
        """One step of every parameter that has a gradient. Returns what ``closure`` returns, if one is given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return loss

    def _update(self, parameter: Tensor, group: dict) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            state["exp_avg"] = torch.zeros_like(parameter)  # m
            state["exp_avg_sq"] = torch.zeros_like(parameter)  # v
        state["step"] += 1
        beta1, beta2 = group["betas"]
        correction = math.sqrt(1 - beta2 ** state["step"])
        alpha = group["lr"] * correction / (1 - beta1 ** state["step"])
        eps = group["eps"] * correction
        kept = 1 - group["lr"] * group["weight_decay"]

        vectors = (parameter, parameter.grad, state["exp_avg"], state["exp_avg_sq"])
        for theta, g, m, v in _chunks(vectors):
            if kept != 1:
                theta.mul_(kept)
            m.lerp_(g, 1 - beta1)
            v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
            # processors take the square root of an exact zero ten times slower, and v starts as zeros
            root = v.add(torch.finfo(v.dtype).tiny).sqrt_()
            theta.addcdiv_(m, root.add_(eps), value=-alpha)


def _chunks(tensors: tuple[Tensor, ...]) -> Iterable[tuple[Tensor, ...]]:
    """The same pieces of tensors of one shape, for the caller to change in place."""
    if all(tensor.is_contiguous() for tensor in tensors):
        return zip(*(tensor.view(-1).split(_CHUNK) for tensor in tensors), strict=True)
    return [tensors]
