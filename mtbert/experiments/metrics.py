"""Confusion matrices, calibration, intervals, and the comparison of two models on the same rows.

A confusion matrix holds counts, (classes, classes): row = the true class, column = the predicted one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from torch import Tensor

from mtbert.data.tasks import Task
from mtbert.nn.model import labels_from, probabilities


def confusion_matrix(labels: ArrayLike, predicted: ArrayLike, classes: int) -> NDArray[np.int64]:
    """(classes, classes) counts of true and predicted classes, from (rows,) integers from 0 to ``classes`` - 1.

    Raises:
        ValueError: a label or prediction is none of the classes.
    """
    pairs = np.stack([np.asarray(labels), np.asarray(predicted)])  # (2, rows)
    invalid = pairs[~np.isin(pairs, np.arange(classes))]
    if invalid.size:
        raise ValueError(f"{invalid[0]} is none of the classes 0 to {classes - 1}")
    labels, predicted = pairs.astype(np.int64)
    return np.bincount(classes * labels + predicted, minlength=classes**2).reshape(classes, classes)


def classes_of(task: Task, values: ArrayLike) -> NDArray[np.int64]:
    """Labels or predictions as classes; those of a regression task are rounded (halves up) and kept in its range."""
    rounded = np.floor(np.asarray(values, dtype=np.float64) + 0.5)  # np.round would turn 2.5 into 2
    return np.clip(rounded, 0, task.max_label).astype(np.int64)


def row_shares(matrix: ArrayLike) -> NDArray[np.float64]:
    """The shares of the predictions within each true class: every row sums to 1, or to 0 for a class without rows."""
    return _divided(matrix, np.sum(np.asarray(matrix), axis=1, keepdims=True))


def column_shares(matrix: ArrayLike) -> NDArray[np.float64]:
    """The shares of the true classes within each prediction: every column sums to 1, or to 0 if never predicted."""
    return _divided(matrix, np.sum(np.asarray(matrix), axis=0, keepdims=True))


def expected_counts(matrix: ArrayLike) -> NDArray[np.float64]:
    """The counts to expect if predictions and labels were independent: row sum x column sum / rows."""
    matrix = np.asarray(matrix, dtype=np.float64)
    return np.outer(matrix.sum(axis=1), matrix.sum(axis=0)) / matrix.sum()


def class_scores(matrix: ArrayLike) -> pd.DataFrame:
    """One line per class, with the columns precision, recall, F1 (their harmonic mean) and rows (of the true class).

    By convention 0 / 0 is 0: precision and F1 of a class never predicted, recall of a class without rows.
    """
    matrix = np.asarray(matrix)
    correct = np.diagonal(matrix)
    return pd.DataFrame(
        {
            "precision": _divided(correct, matrix.sum(axis=0)),
            "recall": _divided(correct, matrix.sum(axis=1)),
            "f1": _divided(2 * correct, matrix.sum(axis=0) + matrix.sum(axis=1)),
            "rows": matrix.sum(axis=1),
        }
    )


def averages(matrix: ArrayLike) -> dict[str, float]:
    """Accuracy, and the macro averages of precision, recall and F1: their unweighted means over the classes."""
    matrix = np.asarray(matrix)
    macro = class_scores(matrix)[["precision", "recall", "f1"]].mean()
    return {"accuracy": float(np.trace(matrix) / matrix.sum()), **macro.to_dict()}


def distances(matrix: ArrayLike) -> NDArray[np.int64]:
    """(classes,) counts of rows by the distance of prediction and label: 0 (correct), 1 (a near miss), and so on."""
    matrix = np.asarray(matrix)
    return np.bincount(_class_distances(len(matrix)).ravel(), weights=matrix.ravel()).astype(matrix.dtype)


def quadratic_kappa(matrix: ArrayLike) -> float:
    """Cohen's kappa with squared distances as weights: 1 if all is correct, 0 if independent or if nothing varies."""
    weights = _class_distances(len(np.asarray(matrix))) ** 2
    expected = float((weights * expected_counts(matrix)).sum())
    return 1 - float((weights * np.asarray(matrix)).sum()) / expected if expected else 0.0


