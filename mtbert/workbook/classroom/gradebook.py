"""The grades of a class in a CSV file: each exercise is graded once, and again only when something has changed."""

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import mtbert
from mtbert.utils import paths
from mtbert.utils.errors import UserError
from mtbert.utils.files import atomic_write
from mtbert.utils.tables import read_csv
from mtbert.workbook.classroom.exercises import exercises
from mtbert.workbook.classroom.grading import Job, Verdict, grade
from mtbert.workbook.classroom.limits import Limits
from mtbert.workbook.classroom.points import Points
from mtbert.workbook.classroom.submissions import Handed, Submission

_CHECKS = paths.ROOT / "mtbert" / "workbook" / "checks"


@dataclass(frozen=True)
class Grade:
    """A row of the grades: one exercise of one student.

    Attributes:
        student: The name.
        notebook: The file name of the original without suffix.
        exercise: Its id, "attention.weights".
        passed: 1 or 0.
        property: The first property that fails, or "".
        message: Why it fails, or what is wrong with the submission, or "".
        file: What was handed in, or "".
        digest: Of everything that decides the verdict; a row with the same one is not graded again.
    """

    student: str
    notebook: str
    exercise: str
    passed: int
    property: str
    message: str
    file: str
    digest: str


_COLUMNS = [field.name for field in fields(Grade)]


class Gradebook:
    """Grades in a CSV file, in which every verdict is written as soon as it is known.

    Args:
        path: The file. If it exists, its rows are kept for what has not changed since.
        fresh: Whether to grade everything again.

    Raises:
        UserError: if the file holds something else.
    """

    def __init__(self, path: Path, fresh: bool = False):
        self.path = path
        self.known: dict[tuple[str, str, str], Grade] = {}
        rows = read_csv(path)
        if path.exists() and (not rows or set(_COLUMNS) - rows[0].keys()) and path.stat().st_size:
            header = path.read_text(encoding="utf-8", errors="replace").partition("\n")[0].strip()
            if header != ",".join(_COLUMNS):
                raise UserError(f"{path} exists and holds no grades: choose another file")
        for row in [] if fresh else rows:
            if row.get("passed") in ("0", "1") and row.get("digest"):
                texts = {name: row[name] for name in _COLUMNS if name != "passed"}
                known = Grade(**texts, passed=int(row["passed"]))
                self.known[known.student, known.exercise, known.digest] = known

    def grade(
        self, submissions: Sequence[Submission], notebooks: Sequence[Path], limits: Limits, workers: int
    ) -> Iterator[Grade]:
        """Grade every exercise of every student, and yield the grades as they come; the file is complete at the end.

        Who handed in the same cells, such as a notebook nobody has touched, gets the same verdict from one check.
        """
        done: list[Grade] = []
        jobs: dict[str, Job] = {}
        alike: dict[str, list[Grade]] = {}  # by digest, as the jobs
        for submission in submissions:
            for path in notebooks:
                for exercise in exercises(path):
                    handed = submission.notebooks.get(path.stem)
                    row = _ungraded(submission, path, exercise.id, handed, limits)
                    known = self.known.get((row.student, row.exercise, row.digest))
                    if known is not None or handed is None or handed.problem:
                        done.append(known or row)
                    else:
                        jobs.setdefault(row.digest, Job(row.student, path.stem, exercise.id, handed.cells))
                        alike.setdefault(row.digest, []).append(row)
        yield from done
        self._write(done)
        rows = {(job.student, job.exercise): alike[digest] for digest, job in jobs.items()}
        with open(self.path, "a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            for job, verdict in grade(jobs.values(), limits, workers):
                for row in rows[job.student, job.exercise]:
                    graded = _with_verdict(row, verdict)
                    writer.writerow([_safe(getattr(graded, name)) for name in _COLUMNS])
                    file.flush()
                    done.append(graded)
                    yield graded
        order = {exercise.id: i for i, exercise in enumerate(e for path in notebooks for e in exercises(path))}
        self._write(sorted(done, key=lambda row: (row.student.lower(), row.student, order[row.exercise])))

    def _write(self, grades: Sequence[Grade]) -> None:
        write_table(self.path, _COLUMNS, [[getattr(row, name) for name in _COLUMNS] for row in grades])


def _ungraded(submission: Submission, path: Path, id: str, handed: Handed | None, limits: Limits) -> Grade:
    """The row of an exercise before it is graded, with what is wrong if it cannot be."""
    message = handed.problem if handed else "; ".join([f"no {path.name} was handed in", *submission.others])
    content = "\0".join([_version(id, limits), id, message, *(handed.cells if handed else ())])
    digest = hashlib.sha256(content.encode(errors="surrogatepass")).hexdigest()[:16]
    name = handed.path.name if handed else ""
    return Grade(submission.student, path.stem, id, 0, "", " ".join(message.split())[:400], name, digest)


def _with_verdict(row: Grade, verdict: Verdict) -> Grade:
    return replace(row, passed=int(verdict.passed), property=verdict.property, message=verdict.message)


@cache
def _version(id: str, limits: Limits) -> str:
    """Changes with the exercise's check and with the limits."""
    sources = [(_CHECKS / f"{name}.py").read_text(encoding="utf-8") for name in ("engine", id.partition(".")[0])]
    return "\0".join([mtbert.__version__, repr(limits), *sources])


def _safe(value: Any) -> Any:
    """Text that a CSV file can hold whatever a student's file or code is called."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Write a CSV file atomically."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([columns, *[[_safe(value) for value in row] for row in rows]])
    atomic_write(path, text.getvalue())


@dataclass(frozen=True)
class ExerciseSummary:
    """How a class did in one exercise.

    Attributes:
        exercise: Its id.
        passed: How many solved it.
        students: How many there are.
        failures: The properties that failed, with how often and one message, the most frequent first.
    """

    exercise: str
    passed: int
    students: int
    failures: Sequence[tuple[str, int, str]]


def summarize(grades: Sequence[Grade]) -> list[ExerciseSummary]:
    """A summary for each exercise, in the order of the grades."""
    summaries = []
    for id in dict.fromkeys(row.exercise for row in grades):
        rows = [row for row in grades if row.exercise == id]
        failed = [row for row in rows if not row.passed]
        counts = Counter(row.property or row.message for row in failed)
        example = {row.property or row.message: row.message for row in reversed(failed)}
        failures = [(name, count, example[name]) for name, count in counts.most_common()]
        summaries.append(ExerciseSummary(id, sum(row.passed for row in rows), len(rows), failures))
    return summaries


def totals(grades: Sequence[Grade], points: Points) -> dict[str, float]:
    """The points of each student."""
    total: dict[str, float] = {}
    for row in grades:
        total[row.student] = total.get(row.student, 0.0) + row.passed * points.worth[row.exercise]
    return total
