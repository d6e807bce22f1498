"""Negative controls: data from which there is nothing to learn."""

import shutil
from pathlib import Path

import pandas as pd

from mtbert.data.tasks import Task


def shuffle_train_labels(task: Task, folder: Path, into: Path) -> Path:
    """Copy a task's train and dev files, and give the train rows each other's labels; dev keeps its own.

    Args:
        task: Its labels stand in the column ``task.label_column``.
        folder: The data folder.
        into: The folder to write to; it is made if it does not exist.

    Returns:
        The folder of the copies.
    """
    into.mkdir(parents=True, exist_ok=True)
    rows = pd.read_csv(folder / task.files["train"], sep="\t", index_col=0, keep_default_na=False)
    rows[task.label_column] = rows[task.label_column].sample(frac=1, random_state=0).to_numpy()
    rows.to_csv(into / task.files["train"], sep="\t")
    shutil.copy(folder / task.files["dev"], into)
    return into
