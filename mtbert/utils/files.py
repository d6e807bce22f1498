"""Checksums, atomic writes, and locks on folders."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mtbert.utils.errors import UserError

LOCK = ".lock"
_PART = re.compile(r"\.\d+\.part$")


def file_sha256(path: Path) -> str:
    """The hexadecimal sha256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cached_sha256(path: Path) -> str | None:
    """The same, computed again only if the file has changed; None if it does not exist."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return _sha256_at(path.resolve(), status.st_mtime_ns, status.st_size)


@cache
def _sha256_at(path: Path, _modified: int, _size: int) -> str:
    return file_sha256(path)


def atomic_write(path: Path, content: bytes | str) -> None:
    """Write a file so that readers see either its old content or all of the new.

    The content goes to a temporary file beside the target, is flushed to disk, and then renamed.

    Args:
        path: the target; its folder is created if needed. Of a symbolic link, the file that it points to.
        content: bytes, or text to be encoded as UTF-8.

    Raises:
        OSError: if there is no space or no permission; the target is then unchanged.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    data = content.encode("utf-8") if isinstance(content, str) else content
    try:
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # the system does not name the file if the disk is full
        raise


def check_place(path: Path) -> None:
    """Check that a file or folder can be created where nothing is yet, before the work whose result it will hold.

    Raises:
        UserError: a part of the path is a file, or its lowest existing folder may not be written to.
    """
    parent = Path(os.path.abspath(path)).parent
    while not os.path.lexists(parent):
        parent = parent.parent
    if not parent.is_dir():
        raise UserError(f"{parent} is not a folder, so {path} cannot be written: choose another place")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise UserError(f"{parent} may not be written to: choose another place, or change its permissions")


def check_folder(path: Path) -> None:
    """Check that a folder is there or can be created, and that files can be created in it.

    Raises:
        UserError: as ``check_place``, or something else has its name.
    """
    if os.path.lexists(path) and not path.is_dir():
        raise UserError(f"{path} is a file: choose a folder")
    check_place(path / "file")


def remove_parts(folder: Path) -> None:
    """Remove temporary files of ``atomic_write`` in and below a folder, left there by processes that died."""
    for part in Path(folder).rglob("*.part"):
        if _PART.search(part.name):
            part.unlink(missing_ok=True)


def write_json(path: Path, record: Any) -> None:
    atomic_write(path, json.dumps(record, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def folder_lock(folder: Path) -> Iterator[Callable[[], None]]:
    """Reserve a folder for this process until the block ends or the process dies; the folder is created if needed.

    Yields:
        A function that raises UserError if the folder was deleted or replaced since. To be called before each write,
        because writing would create the folder anew.

    Raises:
        UserError: if another process has reserved it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise UserError(f"another process is training in {folder}: wait for it, or end it") from None
    locked = (folder / LOCK).stat()

    def is_ours() -> bool:
        try:
            return os.path.samestat(locked, (folder / LOCK).stat())
        except FileNotFoundError:
            return False

    def check() -> None:
        if not is_ours():
            raise UserError(f"{folder} was deleted or replaced while it was in use: give the command again")

    try:
        yield check
    finally:
        if is_ours():
            (folder / LOCK).unlink()  # before the release: the next process creates a new file
        lock.release()
