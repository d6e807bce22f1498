"""``mtbert classroom`` and ``mtbert progress``: editions, slides and grades for a course; what a learner has solved."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from mtbert.cli.options import Force, split_names
from mtbert.utils.errors import UserError
from mtbert.utils.logging import logger

app = typer.Typer(
    help="For courses: release notebooks to students, show them as slides, and grade what comes back.",
    epilog="Example: mtbert classroom release course",
    no_args_is_help=True,
    rich_markup_mode=None,
)
progress_app = typer.Typer()

Notebooks = Annotated[str | None, typer.Option(help="Numbers, such as 01,02. Default: all.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes at a time. Default: the number of CPU cores.")]
Seconds = Annotated[float, typer.Option(min=1, help="CPU time that an exercise may take.")]
Platform = Literal["canvas", "moodle", "gradescope"]

_SAFETY = """Each exercise runs in a process of its own, with limits on time and memory, in its own temporary folder,
without network. That stops accidents, not malice: a process is no sandbox, and the code runs as you. If you do not
trust it, grade in a container that sees the submissions only; see the example below."""
_GRADE_EXAMPLES = """\b
Examples:
  mtbert classroom grade submissions --out grades.csv --report report
  mtbert classroom grade submissions --out grades.csv --points points.toml --export canvas
In a container, from an image in which mtbert is installed:
  docker run --rm --network none --cap-drop ALL --memory 8g --pids-limit 512 \\
    -v "$PWD/submissions:/in:ro" -v "$PWD/grades:/out" IMAGE \\
    mtbert classroom grade /in --out /out/grades.csv --report /out/report
points.toml:
  default = 1
  extra_credit = ["reports.holm"]
  [points]
  "attention.heads" = 2"""


@app.command("release", epilog="Example: mtbert classroom release course --notebooks 01,02 --hints")
def release(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write. It is created if needed.")],
    hints: Annotated[bool, typer.Option("--hints", help="Leave the hints in the student edition.")] = False,
    notebooks: Notebooks = None,
    nbgrader: Annotated[bool, typer.Option("--nbgrader", help="Write a course folder for nbgrader as well.")] = False,
    workers: Workers = None,
    force: Force = False,
):
    """Write DIR/student, without solutions, and DIR/instructor, with solutions that have passed their checks."""
    from mtbert.workbook.classroom import release as releasing

    names = split_names(notebooks) if notebooks else None
    files = releasing.release(folder, names, hints, nbgrader, force, workers or _cores())
    for edition in dict.fromkeys(path.parent for path in files):
        typer.echo(f"{sum(path.parent == edition for path in files)} notebooks in {edition}")


@app.command("slides", epilog="Example: mtbert classroom slides lectures --notebooks 01,06")
def slides(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write. It is created if needed.")],
    notebooks: Notebooks = None,
    force: Force = False,
):
    """Write the slides of a lecture on each notebook, as HTML files that need no network."""
    from mtbert.workbook.classroom.lecture import write_slides

    for file in write_slides(folder, split_names(notebooks) if notebooks else None, force):
        typer.echo(file)


@app.command("grade", help=f"Grade a folder of submitted notebooks.\n\n{_SAFETY}", epilog=_GRADE_EXAMPLES)
def grade(
    submissions: Annotated[
        Path,
        typer.Argument(
            metavar="SUBMISSIONS",
            help="A folder for each student, or files named after students. Zip files in them are opened.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="CSV: student, exercise, passed, first failing property, message.")],
    notebooks: Annotated[str | None, typer.Option(help="Numbers, such as 01,02. Default: those handed in.")] = None,
    report: Annotated[Path | None, typer.Option(help="Folder for a heat map and a page on the class.")] = None,
    points: Annotated[Path | None, typer.Option(help="TOML file of points. Default: 1 an exercise.")] = None,
    export: Annotated[Platform | None, typer.Option(help="Write the points for this platform too.")] = None,
    title: Annotated[str, typer.Option(help="The name of the assignment in exported files.")] = "BERT workbook",
    workers: Workers = None,
    seconds: Seconds = 10,
    memory: Annotated[float, typer.Option(min=0.25, help="Gigabytes that an exercise may take.")] = 2,
    force: Annotated[bool, typer.Option("--force", help="Grade again what was graded and has not changed.")] = False,
):
    from tqdm.auto import tqdm

    from mtbert.utils.files import check_folder, check_place
    from mtbert.workbook.classroom import gradebook
    from mtbert.workbook.classroom.exercises import choose_notebooks, exercises
    from mtbert.workbook.classroom.limits import Limits
    from mtbert.workbook.classroom.platforms import export as export_to
    from mtbert.workbook.classroom.points import read_points
    from mtbert.workbook.classroom.report import write_report
    from mtbert.workbook.classroom.submissions import find_submissions

    originals = [path for path in choose_notebooks(split_names(notebooks) if notebooks else None) if exercises(path)]
    handed = find_submissions(submissions, originals)
    if not notebooks:
        originals = [path for path in originals if any(path.stem in one.notebooks for one in handed)]
    ids = [exercise.id for path in originals for exercise in exercises(path)]
    if not ids:
        raise UserError(f"{submissions} holds none of our notebooks: name those you want with --notebooks")
    worth = read_points(points, ids)
    check_place(out)
    if report is not None:
        check_folder(report)
    book = gradebook.Gradebook(out, fresh=force)
    logger.info(f"{len(handed)} students, {len(ids)} exercises in {len(originals)} notebooks")
    logger.info("processes with limits are no sandbox against malice: --help shows how to grade in a container")
    grades = []
    with tqdm(total=len(handed) * len(ids), desc="grade", unit="exercise") as bar:
        for row in book.grade(handed, originals, Limits(seconds, memory), workers or _cores()):
            grades.append(row)
            bar.update()
    grades.sort(key=lambda row: ids.index(row.exercise))
    _print_summary(gradebook.summarize(grades))
    scores = gradebook.totals(grades, worth).values()
    typer.echo(f"mean {sum(scores) / len(scores):.1f} of {worth.maximum:g} points; grades in {out}")
    if export is not None:
        path = out.with_name(f"{out.stem}_{export}.csv")
        export_to(path, export, handed, grades, worth, title)
        typer.echo(f"for {export}: {path}")
    if report is not None:
        typer.echo(f"report: {write_report(report, grades, worth)[0]}")


def _print_summary(summaries) -> None:
    width = max(len(one.exercise) for one in summaries)
    for one in summaries:
        failure = f"  {one.failures[0][1]} × {one.failures[0][0]}" if one.failures else ""
        typer.echo(f"{one.exercise:{width}}  {one.passed:3} of {one.students}{failure[:110]}")


@progress_app.command("progress", epilog="Example: mtbert progress ~/bert")
def progress(
    folder: Annotated[Path, typer.Argument(help="The folder of your notebooks, as saved.")] = Path(),
    workers: Workers = None,
    seconds: Seconds = 10,
):
    """Show which exercises of your copies of the notebooks are solved."""
    from mtbert.workbook.classroom import progress as looking

    solved = total = 0
    for notebook, exercises in looking.progress(folder, seconds, workers or _cores()):
        done = sum(one.solved for one in exercises)
        typer.echo(f"{notebook}: {done} of {len(exercises)}")
        for one in exercises:
            typer.echo(f"  {'✓' if one.solved else '·'} {one.title}{'' if one.solved else f': {one.next}'}")
        solved, total = solved + done, total + len(exercises)
    typer.echo(f"{solved} of {total} exercises solved")


def _cores() -> int:
    return os.cpu_count() or 1
