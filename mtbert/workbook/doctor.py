"""Check that everything the workbook needs is in place: one line each, [ OK ] or [FAIL] with what to do."""

import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from packaging.requirements import Requirement

from mtbert.data.checking import check_folder
from mtbert.data.read import data_folder
from mtbert.nn.pretrained import load_encoder
from mtbert.nn.texts import Text
from mtbert.utils import paths
from mtbert.utils.device import fast_bfloat16, get_device, torch_threads
from mtbert.utils.errors import UserError, shorten
from mtbert.utils.onednn import linear, prefers_onednn

_NEEDED_GB, _MOST_GB = 4.0, 5.0  # of memory: for the notebooks, and for notebook 12
_NEEDED_DISK_GB = 2.0  # for the runs of all notebooks
_OPTIONAL = ("gpu", "surgery-full", "sweep")  # extras of pyproject.toml without which the workbook runs
_TOLERANCE = 1e-3  # largest difference between hidden states of two devices in float32
_TEXTS: list[Text] = [
    "A film.",
    "It never once feels long.",
    ("How do I learn to cook?", "What is a good way to learn cooking?"),
]


@dataclass(frozen=True)
class Finding:
    """The result of one check: what was checked, whether it passed, details, and after a failure what to do."""

    ok: bool
    thing: str
    text: str

    def __str__(self) -> str:
        return f"{'[ OK ]' if self.ok else '[FAIL]'} {self.thing}: {self.text}"


def inspect_environment(device: str | None = None) -> list[Finding]:
    """Check Python, packages, weights, data, memory, threads, device, precision, disk and folders, in this order.

    Args:
        device: the device to check; by default the one that a run would choose.
    """
    checks: dict[str, Callable[[], tuple[bool, str]]] = {
        "Python": _python,
        "packages": _packages,
        "pretrained weights": _weights,
        "sample data": _sample,
        "real data": _real,
        "memory": _memory,
        "threads": _threads,
        "device": partial(_device, device),
        "precision": partial(_precision, device),
        "disk": _disk,
        "folder for runs": _writable,
        "token cache": _token_cache,
    }
    findings = []
    for thing, check in checks.items():
        try:
            ok, text = check()
        except (UserError, OSError, ImportError) as error:
            ok, text = False, str(error)
        findings.append(Finding(ok, thing, text))
    return findings


def _python() -> tuple[bool, str]:
    version = platform.python_version()
    return (True, version) if sys.version_info >= (3, 11) else (False, f"{version}: install Python 3.11 or later")


def _packages() -> tuple[bool, str]:
    try:
        requirements = [Requirement(text) for text in importlib.metadata.requires("mtbert") or []]
    except importlib.metadata.PackageNotFoundError:
        return False, "mtbert itself is not installed: pip install -r requirements.txt"
    needed = _of_extra(requirements, "notebooks")
    problems = [problem for requirement in needed if (problem := _problem(requirement))]
    if problems:
        return False, f"{'; '.join(problems)}: pip install -r requirements.txt"
    names = {requirement.name for requirement in needed}
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "tokenizers", "numpy"))
    text = f"{len(names)} installed, with {versions}"
    for extra in _OPTIONAL:
        if extra == "gpu" and not torch.cuda.is_available():
            continue
        others = [requirement for requirement in _of_extra(requirements, extra) if requirement not in needed]
        if problems := [problem for requirement in others if (problem := _problem(requirement))]:
            text += f'; optional: {", ".join(problems)} (pip install -e ".[{extra}]")'
    return True, text


def _of_extra(requirements: list[Requirement], extra: str) -> list[Requirement]:
    """The requirements that hold on this system, with one extra installed."""
    return [one for one in requirements if one.marker is None or one.marker.evaluate({"extra": extra})]


def _problem(requirement: Requirement) -> str | None:
    """What is wrong with a package, or with one that its extras bring."""
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{requirement.name} is missing"
    if not requirement.specifier.contains(version, prereleases=True):
        return f"{requirement.name} is {version}, but {requirement.specifier} is needed"
    if not requirement.extras:
        return None
    own = [Requirement(text) for text in importlib.metadata.requires(requirement.name) or []]
    brought = [one for extra in requirement.extras for one in _of_extra(own, extra) if one.marker is not None]
    return next(filter(None, map(_problem, brought)), None)


