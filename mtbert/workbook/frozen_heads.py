"""The best linear heads on the vectors of a frozen encoder, and how exactly dev rows measure a score."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mtbert.data.read import Rows
from mtbert.data.tasks import TASKS, Task
from mtbert.training.evaluation import accuracy, pearson
from mtbert.workbook.frozen import tuned_ridge


def best_linear(task: Task, features: Tensor, labels: Sequence[float], others: Tensor) -> list[float]:
    """What the best linear layer predicts: ridge regression, in closed form, with the penalty that suits the task.

    Args:
        task: Decides what is fitted (the label, or one output per class) and which score chooses the penalty.
        features: (rows, width) to fit.
        labels: (rows,).
        others: (other rows, width) to predict.

    Returns:
        A label for each of the other rows: a class, 0 or 1, or a number on the scale of the labels.
    """
    targets = torch.tensor(labels)
    if task.kind == "multiclass":
        targets = torch.nn.functional.one_hot(targets.long(), task.labels)
    else:
        targets = targets[:, None]

    def predicted_labels(outputs: Tensor) -> list[float]:
        if task.kind == "multiclass":
            return outputs.argmax(dim=1).double().tolist()
        return (outputs > 0.5).double().flatten().tolist() if task.kind == "binary" else outputs.flatten().tolist()

    def score(outputs: Tensor, wanted: Tensor) -> float:
        measure = pearson if task.kind == "regression" else accuracy
        return measure(predicted_labels(outputs), predicted_labels(wanted))

    return predicted_labels(tuned_ridge(features, targets, others, score))


def standard_error(task: Task, score: float, rows: int) -> float:
    """The standard error of one dev score, as far as it comes from the number of rows.

    Args:
        task: Its kind says whether the score is an accuracy or Pearson's r.
        score: What was measured.
        rows: On how many rows.
    """
    if task.kind == "regression":
        return (1 - score**2) / math.sqrt(rows - 1)
    return math.sqrt(score * (1 - score) / rows)


def standard_errors(scores: Mapping[str, float], dev: Mapping[str, Rows]) -> dict[str, float]:
    """The standard error of each task's score on its dev rows, without those of scores that are 0."""
    return {task: standard_error(TASKS[task], score, len(dev[task])) for task, score in scores.items() if score}
