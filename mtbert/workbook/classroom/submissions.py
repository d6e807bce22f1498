"""What students handed in: which files belong to whom, which notebook each of them is, and what is wrong with it."""

import contextlib
import json
import os
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from mtbert.utils.errors import UserError, shorten
from mtbert.utils.logging import logger
from mtbert.workbook.classroom.exercises import KEY, exercises, source

_LARGEST = 50 * 2**20  # bytes of a notebook
_MOST = 100  # notebooks in a zip file
_CANVAS = re.compile(r"(?P<name>[^_]+)_(?:LATE_)?(?P<id>\d+)_\d+_(?P<file>.+)")
_MOODLE = re.compile(r"(?P<name>.+?)_(?P<id>\d+)_assignsubmission_.*")
_SKIPPED = re.compile(r"^(\.|__MACOSX$)")


@dataclass(frozen=True)
class Handed:
    """A notebook that was handed in: its code cells, or why they cannot be read."""

    path: Path
    cells: tuple[str, ...] = ()
    problem: str = ""


@dataclass
class Submission:
    """What one student handed in.

    Attributes:
        student: The name, from the names of files or folders.
        id: The number that Canvas or Moodle put into them, or "".
        notebooks: Notebooks by the file name of the original without suffix.
        others: Files that are none of the notebooks, each with what is wrong.
    """

    student: str
    id: str = ""
    notebooks: dict[str, Handed] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)


def find_submissions(folder: Path, originals: Sequence[Path]) -> list[Submission]:
    """The submissions in a folder: a folder for each student, or notebooks that are named after students.

    What students handed in as zip files is read from them.

    Args:
        folder: Where they are, unpacked.
        originals: The project's notebooks that may be among them.

    Raises:
        UserError: if the folder does not exist or holds no notebooks.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: give the folder of the submissions, unpacked")
    found: dict[str, Submission] = {}
    with tempfile.TemporaryDirectory(prefix="mtbert-zip-") as spare:
        for path, owner, id in _files(folder, originals):
            submission = found.setdefault(owner, Submission(owner, id))
            if path is not None and path.suffix.lower() == ".zip":
                _add_zip(submission, path, folder, originals, Path(spare))
            elif path is not None:
                _add(submission, path, path.relative_to(folder).as_posix(), originals)
    if not any(submission.notebooks or submission.others for submission in found.values()):
        raise UserError(f"{folder} holds no notebooks: give the folder of the submissions, unpacked")
    return sorted(found.values(), key=lambda submission: submission.student.lower())


def _files(folder: Path, originals: Sequence[Path]) -> Iterator[tuple[Path | None, str, str]]:
    """Files with their owner and the owner's number; None as the file of a folder without any."""
    for entry in sorted(folder.iterdir()):
        if _SKIPPED.match(entry.name):
            continue
        if entry.is_dir():
            match = _MOODLE.fullmatch(entry.name)
            owner, id = (match["name"], match["id"]) if match else (entry.name, "")
            yield None, owner, id
            for parent, folders, names in os.walk(entry):
                folders[:] = sorted(name for name in folders if not _SKIPPED.match(name))
                yield from ((Path(parent, name), owner, id) for name in sorted(names) if not _SKIPPED.match(name))
            continue
        match = _MOODLE.fullmatch(entry.name) or _CANVAS.fullmatch(entry.name)
        if entry.suffix == ".ipynb" or (match and entry.suffix.lower() == ".zip"):
            owner, id = (match["name"], match["id"]) if match else (_without_title(entry.stem, originals), "")
            yield entry, owner or folder.resolve().name, id
        elif entry.suffix.lower() == ".zip":
            logger.warning(f"{entry.name} was not read: unpack it")
        else:
            logger.warning(f"{entry.name} is not a notebook and was not read")


def _without_title(stem: str, originals: Sequence[Path]) -> str:
    """The student's part of a file name such as "anna_01_attention (2)"; the whole name if it has no title."""
    for original in originals:
        if original.stem in stem:
            return re.sub(r"([-_ ]*\(?\d*\)?)$", "", stem.replace(original.stem, "", 1)).strip(" _-.")
    return stem


