"""Grades in the columns of the files that Canvas, Moodle and Gradescope read or write."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mtbert.workbook.classroom.gradebook import Grade, totals, write_table
from mtbert.workbook.classroom.points import Points
from mtbert.workbook.classroom.submissions import Submission

PLATFORMS = ("canvas", "moodle", "gradescope")


def export(
    path: Path, platform: str, submissions: Sequence[Submission], grades: Sequence[Grade], points: Points, title: str
) -> None:
    """Write the students' points in the columns of a platform's grade file.

    Numbers that the platform gave to students are filled in where the names of their files hold them.

    Args:
        path: The file to write.
        platform: "canvas", "moodle" or "gradescope".
        submissions: Whose grades they are.
        grades: All of them.
        points: What exercises are worth.
        title: The name of the assignment.
    """
    total = totals(grades, points)
    solved = Counter(row.student for row in grades if row.passed)
    exercises_ = len({row.exercise for row in grades})
    rows: list[list[Any]] = []
    for one in submissions:
        score = f"{total.get(one.student, 0.0):g}"
        first, _, last = one.student.rpartition(" ")
        feedback = f"{solved[one.student]} of {exercises_} exercises solved"
        if platform == "canvas":
            rows.append([one.student, one.id, "", "", "", score])
        elif platform == "moodle":
            identifier = f"Participant {one.id}" if one.id else ""
            rows.append([identifier, one.student, "", score, f"{points.maximum:g}", "Yes", feedback])
        else:
            rows.append([first, last, one.id, "", score, f"{points.maximum:g}", "Graded"])
    if platform == "canvas":
        columns = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", title]
        rows.insert(0, ["    Points Possible", "", "", "", "", f"{points.maximum:g}"])
    elif platform == "moodle":
        columns = ["Identifier", "Full name", "Email address", "Grade", "Maximum Grade", "Grade can be changed"]
        columns += ["Feedback comments"]
    else:
        columns = ["First Name", "Last Name", "SID", "Email", "Total Score", "Max Points", "Status"]
    write_table(path, columns, rows)
