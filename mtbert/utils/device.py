"""What a run ran on: device, versions, memory, revision; and how to make it repeat."""

import importlib.metadata
import os
import platform
import random
import subprocess
import sys

import numpy as np
import torch

from mtbert.utils import paths
from mtbert.utils.errors import UserError

LARGEST_SEED = 2**32 - 1  # NumPy's
_PACKAGES = ("torch", "tokenizers", "safetensors", "numpy")


def seed_everything(seed: int = 0) -> None:
    """Seed Python, NumPy and torch, and keep the tokenizer from forking threads. UserError for a seed out of range."""
    if not 0 <= seed <= LARGEST_SEED:
        raise UserError(f"seed is {seed}, but must be from 0 to {LARGEST_SEED:,}")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def get_device(name: str | None = None) -> torch.device:
    """The device of that name, as its tensors name it ("cuda" becomes "cuda:0"); by default CUDA if there is one, else
    the CPU. UserError if it is not there."""
    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(1, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UserError(f"device {name!r} is not available here: choose cpu") from None


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The arithmetic of a recipe's precision: with "bfloat16" matrix products in it, else everything in float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def processors() -> int:
    """How many processors this process may use: fewer than the machine has where a scheduler or taskset says so."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def environment_info(device: torch.device) -> dict:
    """Device, threads and versions, as run.json keeps them."""
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {
        "device": f"{device.type} ({kind})",
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), **versions},
        "revision": _revision(),
    }


def peak_memory_mb(device: torch.device) -> float | None:
    """The most memory used so far: on CUDA the allocator's, else the process's; None where it cannot be told."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    if sys.platform == "linux":  # getrusage would count the parent's memory too
        with open("/proc/self/status", encoding="utf-8") as status:
            peak = next((line for line in status if line.startswith("VmHWM")), None)
        return round(int(peak.split()[1]) / 2**10, 1) if peak else None
    try:
        import resource
    except ImportError:  # Windows
        return None
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 1)  # bytes on macOS


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _revision() -> str | None:
    """The git revision of the project, marked if files differ from it; None outside a repository."""
    command = ["git", "-C", str(paths.ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
