"""Check that everything the workbook needs is in place: one line each, [ OK ] or [FAIL] with what to do."""

import importlib.metadata
import os
import platform
import sys
import tempfile
from dataclasses import dataclass

import torch
from packaging.requirements import Requirement

from mtbert.data.checking import check_folder
from mtbert.data.read import data_folder
from mtbert.nn.pretrained import load_encoder
from mtbert.utils import paths
from mtbert.utils.errors import UserError, shorten

_NEEDED_GB = 3.0
_OPTIONAL = ("surgery", "sweep")  # extras of pyproject.toml without which the workbook runs


@dataclass(frozen=True)
class Finding:
    """The result of one check: what was checked, whether it passed, details, and after a failure what to do."""

    ok: bool
    thing: str
    text: str

    def __str__(self) -> str:
        return f"{'[ OK ]' if self.ok else '[FAIL]'} {self.thing}: {self.text}"


def inspect_environment() -> list[Finding]:
    """Check Python, packages, pretrained weights, data, memory, device and the folder for runs, in this order."""
    checks = {
        "Python": _python,
        "packages": _packages,
        "pretrained weights": _weights,
        "sample data": _sample,
        "real data": _real,
        "memory": _memory,
        "device": _device,
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
    text = f"{len(names)} installed, torch {torch.__version__}"
    for extra in _OPTIONAL:
        others = [requirement for requirement in _of_extra(requirements, extra) if requirement.name not in names]
        if problems := [problem for requirement in others if (problem := _problem(requirement))]:
            text += f"; optional: {', '.join(problems)} (pip install 'mtbert[{extra}]')"
    return True, text


def _of_extra(requirements: list[Requirement], extra: str) -> list[Requirement]:
    """The requirements that hold on this system, with one extra installed."""
    return [one for one in requirements if one.marker is None or one.marker.evaluate({"extra": extra})]


def _problem(requirement: Requirement) -> str | None:
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{requirement.name} is missing"
    if requirement.specifier.contains(version, prereleases=True):
        return None
    return f"{requirement.name} is {version}, but {requirement.specifier} is needed"


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
        return True, f"unknown on this system; {_NEEDED_GB:.0f} GB are enough"
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    if total < _NEEDED_GB:
        return False, f"{total:.1f} GB, but the notebooks need up to {_NEEDED_GB:.0f}: close other programs"
    return True, "enough"


def _device() -> tuple[bool, str]:
    return True, torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU (the demo is made for it)"


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
