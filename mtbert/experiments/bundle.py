"""A folder with all that a machine without network needs beside the project: encoders, data, wheels.

Encoders are kept as 16-bit floats, in transformers' layout, with an origin.json that says which weights they were
rounded from. manifest.json has the checksum of every file. On the other machine ``MTBERT_ENCODERS`` and ``MTBERT_DATA``
name the two folders, and recipes find their encoders by the names that they have anywhere.
"""

import gzip
import json
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors.torch import load, save
from torch import Tensor

from mtbert.data.tasks import TASKS, get_task
from mtbert.nn.pretrained import ORIGIN, encoder_folder
from mtbert.utils.errors import UserError
from mtbert.utils.files import atomic_write, sha256_of, write_json
from mtbert.utils.logging import logger

MANIFEST = "manifest.json"
WHEELS = ("papermill", "ipykernel", "ipywidgets")  # what notebooks need beyond what comes with torch and transformers
_PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_28_x86_64")
_TOKENIZERS = (["tokenizer.json"], ["vocab.txt"])  # one of them is enough
_SETTINGS = ("config.json", "tokenizer_config.json")


def pack(
    folder: Path,
    encoders: Iterable[str],
    data: Path,
    tasks: Iterable[str],
    wheels: Sequence[str],
    python: str,
    installed: Path | None = None,
) -> None:
    """Fill a new folder, or one that an earlier pack filled, which is then made anew: whole, or left as it was.

    encoders: see ``load_encoder``. tasks: whose files are taken from ``data``. wheels: of these packages and all that
    they need, for Python ``python`` on 64-bit Linux. installed: what ``pip list --format=freeze`` says on the other
    machine; such packages are left out. Raises UserError for what cannot be packed, or lies in the folder itself.
    """
    folder, encoders = folder.resolve(), list(encoders)
    if folder.exists() and any(folder.iterdir()) and not (folder / MANIFEST).exists():
        raise UserError(f"{folder} is not empty and holds no pack: choose another folder")
    for source in (data, *map(encoder_folder, encoders)):
        if source.resolve().is_relative_to(folder):
            raise UserError(f"{source} lies in {folder}, which is made anew: choose another folder for the pack")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f"{folder.name}.", dir=folder.parent) as beside:
        made = Path(beside) / "new"
        manifest = _fill(made, encoders, data, tasks, wheels, python, installed)
        if folder.exists():
            folder.rename(Path(beside) / "old")
        made.rename(folder)
    for kind, size in sizes(manifest).items():
        logger.info(f"{kind:<28}{size / 2**20:8.1f} MB")


def _fill(
    folder: Path,
    encoders: Sequence[str],
    data: Path,
    tasks: Iterable[str],
    wheels: Sequence[str],
    python: str,
    installed: Path | None,
) -> dict:
    """Make a folder and put the pack into it. Returns what its manifest holds."""
    folder.mkdir()
    for name in encoders:
        pack_encoder(name, folder / "encoders" / Path(name).name)
    copied = [data / file for task in tasks for file in get_task(task).files.values() if (data / file).exists()]
    if not copied:
        raise UserError(f"{data} has no file of {', '.join(tasks)}: give another data folder")
    for path in copied:
        (folder / "data").mkdir(exist_ok=True)
        shutil.copyfile(path, folder / "data" / path.name)
    if wheels:
        download(wheels, python, folder / "wheels", _names(installed) if installed else set())
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    manifest = {
        "wheels": list(wheels),
        "python": python,
        "files": {
            path.relative_to(folder).as_posix(): {"sha256": sha256_of(path), "bytes": path.stat().st_size}
            for path in files
        },
    }
    write_json(folder / MANIFEST, manifest)
    return manifest


def pack_encoder(name: str, into: Path) -> None:
    """An encoder's files, its numbers rounded to 16 bits unless they are so already. Raises UserError if a number is
    too large for that."""
    source = encoder_folder(name)
    if (source / ORIGIN).exists():  # it came out of a pack
        shutil.copytree(source, into)
        return
    weights = source / "model.safetensors"
    if not weights.is_file():
        raise UserError(f"encoder {name!r} cannot be packed: {source} has no model.safetensors")
    tensors = load(weights.read_bytes())
    rounded = {key: _rounded(key, tensor, weights) for key, tensor in tensors.items() if tensor.dtype == torch.float32}
    atomic_write(
        into / "model.safetensors", save(tensors | rounded, {"format": "pt"}) if rounded else weights.read_bytes()
    )
    tokenizer = next((names for names in _TOKENIZERS if (source / names[0]).exists()), [])
    for file in (*_SETTINGS, *tokenizer):
        if (source / file).exists():
            shutil.copyfile(source / file, into / file)
    if rounded:
        write_json(
            into / ORIGIN,
            {"sha256": sha256_of(weights), "stored": "float16", "stored_sha256": sha256_of(into / "model.safetensors")},
        )


