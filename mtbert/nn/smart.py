"""SMART's smoothness term (Jiang et al. 2020, eq. 1 to 3): a small change of the embeddings should change little.

The term is the distance between the outputs on the embeddings x and on x + delta, where delta is found by one
normalised step up the gradient of that distance, from a random start.
"""

import contextlib
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from mtbert.data.tasks import Task

START = 1e-5  # standard deviation of the random start: the paper's sigma
RADIUS = 0.03  # largest change of a number in a token's embedding; they are about 0.4 large in minilm


def smoothness(task: Task, logits: Tensor, others: Tensor) -> Tensor:
    """How far two outputs of a task's head (rows, outputs) are apart, a mean over rows: the symmetric
    Kullback-Leibler divergence of classes or of a binary task, the squared difference of scores."""
    if task.kind == "regression":
        return F.mse_loss(logits, others)
    if task.kind == "binary":  # a logit is the second of two classes whose first is 0
        logits, others = (torch.cat([torch.zeros_like(logit), logit], dim=1) for logit in (logits, others))
    p, q = logits.log_softmax(1), others.log_softmax(1)
    return ((p.exp() - q.exp()) * (p - q)).sum(1).mean()  # KL(p, q) + KL(q, p)


def adversarial_perturbation(distance: Callable[[Tensor], Tensor], embedded: Tensor, radius: float = RADIUS) -> Tensor:
    """The delta, (tokens, width), that one step up the gradient of ``distance`` gives; detached.

    The step is normalised for each token: its largest number is ``radius``, as in the authors' code.
    """
    with torch.enable_grad():
        delta = (START * torch.randn_like(embedded)).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(distance(delta), delta)
    largest = gradient.abs().amax(dim=1, keepdim=True)
    return radius * gradient / largest.clamp(min=torch.finfo(gradient.dtype).tiny)


class Chance:
    """The state of a device's random numbers, to draw the same dropout masks again."""

    def __init__(self, device: torch.device):
        self.cuda = [device] if device.type == "cuda" else []
        self.state = torch.get_rng_state()
        self.cuda_states = [torch.cuda.get_rng_state(each) for each in self.cuda]

    @contextlib.contextmanager
    def again(self) -> Iterator[None]:
        """Draw from this state; what was drawn since goes on undisturbed afterwards."""
        with torch.random.fork_rng(devices=self.cuda):
            torch.set_rng_state(self.state)
            for device, state in zip(self.cuda, self.cuda_states, strict=True):
                torch.cuda.set_rng_state(state, device)
            yield
