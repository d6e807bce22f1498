"""Losses: the one that fits the kind of task, and losses that rank the rows of a batch.

To add a loss: write a function, and add one entry to ``LOSSES`` that builds it. A ranking loss compares rows with each
other, so it needs batches of certain rows: see ``LossSpec.batch_kind``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mtbert.data.batch_samplers import BatchKind
from mtbert.data.tasks import Task


def task_loss(task: Task, logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy (multiclass), cross-entropy on one logit (binary) or squared error (regression).

    Logits are (rows, task.num_outputs), labels (rows,) float. With ``label_smoothing`` a class's target is that share
    of a uniform distribution plus the rest of the label (Szegedy et al. 2016, sec. 7); squared error has none.
    """
    if task.kind == "multiclass":
        return F.cross_entropy(logits, labels.long(), label_smoothing=label_smoothing)
    if task.kind == "binary":
        if label_smoothing:
            labels = (1 - label_smoothing) * labels + label_smoothing / 2
        return F.binary_cross_entropy_with_logits(logits.squeeze(1), labels)
    return F.mse_loss(logits.squeeze(1), labels)


def ordinal(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy with soft labels that know the order of the classes (Diaz & Marathe 2019, eq. 1 and 4).

    The target of class i is proportional to e^(-(i - y)^2): a neighbor of the label is less wrong than a distant class.
    Logits are (rows, classes), labels (rows,).
    """
    classes = torch.arange(logits.shape[1], device=logits.device)
    targets = (-(classes - labels[:, None]).square()).softmax(dim=1)  # (rows, classes)
    return F.cross_entropy(logits, targets.to(logits.dtype))


def mnrl(u: Tensor, v: Tensor, scale: float = 20.0) -> Tensor:
    """Multiple negatives ranking loss (Henderson et al. 2017, sec. 4): each u must find its own v among all of them.

    It is minus the mean log softmax of scale * cos(u_i, v_j) over j, at j = i, for positive pairs u, v (rows, width).
    """
    scores = scale * F.normalize(u, dim=1) @ F.normalize(v, dim=1).T  # (rows, rows)
    return F.cross_entropy(scores, torch.arange(len(u), device=u.device))


def supervised_contrastive(vectors: Tensor, labels: Tensor, scale: float = 20.0) -> Tensor:
    """MNRL for single sentences: each must find those of its own class among all others (Khosla et al. 2020, eq. 2).

    Of row i it is minus the mean, over the other rows j with its label, of the log softmax of scale * cos(x_i, x_j)
    over all other rows; the loss is the mean over the rows that have such a j. Vectors x are (rows, width), labels
    (rows,).
    """
    unit, own = F.normalize(vectors, dim=1), torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    scores = (scale * unit @ unit.T).masked_fill(own, -torch.inf).log_softmax(1)  # (rows, rows)
    same = (labels[:, None] == labels) & ~own
    counts = same.sum(1)  # (rows,)
    sums = scores.masked_fill(~same, 0.0).sum(1)
    return -(sums / counts.clamp(min=1)).sum() / (counts > 0).sum().clamp(min=1)


def graded_mnrl(scores: Tensor, positive: Tensor, scale: float = 20.0) -> Tensor:
    """Marchini, Callon & Cussen's variant: a positive pair must score above the negative pairs of its batch.

    It is the mean over positives of -log(e^p / (e^p + sum of e^n)), with p and n the scaled scores of the positive and
    of the negatives. Scores are those of whole pairs, (rows,), 1 for the most similar; ``positive`` is (rows,) bool.
    """
    scores = scale * scores
    negatives = scores.masked_fill(positive, -torch.inf).logsumexp(0)
    return (torch.logaddexp(scores[positive], negatives) - scores[positive]).mean()


def triplet(anchor: Tensor, positive: Tensor, negative: Tensor, triplet_margin: float = 0.5) -> Tensor:
    """Triplet loss, max(0, d(a, p) - d(a, n) + margin) with d = 1 - cos: (rows, width) three times -> (rows,).

    Schroff et al. 2015, eq. 2, use the squared distance of unit vectors: twice this d.
    """
    closer = torch.cosine_similarity(anchor, negative) - torch.cosine_similarity(anchor, positive)
    return (closer + triplet_margin).relu()


def cosent(cosines: Tensor, labels: Tensor, scale: float = 20.0) -> Tensor:
    """CoSENT (Su 2022): log(1 + sum of e^(scale * (cos_j - cos_i))) over all pairs of rows with y_i > y_j.

    Cosines of whole pairs and labels are (rows,); only the order of the labels counts.
    """
    differences = scale * (cosines[None, :] - cosines[:, None])  # [i, j] = scale * (cos_j - cos_i)
    disordered = differences[labels[:, None] > labels[None, :]]
    return torch.cat([disordered.new_zeros(1), disordered]).logsumexp(0)


@dataclass(frozen=True)
class LossSettings:
    """Settings of the losses; to ranking losses a pair with at least the label ``positive_threshold`` is positive."""

    scale: float = 20.0
    triplet_margin: float = 0.5
    positive_threshold: float = 3.0
    label_smoothing: float = 0.0


# (logits (rows, outputs), input of the head, labels (rows,)) -> scalar; a pair's vectors are two rows, u then v
TaskLoss = Callable[[Tensor, Any, Tensor], Tensor]


class LossSpec(NamedTuple):
    """An entry of ``LOSSES``: ``kinds`` of tasks that it serves, ``batch_kind`` of rows that a batch must hold.

    Its ``input_kind`` is what it compares with the labels: the head's "logits", or the sentence's "vector" or the
    "pair" of vectors itself, so that it trains the vectors and no head.
    """

    kinds: tuple[str, ...]
    input_kind: Literal["logits", "vector", "pair"]
    batch_kind: BatchKind
    build: Callable[[Task, LossSettings], TaskLoss]

    @property
    def trains_head(self) -> bool:
        return self.input_kind == "logits"

    @property
    def ranks(self) -> bool:
        """Whether a row's loss depends on the other rows of its batch."""
        return self.build not in (_by_kind, _ordinal)


def _by_kind(task: Task, settings: LossSettings) -> TaskLoss:
    return lambda logits, head_inputs, labels: task_loss(task, logits, labels, settings.label_smoothing)


def _ordinal(task: Task, settings: LossSettings) -> TaskLoss:
    return lambda logits, head_inputs, labels: ordinal(logits, labels)


def _mnrl(task: Task, settings: LossSettings) -> TaskLoss:
    return lambda logits, head_inputs, labels: mnrl(head_inputs[0::2], head_inputs[1::2], settings.scale)


def _supervised_contrastive(task: Task, settings: LossSettings) -> TaskLoss:
    return lambda logits, head_inputs, labels: supervised_contrastive(head_inputs, labels, settings.scale)


def _graded_mnrl(task: Task, settings: LossSettings) -> TaskLoss:
    def loss(logits: Tensor, head_inputs: Tensor, labels: Tensor) -> Tensor:
        return graded_mnrl(logits.squeeze(1) / task.max_label, labels >= settings.positive_threshold, settings.scale)

    return loss


def _triplet(task: Task, settings: LossSettings) -> TaskLoss:
    """The negative is the left sentence of the next row; less similar pairs weigh less (Marchini, Callon & Cussen)."""

    def loss(logits: Tensor, head_inputs: Tensor, labels: Tensor) -> Tensor:
        anchor, positive = head_inputs[0::2], head_inputs[1::2]
        losses = triplet(anchor, positive, anchor.roll(-1, 0), settings.triplet_margin)  # (rows,)
        losses = labels / task.max_label * losses
        return losses.mean() * (len(losses) > 1)  # a row alone has no negative

    return loss


def _cosent(task: Task, settings: LossSettings) -> TaskLoss:
    return lambda logits, head_inputs, labels: cosent(
        torch.cosine_similarity(head_inputs[0::2], head_inputs[1::2]), labels, settings.scale
    )


_PAIR_KINDS = ("binary", "regression")

LOSSES: dict[str, LossSpec] = {
    "default": LossSpec(("multiclass", "binary", "regression"), "logits", "all", _by_kind),
    "cross_entropy": LossSpec(("multiclass", "binary"), "logits", "all", _by_kind),
    "ordinal": LossSpec(("multiclass",), "logits", "all", _ordinal),
    "mse": LossSpec(("regression",), "logits", "all", _by_kind),
    "mnrl": LossSpec(_PAIR_KINDS, "pair", "positives", _mnrl),
    "supervised_contrastive": LossSpec(("multiclass",), "vector", "all", _supervised_contrastive),
    "mnrl_graded": LossSpec(("regression",), "logits", "one positive", _graded_mnrl),
    "triplet": LossSpec(_PAIR_KINDS, "pair", "positives", _triplet),
    "cosent": LossSpec(_PAIR_KINDS, "pair", "all", _cosent),
}


def build_loss(name: str, task: Task, settings: LossSettings | None = None) -> TaskLoss:
    """A task's loss by its name in ``LOSSES``."""
    return LOSSES[name].build(task, settings or LossSettings())