def _weights() -> tuple[bool, str]:
    parameters = sum(parameter.numel() for parameter in load_encoder("minilm").bert.parameters())
    return True, f"minilm, {parameters:,} parameters, checksum verified"


def _sample() -> tuple[bool, str]:
    report = check_folder(paths.SAMPLE)
    if report.errors:
        return False, f"{report.errors[0]}: write the files again with python data/sample/generate.py"
    return True, f"complete, in {paths.display_path(paths.SAMPLE)}"


def _real() -> tuple[bool, str]:
    folder = data_folder(None)
    if folder == paths.SAMPLE:
        return True, "none; the demo does not need them (python -m mtbert data fetch)"
    return True, f"in {paths.display_path(folder)}"


def _memory() -> tuple[bool, str]:
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return True, f"unknown on this system; {_NEEDED_GB:.0f} GB are enough, and {_MOST_GB:.0f} for notebook 12"
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    if total < 0.9 * _NEEDED_GB:  # the system keeps a little of what is built in
        return False, f"{total:.1f} GB, but the notebooks need {_NEEDED_GB:.0f}: take a machine with more"
    return True, "enough" if total >= 0.9 * _MOST_GB else f"enough, but notebook 12 needs {_MOST_GB:.0f} GB"


def _threads() -> tuple[bool, str]:
    """Times a product of the size of BERT's with all threads and with one."""
    count = torch.get_num_threads()
    if count == 1:
        return True, "1"
    hidden, weight = torch.ones(1024, 384), torch.ones(1536, 384)
    times: dict[int, list[float]] = {1: [], count: []}
    for _ in range(5):
        for threads, seconds in times.items():
            with torch_threads(threads):
                start = time.perf_counter()
                linear(hidden, weight)
                seconds.append(time.perf_counter() - start)
    speedup = min(times[1]) / min(times[count])
    if speedup > 1.1:
        return True, f"{count}, {speedup:.1f} times as fast as one"
    return True, f"{count}, no faster than one at the moment: with OMP_NUM_THREADS=1 others can use the rest"


def _device(name: str | None) -> tuple[bool, str]:
    """Names the device; one that is not the CPU must compute what the CPU computes."""
    device = get_device(name)
    if device.type == "cpu":
        return True, f"CPU{', matrix products by oneDNN' if prefers_onednn() else ''} (the demo is made for it)"
    text = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    difference = _difference_to_cpu(device)
    if not difference <= _TOLERANCE:  # nor is NaN
        return False, f"{text}: hidden states differ from the CPU's by {difference:.1g}: choose --device cpu"
    return True, f"{text}, equal to the CPU within {_TOLERANCE:g}"


@torch.no_grad()
def _difference_to_cpu(device: torch.device) -> float:
    """The largest difference between minilm's hidden states on a device and on the CPU, for each text and for all."""
    encoder, differences = load_encoder("minilm"), []
    encoder.bert.eval()
    batches = [encoder.pack(texts) for texts in (*([text] for text in _TEXTS), _TEXTS)]
    expected = [encoder.bert(batch) for batch in batches]
    encoder.bert.to(device)
    for batch, hidden in zip(batches, expected, strict=True):
        differences.append((encoder.bert(batch.to(device)).cpu() - hidden).abs().max())
    return float(torch.stack(differences).max())


def _precision(name: str | None) -> tuple[bool, str]:
    if fast_bfloat16(get_device(name)):
        return True, "bfloat16 is fast here, and precision=auto uses it"
    return True, "bfloat16 is slow here, and precision=auto uses float32"


def _disk() -> tuple[bool, str]:
    free = shutil.disk_usage(paths.ROOT).free / 1e9
    if free < _NEEDED_DISK_GB:
        return False, f"{free:.1f} GB are free, but all runs take up to {_NEEDED_DISK_GB:.0f}: make room"
    return True, "enough"


def _writable() -> tuple[bool, str]:
    paths.RUNS.mkdir(exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=paths.RUNS):
        return True, f"{paths.display_path(paths.RUNS)} is writable"


def _token_cache() -> tuple[bool, str]:
    folder = paths.cache_folder()
    name = paths.display_path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            return True, f"{name} is writable"
    except OSError as error:
        advice = "set MTBERT_CACHE to a folder of yours, or every command tokenizes its texts again"
        return False, f"{shorten(name)} cannot be written ({error.strerror}): {advice}"
