"""Groups of tasks whose gradients are summed before a weighting sees them."""

from collections.abc import Mapping

import torch
from torch import Tensor

from mtbert.optim.weightings.gramian import Weighting


class Grouped:
    """A weighting of groups: the gradients of a group's tasks are summed, and so share one weight.

    With A, (groups, T), which has a one for each task in its group, the groups' gradients are A J and their Gramian is
    A G A^T; weights w of the groups become weights w A of the tasks.

    Args:
        weighting: Maps a Gramian of the groups to their weights.
        groups: The group of each task, numbered from 0.
    """

    def __init__(self, weighting: Weighting, groups: list[int]):
        self.weighting = weighting
        self.membership = torch.nn.functional.one_hot(torch.tensor(groups)).T  # A

    def __call__(self, gramian: Tensor) -> Tensor:
        """Weights (..., T) from a Gramian (..., T, T)."""
        membership = self.membership.to(gramian)
        return self.weighting(membership @ gramian @ membership.T) @ membership

    def state_dict(self) -> dict[str, Tensor]:
        state = getattr(self.weighting, "state_dict", None)
        return state() if state else {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        if state:
            self.weighting.load_state_dict(state)  # type: ignore[attr-defined]
