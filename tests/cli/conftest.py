"""The command line, run in the process of the tests, and one trained run."""

import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from mtbert.cli.main import main
from mtbert.utils.logging import verbosity

TINY = ["tiny", "--set", "steps_per_epoch=2", "--set", "epochs=1", "--set", "train_rows=40", "--no-progress"]


class Result(NamedTuple):
    code: int
    out: str
    err: str

    def check_mistake(self) -> str:
        """A mistake is exit code 1 and one line on stderr, which is returned."""
        assert self.code == 1, self
        assert self.err.startswith("mtbert: ") and self.err.count("\n") == 1 and self.err.endswith("\n"), self.err
        assert "Traceback" not in self.err + self.out
        return self.err


@pytest.fixture
def mtbert(monkeypatch, capfd):
    """Runs the command line: ``mtbert("data", "check")``."""

    def run(*arguments) -> Result:
        monkeypatch.setattr(sys, "argv", ["mtbert", *map(str, arguments)])
        capfd.readouterr()
        with verbosity("info"):
            try:
                main()
                code = 0
            except SystemExit as end:
                code = end.code or 0
        return Result(code, *capfd.readouterr())

    return run


@pytest.fixture
def mistake(mtbert):
    """Runs a command that must fail with one line on stderr, and returns that line."""
    return lambda *arguments: mtbert(*arguments).check_mistake()


@pytest.fixture
def train(mtbert, sample):
    """Runs ``train`` with a few steps of the recipe tiny: ``train("--out", folder)``."""
    return lambda *arguments: mtbert("train", *TINY, "--data", sample, *arguments)


@pytest.fixture(scope="package")
def trained(tmp_path_factory, sample) -> Path:
    """A finished run of a few steps. Not to be changed: see ``copied``."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["mtbert", "train", *TINY, "--data", str(sample), "--out", str(folder)])
        with pytest.raises(SystemExit) as end:
            main()
    assert not end.value.code
    return folder


@pytest.fixture
def copied(trained, tmp_path) -> Path:
    """A copy of the run that may be damaged."""
    return shutil.copytree(trained, tmp_path / "copied")


@pytest.fixture
def few(tmp_path) -> Path:
    """A small sts file without labels."""
    path = tmp_path / "in.csv"
    path.write_text("id\tsentence1\tsentence2\nx7\tOne cat\tTwo cats\ny8\tA dog\tThe dog runs\n")
    return path
