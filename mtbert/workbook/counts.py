"""Recorded counts of dev predictions: confusion matrices, thresholds, calibration, and pairs of models."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mtbert.experiments.metrics import Pair
from mtbert.experiments.results import read_table
from mtbert.utils import paths

_OUTCOMES = ["both", "only_first", "only_second", "neither"]


def recorded_matrix(recipe: str, task: str) -> NDArray[np.int64]:
    """The recorded confusion matrix of a recipe's first seed: counts, a row per true class, a column per prediction."""
    table = _of_recipe("confusion", recipe, task)
    return table.pivot(index="true", columns="predicted", values="rows").to_numpy()


def best_constant(recipe: str, task: str) -> tuple[float, int]:
    """The accuracy of the best constant prediction on the dev rows of a recorded run, and how many rows these are."""
    classes = recorded_matrix(recipe, task).sum(axis=1)
    return float(classes.max() / classes.sum()), int(classes.sum())


def recorded_bins(recipe: str, task: str, bins: int = 50) -> pd.DataFrame:
    """How often a recorded run's confidence is justified.

    Args:
        recipe: The recipe; its first seed counts.
        task: A task with classes.
        bins: How many bins of equal width; 50 were recorded, fewer are merged.

    Returns:
        The columns of ``mtbert.experiments.metrics.calibration``.
    """
    table = _of_recipe("calibration", recipe, task)
    sums = table.assign(confidence=table.confidence * table.rows, true=table.true * table.rows)
    merged = sums.groupby((table.low * bins + 1e-9).astype(int))[["rows", "confidence", "true"]].sum()
    merged = merged.assign(confidence=merged.confidence / merged.rows, true=merged.true / merged.rows)
    bounds = pd.DataFrame({"low": merged.index / bins, "high": (merged.index + 1) / bins}, index=merged.index)
    return bounds.join(merged).reset_index(drop=True)


def _of_recipe(name: str, recipe: str, task: str) -> pd.DataFrame:
    table = read_table(paths.RESULTS / f"{name}.csv")
    table = table[(table.recipe == recipe) & (table.task == task)]
    return table[(table.seed == table.seed.min()) & (table.revision == table.revision.iloc[-1])]


def threshold_curve(bins: pd.DataFrame) -> pd.DataFrame:
    """The confusion matrix at the lower edge of every bin, from a calibration table of a binary task.

    Returns:
        A row per threshold: threshold, tn, fp, fn, tp, precision, recall, f1, accuracy.
    """
    positives = (bins.rows * bins.true).round().astype(int)
    tp, predicted = positives[::-1].cumsum()[::-1], bins.rows[::-1].cumsum()[::-1]
    fp, fn = predicted - tp, positives.sum() - tp
    tn = bins.rows.sum() - predicted - fn
    counts = pd.DataFrame({"threshold": bins.low, "tn": tn, "fp": fp, "fn": fn, "tp": tp})
    return counts.assign(
        precision=tp / predicted,
        recall=tp / positives.sum(),
        f1=2 * tp / (predicted + positives.sum()),
        accuracy=(tp + tn) / bins.rows.sum(),
    )


def recorded_pairs(name: Callable[[str], str] = str) -> pd.DataFrame:
    """The recorded pairs of runs that were scored on the same rows.

    Args:
        name: Makes a shorter name of a run, such as "mixed-plain-dropout-0.3 s0".

    Returns:
        A row per pair and task: task, first, second, difference (of the accuracies, second minus first), low, high
        (its 95% interval by the paired bootstrap over rows), p (McNemar's exact test), discordant (rows).
    """
    lines = []
    for row in read_table(paths.RESULTS / "confusion_pairs.csv").to_dict("records"):
        pair = Pair(*(row[outcome] for outcome in _OUTCOMES))
        low, high = pair.interval()
        lines.append(
            {"task": row["task"], "first": name(row["first"]), "second": name(row["second"])}
            | {"difference": pair.difference, "low": low, "high": high, "p": pair.mcnemar()}
            | {"discordant": pair.only_first + pair.only_second}
        )
    return pd.DataFrame(lines)
