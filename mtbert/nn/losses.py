"""What a task minimises: by its kind, or a ranking of the rows of a batch.

The ranking losses compare rows with each other, so they need batches of a certain make: see ``LossKind.rows``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mtbert.data.sampling import Make
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


def mnrl(u: Tensor, v: Tensor, scale: float = 20.0) -> Tensor:
    """Multiple negatives ranking loss (Henderson et al. 2017, sec. 4): each u must find its own v among all of them.

    u, v: (rows, width), positive pairs. Minus the mean log softmax of scale * cos(u_i, v_j) over j, at j = i.
    """
    scores = scale * F.normalize(u, dim=1) @ F.normalize(v, dim=1).T  # (rows, rows)
    return F.cross_entropy(scores, torch.arange(len(u), device=u.device))


def graded_mnrl(scores: Tensor, positive: Tensor, scale: float = 20.0) -> Tensor:
    """Marchini, Callon & Cussen's variant: a positive pair must score above the negative pairs of its batch.

    scores: (rows,), of whole pairs, 1 for the most similar. positive: (rows,) bool. Returns the mean over positives of
    -log(e^p / (e^p + sum of e^n)), with p and n the scaled scores of the positive and the negatives.
    """
    scores = scale * scores
    negatives = scores.masked_fill(positive, -torch.inf).logsumexp(0)
    return (torch.logaddexp(scores[positive], negatives) - scores[positive]).mean()


def triplet(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 0.5) -> Tensor:
    """max(0, d(a, p) - d(a, n) + margin) of each row, with d = 1 - cos (Schroff et al. 2015, eq. 2, which squares the
    distance of unit vectors: twice this d).

    anchor, positive, negative: (rows, width). Returns (rows,).
    """
    nearer = torch.cosine_similarity(anchor, negative) - torch.cosine_similarity(anchor, positive)
    return (nearer + margin).relu()


def cosent(cosines: Tensor, labels: Tensor, scale: float = 20.0) -> Tensor:
    """CoSENT (Su 2022): log(1 + sum of e^(scale * (cos_j - cos_i))) over all pairs of rows with y_i > y_j.

    cosines, labels: (rows,). Only the order of the labels counts.
    """
    differences = scale * (cosines[None, :] - cosines[:, None])  # [i, j] = scale * (cos_j - cos_i)
    disordered = differences[labels[:, None] > labels[None, :]]
    return torch.cat([disordered.new_zeros(1), disordered]).logsumexp(0)


@dataclass(frozen=True)
class LossSettings:
    """scale: of cosines in a softmax. margin: of a triplet. positive_from: the label from which a pair is positive."""

    scale: float = 20.0
    margin: float = 0.5
    positive_from: float = 3.0


# (outputs of the head (rows, outputs), what the head saw, labels (rows,)) -> scalar
TaskLoss = Callable[[Tensor, Tensor, Tensor], Tensor]


class LossKind(NamedTuple):
    """What a loss needs.

    about: one line for lists. kinds: of tasks that it serves. sees: the head's "outputs", or the "pair" of vectors
    itself, and then it trains the vectors and no head. rows: the make of its batches. build: (task, settings) -> loss.
    """

    about: str
    kinds: tuple[str, ...]
    sees: Literal["outputs", "pair"]
    rows: Make
    build: Callable[[Task, LossSettings], TaskLoss]

    @property
    def ranks(self) -> bool:
        """Whether a row's loss depends on the other rows of its batch."""
        return self.build is not _by_kind


def _by_kind(task: Task, settings: LossSettings) -> TaskLoss:
    return lambda outputs, seen, labels: task_loss(task, outputs, labels)


def _mnrl(task: Task, settings: LossSettings) -> TaskLoss:
    return lambda outputs, seen, labels: mnrl(seen[0::2], seen[1::2], settings.scale)


def _graded_mnrl(task: Task, settings: LossSettings) -> TaskLoss:
    def loss(outputs: Tensor, seen: Tensor, labels: Tensor) -> Tensor:
        return graded_mnrl(outputs.squeeze(1) / task.top, labels >= settings.positive_from, settings.scale)

    return loss


def _triplet(task: Task, settings: LossSettings) -> TaskLoss:
    """The negative is the first sentence of the next row; less similar pairs weigh less (Marchini, Callon & Cussen).

    A batch of one row has no negative, and as with ``mnrl`` no loss.
    """

    def loss(outputs: Tensor, seen: Tensor, labels: Tensor) -> Tensor:
        anchor, positive = seen[0::2], seen[1::2]
        losses = labels / task.top * triplet(anchor, positive, anchor.roll(-1, 0), settings.margin)  # (rows,)
        return losses.mean() * (len(losses) > 1)

    return loss


def _cosent(task: Task, settings: LossSettings) -> TaskLoss:
    return lambda outputs, seen, labels: cosent(torch.cosine_similarity(seen[0::2], seen[1::2]), labels, settings.scale)


LOSSES: dict[str, LossKind] = {
    "default": LossKind("by the kind of task", ("classes", "binary", "score"), "outputs", "all", _by_kind),
    "cross_entropy": LossKind("cross-entropy", ("classes", "binary"), "outputs", "all", _by_kind),
    "mse": LossKind("squared error", ("score",), "outputs", "all", _by_kind),
    "mnrl": LossKind("positive pairs against all others of a batch", ("binary", "score"), "pair", "positives", _mnrl),
    "mnrl_graded": LossKind(
        "a positive pair against less similar pairs", ("score",), "outputs", "one positive", _graded_mnrl
    ),
    "triplet": LossKind("nearer to its pair than to another row", ("binary", "score"), "pair", "positives", _triplet),
    "cosent": LossKind("cosines in the order of the labels", ("binary", "score"), "pair", "all", _cosent),
}


def build_loss(name: str, task: Task, settings: LossSettings | None = None) -> TaskLoss:
    """The loss of that name for a task."""
    return LOSSES[name].build(task, settings or LossSettings())
