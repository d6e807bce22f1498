"""What the tasks are: columns, labels and files of the course's five data sets."""

from dataclasses import dataclass
from typing import Literal

from mtbert.utils.errors import UserError

Split = Literal["train", "dev", "test"]


@dataclass(frozen=True)
class Task:
    """One data set with one question.

    kind: ``multiclass`` (one of ``labels`` whole numbers, scored by accuracy), ``binary`` (0 or 1, one logit,
        scored by accuracy) or ``regression`` (a real number in [0, ``max_label``], scored by Pearson correlation).
    text_columns: one column for a single sentence, two for a pair.
    files: file name by split, as the course names them.
    in_overall: whether the task counts in the overall score (auxiliary tasks do not).
    """

    name: str
    title: str
    kind: Literal["multiclass", "binary", "regression"]
    labels: int
    text_columns: tuple[str, ...]
    label_column: str
    files: dict[str, str]
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
        """Numbers that a head gives per row: a logit per class, else one."""
        return self.labels if self.kind == "multiclass" else 1

    @property
    def metric(self) -> str:
        return "Pearson r" if self.kind == "regression" else "accuracy"


def _files(stem: str, *splits: str) -> dict[str, str]:
    return {split: f"{stem}-{'test-student' if split == 'test' else split}.csv" for split in splits}


_ALL = ("train", "dev", "test")
_PAIR = ("sentence1", "sentence2")
_ONE = ("sentence",)

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("sst", "sentiment (SST, 5 classes)", "multiclass", 5, _ONE, "sentiment", _files("ids-sst", *_ALL)),
        Task(
            "cfimdb", "sentiment (CFIMDB, 2 classes)", "multiclass", 2, _ONE, "sentiment", _files("ids-cfimdb", *_ALL)
        ),
        Task("quora", "paraphrase (Quora)", "binary", 2, _PAIR, "is_duplicate", _files("quora", *_ALL)),
        Task("sts", "similarity (STS, 0 to 5)", "regression", 6, _PAIR, "similarity", _files("sts", *_ALL)),
        Task(
            "yelp",
            "stars (Yelp, auxiliary)",
            "multiclass",
            5,
            _ONE,
            "sentiment",
            _files("yelp", "train"),
            in_overall=False,
        ),
    )
}


def get_task(name: str) -> Task:
    """The task of that name; UserError if there is none."""
    if name not in TASKS:
        raise UserError(f"unknown task {name!r}: choose from {', '.join(TASKS)}")
    return TASKS[name]
