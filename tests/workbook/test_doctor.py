"""What the doctor finds, and what it tells to do."""

import importlib.metadata
import sys

import pytest

from mtbert.utils import paths
from mtbert.workbook import doctor

VERSION = importlib.metadata.version


def installed(monkeypatch, **versions: str | None):
    """Pretend that packages have these versions; None: not installed."""

    def version(name):
        if name not in versions:
            return VERSION(name)
        if versions[name] is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(importlib.metadata, "version", version)


def test_here_everything_is_in_place():
    findings = doctor.inspect_environment()
    assert all(str(finding).startswith("[ OK ] ") for finding in findings), [str(finding) for finding in findings]


def test_missing_and_old_packages_are_named_with_what_to_do(monkeypatch):
    installed(monkeypatch, ray=None)
    ok, text = doctor._packages()
    assert ok and "ray is missing (pip install 'mtbert[sweep]')" in text and "surgery" not in text
    installed(monkeypatch, tqdm=None, pandas="1.0")
    ok, text = doctor._packages()
    assert not ok and "tqdm is missing" in text and "pandas is 1.0, but >=2.1 is needed" in text


def test_a_package_that_is_only_on_the_path_has_to_be_installed(monkeypatch):
    def nowhere(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", nowhere)
    ok, text = doctor._packages()
    assert not ok and "pip install -r requirements.txt" in text


@pytest.mark.parametrize(
    ("check", "target", "name", "value", "words"),
    [
        ("_sample", paths, "SAMPLE", "an empty folder", "generate.py"),
        ("_python", sys, "version_info", (3, 9), "install Python 3.11"),
        ("_memory", doctor, "_NEEDED_GB", 1e6, "close other programs"),
    ],
)
def test_missing_data_an_old_python_and_little_memory_fail(monkeypatch, tmp_path, check, target, name, value, words):
    monkeypatch.setattr(target, name, tmp_path if name == "SAMPLE" else value)
    ok, text = getattr(doctor, check)()
    assert not ok and words in text


@pytest.mark.parametrize("folder", ["file/below", "file", "x" * 300])
def test_a_token_cache_that_cannot_be_written_fails(monkeypatch, tmp_path, folder):
    monkeypatch.setenv("MTBERT_CACHE", str(tmp_path / "cache"))
    assert doctor._token_cache()[0]
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("MTBERT_CACHE", str(tmp_path / folder))
    ok, text = doctor._token_cache()
    assert not ok and "MTBERT_CACHE" in text


def test_an_error_of_a_check_is_a_finding(monkeypatch):
    def broken(folder):
        raise OSError("no such disk")

    monkeypatch.setattr(doctor, "check_folder", broken)
    monkeypatch.setattr(doctor, "load_encoder", broken)
    texts = [str(finding) for finding in doctor.inspect_environment() if not finding.ok]
    assert texts == ["[FAIL] pretrained weights: no such disk", "[FAIL] sample data: no such disk"]
