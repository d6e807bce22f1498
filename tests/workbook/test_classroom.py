"""The classroom: editions of the notebooks, what students hand in, grades, exports, and a learner's progress."""

import contextlib
import csv
import itertools
import json
import os
import re
import shutil
import time
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from typer.testing import CliRunner
from workbook.synthetic_class import differences, solved, write_class

from mtbert.cli.main import app
from mtbert.utils import paths
from mtbert.utils.errors import UserError
from mtbert.workbook import checks
from mtbert.workbook.classroom import platforms
from mtbert.workbook.classroom.exercises import KEY, choose_notebooks, code_cells, exercises, folds, read, source
from mtbert.workbook.classroom.extraction import ExtractionError, program, statements
from mtbert.workbook.classroom.gradebook import Grade, Gradebook, summarize, totals
from mtbert.workbook.classroom.grading import Job, grade
from mtbert.workbook.classroom.limits import Limits
from mtbert.workbook.classroom.points import Points, read_points
from mtbert.workbook.classroom.progress import progress
from mtbert.workbook.classroom.release import release, student_edition
from mtbert.workbook.classroom.report import write_report
from mtbert.workbook.classroom.submissions import find_submissions, read_submission
from mtbert.workbook.learner_copy import NOTEBOOKS

WITH_EXERCISES = [path for path in choose_notebooks() if exercises(path)]
ATTENTION = NOTEBOOKS / "01_attention.ipynb"
LIMITS = Limits(seconds=4)
runner = CliRunner()


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Path:
    """Both editions of notebooks 00 and 01."""
    folder = tmp_path_factory.mktemp("course")
    release(folder, ["00", "01"])
    return folder


@pytest.fixture(scope="module")
def edition(course) -> dict:
    return json.loads((course / "student" / ATTENTION.name).read_text(encoding="utf-8"))


# -- editions


@pytest.mark.parametrize("path", WITH_EXERCISES, ids=lambda path: path.stem)
@pytest.mark.parametrize("hints", [False, True])
def test_a_student_edition_lacks_solutions_and_is_otherwise_the_same(path, hints):
    original, edition = read(path), student_edition(path, hints)
    nbformat.validate(nbformat.from_dict(edition))
    text = "\n".join(source(cell) for cell in edition["cells"] if cell["cell_type"] == "markdown")
    assert not re.search(r"<summary>\s*Solution", text)
    assert text.count("<summary>Hint") == (json.dumps(original).count("<summary>Hint") if hints else 0)
    assert text.count("<summary>Answer") == json.dumps(original).count("<summary>Answer")
    assert text.count("<details>") == text.count("</details>")
    assert code_cells(edition) == code_cells(original)
    marked = {index for exercise in exercises(path) for index in (exercise.stub, exercise.check)}
    outputs = [cell["outputs"] for cell in edition["cells"] if cell["cell_type"] == "code"]
    numbered = [(i, cell) for i, cell in enumerate(original["cells"]) if cell["cell_type"] == "code"]
    assert outputs == [[] if i in marked else cell["outputs"] for i, cell in numbered]
    ids = [cell["metadata"].get(KEY, {}).get("exercise") for cell in edition["cells"]]
    assert [id for id in ids if id] == [exercise.id for exercise in exercises(path)]


def test_an_instructor_edition_holds_the_solutions_and_says_that_they_pass(course):
    for path in (NOTEBOOKS / "00_start_here.ipynb", ATTENTION):
        notebook = nbformat.read(course / "instructor" / path.name, as_version=4)
        nbformat.validate(notebook)
        for exercise in exercises(path):
            assert notebook.cells[exercise.stub].source == exercise.solution.rstrip("\n")
            assert "Solved." in notebook.cells[exercise.check].outputs[0].data["text/plain"]


def test_nothing_is_overwritten_unless_forced(course, tmp_path):
    shutil.copytree(course, tmp_path / "course")
    own = tmp_path / "course" / "student" / ATTENTION.name
    own.write_text("mine")
    with pytest.raises(UserError, match=f"{re.escape(str(tmp_path))}.*--force"):
        release(tmp_path / "course", ["01"])
    assert own.read_text() == "mine"
    release(tmp_path / "course", ["01"], force=True)
    assert own.read_bytes() == (course / "student" / ATTENTION.name).read_bytes()