def confidence(task: Task, logits: Tensor, labels: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """A model's confidence in one statement per row, (rows,), and whether the statement is true, (rows,).

    The statement is "the predicted class is correct" for a multiclass task, and "the label is 1" for a binary one.
    """
    predicted = probabilities(task, logits).double().numpy()
    if task.kind == "binary":
        return predicted, np.asarray(labels) == 1
    return predicted.max(axis=1), np.asarray(labels_from(task, logits)) == np.asarray(labels)


def calibration(probabilities: ArrayLike, true: ArrayLike, bins: int = 10) -> pd.DataFrame:
    """Compare confidence with how often it is justified, in bins of equal width; see ``confidence``.

    Returns:
        One line per bin that is not empty. Columns: low, high (its bounds), rows, confidence (mean probability), true
        (the share that is true).
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    rows = pd.DataFrame(
        {"bin": np.minimum((probabilities * bins).astype(int), bins - 1), "confidence": probabilities, "true": true}
    )
    table = rows.groupby("bin").agg(rows=("true", "size"), confidence=("confidence", "mean"), true=("true", "mean"))
    bounds = pd.DataFrame({"low": table.index / bins, "high": (table.index + 1) / bins}, index=table.index)
    return bounds.join(table).reset_index(drop=True)


def calibration_error(table: pd.DataFrame) -> float:
    """The expected calibration error: the mean distance of confidence and truth over all rows of ``calibration``."""
    return float(np.average((table.confidence - table.true).abs(), weights=table.rows))


@dataclass(frozen=True)
class Pair:
    """Two models on the same rows: how many rows both, only one of them, or neither predicted correctly."""

    both: int
    only_first: int
    only_second: int
    neither: int

    @classmethod
    def count(cls, labels: ArrayLike, first: ArrayLike, second: ArrayLike) -> "Pair":
        """Count from the labels and the predictions of both models, (rows,) each."""
        labels, first, second = (np.asarray(values) for values in (labels, first, second))
        (neither, only_second), (only_first, both) = confusion_matrix(first == labels, second == labels, 2).tolist()
        return cls(both, only_first, only_second, neither)

    @property
    def rows(self) -> int:
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def difference(self) -> float:
        """Accuracy of the second model minus that of the first."""
        return (self.only_second - self.only_first) / self.rows

    def resampled(self, draws: int, generator: np.random.Generator) -> NDArray[np.float64]:
        """(draws,) differences by the paired bootstrap: rows drawn with replacement, each with both predictions.

        Drawing rows with replacement draws the counts from a multinomial distribution, so the counts suffice.
        """
        shares = np.array([self.only_first, self.only_second, self.both + self.neither]) / self.rows
        counts = generator.multinomial(self.rows, shares, size=draws)
        return (counts[:, 1] - counts[:, 0]) / self.rows

    def interval(self, level: float = 0.95, draws: int = 10_000, seed: int = 0) -> tuple[float, float]:
        """Bounds of the difference by the paired bootstrap."""
        samples = self.resampled(draws, np.random.default_rng(seed))
        low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    def mcnemar(self) -> float:
        """The p value of McNemar's exact test: for equally good models, each discordant row is a fair coin toss."""
        discordant = self.only_first + self.only_second
        return float(stats.binomtest(self.only_first, discordant).pvalue) if discordant else 1.0


def resampled_pearson(
    labels: ArrayLike, first: ArrayLike, second: ArrayLike, draws: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Pearson's r of the second model minus that of the first, by the paired bootstrap over rows.

    As in ``mtbert.training.evaluation.pearson``, r is 0 if nothing varies. A bootstrap sample is the number of times
    that each row was drawn, so all samples are one matrix product with the rows' moments.

    Returns:
        (draws,) differences.
    """
    columns = np.stack([np.asarray(values, dtype=np.float64) for values in (labels, first, second)])
    y, a, b = columns - columns.mean(axis=1, keepdims=True)
    counts = generator.multinomial(len(y), np.full(len(y), 1 / len(y)), size=draws)
    means = counts @ np.stack([y, a, b, y * y, a * a, b * b, y * a, y * b], axis=1) / len(y)  # (draws, 8)
    y, a, b, yy, aa, bb, ya, yb = means.T
    return _correlation(yb - y * b, yy - y * y, bb - b * b) - _correlation(ya - y * a, yy - y * y, aa - a * a)


def _correlation(covariance: ArrayLike, *variances: ArrayLike) -> NDArray[np.float64]:
    scale = np.sqrt(np.prod([np.maximum(variance, 0) for variance in variances], axis=0))
    return _divided(covariance, np.where(scale < 1e-12, 0, scale))


def _divided(numerator: ArrayLike, denominator: ArrayLike) -> NDArray[np.float64]:
    """Elementwise quotient, 0 where the denominator is 0."""
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, dtype=np.float64), denominator)
    return np.divide(numerator, denominator, out=np.zeros(numerator.shape), where=denominator != 0)


def _class_distances(classes: int) -> NDArray[np.int64]:
    """(classes, classes) distances of each predicted class from the true one."""
    return np.abs(np.subtract.outer(np.arange(classes), np.arange(classes)))


def half_interval(scores: pd.Series) -> float:
    """Half the width of a mean's 95 % interval (Student's t); NaN for fewer than two values."""
    if len(scores) < 2:
        return math.nan
    return float(stats.t.ppf(0.975, len(scores) - 1) * stats.sem(scores))
