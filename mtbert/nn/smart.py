"""SMART's smoothness term (Jiang et al. 2020, eq. 1 to 3): a small change of the embeddings should change little.

The term is the distance between the logits on the embeddings x and on x + delta, where delta is found by one normalized
step up the gradient of that distance from a random start.
"""

import contextlib
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from mtbert.data.tasks import Task

START_STD = 1e-5  # standard deviation of the random start: the paper's sigma
RADIUS = 0.03  # largest change of a component of a token's embedding; they are about 0.4 in minilm


def smoothness(task: Task, logits: Tensor, others: Tensor) -> Tensor:
    """The mean distance between two outputs of a task's head, (rows, outputs) each (eq. 3).

    It is the symmetric Kullback-Leibler divergence (multiclass and binary) or the squared difference (regression).
    """
    if task.kind == "regression":
        return F.mse_loss(logits, others)
    if task.kind == "binary":  # a logit is the second of two classes whose first is 0
        logits, others = (torch.cat([torch.zeros_like(logit), logit], dim=1) for logit in (logits, others))
    p, q = logits.log_softmax(1), others.log_softmax(1)
    return ((p.exp() - q.exp()) * (p - q)).sum(1).mean()  # KL(p, q) + KL(q, p)


def adversarial_perturbation(distance: Callable[[Tensor], Tensor], embedded: Tensor, radius: float = RADIUS) -> Tensor:
    """The delta of one step up the gradient of ``distance``, which maps a delta to a scalar; detached.

    Delta and embeddings are (tokens, hidden). As in the authors' code the step is normalized for each token: its
    largest component is ``radius``.
    """
    with torch.enable_grad():
        delta = (START_STD * torch.randn_like(embedded)).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(distance(delta), delta)
    largest = gradient.abs().amax(dim=1, keepdim=True)  # (tokens, 1)
    return radius * gradient / largest.clamp(min=torch.finfo(gradient.dtype).tiny)


class RNGState:
    """The current state of the random number generators, to draw the same dropout masks again."""

    def __init__(self, device: torch.device):
        self.cuda = [device] if device.type == "cuda" else []
        self.state = torch.get_rng_state()
        self.cuda_states = [torch.cuda.get_rng_state(device) for device in self.cuda]

    @contextlib.contextmanager
    def restore(self) -> Iterator[None]:
        """Draw from this state inside the block; afterwards the generators go on as if the block had not been."""
        with torch.random.fork_rng(devices=self.cuda):
            torch.set_rng_state(self.state)
            for device, state in zip(self.cuda, self.cuda_states, strict=True):
                torch.cuda.set_rng_state(state, device)
            yield
