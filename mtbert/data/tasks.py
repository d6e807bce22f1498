"""The tasks: columns, labels and files of the course's data sets, and what recipes and scores need to know about each.

To add a task, add one ``Task`` to ``TASKS`` and put its files into the data folder, in the format of ``data/sample``.
Everything else follows from that entry: recipes then accept it in ``tasks``. An auxiliary task needs
``in_overall=False``. ``mtbert data fetch`` downloads only the files that mtbert/data/download.py lists.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mtbert.utils.errors import UserError, shorten

Split = Literal["train", "dev", "test"]
OVERALL_TASKS = ("sst", "quora", "sts")  # the course defines its overall scores over these three


@dataclass(frozen=True)
class Task:
    """A data set, and what to predict from its rows.

    Attributes:
        name: The name in recipes, on the command line and in results.
        title: The name in tables and figures.
        kind: ``multiclass`` (one of ``labels`` whole numbers, scored by accuracy), ``binary`` (0 or 1, one logit,
            scored by accuracy) or ``regression`` (a real number in [0, ``max_label``], scored by Pearson correlation).
        labels: Number of labels; for a regression task, of the whole numbers on its scale (6 for 0 to 5).
        text_columns: One column for a single sentence, two for a pair.
        label_column: The column of the labels.
        label_names: What the labels mean, in their order; none for a regression task.
        files: File name by split, as the course names them.
        train_rows: Rows of the full train file that are in neither dev nor test. Scaled-down recipes of reports choose
            their epochs by it.
        max_length: Maximum number of tokens in a sequence, unless a recipe sets another.
        positive_threshold: The label from which a pair counts as positive, unless a recipe sets another.
        in_overall: Whether the task counts in the overall score (auxiliary tasks do not).
    """

    name: str
    title: str
    kind: Literal["multiclass", "binary", "regression"]
    labels: int
    text_columns: tuple[str, ...]
    label_column: str
    label_names: tuple[str, ...]
    files: dict[Split, str]
    train_rows: int
    max_length: int = 128
    positive_threshold: float = 3.0
    in_overall: bool = True

    @property
    def is_pair(self) -> bool:
        return len(self.text_columns) == 2

    @property
    def max_label(self) -> int:
        """The largest label: 4 for five classes, 1 for a binary task, 5 for similarity."""
        return self.labels - 1

    @property
    def num_outputs(self) -> int:
        """Outputs of a head per row: a logit per class for a multiclass task, otherwise one."""
        return self.labels if self.kind == "multiclass" else 1

    @property
    def metric(self) -> str:
        return "Pearson r" if self.kind == "regression" else "accuracy"


def _files(stem: str, *splits: Split) -> dict[Split, str]:
    return {split: f"{stem}-{'test-student' if split == 'test' else split}.csv" for split in splits}


_ALL: tuple[Split, ...] = ("train", "dev", "test")
_PAIR = ("sentence1", "sentence2")
_ONE = ("sentence",)

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            name="sst",
            title="sentiment (SST, 5 classes)",
            kind="multiclass",
            labels=5,
            text_columns=_ONE,
            label_column="sentiment",
            label_names=("very negative", "negative", "neutral", "positive", "very positive"),
            files=_files("ids-sst", *_ALL),
            train_rows=8_538,
        ),
        Task(
            name="cfimdb",
            title="sentiment (CFIMDB, 2 classes)",
            kind="multiclass",
            labels=2,
            text_columns=_ONE,
            label_column="sentiment",
            label_names=("negative", "positive"),
            files=_files("ids-cfimdb", *_ALL),
            train_rows=1_707,
            max_length=512,
        ),
        Task(
            name="quora",
            title="paraphrase (Quora)",
            kind="binary",
            labels=2,
            text_columns=_PAIR,
            label_column="is_duplicate",
            label_names=("not a paraphrase", "a paraphrase"),
            files=_files("quora", *_ALL),
            train_rows=75_842,
            positive_threshold=1.0,
        ),
        Task(
            name="sts",
            title="similarity (STS, 0 to 5)",
            kind="regression",
            labels=6,
            text_columns=_PAIR,
            label_column="similarity",
            label_names=(),
            files=_files("sts", *_ALL),
            train_rows=5_996,
        ),
        Task(
            name="yelp",
            title="stars (Yelp, auxiliary)",
            kind="multiclass",
            labels=5,
            text_columns=_ONE,
            label_column="sentiment",
            label_names=("one star", "two stars", "three stars", "four stars", "five stars"),
            files=_files("yelp", "train"),
            train_rows=2_500,
            max_length=256,
            in_overall=False,
        ),
    )
}


def get_task(name: str) -> Task:
    """The task of that name; UserError if there is none."""
    if name not in TASKS:
        raise UserError(f"unknown task {shorten(name)}: choose from {', '.join(TASKS)}")
    return TASKS[name]


def overall(scores: Mapping[str, float]) -> dict[str, float]:
    """The overall score under both definitions in use, over the tasks with ``in_overall``.

    Args:
        scores: Task -> score; names that are not tasks, and auxiliary tasks, are ignored.

    Returns:
        "plain", the mean of the scores, and "normalised", the same with (r + 1) / 2 in place of a correlation r. With
        sst, quora and sts these are the course's overall scores of 2023 and 2024.
    """
    counted = {name: value for name, value in scores.items() if name in TASKS and TASKS[name].in_overall}
    if not counted:
        return {"plain": 0.0, "normalised": 0.0}
    shifted = [(value + 1) / 2 if TASKS[name].kind == "regression" else value for name, value in counted.items()]
    return {"plain": float(np.mean(list(counted.values()))), "normalised": float(np.mean(shifted))}
