"""A class of synthetic students: what they hand in, and the grades that they must get."""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from textwrap import indent
from typing import NamedTuple

from mtbert.workbook.classroom.exercises import KEY, Exercise, exercises, source

RIGHT = (True, "", "")

# an edit of a solution, and the property that fails then
MISTAKES = {
    "attention.weights": [
        ("math.sqrt(query.shape[-1])", "query.shape[-1]", "divides the dot products"),
        ("dim=-1", "dim=0", "the weights of a query"),
        (".softmax(dim=-1)", ".sigmoid()", "the weights of a query"),
        ("return scores", "scores", "gives one weight"),
    ],
    "attention.masked": [
        ("~mask", "mask", "a query looks where the mask is true|with nothing hidden"),
        ("torch.finfo(scores.dtype).min", "-math.inf", "a query that may see nothing"),
        ("torch.finfo(scores.dtype).min", "-20", "a hidden key has no weight"),
    ],
    "attention.heads": [
        (".transpose(0, 1).reshape(tokens, d)", ".reshape(tokens, d)", "every column"),
        ("view(tokens, heads, -1).transpose(0, 1)", "view(heads, tokens, -1)", "every column"),
    ],
    "attention.blocks": [("torch.arange(len(lengths))", "torch.tensor(lengths)", "two sequences of the same length")],
}

# the body of a function, and what the message says; "" if it must pass
PRANKS = {
    "endless_loop": ("while True: pass", "not finished within"),
    "endless_sleep": ("import time; time.sleep(10**6)", "not finished within"),
    "endless_print": ("while True: print('x' * 10**6)", "not finished within"),
    "no_interrupt": (
        "import signal, time\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: time.sleep(1)",
        "not finished within",
    ),
    "exit": ("import sys; sys.exit(0)", "calls exit"),
    "hard_exit": ("import os; os._exit(0)", "ended its process"),
    "segfault": ("import ctypes; ctypes.string_at(0)", "crashed: SIGSEGV"),
    "abort": ("import os; os.abort()", "crashed: SIGABRT"),
    "fork_bomb": ("import os\nwhile True: os.fork()", "may not start"),
    "shell": ("import os; os.system('true')", "may not start"),
    "subprocess": ("import subprocess; subprocess.run(['true'])", "may not start"),
    "multiprocessing": ("import multiprocessing as m; m.Process(target=print).start()", "may not start"),
    "kills_parent": ("import os; os.kill(os.getppid(), 9)", "start or end other processes"),
    "kills_parent_in_c": (
        "import ctypes, os; ctypes.CDLL(None).kill(os.getppid(), 9)",
        "ended the process that grades",
    ),
    "memory": ("return torch.ones(10**12)", "allocate"),
    "memory_of_lists": ("return [0] * 10**10", "MemoryError"),
    "recursion": ("return FUNCTION(*args)", "RecursionError"),
    "network": ("import urllib.request as u; u.urlopen('http://127.0.0.1:9')", "no network|URLError"),
    "socket": ("import socket; socket.create_connection(('127.0.0.1', 9))", "no network"),
    "writes": ("open('/tmp/mtbert-prank', 'w')", "temporary folder only"),
    "deletes": ("import shutil, os; shutil.rmtree(os.path.dirname(os.path.dirname(torch.__file__)))", "folder only"),
    "input": ("return input()", "EOFError"),
    "interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "no_words": ("class E(Exception):\n    def __str__(self): raise ValueError\nraise E", "your function raised E"),
    "long_words": ("raise ValueError('x' * 10**6)", "ValueError: xxx"),
    "patches_check": (
        "from mtbert.workbook.checks import engine, attention\n"
        "for module in (engine, attention):\n"
        "    for name in ('same', 'expect', 'shaped', 'no_known_mistake'):\n"
        "        setattr(module, name, lambda *a, **k: a[0])",
        "the submission replaces mtbert.workbook.checks",
    ),
    "patches_torch": (
        "torch.allclose = torch.equal = lambda *a, **k: True\nreturn torch.zeros(1)",
        "replaces torch.allclose",
    ),
    "forges": (
        "import os\n"
        "for i in range(3, 64):\n"
        '    try: os.write(i, b\'{"passed": true, "property": "", "message": ""}\\n\')\n'
        "    except OSError: pass\n"
        "os._exit(0)",
        "ended its process",
    ),
}

