"""What a class understands and what not: a heat map and a page to open the next lecture with, without names."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mtbert.utils.files import atomic_write
from mtbert.workbook.classroom.exercises import choose_notebooks, exercises
from mtbert.workbook.classroom.gradebook import Grade, summarize, totals, write_table
from mtbert.workbook.classroom.points import Points

_LISTED = 10


def write_report(folder: Path, grades: Sequence[Grade], points: Points) -> list[Path]:
    """Write ``heatmap.png``, ``report.md`` and ``summary.csv``.

    Args:
        folder: Where; it is created if needed.
        grades: All grades.
        points: What exercises are worth.

    Returns:
        The files written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    summaries = summarize(grades)
    _draw(folder / "heatmap.png", grades)
    columns = ["exercise", "passed", "students", "points", "most frequent failure", "times"]
    rows = []
    for one in summaries:
        name, count, _ = one.failures[0] if one.failures else ("", "", "")
        rows.append([one.exercise, one.passed, one.students, f"{points.worth[one.exercise]:g}", name, count])
    write_table(folder / "summary.csv", columns, rows)
    atomic_write(folder / "report.md", _page(grades, points))
    return [folder / name for name in ("report.md", "heatmap.png", "summary.csv")]


def _page(grades: Sequence[Grade], points: Points) -> str:
    scores = totals(grades, points)
    mean = sum(scores.values()) / len(scores)
    titles = {exercise.id: exercise for path in choose_notebooks() for exercise in exercises(path)}
    summaries = summarize(grades)
    failures = [(count, one, name, message) for one in summaries for name, count, message in one.failures]
    failures.sort(key=lambda failure: -failure[0])
    misunderstood = [failure for failure in failures if failure[2] != failure[3]]  # the others never reached a property
    unchecked: Counter[str] = Counter()
    for count, _, name, message in failures:
        if name == message:
            unchecked[name] += count
    lines = [
        f"# {len(scores)} students, {len(summaries)} exercises",
        "",
        f"On average {mean:.1f} of {points.maximum:g} points.",
        "",
        "![A row for each student, a column for each exercise: blue is solved](heatmap.png)",
        "",
        "## What the class misunderstands most",
        "",
    ]
    for count, one, name, message in misunderstood[:_LISTED]:
        exercise = titles[one.exercise]
        lines.append(f"1. **{count} of {one.students}**, {exercise.notebook}, {exercise.title}: {_plain(name)}")
        lines.append(f"   For example: {_plain(message)}")
    lines += ["", "## What could not be checked", ""]
    lines += [f"- {count} × {_plain(name)}" for name, count in unchecked.most_common(_LISTED)]
    lines += ["", "## Every exercise", "", "| exercise | solved | most frequent failure |", "| --- | --- | --- |"]
    for one in summaries:
        failure = f"{one.failures[0][1]} × {_plain(one.failures[0][0])}" if one.failures else ""
        lines.append(f"| {one.exercise} | {one.passed} of {one.students} | {failure} |")
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Text in which a student's code cannot become Markdown, HTML or a column of a table."""
    for character in "\\`*_[]<>|":
        text = text.replace(character, f"\\{character}" if character != "<" else "&lt;")
    return text


def _draw(path: Path, grades: Sequence[Grade]) -> None:
    """A heat map of students by exercises; rows are sorted by what they solved, and carry no names."""
    import numpy as np
    from matplotlib.colors import ListedColormap

    from mtbert.workbook.plots.style import PALETTE, subplots

    ids = list(dict.fromkeys(row.exercise for row in grades))
    students = list(dict.fromkeys(row.student for row in grades))
    solved = np.zeros((len(students), len(ids)))
    for row in grades:
        solved[students.index(row.student), ids.index(row.exercise)] = row.passed
    solved = solved[np.argsort(-solved.sum(1), kind="stable")]
    figure, axes = subplots(figsize=(max(10, 0.3 * len(ids) + 2), max(4, 0.16 * len(students) + 3)), layout="tight")
    colors = ListedColormap([PALETTE[1], PALETTE[0]])
    axes.imshow(solved, cmap=colors, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    shares = solved.mean(0)
    labels = [f"{id}  {share:.0%}" for id, share in zip(ids, shares, strict=True)]
    axes.set_xticks(range(len(ids)), labels, rotation=90, fontsize=11)
    axes.set_xticks(np.arange(len(ids)) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(students)) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1)
    axes.tick_params(which="minor", length=0)
    axes.set_yticks([])
    axes.set(xlabel="exercise, and the share of students who solved it", ylabel=f"{len(students)} students")
    axes.set_title("Solved (blue) and not solved (orange)")
    figure.savefig(path, dpi=150)
