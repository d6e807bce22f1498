"""A bundle: encoders, data and wheels in one folder, for a machine without network.

Encoders are stored as 16-bit floats, in transformers' layout, with an origin.json that names the weights that they were
rounded from. manifest.json has the checksum of every file. On the other machine ``MTBERT_ENCODERS`` and ``MTBERT_DATA``
point to the two folders, and recipes find their encoders by their usual names.
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
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from mtbert.data.tasks import TASKS, get_task
from mtbert.nn.pretrained import ORIGIN, encoder_folder
from mtbert.utils.errors import UserError
from mtbert.utils.files import atomic_write, file_sha256, write_json
from mtbert.utils.logging import logger

MANIFEST = "manifest.json"
WHEELS = ("papermill", "ipykernel", "ipywidgets")  # what notebooks need beyond the dependencies of torch, transformers
_PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_28_x86_64")
_TOKENIZERS = (["tokenizer.json"], ["vocab.txt"])  # one of them suffices
_CONFIGS = ("config.json", "tokenizer_config.json")


def write_bundle(
    folder: Path,
    encoders: Iterable[str],
    data: Path,
    tasks: Iterable[str],
    wheels: Sequence[str],
    python: str,
    installed: Path | None = None,
) -> None:
    """Write a bundle. If that fails, the folder stays as it was.

    Args:
        folder: a new or empty folder, or an earlier bundle, which is replaced.
        encoders: see ``mtbert.load_encoder``.
        data: the data folder.
        tasks: whose data files to include.
        wheels: packages to download, with all their dependencies, for 64-bit Linux.
        python: the other machine's Python version, such as "3.12".
        installed: the output of ``pip list --format=freeze`` on the other machine; such packages are left out.

    Raises:
        UserError: the folder holds something else, or a source cannot be bundled or lies inside the folder.
    """
    folder, encoders = folder.resolve(), list(encoders)
    if folder.exists() and any(folder.iterdir()) and not (folder / MANIFEST).exists():
        raise UserError(f"{folder} is not empty and holds no bundle: choose another folder")
    for source in (data, *map(encoder_folder, encoders)):
        if source.resolve().is_relative_to(folder):
            raise UserError(f"{source} lies in {folder}, which would be replaced: choose another folder for the bundle")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f"{folder.name}.", dir=folder.parent) as temporary:
        new = Path(temporary) / "new"
        manifest = _fill(new, encoders, data, tasks, wheels, python, _package_names(installed) if installed else set())
        if folder.exists():
            folder.rename(Path(temporary) / "old")
        new.rename(folder)
    for kind, size in bundle_sizes(manifest).items():
        logger.info(f"{kind:<28}{size / 2**20:8.1f} MB")


def _fill(
    folder: Path,
    encoders: Sequence[str],
    data: Path,
    tasks: Iterable[str],
    wheels: Sequence[str],
    python: str,
    installed: set[str],
) -> dict[str, Any]:
    """Create a folder with the bundle, and return its manifest."""
    folder.mkdir()
    for name in encoders:
        bundle_encoder(name, folder / "encoders" / Path(name).name)
    sources = [data / file for task in tasks for file in get_task(task).files.values() if (data / file).exists()]
    if not sources:
        raise UserError(f"{data} has no file of {', '.join(tasks)}: give another data folder")
    (folder / "data").mkdir()
    for source in sources:
        shutil.copyfile(source, folder / "data" / source.name)
    if wheels:
        download_wheels(wheels, python, folder / "wheels", installed)
    files = {
        path.relative_to(folder).as_posix(): {"sha256": file_sha256(path), "bytes": path.stat().st_size}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    manifest = {"wheels": list(wheels), "python": python, "files": files}
    write_json(folder / MANIFEST, manifest)
    return manifest


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
        raise UserError(f"encoder {name!r} cannot be bundled: {source} has no model.safetensors")
    tensors = load(weights.read_bytes())
    rounded = {key: _rounded(key, tensor, weights) for key, tensor in tensors.items() if tensor.dtype == torch.float32}
    content = save(tensors | rounded, {"format": "pt"}) if rounded else weights.read_bytes()
    atomic_write(target / "model.safetensors", content)
    tokenizer = next((names for names in _TOKENIZERS if (source / names[0]).exists()), [])
    for file in (*_CONFIGS, *tokenizer):
        if (source / file).exists():
            shutil.copyfile(source / file, target / file)
    if rounded:
        stored = file_sha256(target / "model.safetensors")
        origin = {"sha256": file_sha256(weights), "stored": "float16", "stored_sha256": stored}
        write_json(target / ORIGIN, origin)


def _rounded(name: str, tensor: Tensor, path: Path) -> Tensor:
    half = tensor.half()
    if not half.isfinite().all():
        raise UserError(f"{path}: {name!r} has values beyond the range of 16 bits: it cannot be bundled")
    return half


def download_wheels(wheels: Sequence[str], python: str, target: Path, installed: set[str]) -> None:
    """Download packages and their dependencies with pip, but for installed ones.

    Raises:
        UserError: pip fails; the message has its last error.
    """
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
    for path in target.glob("*.whl"):
        if _normalized(path.name.split("-")[0]) in installed:
            path.unlink()


def _package_names(freeze: Path) -> set[str]:
    lines = freeze.read_text(encoding="utf-8").splitlines()
    return {_normalized(re.split(r"[=<>@ ]", line)[0]) for line in lines if line.strip()}


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def bundle_sizes(manifest: dict[str, Any]) -> dict[str, int]:
    """Bytes of each encoder, of the data and of the wheels, and of all."""
    sizes: dict[str, int] = {}
    for name, entry in manifest["files"].items():
        parts = name.split("/")
        kind = "/".join(parts[:2]) if parts[0] == "encoders" else parts[0]
        sizes[kind] = sizes.get(kind, 0) + entry["bytes"]
    return {**sizes, "all": sum(sizes.values())}


def verify_bundle(folder: Path) -> list[str]:
    """Check every file of a bundle against its manifest.

    Returns:
        One sentence per missing or damaged file.

    Raises:
        UserError: the folder holds no bundle, or its manifest is damaged.
    """
    path = folder / MANIFEST
    if not path.exists():
        raise UserError(f"{folder} holds no bundle (no {MANIFEST}): make one with `mtbert bundle`")
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
    except (ValueError, LookupError) as error:
        raise UserError(f"{path} is damaged ({error}): make the bundle again") from None
    problems = []
    for name, entry in files.items():
        if not (folder / name).is_file():
            problems.append(f"{name} is missing")
        elif file_sha256(folder / name) != entry["sha256"]:
            problems.append(f"{name} is damaged: its checksum differs from the manifest's")
    return problems


def archive_bundle(folder: Path, megabytes: float) -> list[Path]:
    """Write a bundle as a compressed archive beside it, in parts of limited size: ``cat NAME.tar.gz.* | tar xz``.

    Returns:
        The parts, NAME.tar.gz.01 and so on.
    """
    name, limit = f"{folder.name}.tar.gz", max(1, int(megabytes * 2**20))
    for old in folder.parent.glob(f"{name}.*"):
        old.unlink()
    parts: list[Path] = []
    with TemporaryFile(dir=folder.parent) as compressed:
        with (
            gzip.GzipFile(fileobj=compressed, mode="wb", mtime=0) as stream,
            tarfile.open(fileobj=stream, mode="w|") as archive,
        ):
            archive.add(folder, folder.name)
        compressed.seek(0)
        while content := compressed.read(limit):
            parts.append(folder.with_name(f"{name}.{len(parts) + 1:02}"))
            parts[-1].write_bytes(content)
    return parts


def available_tasks(data: Path) -> list[str]:
    """The tasks that have a file in a data folder."""
    return [name for name, task in TASKS.items() if any((data / file).exists() for file in task.files.values())]
