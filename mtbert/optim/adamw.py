"""AdamW (Loshchilov & Hutter 2019, Algorithm 2) in the efficient form of Adam (Kingma & Ba 2015, section 2)."""

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

_NUMBERS = ("decay", "1 - beta1", "beta2", "1 - beta2", "alpha", "eps")  # of a step, as ``advance`` works them out
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
    weight_decay >= 0; ValueError otherwise. fused: on a GPU, all lines in one pass over the vectors (see
    ``mtbert.optim.kernels``) rather than a pass for each.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        fused: bool = True,
    ):
        if not (lr >= 0 and eps > 0 and weight_decay >= 0):  # so asked, a NaN is refused as well
            raise ValueError(f"lr {lr} and weight_decay {weight_decay} must not be negative, eps {eps} be positive")
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas must be in [0, 1), not {betas}")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})
        self.fused = fused
        self._numbers: dict[Tensor, tuple[float, ...]] = {}  # of each parameter's last step
        self._tables: dict[torch.device, Tensor] = {}  # the same on a GPU, (parameters, numbers)
        self._sent: dict[Tensor, Tensor] = {}  # each parameter's row of such a table

    @torch.no_grad()
    def step(self, closure: Callable | None = None):
        """One step of every parameter that has a gradient. Returns what ``closure`` returns, if one is given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        has_grad = [part for group in self.param_groups for part in group["params"] if part.grad is not None]
        self.advance(has_grad)
        self.apply(has_grad)
        return loss

    def advance(self, parameters: Sequence[Tensor]) -> None:
        """The host's part of a step: count it for these parameters, and work out the numbers that ``apply`` needs.

        On a GPU they go to the device in one queued copy, always to the same place: an ``apply`` that was recorded
        there can be played again after each ``advance``.
        """
        for parameter, group in self._with_groups(parameters):
            state = self.state[parameter]
            if not state:
                state["step"] = 0
                state["exp_avg"] = torch.zeros_like(parameter)  # m
                state["exp_avg_sq"] = torch.zeros_like(parameter)  # v
            state["step"] += 1
            beta1, beta2 = group["betas"]
            correction = math.sqrt(1 - beta2 ** state["step"])
            alpha = group["lr"] * correction / (1 - beta1 ** state["step"])
            self._numbers[parameter] = (
                group["lr"] * group["weight_decay"],
                1 - beta1,
                beta2,
                1 - beta2,
                alpha,
                group["eps"] * correction,
            )
        for device in {parameter.device for parameter in parameters if self._in_one_pass(parameter)}:
            self._send(device)

    @torch.no_grad()
    def apply(self, parameters: Sequence[Tensor]) -> None:
        """The device's part of a step: change these parameters by their gradients, with ``advance``'s numbers."""
        for parameter, _ in self._with_groups(parameters):
            state = self.state[parameter]
            vectors = (parameter, parameter.grad, state["exp_avg"], state["exp_avg_sq"])
            if self._in_one_pass(parameter):
                from mtbert.optim import kernels  # needs Triton, which comes with torch for CUDA

                kernels.adamw(*vectors, self._sent[parameter])
            else:
                for pieces in _chunks(vectors):
                    _line_by_line(*pieces, *self._numbers[parameter])

    def _in_one_pass(self, parameter: Tensor) -> bool:
        return self.fused and parameter.is_cuda and parameter.is_contiguous()

    def _with_groups(self, parameters: Sequence[Tensor]) -> list[tuple[Tensor, dict]]:
        wanted = set(parameters)
        return [(part, group) for group in self.param_groups for part in group["params"] if part in wanted]

    def _send(self, device: torch.device) -> None:
        """Copy the numbers of all parameters on one device there."""
        here = [parameter for group in self.param_groups for parameter in group["params"] if parameter.device == device]
        if not all(parameter in self._sent for parameter in here):
            places = torch.zeros(len(here), len(_NUMBERS), dtype=torch.float64, device=device)
            self._tables[device] = places
            self._sent.update(zip(here, places.unbind(), strict=True))
        numbers = [self._numbers.get(parameter, (0.0,) * len(_NUMBERS)) for parameter in here]
        on_host = torch.tensor(numbers, dtype=torch.float64).pin_memory()
        self._tables[device].copy_(on_host, non_blocking=True)


def _line_by_line(
    theta: Tensor,
    g: Tensor,
    m: Tensor,
    v: Tensor,
    decay: float,
    rise1: float,
    beta2: float,
    rise2: float,
    alpha: float,
    eps: float,
) -> None:
    if decay:
        theta.mul_(1 - decay)
    m.lerp_(g, rise1)
    v.mul_(beta2).addcmul_(g, g, value=rise2)
    # processors take the square root of an exact zero ten times slower, and v starts as zeros
    root = v.add(torch.finfo(v.dtype).tiny).sqrt_()
    theta.addcdiv_(m, root.add_(eps), value=-alpha)


def _chunks(tensors: tuple[Tensor, ...]) -> Iterable[tuple[Tensor, ...]]:
    """The same pieces of tensors of one shape, for the caller to change in place; on a GPU, one piece."""
    if all(tensor.is_contiguous() and not tensor.is_cuda for tensor in tensors):
        return zip(*(tensor.view(-1).split(_CHUNK) for tensor in tensors), strict=True)
    return [tensors]
