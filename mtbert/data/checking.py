"""``mtbert data check``: what a data folder contains, and what is wrong with it."""

from collections import Counter
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import pandas as pd

from mtbert.data.delimited import explain_packed, packed_file
from mtbert.data.read import Rows, available, count_overlap, read_split
from mtbert.data.tasks import TASKS
from mtbert.utils.errors import UserError


@dataclass
class FolderReport:
    """What ``check_folder`` found.

    Attributes:
        files: one line for each readable file.
        notes: sentences about rows that are left out or look odd.
        overlaps: sentences about rows that two splits of a task share.
        errors: a sentence for each file that cannot be read.
    """

    files: pd.DataFrame = field(default_factory=pd.DataFrame)
    notes: list[str] = field(default_factory=list)
    overlaps: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def text(self) -> str:
        lines = [self.files.drop(columns="sha256").to_string(index=False)] if len(self.files) else []
        checksums = [f"{row.sha256}  {row.file}" for row in self.files.itertuples()]  # as sha256sum writes them
        return "\n".join([*lines, *self.notes, *(self.overlaps or ["no rows shared between splits"]), *checksums])


def check_folder(folder: Path) -> FolderReport:
    """Read every file in ``folder`` that has one of the course's names. A folder without any is an error."""
    report = FolderReport()
    splits_by_task: dict[str, list[Rows]] = {}
    for task, split in available(folder):
        try:
            rows = read_split(folder, task, split)
        except UserError as error:
            report.errors.append(str(error))
        else:
            splits_by_task.setdefault(task.name, []).append(rows)
            report.notes += rows.notes()
    report.errors += [explain_packed(packed) for packed in _packed_files(folder)]
    if not splits_by_task and not report.errors:
        report.errors.append(f"{folder} holds none of the course's files: run `python -m mtbert data fetch`")
    report.files = pd.DataFrame([_summary(rows) for splits in splits_by_task.values() for rows in splits])
    for splits in splits_by_task.values():
        for rows, other in combinations(splits, 2):
            if shared := count_overlap(rows, other):
                report.overlaps.append(f"{rows.path.name}: {shared} rows are also in {other.path.name}")
    return report


def _packed_files(folder: Path) -> list[Path]:
    names = [name for task in TASKS.values() for name in task.files.values()]
    return [packed for name in names if not (folder / name).exists() and (packed := packed_file(folder / name))]


def _summary(rows: Rows) -> dict[str, object]:
    words = pd.Series([sum(len(text.split()) for text in example.texts) for example in rows.examples])
    return {
        "file": rows.path.name,
        "rows": len(rows),
        "unlabeled": rows.unlabeled,
        "labels": _labels(rows),
        "words (mean/max)": f"{words.mean():.1f}/{words.max()}",
        "sha256": rows.sha256,
    }


def _labels(rows: Rows) -> str:
    """The count of each class, or the mean score."""
    if rows.split == "test":
        return "none"
    if rows.task.kind == "regression":
        return f"mean {pd.Series(rows.labels).mean():.2f}"
    counts = Counter(int(label) for label in rows.labels)
    return " ".join(f"{label}:{counts[label]}" for label in sorted(counts))
