"""What notebook 08 measures and records: how good predicted similarities are, and what a frozen encoder reaches."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from scipy.stats import spearmanr
from torch import Tensor

from mtbert.experiments import results
from mtbert.training.evaluation import pearson
from mtbert.training.recipe import Recipe
from mtbert.training.run import build_model, recipe_encoder
from mtbert.utils.files import atomic_write
from mtbert.workbook.frozen import task_vectors
from mtbert.workbook.plots.sts_heads import calibration

Fit = Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], float]


def score_errors(predicted: Mapping[str, ArrayLike], labels: ArrayLike) -> pd.DataFrame:
    """How predicted scores differ from the labels, with the mean label as a constant prediction in the last row.

    Args:
        predicted: Name -> (rows,) scores from 0 to 5.
        labels: (rows,).

    Returns:
        Columns: r, the root mean square error, and the miscalibration: the distance between the mean prediction and
        the mean label of the rows with one whole prediction, averaged over the rows.
    """
    true = np.asarray(labels, dtype=float)
    rows = {}
    for name, given in {**predicted, "constant: the mean": np.full(len(true), true.mean())}.items():
        values = np.asarray(given, dtype=float)
        predictions, means, counts = calibration(values, true)
        distance = np.average(np.abs(means - predictions), weights=counts)
        rows[name] = [_pearson(values, true), _rmse(values, true), distance]
    return pd.DataFrame(rows, index=["r", "root mean square error", "miscalibration"]).T


def correlations(predicted: Mapping[str, ArrayLike], labels: ArrayLike) -> pd.DataFrame:
    """How well predicted scores order pairs.

    Args:
        predicted: Loss -> (rows,) scores from 0 to 5.
        labels: (rows,).

    Returns:
        A row per loss. Columns: r, Spearman's correlation of all rows and of those labeled 3 or more, and the root mean
        square error.
    """
    true = np.asarray(labels, dtype=float)
    rows = {}
    for name, given in predicted.items():
        values = np.asarray(given, dtype=float)
        ranks = [spearmanr(values[part], true[part]).statistic for part in (slice(None), true >= 3)]
        rows[name] = [_pearson(values, true), *ranks, _rmse(values, true)]
    columns = ["r", "Spearman", "Spearman, labels >= 3", "error"]
    return pd.DataFrame(rows, index=columns).T.rename_axis("loss")


def _pearson(predicted: np.ndarray, labels: np.ndarray) -> float:
    return pearson(predicted.tolist(), labels.tolist())


def _rmse(predicted: np.ndarray, labels: np.ndarray) -> float:
    return float(np.sqrt(np.square(predicted - labels).mean()))


def record_frozen(recipe: Recipe, folder: Path, fits: Mapping[str, Fit]) -> None:
    """Record what frozen vectors of a recipe's encoder reach on STS in data/results/sts_frozen.csv.

    Older rows of the encoder are replaced.

    Args:
        recipe: The encoder and its layers.
        folder: The data folder.
        fits: Kind of feature -> a function of the vectors and the labels, each by split ("train", "dev"), that gives r
            on dev. The vectors are mean-pooled, (rows, 2, width).
    """
    rows = []
    for pooling in ("mean", "cls", "max", "pooler"):
        model = build_model(recipe.replace(pooling=pooling), recipe_encoder(recipe)).eval()
        name = results.encoder_name(recipe.encoder, model.encoder.sha256)
        splits = {split: task_vectors(model, folder, "sts", split) for split in ("train", "dev")}
        vectors, labels = ({split: both[at] for split, both in splits.items()} for at in (0, 1))
        u, v = vectors["dev"].unbind(1)
        r = pearson(torch.cosine_similarity(u, v).tolist(), labels["dev"].tolist())
        rows.append((name, "plain cosine", pooling, r))
        if pooling == "mean":
            rows += [(name, "least squares", kind, fit(vectors, labels)) for kind, fit in fits.items()]
    path = results.table_path("sts_frozen")
    table = pd.DataFrame(rows, columns=["encoder", "what", "kind", "dev"])
    if path.exists():
        older = results.read_table(path)
        table = pd.concat([older[older.encoder != name], table])
    atomic_write(path, table.to_csv(index=False))


def recorded_frozen() -> dict[str, pd.DataFrame]:
    """What is recorded of frozen encoders on STS: "plain cosine" and "least squares" -> r, kinds by encoders."""
    table = results.read_table(results.table_path("sts_frozen"))
    return {
        what: rows.pivot(index="kind", columns="encoder", values="dev").round(3) for what, rows in table.groupby("what")
    }
