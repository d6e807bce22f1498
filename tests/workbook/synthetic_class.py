"""A class of synthetic students: what they hand in, and the grades that they must get."""

import copy
import io
import json
import re
import zipfile
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
    "attention.sublayer": [
        (
            'project(mixed.transpose(1, 2).flatten(2), "output")',
            "mixed.transpose(1, 2).flatten(2)",
            "a single token keeps its own value",
        ),
        ("matrix.T", "matrix", "a single token keeps its own value"),
        ("mixed.transpose(1, 2).flatten(2)", "mixed.reshape(x.shape)", "equals torch.nn.MultiheadAttention"),
        ("mask[:, None, None, :]", "mask[:, None, :, None]", "padding changes nothing"),
    ],
    "attention.blocks": [("torch.arange(len(lengths))", "torch.tensor(lengths)", "two sequences of the same length")],
    "transformer_layer.layer": [
        ("F.layer_norm(x + addition", "F.layer_norm(addition", "the residual sums and the norms remain"),
        ("F.gelu(", "F.relu(", "with the exact GELU"),
        ("mask[:, None, None]", "None", "padding changes nothing"),
        ('drop(dense(wide, "output.dense"))', 'dense(drop(wide), "output.dense")', "dropout comes after the dense"),
    ],
    "adamw.optimizer": [
        ("theta.sub_(lr", "theta = theta - (lr", "step 2: moves the parameter in place"),
        ("v_hat.sqrt() + group", "v_hat.sqrt() + 0 * group", "step 3: eps"),
        ('1 - lr * group["weight_decay"]', '1 - group["weight_decay"]', "step 4: .*decay"),
        (
            "                    continue",
            "                    theta.grad = torch.zeros_like(theta)",
            "step 6: a parameter without a gradient",
        ),
    ],
    "single_task.train_head": [
        ("copy.deepcopy(head.state_dict())", "head.state_dict()", "the head of the best epoch"),
        ("torch.randperm(len(labels), generator=generator)", "torch.arange(len(labels))", "shuffles the rows"),
        (".split(32)", ".split(32)[:1]", "a step for every batch"),
        ("optimizer.zero_grad()", "pass", "on dev in the sample's SST"),
    ],
    "multitask.task_losses": [
        ("5 * ", "", "sts: the mean squared error"),
        ("(u - v).abs()", "u - v", r"quora: .*\|u - v\|"),
    ],
    "multitask.multitask_step": [
        ("optimizer.zero_grad()", "pass", "forgets what the gradients were"),
        ("loss.item()", "loss", "as a plain number"),
        ("torch.nn.utils.clip_grad_norm_(parameters, max_norm)", "pass", "clips the norm"),
    ],
    "surgery.training_step": [
        ("return gramian", "gramian", "step 1: returns the Gramian"),
        ("if id(parameter) in common else 1.0", "if True else 1.0", "step 2: a head"),
        ("torch.nn.utils.clip_grad_norm_(parameters, max_norm)", "pass", "step 4: .*clipped"),
        ("if parts else None", "if parts else torch.zeros_like(parameter)", "step 6: a parameter that no loss reaches"),
    ],
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
    "patches_class": (
        "from mtbert.workbook.checks.engine import Draw\nDraw.normal = lambda self, *shape: torch.zeros(shape)",
        "the submission replaces mtbert.workbook.checks.engine.Draw.normal",
    ),
    "patches_defaults": (
        "from mtbert.workbook.checks import engine\nengine.same.__defaults__ = ()",
        "the submission replaces mtbert.workbook.checks",
    ),
    "patches_code": (
        "from mtbert.workbook.checks import engine\nengine.same.__code__ = (lambda *a, **k: None).__code__",
        "the submission replaces mtbert.workbook.checks.engine.same",
    ),
    "rewrites_checks": (
        "from mtbert.workbook.checks import engine\nopen(engine.__file__, 'w').write('')",
        "temporary folder only",
    ),
    "swaps_checks": (
        "import os\nfrom mtbert.workbook.checks import attention\n"
        "open('mine.py', 'w').close()\nos.replace('mine.py', attention.__file__)",
        "temporary folder only",
    ),
    "adds_to_package": (
        "import mtbert, pathlib\n(pathlib.Path(mtbert.__file__).parent / 'torch.py').write_text('')",
        "temporary folder only",
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


def _moved(cells: list[dict], at: int, stub: dict) -> None:
    cells.append(cells.pop(at))


def _deleted(cells: list[dict], at: int, stub: dict) -> None:
    del cells[at]


def _twice(cells: list[dict], at: int, stub: dict) -> None:
    cells.insert(at, copy.deepcopy(cells[at]))


def _stub_first(cells: list[dict], at: int, stub: dict) -> None:
    cells.insert(at, stub)


def _stub_last(cells: list[dict], at: int, stub: dict) -> None:
    cells.insert(at + 1, stub)


def _unchecked(cells: list[dict], at: int, stub: dict) -> None:
    del cells[next(i for i in range(at, len(cells)) if "check" in cells[i]["metadata"].get(KEY, {}))]


# what a student did to the cell of a solved exercise, and its grade
EDITS = {
    _moved: RIGHT,
    _twice: RIGHT,
    _stub_first: RIGHT,
    _stub_last: (False, ".+", ".*"),  # the last definition counts, as in a kernel
    _unchecked: RIGHT,
    _deleted: (False, "", "no cell defines"),
}

TOGETHER = 5  # pranks of one student, each in an exercise of its own


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
    """Write at least ``size`` submissions of the notebooks in a student edition, and return what they must get."""
    originals = {path.stem: exercises(path) for path in paths}
    given = {path.stem: json.loads((edition / path.name).read_text(encoding="utf-8")) for path in paths}
    every = [exercise for group in originals.values() for exercise in group]
    functions = [exercise for exercise in every if f"def {exercise.function}(" in exercise.solution]
    first = next(exercise for exercise in functions if exercise.id != "start.cosine")
    stubs = {exercise.id: _stub(given[exercise.notebook], exercise) for exercise in every}
    students = []

    def notebooks(instead: dict[str, str]) -> dict[str, dict]:
        named = {id.replace(".", "__"): code for id, code in instead.items()}
        return {f"{stem}.ipynb": solved(notebook, originals[stem], **named) for stem, notebook in given.items()}

    def expect(name: str, grades: dict[str, tuple[bool, str, str]]) -> None:
        students.append(Student(name, {exercise.id: RIGHT for exercise in every} | grades))

    def hand_in(name: str, grades: dict[str, tuple[bool, str, str]], files: dict[str, dict]) -> None:
        for file, notebook in files.items():
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name / file).write_text(json.dumps(notebook, indent=1), encoding="utf-8")
        expect(name, grades)

    hand_in("right", {}, notebooks({}))
    (folder / "nothing").mkdir()
    expect("nothing", {exercise.id: (False, "", "was handed in") for exercise in every})
    hand_in("unsolved", {exercise.id: (False, ".+", ".*") for exercise in every}, notebooks({**stubs}))
    syntax = {first.id: first.solution.replace("return ", "retrun ")}
    hand_in("syntax", {first.id: (False, "", r"SyntaxError: .*line \d+.*retrun")}, notebooks(syntax))
    for edit, grade in EDITS.items():
        files = notebooks({})
        cells = files[f"{first.notebook}.ipynb"]["cells"]
        at = next(i for i, cell in enumerate(cells) if cell["metadata"].get(KEY, {}).get("exercise") == first.id)
        edit(cells, at, cells[at] | {"source": stubs[first.id]})
        hand_in(edit.__name__.strip("_"), {first.id: grade}, files)
    for start in range(0, len(PRANKS), TOGETHER):
        pranks = dict(zip(functions[-TOGETHER:], [*PRANKS.values()][start : start + TOGETHER], strict=False))
        grades = {exercise.id: (False, ".*", words) for exercise, (_, words) in pranks.items()}
        code = {exercise.id: _prank(exercise.function, body) for exercise, (body, _) in pranks.items()}
        hand_in("pranks_" + "_".join([*PRANKS][start : start + TOGETHER]), grades, notebooks(code))
    for name, (change, words) in FILES.items():
        hand_in(name, {exercise.id: (False, "", words) for exercise in originals[first.notebook]}, notebooks({}))
        file = folder / name / f"{first.notebook}.ipynb"
        file.write_bytes(change(file.read_text(encoding="utf-8")))
    for number in range(max(map(len, MISTAKES.values()))):
        grades, code = {}, {}
        for exercise in every:
            for old, new, words in MISTAKES.get(exercise.id, [])[number : number + 1]:
                assert old in exercise.solution, exercise.id
                grades[exercise.id] = False, words, ".*"
                code[exercise.id] = exercise.solution.replace(old, new)
        hand_in(f"mistakes_{number}", grades, notebooks(code))
    texts = {name: json.dumps(notebook) for name, notebook in notebooks({}).items()}
    (folder / "zip_in_a_folder").mkdir()
    (folder / "zip_in_a_folder" / "work.zip").write_bytes(
        _zipped({f"bert/{name}": text for name, text in texts.items()})
    )
    (folder / "zip_12345_67890_work.zip").write_bytes(_zipped(texts | {f"__MACOSX/{name}": "" for name in texts}))
    (folder / "zip_broken").mkdir()
    (folder / "zip_broken" / "work.zip").write_bytes(_zipped(texts)[:-100])
    for name in ("zip_in_a_folder", "zip"):
        expect(name, {})
    expect("zip_broken", {exercise.id: (False, "", "not a zip file that can be read") for exercise in every})
    while len(students) < size:
        hand_in(f"right_{len(students)}", {}, notebooks({}))
    return students


def _stub(notebook: dict, exercise: Exercise) -> str:
    return next(source(c) for c in notebook["cells"] if c["metadata"].get(KEY, {}).get("exercise") == exercise.id)


def _prank(function: str, body: str) -> str:
    return f"def {function}(*args, **options):\n" + indent(body.replace("FUNCTION", function), "    ")


def _zipped(files: dict[str, str]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content.getvalue()


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