def _rounded(name: str, tensor: Tensor, path: Path) -> Tensor:
    half = tensor.half()
    if not half.isfinite().all():
        raise UserError(f"{path}: {name!r} holds numbers beyond the range of 16 bits: it cannot be packed")
    return half


def download(wheels: Sequence[str], python: str, into: Path, without: set[str]) -> None:
    """Wheels of packages and of what they need, by pip. Raises UserError with pip's last word."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--dest", str(into)]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", python]
    for platform in _PLATFORMS:
        command += ["--platform", platform]
    done = subprocess.run([*command, *wheels], capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["no message"]
        raise UserError(
            f"the wheels of {', '.join(wheels)} cannot be downloaded ({said[-1]}): leave them out with --wheels ''"
        )
    for path in into.glob("*.whl"):
        if _plain(path.name.split("-")[0]) in without:
            path.unlink()


def _names(installed: Path) -> set[str]:
    lines = installed.read_text(encoding="utf-8").splitlines()
    return {_plain(re.split(r"[=<>@ ]", line)[0]) for line in lines if line.strip()}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def sizes(manifest: dict) -> dict[str, int]:
    """Bytes of each encoder, of the data and of the wheels, and of all."""
    found: dict[str, int] = {}
    for name, of in manifest["files"].items():
        parts = name.split("/")
        kind = "/".join(parts[:2]) if parts[0] == "encoders" else parts[0]
        found[kind] = found.get(kind, 0) + of["bytes"]
    return {**found, "all": sum(found.values())}


def check(folder: Path) -> list[str]:
    """What is wrong with a pack, a sentence each; UserError if it is none."""
    path = folder / MANIFEST
    if not path.exists():
        raise UserError(f"{folder} holds no pack (no {MANIFEST}): make one with `mtbert pack`")
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
    except (ValueError, LookupError) as error:
        raise UserError(f"{path} is damaged ({error}): make the pack anew") from None
    wrong = []
    for name, of in files.items():
        if not (folder / name).is_file():
            wrong.append(f"{name} is missing")
        elif sha256_of(folder / name) != of["sha256"]:
            wrong.append(f"{name} is damaged: its checksum differs from the manifest's")
    return wrong


def split(folder: Path, megabytes: float) -> list[Path]:
    """A pack as one compressed archive in pieces of at most so many MB, beside it: ``cat NAME.tar.gz.* | tar xz``."""
    for old in folder.parent.glob(f"{folder.name}.tar.gz.*"):
        old.unlink()
    pieces = _Pieces(folder.with_name(folder.name + ".tar.gz"), max(1, int(megabytes * 2**20)))
    with (
        pieces,
        gzip.GzipFile(fileobj=pieces, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|") as archive,
    ):
        archive.add(folder, folder.name)
    return pieces.paths


class _Pieces:
    """A file to write to, whose contents go to NAME.01, NAME.02 and so on, none larger than ``limit`` bytes."""

    def __init__(self, name: Path, limit: int):
        self.name, self.limit = name, limit
        self.paths: list[Path] = []
        self.file, self.room = None, 0

    def write(self, data: bytes) -> int:
        view = memoryview(data)
        while len(view):
            if not self.room:
                self.close()
                self.paths.append(self.name.with_name(f"{self.name.name}.{len(self.paths) + 1:02}"))
                self.file, self.room = open(self.paths[-1], "wb"), self.limit  # noqa: SIM115
            written = self.file.write(view[: self.room])
            self.room -= written
            view = view[written:]
        return len(data)

    def flush(self) -> None:
        if self.file:
            self.file.flush()

    def close(self) -> None:
        if self.file:
            self.file.close()

    def __enter__(self) -> "_Pieces":
        return self

    def __exit__(self, *error) -> None:
        self.close()


def packed_tasks(data: Path) -> list[str]:
    """The tasks of which a data folder has any file."""
    return [name for name, task in TASKS.items() if any((data / file).exists() for file in task.files.values())]
