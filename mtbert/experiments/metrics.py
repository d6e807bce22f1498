"""Confusion matrices and what is read off them, calibration, and two models on the same rows.

A matrix holds counts, (classes, classes): row = the true class, column = the predicted one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from torch import Tensor

from mtbert.data.tasks import Task
from mtbert.nn.model import labels_from, probabilities


def confusion(labels: ArrayLike, predicted: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Counts of each pair of true and predicted class, (classes, classes), from whole numbers below ``classes``.

    labels, predicted: (rows,) each. Raises ValueError for anything that is none of the classes.
    """
    pairs = np.stack([np.asarray(labels), np.asarray(predicted)])  # (2, rows)
    others = pairs[~np.isin(pairs, np.arange(classes))]
    if others.size:
        raise ValueError(f"{others[0]} is none of the classes 0 to {classes - 1}")
    labels, predicted = pairs.astype(np.int64)
    return np.bincount(classes * labels + predicted, minlength=classes**2).reshape(classes, classes)


def classes_of(task: Task, values: ArrayLike) -> NDArray[np.int64]:
    """Labels or predictions as whole classes; those of a score task are rounded (halves up) within its range."""
    rounded = np.floor(np.asarray(values, dtype=np.float64) + 0.5)  # numpy's own rounding takes 2.5 to 2
    return np.clip(rounded, 0, task.max_label).astype(np.int64)


def row_shares(matrix: ArrayLike) -> NDArray[np.float64]:
    """Where the rows of each true class went: every row sums to 1. A class without rows has zeros."""
    matrix = np.asarray(matrix)
    return _divided(matrix, matrix.sum(axis=1, keepdims=True))


def column_shares(matrix: ArrayLike) -> NDArray[np.float64]:
    """What the rows of each predicted class are: every column sums to 1. A class never predicted has zeros."""
    matrix = np.asarray(matrix)
    return _divided(matrix, matrix.sum(axis=0, keepdims=True))


def expected_counts(matrix: ArrayLike) -> NDArray[np.float64]:
    """The counts to expect if the same answers were dealt out at random: row sum x column sum / rows."""
    matrix = np.asarray(matrix, dtype=np.float64)
    return np.outer(matrix.sum(axis=1), matrix.sum(axis=0)) / matrix.sum()


def class_scores(matrix: ArrayLike) -> pd.DataFrame:
    """Per class: precision, recall, F1 (their harmonic mean) and rows (how many are truly of it).

    By convention, what would be 0 / 0 is 0: precision and F1 of a class never predicted, recall of one without rows.
    """
    matrix = np.asarray(matrix)
    right = np.diagonal(matrix)
    return pd.DataFrame(
        {
            "precision": _divided(right, matrix.sum(axis=0)),
            "recall": _divided(right, matrix.sum(axis=1)),
            "f1": _divided(2 * right, matrix.sum(axis=0) + matrix.sum(axis=1)),
            "rows": matrix.sum(axis=1),
        }
    )


def averages(matrix: ArrayLike) -> dict[str, float]:
    """Accuracy, and the macro averages of precision, recall and F1: their plain means over the classes.

    Micro averages are not given: with one class per row all three are the accuracy.
    """
    matrix = np.asarray(matrix)
    macro = class_scores(matrix)[["precision", "recall", "f1"]].mean()
    return {"accuracy": float(np.trace(matrix) / matrix.sum()), **macro.to_dict()}


def distances(matrix: ArrayLike) -> NDArray[np.int64]:
    """Rows by how many classes the prediction is off, (classes,): right ones, near misses (1), and further ones."""
    matrix = np.asarray(matrix)
    return np.bincount(_apart(len(matrix)).ravel(), weights=matrix.ravel()).astype(matrix.dtype)


def quadratic_kappa(matrix: ArrayLike) -> float:
    """Cohen's kappa with squared distances as weights: 1 where all is right, 0 where no better than ``expected_counts``.

    0 as well where nothing varies (all rows of one class, all predicted so).
    """
    weights = _apart(len(np.asarray(matrix))) ** 2
    expected = float((weights * expected_counts(matrix)).sum())
    return 1 - float((weights * np.asarray(matrix)).sum()) / expected if expected else 0.0


