"""What notebook 06 measures with: the losses of chosen train rows, and how often two gradients conflict."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from scipy import stats
from torch import Tensor

from mtbert.data import TASKS, PackedBatch, TokenizedDataset, read_split
from mtbert.nn.model import MultitaskModel


class BatchLosses:
    """The losses of a model on chosen train rows of its tasks.

    Attributes:
        counts: Task -> number of its train rows.
        labels: Task -> (rows,).
    """

    def __init__(self, model: MultitaskModel, folder: Path, tasks: Sequence[str]):
        self.model = model
        rows = {task: read_split(folder, TASKS[task], "train") for task in tasks}
        tables = {task: TokenizedDataset.from_rows(rows[task], model.encoder.tokenizer) for task in tasks}
        self._sequences = {task: model.encode_dataset(task, table) for task, table in tables.items()}
        self.counts = {task: len(table) for task, table in tables.items()}
        self.labels = {task: table.labels for task, table in tables.items()}

    def batch(self, task: str, rows: Tensor) -> PackedBatch:
        """The batch of these rows, as the model reads it."""
        return PackedBatch.join({task: self._sequences[task].batch(rows)})

    def __call__(self, task: str, rows: Tensor, labels_of: Tensor | None = None) -> Tensor:
        """The mean loss of these rows; ``labels_of`` names other rows to take the labels of."""
        labels = self.labels[task][rows if labels_of is None else labels_of]
        return self.model.losses(self.batch(task, rows), {task: labels})[task]


def conflict_rates(counts: pd.DataFrame) -> pd.DataFrame:
    """Counted conflicts with the rates that they leave open: the 95% interval of a binomial proportion.

    Args:
        counts: Columns conflicts and steps.

    Returns:
        The same with the columns rate, from and to.
    """
    pairs = [(int(row.conflicts), int(row.steps)) for row in counts.itertuples()]
    bounds = [stats.binomtest(*pair).proportion_ci() for pair in pairs]
    low, high = ([getattr(bound, name) for bound in bounds] for name in ("low", "high"))
    return counts.assign(rate=counts.conflicts / counts.steps, **{"from": low, "to": high})