# what is wrong with a file: its content from the right one, and the message
FILES: dict[str, tuple[Callable[[str], bytes], str]] = {
    "broken_json": (lambda text: text[: len(text) // 2].encode(), "not valid JSON"),
    "empty": (lambda text: b"", "empty"),
    "not_a_notebook": (lambda text: b'["cells"]', "not a notebook"),
    "no_cells": (lambda text: b"{}", "not a notebook"),
    "binary": (lambda text: bytes(range(256)) * 9, "not valid JSON"),
    "nested": (lambda text: b"[" * 10**5, "not valid JSON"),
    "other_kernel": (
        lambda text: text.replace('"language": "python"', '"language": "R"').encode(),
        "its kernel is for",
    ),
}


class Student(NamedTuple):
    """A student with the grade of each exercise: passed, and patterns of the property and the message."""

    name: str
    grades: dict[str, tuple[bool, str, str]]


def solved(notebook: dict, originals: tuple[Exercise, ...], **instead: str) -> dict:
    """A student edition with the solutions filled in, or other code by the id of the exercise, with __ for the dot."""
    notebook = copy.deepcopy(notebook)
    by_id = {exercise.id: exercise for exercise in originals}
    for cell in notebook["cells"]:
        id = cell["metadata"].get(KEY, {}).get("exercise")
        if id:
            cell["source"] = instead.get(id.replace(".", "__"), by_id[id].solution)
    return notebook


def write_class(folder: Path, edition: Path, paths: list[Path], size: int = 40) -> list[Student]:
    """Write ``size`` submissions of the notebooks in a student edition, and return what they must get."""
    originals = {path.stem: exercises(path) for path in paths}
    given = {path.stem: json.loads((edition / path.name).read_text(encoding="utf-8")) for path in paths}
    every = [exercise for group in originals.values() for exercise in group]
    students = []

    def hand_in(name: str, grades: dict[str, tuple[bool, str, str]], instead: dict[str, str]) -> dict[str, Path]:
        files = {}
        for stem, notebook in given.items():
            files[stem] = folder / name / f"{stem}.ipynb"
            files[stem].parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps(solved(notebook, originals[stem], **instead), indent=1)
            files[stem].write_text(text, encoding="utf-8")
        students.append(Student(name, {exercise.id: RIGHT for exercise in every} | grades))
        return files

    hand_in("right", {}, {})
    (folder / "nothing").mkdir()
    students.append(Student("nothing", {exercise.id: (False, "", "was handed in") for exercise in every}))
    stubs = {exercise.id: _stub(given[exercise.notebook], exercise) for exercise in every}
    unsolved = {exercise.id: (False, ".+", ".*") for exercise in every}
    hand_in("unsolved", unsolved, {id.replace(".", "__"): stub for id, stub in stubs.items()})
    first = every[0] if every[0].id != "start.cosine" else every[1]
    for name, (body, words) in PRANKS.items():
        code = f"def {first.function}(*args):\n" + indent(body.replace("FUNCTION", first.function), "    ")
        hand_in(name, {first.id: (False, ".*", words)}, {first.id.replace(".", "__"): code})
    hand_in("no_cell", {first.id: (False, "", "no cell defines")}, {first.id.replace(".", "__"): "pass"})
    syntax = first.solution.replace("return ", "retrun ")
    hand_in(
        "syntax", {first.id: (False, "", r"SyntaxError: .*line \d+.*retrun")}, {first.id.replace(".", "__"): syntax}
    )
    for name, (change, words) in FILES.items():
        files = hand_in(name, {e.id: (False, "", words) for e in originals[first.notebook]}, {})
        file = files[first.notebook]
        file.write_bytes(change(file.read_text(encoding="utf-8")))
    mistakes = [(e, mistake) for e in every for mistake in MISTAKES.get(e.id, [])]
    for number, (exercise, (old, new, words)) in enumerate(mistakes):
        assert old in exercise.solution, exercise.id
        code = exercise.solution.replace(old, new)
        key = exercise.id.replace(".", "__")
        hand_in(f"mistake_{number}", {exercise.id: (False, words, ".*")}, {key: code})
    while len(students) < size:
        hand_in(f"right_{len(students)}", {}, {})
    return students


def _stub(notebook: dict, exercise: Exercise) -> str:
    return next(source(c) for c in notebook["cells"] if c["metadata"].get(KEY, {}).get("exercise") == exercise.id)


def differences(students: list[Student], grades: list) -> list[str]:
    """Where grades are not what they must be."""
    got = {(row.student, row.exercise): row for row in grades}
    wrong = []
    for student in students:
        for id, (passed, property, words) in student.grades.items():
            row = got.pop((student.name, id), None)
            if row is None:
                wrong.append(f"{student.name}, {id}: no grade")
            elif (
                bool(row.passed) != passed or not re.search(property, row.property) or not re.search(words, row.message)
            ):
                wrong.append(f"{student.name}, {id}: {row.passed} {row.property!r} {row.message!r}")
    return wrong + [f"{student}, {id}: not expected" for student, id in got]
