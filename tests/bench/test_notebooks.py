"""What notebooks cost in seconds and memory."""

import sys

import nbformat
import pytest

from mtbert.bench import notebooks as bench
from mtbert.utils import paths
from mtbert.utils.errors import UserError


@pytest.fixture
def notebook_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(paths, "RESULTS", tmp_path)
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x = bytearray(200_000_000)")], metadata=kernel)
    nbformat.write(book, tmp_path / "01_large.ipynb")
    return tmp_path


def test_time_and_memory_are_those_of_the_kernel_and_a_newer_record_replaces_an_older_one(notebook_folder):
    (row,) = bench.measure(bench.notebooks("01"))
    assert (
        row["notebook"] == "01_large" and row["seconds"] > 0 and row["cpu_seconds"] > 0 and row["peak_memory_mb"] > 200
    )
    with pytest.raises(UserError, match="begins with '07'"):
        bench.notebooks("07")
    assert bench.recorded().empty
    bench.record(row)
    bench.record({**row, "seconds": 5.0})
    assert list(bench.recorded().seconds) == [5.0]


def test_a_notebook_that_fails_is_named_with_the_last_line_of_its_error(notebook_folder, monkeypatch):
    failing = notebook_folder / "python"
    failing.write_text("#!/bin/sh\necho Traceback >&2\necho 'ZeroDivisionError: division by zero' >&2\nexit 1\n")
    failing.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(failing))
    with pytest.raises(UserError, match="01_large.ipynb fails: ZeroDivisionError: division by zero"):
        list(bench.measure(bench.notebooks()))
