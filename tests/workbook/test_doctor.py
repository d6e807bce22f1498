"""What the doctor finds, and what it tells to do."""

import importlib.metadata
import re
import sys
from types import SimpleNamespace

import pytest
import torch

from mtbert.data.batch import PackedBatch
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


@pytest.mark.parametrize(("package", "extra"), [("ray", "sweep"), ("cvxpy", "surgery-full")])
def test_a_missing_optional_package_is_named_with_its_extra(monkeypatch, package, extra):
    installed(monkeypatch, **{"ray": "2.60", "submitit": "1.5", "cvxpy": "1.9", "ecos": "2.0.14", package: None})
    ok, text = doctor._packages()
    assert ok and re.findall(r"(\w+) is missing .*\[(.+?)\]", text) == [(package, extra)]


def test_missing_and_old_packages_are_named_with_what_to_do(monkeypatch):
    installed(monkeypatch, tqdm=None, pandas="1.0", quadprog=None)
    ok, text = doctor._packages()
    assert not ok and "tqdm is missing" in text and "pandas is 1.0, but >=2.1 is needed" in text
    assert "quadprog is missing" in text  # the notebooks' torchjd needs it


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
        ("_memory", doctor, "_NEEDED_GB", 1e6, "take a machine with more"),
        ("_disk", doctor, "_NEEDED_DISK_GB", 1e6, "make room"),
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


def test_a_device_that_is_not_there_is_a_finding_and_not_an_error():
    findings = {finding.thing: finding for finding in doctor.inspect_environment("abacus")}
    assert not findings["device"].ok and "'abacus'" in findings["device"].text
    assert not findings["precision"].ok


@pytest.mark.parametrize(("shift", "same"), [(0.0, True), (0.01, False), (float("nan"), False)])
def test_a_device_must_compute_what_the_cpu_computes(monkeypatch, shift, same):
    """A device of another kind takes the CPU's place, and its LayerNorms are off by a little."""
    other = SimpleNamespace(type="mps")
    monkeypatch.setattr(doctor, "get_device", lambda name: other)
    load = doctor.load_encoder

    def moved(bert, device):
        assert device is other
        bert.layers[0].output_norm.bias += shift

    def load_movable(name):
        encoder = load("tiny")
        encoder.bert.to = lambda device: moved(encoder.bert, device)
        return encoder

    monkeypatch.setattr(doctor, "load_encoder", load_movable)
    monkeypatch.setattr(PackedBatch, "to", lambda batch, device: batch)
    ok, text = doctor._device("mps")
    assert ok is same and text.startswith("mps") and ("--device cpu" in text) is not same


@pytest.mark.parametrize(("fast", "word"), [(True, "bfloat16"), (False, "float32")])
def test_the_precision_that_auto_means_here_is_told(monkeypatch, fast, word):
    monkeypatch.setattr(doctor, "fast_bfloat16", lambda device: fast)
    ok, text = doctor._precision("cpu")
    assert ok and text.endswith(word if not fast else "uses it")


@pytest.mark.parametrize(
    ("seconds", "words"), [({1: 2.0, 2: 1.0}, "2.0 times"), ({1: 1.0, 2: 1.0}, "OMP_NUM_THREADS=1")]
)
def test_threads_that_gain_nothing_are_told(monkeypatch, seconds, words):
    clock, linear = [0.0], doctor.linear

    def timed(*arguments):
        clock[0] += seconds[torch.get_num_threads()]
        return linear(*arguments)

    monkeypatch.setattr(doctor, "linear", timed)
    monkeypatch.setattr(doctor.time, "perf_counter", lambda: clock[0])
    with doctor.torch_threads(2):
        ok, text = doctor._threads()
    assert ok and text.startswith("2, ") and words in text
    with doctor.torch_threads(1):
        assert doctor._threads() == (True, "1")


def test_memory_that_is_too_little_for_one_notebook_alone_is_no_failure(monkeypatch):
    monkeypatch.setattr(doctor, "_MOST_GB", 1e6)
    ok, text = doctor._memory()
    assert ok and "notebook 12" in text
