"""Methods written out on vectors, for notebooks that compare them with the package's form."""

from collections.abc import Sequence

from torch import Tensor


def pcgrad_on_vectors(gradients: Tensor, order: Sequence[Sequence[int]]) -> Tensor:
    """The gradients as PCGrad changes them (Yu et al. 2020, Algorithm 1); their sum is the step.

    Args:
        gradients: (tasks, parameters).
        order: For each task, the others in the order in which it visits them.
    """
    changed = gradients.clone()
    for i, others in enumerate(order):
        for j in others:
            product = changed[i] @ gradients[j]
            if product < 0:
                changed[i] -= product / (gradients[j] @ gradients[j]) * gradients[j]
    return changed
