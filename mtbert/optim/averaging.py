"""An average of the weights along training, beside the weights themselves."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


class WeightAverage:
    """The exponential moving average of a vector of weights, with bias correction (Kingma & Ba 2015, sec. 7.2).

    After t updates it is the mean of theta_1, ..., theta_t with weights proportional to decay^(t - i): the first update
    copies theta, and early weights are forgotten as fast as later ones. With theta_bar_t the paper's sum, this is its
    theta_bar_t / (1 - decay^t), computed in place.

    Args:
        theta: (size,), read at each ``update`` and exchanged by ``applied``.
        decay: From 0 up to, but without, 1.
    """

    def __init__(self, theta: Tensor, decay: float):
        self.theta, self.decay = theta, decay
        self.average = theta.clone()
        self.updates = 0

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights of another step."""
        self.updates += 1
        self.average.lerp_(self.theta, (1 - self.decay) / (1 - self.decay**self.updates))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside the block the model has the averaged weights; afterwards it has its own again, bit for bit."""
        own = self.theta.clone()
        self.theta.copy_(self.average)
        try:
            yield
        finally:
            self.theta.copy_(own)

    def state_dict(self) -> dict[str, Any]:
        return {"average": self.average, "updates": self.updates}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.average.copy_(state["average"])
        self.updates = state["updates"]
