"""Checkpoints: the state of an unfinished run, written atomically and verified when read; the two newest are kept.

A state is a nested dictionary as PyTorch's ``state_dict`` methods return them, with strings or integers as keys. It is
stored flat, without pickle: each tensor and each value (anything JSON holds) under the list of its keys.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mtbert.utils.errors import UserError, shorten
from mtbert.utils.files import atomic_write
from mtbert.utils.logging import logger

FORMAT = 3  # increased whenever older checkpoints can no longer be loaded
_NAME = re.compile(r"checkpoint-(\d+)\.safetensors")


def save_checkpoint(folder: Path, step: int, state: Mapping[str, Any]) -> Path:
    """Write checkpoint-STEP.safetensors with a checksum, then remove all but the two newest; returns its path."""
    path = folder / f"checkpoint-{step:08d}.safetensors"
    items = list(_flatten(state))
    tensors = {json.dumps(keys): _detached(value) for keys, value in items if isinstance(value, Tensor)}
    values = [(keys, value) for keys, value in items if not isinstance(value, Tensor)]
    facts = json.dumps({"format": FORMAT, "values": values})
    atomic_write(path, save(tensors, {"facts": facts, "checksum": _checksum(facts, tensors)}))
    for old in checkpoints(folder)[2:]:
        old.unlink(missing_ok=True)
    return path


def remove_checkpoints(folder: Path) -> None:
    """Remove all checkpoints, those of a finished run."""
    for path in checkpoints(folder):
        path.unlink(missing_ok=True)


def checkpoints(folder: Path) -> list[Path]:
    """The folder's checkpoints, newest first."""
    return sorted((path for path in folder.glob("checkpoint-*") if _NAME.fullmatch(path.name)), reverse=True)


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The state in the newest intact checkpoint, on the CPU; None if there is no checkpoint. Logs damaged ones.

    Raises UserError if all are damaged, or one is of another version's format.
    """
    paths = checkpoints(folder)
    for path in paths:
        try:
            return _read(path)
        except UserError:
            raise
        except (SafetensorError, LookupError, ValueError, TypeError, AttributeError, RecursionError, OSError) as error:
            logger.warning(f"{path.name} is damaged ({error}); trying the one before it")
    if paths:
        raise UserError(f"{folder}: every checkpoint is damaged: delete the folder to train from the start")
    return None


@contextmanager
def complete_state(folder: Path) -> Iterator[None]:
    """A context in which a folder's checkpoint is loaded; UserError if that lacks something, or does not fit."""
    try:
        yield
    except UserError:
        raise
    except (LookupError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        problem = f"{type(error).__name__}: {shorten(str(error))}"
        raise UserError(
            f"{folder}: the newest checkpoint is not that of such a run ({problem}): delete it to resume from the one "
            "before, or choose another folder"
        ) from None


def _read(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if _checksum(metadata["facts"], tensors) != metadata["checksum"]:
        raise ValueError("its contents do not match their checksum")
    facts = json.loads(metadata["facts"])
    if facts["format"] != FORMAT:
        raise UserError(f"{path.parent} was started by another version of mtbert: choose another folder")
    state: dict[str, Any] = {}
    for keys, value in [*facts["values"], *((json.loads(name), tensor) for name, tensor in tensors.items())]:
        level = state
        for key in keys[:-1]:
            level = level.setdefault(key, {})
        level[keys[-1]] = value
    return state


def _flatten(state: Mapping, keys: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """The path and value of every leaf; an empty dictionary is a leaf, too."""
    for key, value in state.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, (*keys, key))
        else:
            yield (*keys, key), value


def _detached(tensor: Tensor) -> Tensor:
    """The tensor on the CPU; a view is copied, because safetensors refuses tensors that share memory."""
    tensor = tensor.detach().cpu().contiguous()
    return tensor if tensor.untyped_storage().nbytes() == tensor.nbytes else tensor.clone()


def _checksum(facts: str, tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha1(facts.encode(), usedforsecurity=False)
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode())
        digest.update(tensors[name].numpy())  # type: ignore[arg-type]  # an array is a buffer
    return digest.hexdigest()
