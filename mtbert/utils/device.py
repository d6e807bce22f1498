"""Devices, seeds, and what a run record says about the machine."""

import importlib.metadata
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
import torch

from mtbert.utils import paths
from mtbert.utils.errors import UserError, shorten

MAX_SEED = 2**32 - 1  # NumPy's limit
_PACKAGES = ("torch", "tokenizers", "safetensors", "numpy")


def seed_everything(seed: int = 0) -> None:
    """Seed Python, NumPy and torch, and turn off the tokenizer's own threads.

    Raises:
        UserError: unless the seed is from 0 to 2**32 - 1.
    """
    if not 0 <= seed <= MAX_SEED:
        raise UserError(f"seed is {seed}, but must be from 0 to {MAX_SEED:,}")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def get_device(name: str | None = None) -> torch.device:
    """A device, with its index ("cuda" becomes "cuda:0").

    Args:
        name: the device's name; by default CUDA if available, else the CPU.

    Raises:
        UserError: if the device is not available.
    """
    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(1, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UserError(f"device {shorten(name)} is not available here: choose cpu") from None


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Context for a recipe's precision.

    Args:
        device: the device that computes.
        precision: matrix products in "bfloat16", everything in "float32", or "auto": bfloat16 where it is fast.
    """
    use_bfloat16 = precision == "bfloat16" or (precision == "auto" and fast_bfloat16(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=use_bfloat16)


@cache
def fast_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies matrices in bfloat16 at least as fast as in float32.

    A processor without bfloat16 instructions can be a hundred times slower in it. CUDA knows the answer; on other
    devices two small products are timed, once per process. Draws no random numbers.

    Args:
        device: the device that would compute.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    size = 192 if device.type == "cpu" else 2048  # large enough that arithmetic, not the call, decides
    matrices = [torch.ones(size, size, dtype=dtype, device=device) for dtype in (torch.float32, torch.bfloat16)]
    times: list[list[float]] = [[], []]
    with torch_threads(1):  # several threads wait for each other on a busy machine
        for _ in range(4):  # the first product prepares; the fastest is the one least disturbed by other processes
            for matrix, seconds in zip(matrices, times, strict=True):
                start = time.perf_counter()
                (matrix @ matrix)[0, 0].item()  # waits for the device
                seconds.append(time.perf_counter() - start)
    float32, bfloat16 = map(min, times)
    return bfloat16 <= float32


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch's operations use so many threads inside a with block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def available_cpus() -> int:
    """The number of CPUs this process may use, which a scheduler or taskset may limit."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def environment_info(device: torch.device) -> dict:
    """Device, threads, package versions and git revision, as stored in run.json."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name()
    versions = {package: importlib.metadata.version(package) for package in _PACKAGES}
    return {
        "device": f"{device.type} ({name})",
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), **versions},
        "revision": _revision(),
    }


def peak_memory_mb(device: torch.device) -> float | None:
    """Peak memory so far in MiB: of the allocator on CUDA, else of the process; None if the system does not tell."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    if sys.platform == "linux":  # getrusage would include the parent's memory
        with open("/proc/self/status", encoding="utf-8") as status:
            peak = next((line for line in status if line.startswith("VmHWM")), None)
        return round(int(peak.split()[1]) / 2**10, 1) if peak else None
    try:
        import resource
    except ImportError:  # Windows
        return None
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 1)  # bytes on macOS


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _revision() -> str | None:
    """The project's git revision, marked "-dirty" if files differ from it; None outside a repository."""
    command = ["git", "-C", str(paths.ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
