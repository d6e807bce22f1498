"""``data check``: what a data folder holds, and what is wrong with it."""

from collections import Counter
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import pandas as pd

from mtbert.data.read import Rows, available, overlap, read_split
from mtbert.utils.errors import UserError


@dataclass
class Report:
    """files: one line per readable file. overlaps: rows that two splits of a task share. errors: a sentence each."""

    files: pd.DataFrame = field(default_factory=pd.DataFrame)
    overlaps: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def text(self) -> str:
        lines = [self.files.to_string(index=False)] if len(self.files) else []
        return "\n".join([*lines, *(self.overlaps or ["no rows shared between splits"])])


def check(folder: Path) -> Report:
    """Read every file of the course's names in ``folder``. A folder without any is an error."""
    report, sets = Report(), {}
    for task, split in available(folder):
        try:
            sets.setdefault(task.name, []).append(read_split(folder, task, split))
        except UserError as error:
            report.errors.append(str(error))
    if not sets and not report.errors:
        report.errors.append(f"{folder} holds none of the course's files: run `python -m mtbert data fetch`")
    report.files = pd.DataFrame([_line(rows) for splits in sets.values() for rows in splits])
    for splits in sets.values():
        for one, other in combinations(splits, 2):
            if shared := overlap(one, other):
                report.overlaps.append(f"{one.path.name}: {shared} rows also stand in {other.path.name}")
    return report


def _line(rows: Rows) -> dict[str, object]:
    lengths = pd.Series([sum(len(text.split()) for text in example.texts) for example in rows.examples])
    return {
        "file": rows.path.name,
        "rows": len(rows),
        "unlabelled": rows.unlabelled,
        "labels": _labels(rows),
        "words (mean/max)": f"{lengths.mean():.1f}/{lengths.max()}",
        "sha256": rows.sha256,
    }


def _labels(rows: Rows) -> str:
    """Counts of each class, or the mean of a score."""
    if rows.split == "test":
        return "none"
    if rows.task.kind == "regression":
        return f"mean {pd.Series(rows.labels).mean():.2f}"
    counts = Counter(int(label) for label in rows.labels)
    return " ".join(f"{label}:{counts[label]}" for label in sorted(counts))
