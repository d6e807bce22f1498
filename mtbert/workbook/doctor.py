"""Is everything here that the workbook needs? One line for each thing, [OK] or [FAIL] with what to do."""

import importlib.metadata
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

import torch
from packaging.requirements import Requirement

from mtbert.data.check import check
from mtbert.data.read import data_folder
from mtbert.nn.pretrained import load_encoder
from mtbert.utils import paths
from mtbert.utils.errors import UserError

_NEEDED_GB = 3.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. text: what was found, and after a failure what to do."""

    ok: bool
    thing: str
    text: str

    def __str__(self) -> str:
        return f"{'[ OK ]' if self.ok else '[FAIL]'} {self.thing}: {self.text}"


def inspect_environment() -> list[Finding]:
    """Python, packages, pretrained weights, data, memory, device and the folder for runs, in this order."""
    looks: dict[str, Callable[[], tuple[bool, str]]] = {
        "Python": _python,
        "packages": _packages,
        "pretrained weights": _weights,
        "sample data": _sample,
        "real data": _real,
        "memory": _memory,
        "device": _device,
        "folder for runs": _writable,
    }
    findings = []
    for thing, look in looks.items():
        try:
            ok, text = look()
        except (UserError, OSError, ImportError) as error:
            ok, text = False, str(error)
        findings.append(Finding(ok, thing, text))
    return findings


def _python() -> tuple[bool, str]:
    version = platform.python_version()
    return (True, version) if sys.version_info >= (3, 11) else (False, f"{version}: install Python 3.11 or later")


def _packages() -> tuple[bool, str]:
    try:
        wanted = [Requirement(text) for text in importlib.metadata.requires("mtbert") or []]
    except importlib.metadata.PackageNotFoundError:
        return False, "mtbert itself is not installed: pip install -r requirements.txt"
    wanted = [each for each in wanted if each.marker is None or each.marker.evaluate({"extra": "notebooks"})]
    wrong = []
    for each in wanted:
        try:
            version = importlib.metadata.version(each.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{each.name} is missing")
        else:
            if not each.specifier.contains(version, prereleases=True):
                wrong.append(f"{each.name} is {version}, but {each.specifier} is needed")
    if wrong:
        return False, f"{'; '.join(wrong)}: pip install -r requirements.txt"
    return True, f"{len(wanted)} found, torch {torch.__version__}"


def _weights() -> tuple[bool, str]:
    encoder = load_encoder("minilm")
    numbers = sum(parameter.numel() for parameter in encoder.bert.parameters())
    return True, f"minilm, {numbers:,} numbers, checksum right"


def _sample() -> tuple[bool, str]:
    report = check(paths.SAMPLE)
    if report.errors:
        return False, f"{report.errors[0]}: python data/sample/generate.py writes the files anew"
    return True, f"complete, in {paths.shown(paths.SAMPLE)}"


def _real() -> tuple[bool, str]:
    folder = data_folder(None)
    if folder == paths.SAMPLE:
        return True, "none here, and none needed for the demo (python -m mtbert data fetch)"
    return True, f"found in {paths.shown(folder)}"


def _memory() -> tuple[bool, str]:
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return True, f"cannot be told on this system; {_NEEDED_GB:.0f} GB are enough"
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    if total < _NEEDED_GB:
        return False, f"{total:.1f} GB, but the notebooks take up to {_NEEDED_GB:.0f}: close other programs"
    return True, "enough"


def _device() -> tuple[bool, str]:
    if torch.cuda.is_available():
        return True, torch.cuda.get_device_name(0)
    return True, "CPU (the demo was made for it)"


def _writable() -> tuple[bool, str]:
    paths.RUNS.mkdir(exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=paths.RUNS):
        return True, f"{paths.shown(paths.RUNS)} can be written to"