def confidence(task: Task, outputs: Tensor, labels: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """What a model claims of each row and whether it is true: (rows,) probabilities, (rows,) bools.

    A task with classes claims its predicted class; a binary one claims label 1. outputs: (rows, outputs) of a head.
    """
    shares = probabilities(task, outputs).double().numpy()
    if task.kind == "binary":
        return shares, np.asarray(labels) == 1
    return shares.max(axis=1), np.asarray(labels_from(task, outputs)) == np.asarray(labels)


def calibration(probabilities: ArrayLike, true: ArrayLike, bins: int = 10) -> pd.DataFrame:
    """Claims by their probability, in ``bins`` of equal width; empty ones are left out.

    Columns: low, high (a bin's bounds), rows, claimed (mean probability), true (share that is true).
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    found = pd.DataFrame(
        {"bin": np.minimum((probabilities * bins).astype(int), bins - 1), "claimed": probabilities, "true": true}
    )
    table = found.groupby("bin").agg(rows=("true", "size"), claimed=("claimed", "mean"), true=("true", "mean"))
    table = table.reset_index()
    table.insert(0, "low", table["bin"] / bins)
    table.insert(1, "high", (table["bin"] + 1) / bins)
    return table.drop(columns="bin")


def calibration_error(table: pd.DataFrame) -> float:
    """The expected calibration error: mean distance of claimed and true, over the rows of ``calibration``'s table."""
    return float(np.average((table.claimed - table.true).abs(), weights=table.rows))


@dataclass(frozen=True)
class Pair:
    """How two models did on the same rows: how many both, only one of them, or neither got right."""

    both: int
    only_first: int
    only_second: int
    neither: int

    @classmethod
    def of(cls, labels: ArrayLike, first: ArrayLike, second: ArrayLike) -> "Pair":
        """Count from the labels and the predictions of both, (rows,) each."""
        labels, first, second = (np.asarray(each) for each in (labels, first, second))
        (neither, only_second), (only_first, both) = confusion(first == labels, second == labels, 2).tolist()
        return cls(both, only_first, only_second, neither)

    @property
    def rows(self) -> int:
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def difference(self) -> float:
        """Accuracy of the second minus that of the first."""
        return (self.only_second - self.only_first) / self.rows

    def resampled(self, draws: int, generator: np.random.Generator) -> NDArray[np.float64]:
        """(draws,) differences by the paired bootstrap: dev rows drawn anew, each with both answers.

        Drawing rows with replacement draws their counts from a multinomial: no row is needed any more.
        """
        shares = np.array([self.only_first, self.only_second, self.both + self.neither]) / self.rows
        drawn = generator.multinomial(self.rows, shares, size=draws)
        return (drawn[:, 1] - drawn[:, 0]) / self.rows

    def interval(self, level: float = 0.95, draws: int = 10_000, seed: int = 0) -> tuple[float, float]:
        """Bounds of the difference by the paired bootstrap."""
        drawn = self.resampled(draws, np.random.default_rng(seed))
        low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    def mcnemar(self) -> float:
        """p of McNemar's test, exact: if both were equally good, only_first and only_second would be coin tosses."""
        apart = self.only_first + self.only_second
        return float(stats.binomtest(self.only_first, apart).pvalue) if apart else 1.0


def resampled_pearson(
    labels: ArrayLike, first: ArrayLike, second: ArrayLike, draws: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """(draws,) Pearson's r of the second model minus that of the first, by the paired bootstrap over rows.

    labels, first, second: (rows,). As in ``mtbert.training.evaluation.pearson``, r is 0 where nothing varies. A draw is how often
    each row was drawn, so that all draws are one product with the rows' moments.
    """
    columns = np.stack([np.asarray(each, dtype=np.float64) for each in (labels, first, second)])
    y, a, b = columns - columns.mean(axis=1, keepdims=True)
    counts = generator.multinomial(len(y), np.full(len(y), 1 / len(y)), size=draws)
    means = counts @ np.stack([y, a, b, y * y, a * a, b * b, y * a, y * b], axis=1) / len(y)  # (draws, 8)
    y, a, b, yy, aa, bb, ya, yb = means.T
    return _correlation(yb - y * b, yy - y * y, bb - b * b) - _correlation(ya - y * a, yy - y * y, aa - a * a)


def _correlation(covariance: ArrayLike, *variances: ArrayLike) -> NDArray[np.float64]:
    root = np.sqrt(np.prod([np.maximum(each, 0) for each in variances], axis=0))
    return _divided(covariance, np.where(root < 1e-12, 0, root))


def _divided(above: ArrayLike, below: ArrayLike) -> NDArray[np.float64]:
    above, below = np.broadcast_arrays(np.asarray(above, dtype=np.float64), below)
    return np.divide(above, below, out=np.zeros(above.shape), where=below != 0)


def _apart(classes: int) -> NDArray[np.int64]:
    """(classes, classes): how far each predicted class is from the true one."""
    return np.abs(np.subtract.outer(np.arange(classes), np.arange(classes)))
