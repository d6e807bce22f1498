"""Weights in safetensors files: found in a folder, read, and refused by name where no model can compute with them."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mtbert.utils.errors import UserError, shorten
from mtbert.utils.files import file_sha256
from mtbert.utils.json_files import check_types, read_object

WEIGHTS = "model.safetensors"
ORIGIN = "origin.json"  # in an encoder's folder: which weights it was rounded from (see ``mtbert.experiments.bundle``)
INDEX = "model.safetensors.index.json"  # of large models, whose weights are in several files
_OTHER_FORMATS = ("*.bin", "*.pt", "*.pth", "*.ckpt*", "*.h5", "*.msgpack", "*.onnx", "*.gguf")
_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
AGAIN = "download it again"  # the advice for a damaged file of an encoder, wherever that came from


class ShapesOnly(TorchFunctionMode):
    """On the meta device, where tensors have no values, draw none: PyTorch would load torch._dynamo to do so."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return None if func in (Tensor.normal_, nn.init.normal_) else func(*args, **(kwargs or {}))


def weight_files(folder: Path) -> list[Path]:
    """The files that hold an encoder's weights: model.safetensors, or else the shards that its index names.

    Raises:
        UserError: if there are none, naming the files of other formats that are there instead.
    """
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / INDEX).is_file():
        return _shards(folder / INDEX)
    others = sorted(path.name for pattern in _OTHER_FORMATS for path in folder.glob(pattern))
    if others:
        convert = f"transformers.BertModel.from_pretrained({str(folder)!r}).save_pretrained({str(folder)!r})"
        raise UserError(
            f"{folder / WEIGHTS} does not exist, and {', '.join(others[:3])} cannot be read: convert the weights with "
            f"{convert}"
        )
    raise UserError(
        f"{folder / WEIGHTS} does not exist: an encoder's folder needs config.json, {WEIGHTS} and a tokenizer"
    )


def _shards(index: Path) -> list[Path]:
    fields = read_object(index, AGAIN)
    check_types(fields, {"weight_map": dict}, index, AGAIN)
    names = fields["weight_map"].values()
    for name in names:
        if not isinstance(name, str) or Path(name).name != name:
            raise UserError(f"{index} names {shorten(name)}, which is not a file beside it: {AGAIN}")
        if not (index.parent / name).is_file():
            raise UserError(f"{index.parent / name} does not exist, but {index.name} names it: {AGAIN}")
    if not names:
        raise UserError(f"{index} names no file of weights: {AGAIN}")
    return [index.parent / name for name in sorted(set(names))]


def weights_sha256(files: Sequence[Path]) -> str:
    """The checksum of weights: that of their file, or for several files that of their checksums."""
    checksums = [file_sha256(path) for path in files]
    return checksums[0] if len(checksums) == 1 else hashlib.sha256("".join(checksums).encode()).hexdigest()


def read_tensors(path: Path, advice: str = AGAIN) -> dict[str, Tensor]:
    """The tensors of a safetensors file. Raises UserError, ending with ``advice``, if it is damaged or missing."""
    try:
        return load(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: {advice}") from None
    except (SafetensorError, LookupError, ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"{path} is damaged ({shorten(str(error))}): {advice}") from None


def check_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Check that tensors read from a file are weights: floating-point, and finite as 32-bit floats.

    Raises:
        UserError: for the first that is not.
    """
    for name, tensor in tensors.items():
        if tensor.dtype not in _DTYPES:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise UserError(f"{path}: {name!r} holds {kind} numbers, but weights must be floats of 16, 32 or 64 bits")
        if not tensor.float().isfinite().all():
            raise UserError(f"{path}: {name!r} holds NaN or infinite values: a model with them computes nothing")


def stored_checksum(folder: Path) -> tuple[str, str | None]:
    """The checksum of the weights, or of the original if they are stored rounded; and the type they were rounded to."""
    files = weight_files(folder)
    checksum, path, advice = weights_sha256(files), folder / ORIGIN, "pack the encoder again"
    if not path.is_file():
        return checksum, None
    origin = read_object(path, advice)
    check_types(origin, {"sha256": str, "stored": str, "stored_sha256": str}, path, advice)
    if checksum != origin["stored_sha256"]:
        raise UserError(f"{files[0]} is damaged: its sha256 is not the one in {ORIGIN}: {advice}")
    return origin["sha256"], origin["stored"]
