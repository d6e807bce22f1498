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


def task_loss(task: Task, logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy for classes, binary cross-entropy on a logit, or squared error for a score.

    outputs: (rows, task.outputs). labels: (rows,) float. Returns a scalar, the mean over rows.
    """
    if task.kind == "multiclass":
        return F.cross_entropy(logits, labels.long())
    if task.kind == "binary":
        return F.binary_cross_entropy_with_logits(logits.squeeze(1), labels)
    return F.mse_loss(logits.squeeze(1), labels)


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


def triplet(anchor: Tensor, positive: Tensor, negative: Tensor, triplet_margin: float = 0.5) -> Tensor:
    """max(0, d(a, p) - d(a, n) + margin) of each row, with d = 1 - cos (Schroff et al. 2015, eq. 2, which squares the
    distance of unit vectors: twice this d).

    anchor, positive, negative: (rows, width). Returns (rows,).
    """
    nearer = torch.cosine_similarity(anchor, negative) - torch.cosine_similarity(anchor, positive)
    return (nearer + triplet_margin).relu()


def cosent(cosines: Tensor, labels: Tensor, scale: float = 20.0) -> Tensor:
    """CoSENT (Su 2022): log(1 + sum of e^(scale * (cos_j - cos_i))) over all pairs of rows with y_i > y_j.

    cosines, labels: (rows,). Only the order of the labels counts.
    """
    differences = scale * (cosines[None, :] - cosines[:, None])  # [i, j] = scale * (cos_j - cos_i)
    disordered = differences[labels[:, None] > labels[None, :]]
    return torch.cat([disordered.new_zeros(1), disordered]).logsumexp(0)


@dataclass(frozen=True)
class LossSettings:
    """scale: of cosines in a softmax. margin: of a triplet. positive_threshold: the label from which a pair is positive."""

    scale: float = 20.0
    triplet_margin: float = 0.5
    positive_threshold: float = 3.0


# (outputs of the head (rows, outputs), what the head saw, labels (rows,)) -> scalar
TaskLoss = Callable[[Tensor, Tensor, Tensor], Tensor]


class LossSpec(NamedTuple):
    """What a loss needs.

    about: one line for lists. kinds: of tasks that it serves. sees: the head's "outputs", or the "pair" of vectors
    itself, and then it trains the vectors and no head. rows: the make of its batches. build: (task, settings) -> loss.
    """

    about: str
    kinds: tuple[str, ...]
    input_kind: Literal["outputs", "pair"]
    rows: Make
    build: Callable[[Task, LossSettings], TaskLoss]

    @property
    def ranks(self) -> bool:
        """Whether a row's loss depends on the other rows of its batch."""
        return self.build is not _by_kind


def _by_kind(task: Task, settings: LossSettings) -> TaskLoss:
    return lambda logits, head_inputs, labels: task_loss(task, logits, labels)


def _mnrl(task: Task, settings: LossSettings) -> TaskLoss:
    return lambda logits, head_inputs, labels: mnrl(head_inputs[0::2], head_inputs[1::2], settings.scale)


def _graded_mnrl(task: Task, settings: LossSettings) -> TaskLoss:
    def loss(logits: Tensor, head_inputs: Tensor, labels: Tensor) -> Tensor:
        return graded_mnrl(logits.squeeze(1) / task.max_label, labels >= settings.positive_threshold, settings.scale)

    return loss


def _triplet(task: Task, settings: LossSettings) -> TaskLoss:
    """The negative is the first sentence of the next row; less similar pairs weigh less (Marchini, Callon & Cussen).

    A batch of one row has no negative, and as with ``mnrl`` no loss.
    """

    def loss(logits: Tensor, head_inputs: Tensor, labels: Tensor) -> Tensor:
        anchor, positive = head_inputs[0::2], head_inputs[1::2]
        losses = (
            labels / task.max_label * triplet(anchor, positive, anchor.roll(-1, 0), settings.triplet_margin)
        )  # (rows,)
        return losses.mean() * (len(losses) > 1)

    return loss


def _cosent(task: Task, settings: LossSettings) -> TaskLoss:
    return lambda logits, head_inputs, labels: cosent(
        torch.cosine_similarity(head_inputs[0::2], head_inputs[1::2]), labels, settings.scale
    )


LOSSES: dict[str, LossSpec] = {
    "default": LossSpec("by the kind of task", ("multiclass", "binary", "regression"), "outputs", "all", _by_kind),
    "cross_entropy": LossSpec("cross-entropy", ("multiclass", "binary"), "outputs", "all", _by_kind),
    "mse": LossSpec("squared error", ("regression",), "outputs", "all", _by_kind),
    "mnrl": LossSpec(
        "positive pairs against all others of a batch", ("binary", "regression"), "pair", "positives", _mnrl
    ),
    "mnrl_graded": LossSpec(
        "a positive pair against less similar pairs", ("regression",), "outputs", "one positive", _graded_mnrl
    ),
    "triplet": LossSpec(
        "nearer to its pair than to another row", ("binary", "regression"), "pair", "positives", _triplet
    ),
    "cosent": LossSpec("cosines in the order of the labels", ("binary", "regression"), "pair", "all", _cosent),
}


def build_loss(name: str, task: Task, settings: LossSettings | None = None) -> TaskLoss:
    """The loss of that name for a task."""
    return LOSSES[name].build(task, settings or LossSettings())
