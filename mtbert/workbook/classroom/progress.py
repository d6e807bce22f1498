"""Which exercises of a learner's own notebooks are solved."""

from pathlib import Path
from typing import NamedTuple

from mtbert.utils.errors import UserError
from mtbert.utils.logging import logger
from mtbert.workbook.classroom.exercises import NOTEBOOKS, choose_notebooks, exercises
from mtbert.workbook.classroom.grading import Job, grade
from mtbert.workbook.classroom.limits import Limits
from mtbert.workbook.classroom.submissions import read_submission


class Progress(NamedTuple):
    """An exercise: its title, whether it is solved, and what to do next if it is not."""

    title: str
    solved: bool
    next: str


def progress(folder: Path, seconds: float = 10.0, workers: int = 1) -> list[tuple[str, list[Progress]]]:
    """Check the exercises of the notebooks in a folder, as they were saved.

    Args:
        folder: The learner's folder.
        seconds: CPU time that an exercise may take.
        workers: How many processes check at a time.

    Returns:
        For each notebook that has exercises, its name and their progress.

    Raises:
        UserError: if the folder holds none of the notebooks.
    """
    originals = [path for path in choose_notebooks() if exercises(path) and (folder / path.name).exists()]
    if not originals:
        raise UserError(f"{folder} holds none of the notebooks: give their folder, such as {NOTEBOOKS}")
    jobs = []
    for path in originals:
        handed, _ = read_submission(folder / path.name)
        if handed.problem:
            logger.warning(f"{handed.path}: {handed.problem}")
        jobs += [Job("", path.stem, exercise.id, handed.cells) for exercise in exercises(path)]
    verdicts = {job.exercise: verdict for job, verdict in grade(jobs, Limits(seconds), workers)}
    found = []
    for path in originals:
        rows = []
        for exercise in exercises(path):
            verdict = verdicts[exercise.id]
            failing = f"{verdict.property}: {verdict.message}" if verdict.property else verdict.message
            rows.append(Progress(exercise.title, verdict.passed, failing))
        found.append((path.stem, rows))
    return found
