"""What each kind of task minimises: a mean over the rows of a batch."""

import torch.nn.functional as F
from torch import Tensor

from mtbert.data.tasks import Task


def task_loss(task: Task, outputs: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy for classes, binary cross-entropy on a logit, or squared error for a score.

    outputs: (rows, task.outputs). labels: (rows,) float. Returns a scalar, the mean over rows.
    """
    if task.kind == "classes":
        return F.cross_entropy(outputs, labels.long())
    if task.kind == "binary":
        return F.binary_cross_entropy_with_logits(outputs.squeeze(1), labels)
    return F.mse_loss(outputs.squeeze(1), labels)
