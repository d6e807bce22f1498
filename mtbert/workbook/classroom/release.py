"""The editions of the notebooks: one for students, without solutions, and one for instructors, with them in place."""

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtbert.utils import paths
from mtbert.utils.errors import UserError
from mtbert.utils.files import atomic_write, check_folder
from mtbert.workbook.classroom.exercises import (
    KEY,
    choose_notebooks,
    code_cells,
    exercises,
    folds,
    is_hint,
    is_solution,
    read,
    source,
)
from mtbert.workbook.classroom.grading import Job, Verdict, grade
from mtbert.workbook.learner_copy import NOTEBOOKS, write_copy

STUDENT, INSTRUCTOR, NBGRADER = "student", "instructor", "nbgrader/source/bert"
_NBGRADER_CELL = {"schema_version": 3, "locked": False, "grade": False, "solution": False, "task": False}
_NBGRADER_CONFIG = """c = get_config()
c.CourseDirectory.course_id = "bert"
c.ClearSolutions.code_stub = {"python": ""}  # the stub above the solution is what students get
c.ExecutePreprocessor.timeout = 600
"""


def release(
    target: Path,
    notebooks: Sequence[str] | None = None,
    hints: bool = False,
    nbgrader: bool = False,
    force: bool = False,
    workers: int = 1,
) -> list[Path]:
    """Write both editions, ``target/student`` and ``target/instructor``, after the solutions have passed their checks.

    Args:
        target: A folder; it is created if needed.
        notebooks: Numbers or file names; None for all.
        hints: Whether students get the hints.
        nbgrader: Whether to write a course folder for nbgrader as well, ``target/nbgrader``.
        force: Whether to overwrite files.
        workers: How many processes check the solutions.

    Returns:
        The notebooks written.

    Raises:
        UserError: if a file would be overwritten without ``force``, the folder is one of the project's own, a solution
            does not pass, or there is no such notebook.
    """
    sources = choose_notebooks(notebooks)
    editions = [STUDENT, INSTRUCTOR, *([NBGRADER] if nbgrader else [])]
    files = [target / edition / path.name for edition in editions for path in sources]
    check_target(target, files, force)
    verdicts = check_solutions(sources, workers)
    for path in sources:
        _write(target / STUDENT / path.name, student_edition(path, hints))
        _write(target / INSTRUCTOR / path.name, instructor_edition(path, verdicts))
        if nbgrader:
            _write(target / NBGRADER / path.name, nbgrader_source(path, hints))
    if nbgrader:
        atomic_write(target / "nbgrader" / "nbgrader_config.py", _NBGRADER_CONFIG)
    return files


def check_target(target: Path, files: Sequence[Path], force: bool = False) -> None:
    """Whether files may be written to a folder.

    Raises:
        UserError: if the folder is one of the project's own or a file, or files in it would be overwritten without
            ``force``.
    """
    if target.resolve() in (NOTEBOOKS, paths.ROOT):
        raise UserError(f"{target} is the project's own folder: choose another one")
    check_folder(target)
    existing = [path for path in files if path.exists()]
    if existing and not force:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise UserError(f"{existing[0]}{more} exists: choose another folder, or overwrite with --force")


def _write(path: Path, notebook: dict[str, Any]) -> None:
    write_copy(path, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


def check_solutions(sources: Sequence[Path], workers: int = 1) -> dict[str, Verdict]:
    """The verdicts on the solutions in place, by exercise.

    Raises:
        UserError: if one of them does not pass.
    """
    jobs = []
    for path in sources:
        cells = code_cells(_with_solutions(path))
        jobs += [Job("solution", path.stem, exercise.id, cells) for exercise in exercises(path)]
    verdicts = {job.exercise: verdict for job, verdict in grade(jobs, workers=workers)}
    for id, verdict in verdicts.items():
        if not verdict.passed:
            raise UserError(f"the solution of {id} does not pass: {verdict.property or verdict.message}")
    return verdicts


def student_edition(path: Path, hints: bool = False) -> dict[str, Any]:
    """A notebook without solutions, without the outputs of exercise cells and, unless wanted, without hints."""
    notebook = _labelled(path, STUDENT)
    kept = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            text = source(cell)
            cut = [fold for fold in folds(text) if is_solution(fold) or (is_hint(fold) and not hints)]
            for fold in reversed(cut):
                text = (text[: fold.start].rstrip() + "\n\n" + text[fold.end :].lstrip()).strip()
            if cut and not text:
                continue
            if cut:
                cell["source"] = text.splitlines(keepends=True)
        kept.append(cell)
    notebook["cells"] = kept
    return notebook


def instructor_edition(path: Path, verdicts: Mapping[str, Verdict]) -> dict[str, Any]:
    """A notebook with the solutions in the exercise cells, and what their checks say."""
    notebook = _with_solutions(path)
    for exercise in exercises(path):
        lines = "\n".join([*verdicts[exercise.id].lines, "Solved."]).splitlines(keepends=True)
        output = {"data": {"text/plain": lines}, "execution_count": None, "metadata": {}}
        notebook["cells"][exercise.check]["outputs"] = [output | {"output_type": "execute_result"}]
    return notebook


def nbgrader_source(path: Path, hints: bool = False) -> dict[str, Any]:
    """A source for ``nbgrader generate_assignment``: solutions marked below the stubs, checks that raise."""
    notebook = student_edition(path, hints)
    cells = {tuple(cell["metadata"].get(KEY, {}).items()): cell for cell in notebook["cells"]}
    for exercise in exercises(path):
        name = exercise.id.replace(".", "-")
        stub, check = cells[("exercise", exercise.id),], cells[("check", exercise.id),]
        text = f"{source(stub)}\n\n\n### BEGIN SOLUTION\n{exercise.solution.rstrip()}\n### END SOLUTION"
        stub["source"] = text.splitlines(keepends=True)
        stub["metadata"]["nbgrader"] = _NBGRADER_CELL | {"grade_id": name, "solution": True}
        check["source"] = [f"assert checks.{exercise.id}({exercise.function}, seed=0, strict=True).passed"]
        counted = {"grade_id": f"{name}-check", "grade": True, "locked": True, "points": 1}
        check["metadata"]["nbgrader"] = _NBGRADER_CELL | counted
    return notebook


def _labelled(path: Path, edition: str) -> dict[str, Any]:
    """A copy of a notebook that names itself and its exercises in the metadata, without the exercises' outputs."""
    notebook = copy.deepcopy(read(path))
    notebook["metadata"][KEY] = {"notebook": path.stem, "edition": edition}
    for exercise in exercises(path):
        for role, index in (("exercise", exercise.stub), ("check", exercise.check)):
            cell = notebook["cells"][index]
            cell["metadata"][KEY] = {role: exercise.id}
            cell["outputs"], cell["execution_count"] = [], None
    return notebook


def _with_solutions(path: Path) -> dict[str, Any]:
    notebook = _labelled(path, INSTRUCTOR)
    for exercise in exercises(path):
        notebook["cells"][exercise.stub]["source"] = exercise.solution.rstrip("\n").splitlines(keepends=True)
    return notebook
