"""The vectors of a frozen encoder, and heads on them that are tuned fairly and without gradient steps."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from mtbert.data import TASKS, TokenizedDataset, read_split
from mtbert.data.tasks import Split
from mtbert.nn.model import MultitaskModel

PENALTIES = (0.1, 1.0, 10.0, 100.0, 1000.0)


def ridge(features: Tensor, targets: Tensor, others: Tensor, penalty: float) -> Tensor:
    """Predictions of the linear layer that fits the targets best, found in closed form.

    It minimizes the squared error plus ``penalty`` times the squared weights; the bias is not penalized.

    Args:
        features: (rows, width) to fit.
        targets: (rows, outputs).
        others: (other rows, width) to predict.
        penalty: at least 0.

    Returns:
        (other rows, outputs).
    """
    center, mean = features.mean(0), targets.mean(0)
    x = features - center
    gram = x.T @ x + penalty * torch.eye(x.shape[1], dtype=x.dtype)
    return (others - center) @ torch.linalg.solve(gram, x.T @ (targets - mean)) + mean


def tuned_ridge(
    features: Tensor,
    targets: Tensor,
    others: Tensor,
    score: Callable[[Tensor, Tensor], float],
    penalties: Sequence[float] = PENALTIES,
) -> Tensor:
    """The same with the penalty that scores best on every fifth row, after a fit to the remaining ones.

    Args:
        features, targets, others: as in ``ridge``.
        score: (predictions, targets) of the same shape -> a number, the higher the better.
        penalties: what to choose from.
    """
    features, targets, others = features.double(), targets.double(), others.double()
    held_out = torch.arange(len(features)) % 5 == 0
    fit, held = (features[~held_out], targets[~held_out], features[held_out]), targets[held_out]
    best = max(penalties, key=lambda penalty: score(ridge(*fit, penalty), held))
    return ridge(features, targets, others, best)


def task_vectors(
    model: MultitaskModel, folder: Path, task: str, split: Split, count: int | None = None
) -> tuple[Tensor, Tensor]:
    """The pooled vectors of a task's texts.

    Args:
        model: A model that encodes the texts of a pair one by one.
        folder: The data folder.
        task: The task's name.
        split: "train" or "dev".
        count: How many rows to take, from the first; None takes all.

    Returns:
        (rows, texts, width) vectors, one per text of a row, and (rows,) labels.
    """
    rows = read_split(folder, TASKS[task], split)
    rows = replace(rows, examples=rows.examples[:count])
    texts = TokenizedDataset.from_rows(rows, model.encoder.tokenizer)
    vectors = model.dataset_vectors(model.encode_dataset(task, texts))
    return vectors.view(len(rows), -1, vectors.shape[1]), torch.tensor(rows.labels)
