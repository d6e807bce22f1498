"""The state of an unfinished run on disk: written whole, told apart from a damaged one, two kept."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mtbert.utils.errors import UserError
from mtbert.utils.files import atomic_write
from mtbert.utils.logging import logger

_NAME = re.compile(r"checkpoint-(\d+)\.safetensors")


def save_checkpoint(folder: Path, step: int, tensors: dict[str, Tensor], facts: dict[str, Any]) -> Path:
    """Write checkpoint-STEP.safetensors, then remove all but the two newest.

    facts: anything JSON holds. A checksum of facts and tensors goes with them.
    """
    path = folder / f"checkpoint-{step:08d}.safetensors"
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    facts = json.dumps({**facts, "step": step})
    atomic_write(path, save(tensors, {"facts": facts, "checksum": _checksum(facts, tensors)}))
    for old in checkpoints(folder)[2:]:
        old.unlink()
    return path


def checkpoints(folder: Path) -> list[Path]:
    """The folder's checkpoints, newest first."""
    return sorted((path for path in folder.glob("checkpoint-*") if _NAME.fullmatch(path.name)), reverse=True)


def load_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The newest checkpoint that is intact: (tensors, facts); None if there is none at all.

    A damaged one is named and the one before it used. Raises UserError if all are damaged.
    """
    found = checkpoints(folder)
    for path in found:
        try:
            return _read(path)
        except (SafetensorError, LookupError, ValueError, OSError) as error:
            logger.warning(f"{path.name} is damaged ({error}); trying the one before it")
    if found:
        raise UserError(f"{folder}: every checkpoint is damaged: delete the folder to start the run anew")
    return None


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if _checksum(metadata["facts"], tensors) != metadata["checksum"]:
        raise ValueError("its contents do not match their checksum")
    return tensors, json.loads(metadata["facts"])


def _checksum(facts: str, tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha1(facts.encode(), usedforsecurity=False)
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode())
        digest.update(tensors[name].numpy())
    return digest.hexdigest()
