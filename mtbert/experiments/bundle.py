"""A bundle: encoders, data and wheels in one folder, for a machine without network.

Encoders are stored as 16-bit floats, in transformers' layout, with an origin.json that names the weights that they were
rounded from. manifest.json has the checksum of every file. On the other machine ``MTBERT_ENCODERS`` and ``MTBERT_DATA``
point to the two folders, and recipes find their encoders by their usual names.
"""

import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory, TemporaryFile

import torch
from safetensors.torch import save
from torch import Tensor

from mtbert.data.tasks import TASKS, get_task
from mtbert.nn.pretrained import encoder_folder
from mtbert.nn.weights import ORIGIN, read_tensors
from mtbert.utils.errors import UserError, shorten
from mtbert.utils.files import atomic_write, file_sha256, write_json
from mtbert.utils.json_files import check_types, read_object
from mtbert.utils.logging import logger

MANIFEST = "manifest.json"
WHEELS = ("papermill", "ipykernel", "ipywidgets")  # what notebooks need beyond the dependencies of torch, transformers
_PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_28_x86_64")


def write_bundle(
    folder: Path, encoders: Iterable[str], data: Path, tasks: Sequence[str], wheels: Sequence[str], python: str
) -> None:
    """Write a bundle. If that fails, nothing is left behind.

    Args:
        folder: a new or empty folder.
        encoders: see ``mtbert.load_encoder``.
        data: the data folder.
        tasks: whose data files to include.
        wheels: packages to download, with all their dependencies, for 64-bit Linux.
        python: the other machine's Python version, such as "3.12".
    """
    folder = folder.resolve()
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty: choose another folder, or remove it")
    sources = [data / file for task in tasks for file in get_task(task).files.values() if (data / file).exists()]
    if not sources:
        raise UserError(f"{data} has no file of {', '.join(tasks)}: give another data folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f"{folder.name}.", dir=folder.parent) as temporary:
        new = Path(temporary) / "new"
        (new / "data").mkdir(parents=True)
        for source in sources:
            shutil.copyfile(source, new / "data" / source.name)
        for name in encoders:
            bundle_encoder(name, new / "encoders" / Path(name).name)
        if wheels:
            download_wheels(wheels, python, new / "wheels")
        files = [path for path in sorted(new.rglob("*")) if path.is_file()]
        write_json(new / MANIFEST, {path.relative_to(new).as_posix(): file_sha256(path) for path in files})
        megabytes = sum(path.stat().st_size for path in files) / 2**20
        new.rename(folder)
    logger.info(f"{folder}: {len(files)} files, {megabytes:.1f} MB")


def bundle_encoder(name: str, target: Path) -> None:
    """Copy an encoder, its weights rounded to 16 bits unless they already are.

    Raises:
        UserError: the encoder has no model.safetensors, or a weight is too large for 16 bits.
    """
    source = encoder_folder(name)
    if (source / ORIGIN).exists():  # from another bundle
        shutil.copytree(source, target)
        return
    weights = source / "model.safetensors"
    if not weights.is_file():
        raise UserError(f"encoder {shorten(name)} cannot be bundled: {source} has no model.safetensors")
    tensors = read_tensors(weights)
    rounded = {key: to_half(key, tensor, weights) for key, tensor in tensors.items() if tensor.dtype == torch.float32}
    content = save(tensors | rounded, {"format": "pt"}) if rounded else weights.read_bytes()
    atomic_write(target / "model.safetensors", content)
    vocabulary = "tokenizer.json" if (source / "tokenizer.json").exists() else "vocab.txt"
    for file in ("config.json", "tokenizer_config.json", vocabulary):
        if (source / file).exists():
            shutil.copyfile(source / file, target / file)
    if rounded:
        stored = file_sha256(target / "model.safetensors")
        origin = {"sha256": file_sha256(weights), "stored": "float16", "stored_sha256": stored}
        write_json(target / ORIGIN, origin)


def to_half(name: str, tensor: Tensor, path: Path) -> Tensor:
    """A tensor of the file ``path`` as 16-bit floats; UserError if a value is too large for them."""
    half = tensor.half()
    if not half.isfinite().all():
        raise UserError(f"{path}: {shorten(name)} has values beyond the range of 16 bits: they cannot be rounded")
    return half


def download_wheels(wheels: Sequence[str], python: str, target: Path) -> None:
    """Download packages and their dependencies with pip; UserError with its last error if that fails."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--dest", str(target)]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", python]
    for platform in _PLATFORMS:
        command += ["--platform", platform]
    done = subprocess.run([*command, *wheels], capture_output=True, text=True, check=False)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["no message"]
        raise UserError(
            f"the wheels of {', '.join(wheels)} cannot be downloaded ({errors[-1]}): leave them out with --wheels ''"
        )


def verify_bundle(folder: Path) -> list[str]:
    """Check every file of a bundle against its manifest: one sentence per missing or damaged file.

    Raises:
        UserError: there is no manifest, or it is damaged.
    """
    path = folder / MANIFEST
    if not path.exists():
        raise UserError(f"{folder} holds no bundle (no {MANIFEST}): make one with `mtbert bundle`")
    problems = []
    for name, sha256 in _read_manifest(path).items():
        if not (folder / name).is_file():
            problems.append(f"{name} is missing")
        elif file_sha256(folder / name) != sha256:
            problems.append(f"{name} is damaged: its checksum differs from the manifest's")
    return problems


def _read_manifest(path: Path) -> dict[str, str]:
    """The checksum of every file, by its path in the bundle."""
    advice = "make the bundle again"
    checksums = read_object(path, advice)
    if not checksums:
        raise UserError(f"{path} names no file: {advice}")
    check_types(checksums, dict.fromkeys(checksums, str), path, advice)
    for name, sha256 in checksums.items():
        file = PurePosixPath(name)
        if file.is_absolute() or ".." in file.parts or not file.parts:
            raise UserError(f"{path} names {shorten(name)}, which is no file of the bundle: {advice}")
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            raise UserError(f"{path} has the checksum {shorten(sha256)} for {shorten(name)}, no sha256: {advice}")
    return checksums


def archive_bundle(folder: Path, megabytes: float, force: bool = False) -> list[Path]:
    """Write a bundle as a compressed archive in parts NAME.tar.gz.01 and so on: ``cat NAME.tar.gz.* | tar xz``.

    Raises:
        UserError: see ``check_archive_parts``.
    """
    folder = folder.resolve()
    earlier = check_archive_parts(folder, force)
    parts: list[Path] = []
    with TemporaryFile(dir=folder.parent) as compressed:
        with tarfile.open(fileobj=compressed, mode="w:gz") as archive:
            archive.add(folder, folder.name)
        for part in earlier:  # only now: a full disk leaves them as they are
            part.unlink()
        compressed.seek(0)
        while content := compressed.read(int(megabytes * 2**20)):
            parts.append(folder.with_name(f"{folder.name}.tar.gz.{len(parts) + 1:02}"))
            parts[-1].write_bytes(content)
    return parts


def check_archive_parts(folder: Path, force: bool) -> list[Path]:
    """The parts of an earlier archive of a bundle, which ``force`` allows to replace.

    Raises:
        UserError: there are some, and no ``force``; or the name of another file begins like theirs, so that
            ``cat NAME.tar.gz.*`` would read it as well.
    """
    folder = folder.resolve()
    beginning = f"{folder.name}.tar.gz."
    named = sorted(path for path in folder.parent.glob("*") if path.name.startswith(beginning))
    parts = [path for path in named if re.fullmatch(r"\d{2,}", path.name.removeprefix(beginning)) and path.is_file()]
    if others := [path for path in named if path not in parts]:
        raise UserError(f"{others[0]} is no part of an archive, but would be read as one: move it elsewhere")
    if parts and not force:
        raise UserError(f"{parts[0]} exists: choose another name, or --force to replace the parts of that archive")
    return parts


def available_tasks(data: Path) -> list[str]:
    """The tasks that have a file in a data folder."""
    return [name for name, task in TASKS.items() if any((data / file).exists() for file in task.files.values())]
