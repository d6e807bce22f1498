"""Files written whole or not at all, and their checksums."""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

_PART = re.compile(r"\.\d+\.part$")


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_whole(path: Path, content: bytes | str) -> None:
    """Write beside the target, flush to the disk, then rename: a reader never sees half a file.

    Raises OSError (no space, no permission); the target is then as it was before.
    """
    path = Path(path)
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
            error.filename = str(path)  # a full disk does not say which file it was
        raise


def remove_parts(folder: Path) -> None:
    """Remove what ``write_whole`` left in a folder, and in those inside it, when a process died while writing."""
    for part in Path(folder).rglob("*.part"):
        if _PART.search(part.name):
            part.unlink(missing_ok=True)


def write_json(path: Path, record: Any) -> None:
    write_whole(path, json.dumps(record, indent=2, ensure_ascii=False) + "\n")