@pytest.fixture(scope="module")
def all_editions(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("all")
    release(folder, workers=2)
    return folder


@pytest.mark.classroom
@pytest.mark.parametrize("path", choose_notebooks(), ids=lambda path: path.stem)
@pytest.mark.parametrize(("edition", "verdict"), [("student", "Not yet"), ("instructor", "Solved.")])
def test_an_edition_runs_from_top_to_bottom(all_editions, path, edition, verdict):
    notebook = nbformat.read(all_editions / edition / path.name, as_version=4)
    resources = {"metadata": {"path": str(all_editions / edition)}}
    NotebookClient(notebook, timeout=1800, resources=resources).execute()  # an error in a cell is raised
    checked = [cell for cell in notebook.cells if "check" in cell.metadata.get(KEY, {})]
    assert [cell.metadata[KEY]["check"] for cell in checked] == [exercise.id for exercise in exercises(path)]
    assert all(verdict in cell.outputs[-1].data["text/plain"] for cell in checked)


@pytest.mark.parametrize(("folder", "names", "words"), [(NOTEBOOKS, None, "own folder"), (None, ["99"], "'99'")])
def test_a_release_refuses_the_projects_folder_and_unknown_notebooks(tmp_path, folder, names, words):
    with pytest.raises(UserError, match=words):
        release(folder or tmp_path / "new", names)
    assert folder or not (tmp_path / "new").exists()


def test_folds_are_found_whatever_is_nested_in_them():
    text = (
        "a <details><summary>Solution</summary><details><summary>x</summary></details>b</details> <details></details>"
    )
    assert [(fold.summary, text[fold.start : fold.end][-11:]) for fold in folds(text)] == [
        ("Solution", "b</details>"[-11:]),
        ("", "ls></details>"[-11:]),
    ]


# -- taking an exercise out of a notebook

GIVEN = statements(["import math\nscale = 2", "def helper(x):\n    return x * scale"], "given")[0]


def value_of(*cells: str, function: str = "f"):
    """What the function returns for 3, after what it needs has run."""
    needed, name = program(cells, GIVEN, "attention.weights", function)
    names: dict = {}
    for code in needed:
        exec(code, names)  # noqa: S102
    return names[name](3)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["def f(x): return x"], 3),
        (["raise SystemExit", "def f(x): return x", "1 / 0"], 3),
        (["k = 5", "def f(x): return x * k"], 15),
        (["k = 5", "k = k + 1", "def f(x): return x * k"], 18),
        (["def f(x): return g(x)", "def g(x): return -x"], -3),
        (["def f(x): return helper(x)"], 6),
        (["scale = 10", "def f(x): return helper(x)"], 6),  # a helper that is not the learner's keeps its own globals
        (["def f(x): return math.floor(x + .5)"], 3),
        (["f = lambda x: x + 1"], 4),
        (["%matplotlib inline\ndef f(x): return x", "!ls"], 3),
        (["def f(x): return 0", "def f(x): return 1", "checks.attention.weights(f)", "def f(x): return 2"], 1),
        (["def mine(x): return 7", "checks.attention.weights(mine)"], 7),
        (["if True:\n    def f(x): return 8"], 8),
        (["from math import *", "def f(x): return floor(x)"], 3),
        (["class F:\n    k = 4\n", "def f(x): return F.k"], 4),
        (["x y z", "def f(x): return x"], 3),
    ],
)
def test_a_function_is_taken_out_with_what_it_needs(cells, expected):
    assert value_of(*cells) == expected


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([], "no cell defines f"),
        (["from math import floor as f"], "no cell defines f"),
        (["a = 1", "def f(x):\n    return x +"], r"SyntaxError.*line 2: return x \+"),
        (["def f(x):\x00"], "SyntaxError"),
    ],
)
def test_a_function_that_is_not_there_is_named(cells, words):
    with pytest.raises(ExtractionError, match=words):
        value_of(*cells)


# -- a class


def test_a_class_of_synthetic_students_gets_exactly_its_grades(course, tmp_path):
    students = write_class(tmp_path / "in", course / "student", [ATTENTION], size=0)
    sources = sources_of_the_checks()
    handed = find_submissions(tmp_path / "in", [ATTENTION])
    grades = list(Gradebook(tmp_path / "grades.csv").grade(handed, [ATTENTION], LIMITS, workers=2))
    assert differences(students, grades) == []
    assert sources_of_the_checks() == sources
    assert not Path("/tmp/mtbert-prank").exists() and not (paths.ROOT / "mtbert" / "torch.py").exists()
    written = read_rows(tmp_path / "grades.csv")
    assert len(written) == len(grades) == len(exercises(ATTENTION)) * len(students)
    assert [row["student"] for row in written] == sorted(row["student"] for row in written)


def sources_of_the_checks() -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in Path(checks.__file__).parent.glob("*.py")}