def _add_zip(submission: Submission, path: Path, root: Path, originals: Sequence[Path], spare: Path) -> None:
    """Add the notebooks in a zip file, which are extracted one by one, up to their largest size."""
    name = path.relative_to(root).as_posix()
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if _is_notebook(PurePosixPath(member.filename))]
            if not members:
                submission.others.append(f"{name} holds no notebooks")
            for member in islice(members, _MOST):
                inside = PurePosixPath(member.filename)
                file = Path(tempfile.mkdtemp(dir=spare), inside.name)
                with archive.open(member) as content:
                    file.write_bytes(content.read(_LARGEST + 1))
                with contextlib.suppress(ValueError, OverflowError):  # a date that does not exist
                    os.utime(file, (datetime(*member.date_time).timestamp(),) * 2)
                _add(submission, file, f"{name}/{inside}", originals)
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError):  # or it is encrypted
        submission.others.append(f"{name} is not a zip file that can be read")


def _is_notebook(path: PurePosixPath) -> bool:
    return path.suffix == ".ipynb" and not any(map(_SKIPPED.match, path.parts))


def _add(submission: Submission, path: Path, name: str, originals: Sequence[Path]) -> None:
    """Add a file to a submission; of two copies of a notebook, the one that was written last counts."""
    if path.suffix != ".ipynb":
        submission.others.append(f"{name} is not a notebook")
        return
    handed, notebook = read_submission(path)
    original = _original(path, notebook, "\n".join(handed.cells), originals)
    if original is None:
        submission.others.append(f"{name}: {handed.problem}" if handed.problem else f"{name} is none of our notebooks")
        return
    earlier = submission.notebooks.get(original.stem)
    if earlier is not None:
        newest = max((earlier, handed), key=lambda one: (not one.problem, one.path.stat().st_mtime, one.path.name))
        logger.warning(f"{submission.student}: {original.stem} is there twice; {newest.path.name} is graded")
        handed = newest
    submission.notebooks[original.stem] = handed


def read_submission(path: Path) -> tuple[Handed, dict[str, Any]]:
    """A notebook and its content; whatever is wrong with the file becomes the ``problem`` of the first."""
    try:
        if not path.is_file():
            return Handed(path, problem="is not a regular file"), {}
        size = path.stat().st_size
        if size == 0:
            return Handed(path, problem="the file is empty"), {}
        if size > _LARGEST:
            return Handed(path, problem=f"the file has {size / 2**20:.0f} MB: outputs should be cleared"), {}
        notebook = json.loads(path.read_text(encoding="utf-8-sig"))
        cells = notebook["cells"] if "cells" in notebook else notebook["worksheets"][0]["cells"]
        code = [cell for cell in cells if cell["cell_type"] == "code"]
        sources = tuple(source(cell) if "source" in cell else "".join(cell["input"]) for cell in code)
        metadata = notebook.get("metadata") or {}
        language = _language(metadata)
    except OSError as error:
        return Handed(path, problem=f"the file cannot be read: {error.strerror}"), {}
    except (ValueError, RecursionError):
        return Handed(path, problem="the file is not valid JSON: it may be cut off"), {}
    except (KeyError, TypeError, IndexError, AttributeError):
        return Handed(path, problem="the file is not a notebook"), {}
    if language and not language.lower().startswith(("python", "ipython")):
        return Handed(path, sources, f"its kernel is for {shorten(language)}, not for Python"), notebook
    return Handed(path, sources), notebook


def _language(metadata: dict[str, Any]) -> str:
    """The language of the kernel, or "" if the notebook does not tell."""
    kernel, info = metadata.get("kernelspec") or {}, metadata.get("language_info") or {}
    return str(kernel.get("language") or info.get("name") or "")


def _original(path: Path, notebook: dict[str, Any], code: str, originals: Sequence[Path]) -> Path | None:
    """The project's notebook of which this is a copy: by its metadata, the checks that it calls, or its file name."""
    metadata = notebook.get("metadata") or {}
    named = metadata.get(KEY, {}).get("notebook") if isinstance(metadata.get(KEY), dict) else None
    by_name = [one for one in originals if one.stem == named] or [one for one in originals if one.stem in path.name]
    if by_name:
        return by_name[0]
    checks = {one: sum(f"checks.{exercise.id}(" in code for exercise in exercises(one)) for one in originals}
    best = max(originals, key=checks.__getitem__)
    return best if checks[best] else None
