"""The doctor's findings, and what notebooks cost."""

import importlib.metadata
import sys

import nbformat
import pandas as pd
import pytest

from mtbert.bench import notebooks as bench_notebooks
from mtbert.utils import paths
from mtbert.utils.errors import UserError
from mtbert.workbook import doctor as environment
from mtbert.workbook.doctor import Finding, inspect_environment


def finding(thing: str) -> Finding:
    return next(each for each in inspect_environment() if each.thing == thing)


def test_here_everything_is_in_place():
    findings = inspect_environment()
    assert all(each.ok for each in findings), [str(each) for each in findings]
    assert all(str(each).startswith("[ OK ] ") for each in findings)


def test_a_missing_and_an_old_package_are_named_with_what_to_do(monkeypatch):
    known = importlib.metadata.version

    def version(name):
        if name == "tqdm":
            raise importlib.metadata.PackageNotFoundError
        return "1.0" if name == "pandas" else known(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    found = finding("packages")
    assert not found.ok
    assert "tqdm is missing" in found.text and "pandas is 1.0, but >=2.1 is needed" in found.text
    assert "pip install -r requirements.txt" in found.text and str(found).startswith("[FAIL] packages: ")


def test_a_package_that_is_only_on_the_path_is_told_to_be_installed(monkeypatch):
    def nowhere(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", nowhere)
    assert environment._packages() == (False, "mtbert itself is not installed: pip install -r requirements.txt")


def test_missing_sample_data_and_an_old_python_are_found(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "SAMPLE", tmp_path)
    assert not finding("sample data").ok
    monkeypatch.setattr(sys, "version_info", (3, 9))
    assert "install Python 3.11" in finding("Python").text


def test_too_little_memory_is_said(monkeypatch):
    monkeypatch.setattr(environment, "_NEEDED_GB", 1e6)
    assert "close other programs" in finding("memory").text


@pytest.fixture
def notebook_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(bench_notebooks, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(paths, "RESULTS", tmp_path)
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    for name, source in (("01_fine", "x = bytearray(200_000_000)"), ("02_broken", "1 / 0")):
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)], metadata=kernel)
        nbformat.write(book, tmp_path / f"{name}.ipynb")
    return tmp_path


def test_a_notebooks_time_and_memory_are_those_of_its_kernel(notebook_folder):
    (found,) = bench_notebooks.measure(bench_notebooks.notebooks("01"))
    assert found["notebook"] == "01_fine" and found["seconds"] > 0 and found["peak_memory_mb"] > 200
    assert bench_notebooks.recorded().empty
    bench_notebooks.record(found)
    bench_notebooks.record({**found, "seconds": 5.0})
    assert list(bench_notebooks.recorded().seconds) == [5.0]


def test_a_notebook_that_fails_is_named(notebook_folder):
    with pytest.raises(UserError, match="02_broken.ipynb fails: .*division by zero"):
        list(bench_notebooks.measure(bench_notebooks.notebooks("02")))
    with pytest.raises(UserError, match="begins with '07'"):
        bench_notebooks.notebooks("07")


def test_every_numbered_notebook_would_be_measured():
    names = {path.name for path in bench_notebooks.notebooks()}
    assert names == {path.name for path in (paths.ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")}
    assert isinstance(bench_notebooks.recorded(), pd.DataFrame)