@pytest.mark.classroom
def test_forty_students_and_all_exercises_take_less_than_five_minutes_of_two_cores(tmp_path):
    release(tmp_path / "course", workers=2)
    students = write_class(tmp_path / "in", tmp_path / "course" / "student", WITH_EXERCISES)
    assert len(students) == 40
    before = cpu_seconds_of_children()
    handed = find_submissions(tmp_path / "in", WITH_EXERCISES)
    grades = list(Gradebook(tmp_path / "grades.csv").grade(handed, WITH_EXERCISES, Limits(), workers=2))
    assert 1 < cpu_seconds_of_children() - before < 2 * 300  # other work slows the clock, but hardly this
    assert differences(students, grades) == []


def cpu_seconds_of_children() -> float:
    """What the ended processes that this one waited for have used."""
    times = os.times()
    return times.children_user + times.children_system


def read_rows(path: Path) -> list[dict]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def small_class(edition, tmp_path) -> Path:
    """Two students with notebook 01: one solved everything, the other all but the block mask."""
    right = solved(edition, exercises(ATTENTION))
    wrong = solved(edition, exercises(ATTENTION), attention__blocks="def my_block_mask(lengths):\n    return None")
    for name, notebook in (("Anna Smith_77_assignsubmission_file", right), ("Ben", wrong)):
        (tmp_path / "in" / name).mkdir(parents=True)
        (tmp_path / "in" / name / ATTENTION.name).write_text(json.dumps(notebook), encoding="utf-8")
    return tmp_path / "in"


def test_the_command_grades_reports_exports_and_goes_on(small_class, tmp_path):
    out = tmp_path / "grades.csv"
    (tmp_path / "points.toml").write_text('extra_credit = ["attention.heads"]\n[points]\nattention.blocks = 3\n')
    command = ["classroom", "grade", str(small_class), "--out", str(out), "--report", str(tmp_path / "report")]
    command += ["--points", str(tmp_path / "points.toml"), "--export", "moodle", "--workers", "1"]
    done = runner.invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0 and "no sandbox" in done.output
    count = len(exercises(ATTENTION))
    assert re.search(r"attention.blocks +1 of 2", done.output)
    assert f"mean {count + 0.5} of {count + 1} points" in done.output  # a block mask is worth 3; heads are extra
    failed = [row for row in read_rows(out) if row["passed"] == "0"]
    assert [(row["student"], row["exercise"], row["property"]) for row in failed] == [
        ("Ben", "attention.blocks", "is a square with a row and a column for every token")
    ]
    moodle = read_rows(tmp_path / "grades_moodle.csv")
    assert [(row["Identifier"], row["Full name"], row["Grade"], row["Maximum Grade"]) for row in moodle] == [
        ("Participant 77", "Anna Smith", f"{count + 2}", f"{count + 1}"),
        ("", "Ben", f"{count - 1}", f"{count + 1}"),
    ]
    page = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "is a square with a row" in page and "Ben" not in page and "Anna" not in page
    assert (tmp_path / "report" / "heatmap.png").stat().st_size > 5000
    summary = {row["exercise"]: row["passed"] for row in read_rows(tmp_path / "report" / "summary.csv")}
    assert summary.pop("attention.blocks") == "1" and set(summary.values()) == {"2"}


def test_the_same_cells_are_checked_once(small_class, tmp_path, monkeypatch):
    from mtbert.workbook.classroom import gradebook

    asked = []

    def pretend(jobs, limits, workers):
        for job in jobs:
            asked.append(job)
            yield job, gradebook.Verdict(job.exercise != "attention.blocks", "a property", job.student)

    monkeypatch.setattr(gradebook, "grade", pretend)
    shutil.copytree(small_class / "Ben", small_class / "Cleo")
    handed = find_submissions(small_class, [ATTENTION])
    grades = {
        student: [(grade.exercise, grade.passed, grade.message) for grade in rows]
        for student, rows in itertools.groupby(
            sorted(Gradebook(tmp_path / "grades.csv").grade(handed, [ATTENTION], LIMITS, 1), key=lambda g: g.student),
            key=lambda grade: grade.student,
        )
    }
    count = len(exercises(ATTENTION))
    assert len(asked) == 2 * count and len(read_rows(tmp_path / "grades.csv")) == 3 * count
    assert grades["Ben"] == grades["Cleo"] != grades["Anna Smith"]


def test_grading_goes_on_where_it_stopped(small_class, tmp_path, monkeypatch):
    from mtbert.workbook.classroom import gradebook

    asked = []

    def pretend(jobs, limits, workers):
        asked.append([(job.student, job.exercise) for job in jobs])
        for job in list(jobs)[:stop]:
            yield job, gradebook.Verdict(True, "", "")
        if stop is not None:
            raise KeyboardInterrupt

    monkeypatch.setattr(gradebook, "grade", pretend)
    handed = find_submissions(small_class, [ATTENTION])
    stop, count = 3, 2 * len(exercises(ATTENTION))
    with pytest.raises(KeyboardInterrupt):
        list(Gradebook(tmp_path / "grades.csv").grade(handed, [ATTENTION], LIMITS, 1))
    stop = None
    assert len(list(Gradebook(tmp_path / "grades.csv").grade(handed, [ATTENTION], LIMITS, 1))) == count
    list(Gradebook(tmp_path / "grades.csv").grade(handed, [ATTENTION], LIMITS, 1))
    list(Gradebook(tmp_path / "grades.csv").grade(handed, [ATTENTION], Limits(seconds=9), 1))
    list(Gradebook(tmp_path / "grades.csv", fresh=True).grade(handed, [ATTENTION], Limits(seconds=9), 1))
    assert [len(jobs) for jobs in asked] == [count, count - 3, 0, count, count]
    assert len(read_rows(tmp_path / "grades.csv")) == count


def test_a_file_that_holds_no_grades_is_not_overwritten(tmp_path):
    path = tmp_path / "thesis.csv"
    path.write_text("chapter,pages\n1,20\n")
    with pytest.raises(UserError, match="thesis.csv"):
        Gradebook(path)
    assert path.read_text().startswith("chapter")


def test_what_a_process_leaves_behind_is_ended():
    name = f"orphan{os.getpid()}"  # a process of its own session, unknown to Python
    code = f"""def my_weights(query, key):
    import ctypes, time
    c = ctypes.CDLL(None)
    if c.fork() == 0:
        c.setsid()
        c.prctl(15, b"{name}", 0, 0, 0)
        time.sleep(600)
    time.sleep(0.5)
"""
    [(_, verdict)] = grade([Job("s", ATTENTION.stem, "attention.weights", [code])], LIMITS)
    assert "returned nothing" in verdict.message
    names = []
    for path in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            names.append(path.read_text(errors="replace").strip())
    assert names and name not in names


# -- what is handed in


def handed_in(folder: Path) -> dict[str, tuple[str, list[str]]]:
    return {one.student: (one.id, sorted(one.notebooks)) for one in find_submissions(folder, WITH_EXERCISES)}


def test_students_are_known_by_folders_or_file_names_as_platforms_write_them(edition, tmp_path):
    text = json.dumps(edition)
    for name in (
        "smithanna_12345_67890_01_attention.ipynb",
        "lee_LATE_12346_67891_01_attention-2.ipynb",
        "01_attention_carl.ipynb",
        "dora-01_attention (1).ipynb",
        "eve.ipynb",
        "Fay Wu_4711_assignsubmission_file_/01_attention.ipynb",
        "gil/deep/er/renamed.ipynb",
        "gil/.ipynb_checkpoints/01_attention-checkpoint.ipynb",
        "__MACOSX/x.ipynb",
        "hal/answer.pdf",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    one = ["01_attention"]
    assert handed_in(tmp_path) == {
        "smithanna": ("12345", one),
        "lee": ("12346", one),
        "carl": ("", one),
        "dora": ("", one),
        "eve": ("", one),
        "Fay Wu": ("4711", one),
        "gil": ("", one),
        "hal": ("", []),
    }


def test_of_two_copies_the_later_counts_and_files_left_out_are_named(edition, tmp_path, messages):
    for name, age in (("01_attention.ipynb", 100), ("01_attention-1.ipynb", 0)):
        (tmp_path / "anna").mkdir(exist_ok=True)
        (tmp_path / "anna" / name).write_text(json.dumps(edition), encoding="utf-8")
        os.utime(tmp_path / "anna" / name, (time.time() - age,) * 2)
    (tmp_path / "all.zip").write_bytes(b"PK")
    [submission] = find_submissions(tmp_path, WITH_EXERCISES)
    assert submission.notebooks["01_attention"].path.name == "01_attention-1.ipynb"
    assert any("01_attention-1.ipynb" in line for line in messages) and any("all.zip" in line for line in messages)


def test_a_notebook_without_metadata_is_known_by_its_checks_and_old_formats_are_read(tmp_path):
    cell = {"cell_type": "code", "input": ["checks.surgery.pcgrad(f)"], "metadata": {}, "outputs": []}
    path = tmp_path / "x.ipynb"
    path.write_text(json.dumps({"nbformat": 3, "metadata": {}, "worksheets": [{"cells": [cell]}]}))
    assert read_submission(path)[0].cells == ("checks.surgery.pcgrad(f)",)
    cell["source"] = cell.pop("input")
    path.write_text(json.dumps({"nbformat": 4, "metadata": {}, "cells": [cell]}))
    assert handed_in(tmp_path) == {"x": ("", ["06_gradient_surgery"])}


@pytest.mark.parametrize("make", [lambda folder: None, lambda folder: folder.mkdir(), lambda folder: folder.touch()])
def test_a_folder_without_notebooks_is_named(tmp_path, make):
    make(tmp_path / "in")
    with pytest.raises(UserError, match=re.escape(str(tmp_path / "in"))):
        find_submissions(tmp_path / "in", WITH_EXERCISES)


# -- points and platforms

IDS = ["attention.weights", "reports.holm"]


def test_points_come_from_a_small_file(tmp_path):
    path = tmp_path / "points.toml"
    path.write_text('default = 2\nextra_credit = ["reports.holm"]\n[points]\n"attention.weights" = 0.5\n')
    points = read_points(path, IDS)
    assert points.worth == {"attention.weights": 0.5, "reports.holm": 2.0} and points.maximum == 0.5
    assert read_points(None, IDS).maximum == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[points]\n'attention.weigths' = 1", "attention.weights"),
        ("extra_credit = ['x']", "'x'"),
        ("extra_credit = 3", "extra_credit is 3"),
        ("point = 3", "points"),
        ("default = -1", "default is -1"),
        ("default = true", "default is True"),
        ("default = nan", "default is nan"),
        ("points = 3", "points is 3"),
        ("[points]\nattention.weights = 'two'", "attention.weights is 'two'"),
        ("default =", "TOML"),
    ],
)
def test_wrong_points_are_named(tmp_path, text, words):
    (tmp_path / "points.toml").write_text(text)
    with pytest.raises(UserError, match=words) as error:
        read_points(tmp_path / "points.toml", IDS)
    assert "points.toml" in str(error.value)


@pytest.mark.parametrize("platform", platforms.PLATFORMS)
def test_every_platform_gets_a_row_for_each_student_in_its_own_columns(small_class, tmp_path, platform):
    handed = find_submissions(small_class, [ATTENTION])
    grades = [Grade(one.student, "01", id, one.student == "Ben", "", "", "", "") for one in handed for id in IDS]
    platforms.export(tmp_path / "x.csv", platform, handed, grades, Points(dict.fromkeys(IDS, 1.5)), "Week 1")
    rows = read_rows(tmp_path / "x.csv")
    name, score = {
        "canvas": ("Student", "Week 1"),
        "moodle": ("Full name", "Grade"),
        "gradescope": ("Last Name", "Total Score"),
    }[platform]
    rows = [row for row in rows if "Points Possible" not in row[name]]
    assert [(row[name].split()[-1], row[score]) for row in rows] == [("Smith", "0"), ("Ben", "3")]


def test_a_summary_counts_what_failed_and_the_report_is_safe_to_render(tmp_path):
    def row(student: str, passed: int, property: str, message: str) -> Grade:
        return Grade(student, "01_attention", "attention.weights", passed, property, message, "", "")

    grades = [row("a", 1, "", ""), row("b", 0, "p", "<script>"), row("c", 0, "p", "x"), row("d", 0, "", "|crashed|")]
    [one] = summarize(grades)
    assert (one.passed, one.students) == (1, 4)
    assert one.failures == [("p", 2, "<script>"), ("|crashed|", 1, "|crashed|")]
    points = Points({"attention.weights": 2.0})
    assert totals(grades, points) == {"a": 2, "b": 0, "c": 0, "d": 0}
    write_report(tmp_path / "report", grades, points)
    page = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "<script>" not in page and "\\|crashed\\|" in page


# -- a learner


def test_a_learner_sees_what_is_solved_and_what_fails(edition, tmp_path):
    stub = "def my_block_mask(lengths):\n    return None"
    notebook = solved(edition, exercises(ATTENTION), attention__blocks=stub)
    (tmp_path / ATTENTION.name).write_text(json.dumps(notebook), encoding="utf-8")
    [(name, rows)] = progress(tmp_path)
    [open_] = [row for row in rows if not row.solved]
    assert name == ATTENTION.stem and "block" in open_.title and "returned nothing" in open_.next
    done = runner.invoke(app, ["progress", str(tmp_path)], catch_exceptions=False)
    assert done.exit_code == 0 and f"{len(rows) - 1} of {len(rows)} exercises solved" in done.output


def test_progress_wants_a_folder_of_notebooks(tmp_path):
    with pytest.raises(UserError, match=re.escape(str(tmp_path))):
        progress(tmp_path)
