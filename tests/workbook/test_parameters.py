"""A notebook refuses parameters that it does not have, and deletes no run that is being trained."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from mtbert.training.interrupt import Interrupted
from mtbert.utils import paths
from mtbert.utils.errors import UserError
from mtbert.utils.files import LOCK, folder_lock
from mtbert.workbook import check_parameters, settings

DECLARED = 'seed: int = 0  # random seed\nfresh: bool = True\nlr: float = 1e-3\ndata: str = ""\n'
NOTEBOOKS = sorted((paths.ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture
def executed(monkeypatch):
    """Pretend that a kernel has executed these cells."""

    def pretend(*cells):
        shell = SimpleNamespace(user_ns={"In": ["", *cells]})
        monkeypatch.setattr("mtbert.workbook.parameters.get_ipython", lambda: shell)

    return pretend


@pytest.mark.parametrize(
    ("injected", "words"),
    [
        ("sed = 3", ("'sed'", "'seed'")),
        ("colour = 'red'", ("'colour'", "seed, fresh, lr, data")),
        ("seed = 1\nfresh = 'false'", ("fresh", "'false'", "True or False")),
        ("seed = 'one'", ("seed", "'one'", "0")),
        ("seed = True", ("seed", "True")),
        ("seed = 1.5", ("seed", "1.5")),
        ("lr = '1e-3'", ("lr", "'1e-3'", "0.001")),
        ("data = 7", ("data", "7")),
    ],
)
def test_a_parameter_that_papermill_was_given_must_exist_and_have_the_type_of_its_default(executed, injected, words):
    executed(DECLARED, f"# Parameters\n{injected}\n")
    with pytest.raises(UserError) as error:
        check_parameters()
    assert all(word in str(error.value) for word in words)
    assert "\n" not in str(error.value) and error.value._render_traceback_() == [f"Error: {error.value}"]


@pytest.mark.parametrize(
    "cells",
    [
        [DECLARED],
        [DECLARED, "# Parameters\nseed = -1\nlr = 1\ndata = 'here'\nfresh = False\n"],
        ["%matplotlib inline", "elsewhere = 1"],
        [DECLARED, "# Parameters\nseed = 3\n", "import torch\nsed = torch.zeros(3)", "%time sed"],
    ],
)
def test_parameters_of_a_notebook_pass(executed, cells):
    executed(*cells)
    check_parameters()


def test_outside_of_a_kernel_there_are_no_parameters_to_check():
    check_parameters()


@pytest.fixture
def runs(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "RUNS", tmp_path)
    return tmp_path


def test_the_folder_of_runs_is_named_after_what_decides_them(runs, tmp_path):
    def name(profile="demo", data="", **deciding):
        found = settings("05_multitask", profile, data, **deciding)
        assert found.runs.parent == runs / "05_multitask" and found.demo == (profile == "demo")
        return found.runs.name

    assert name(encoder="minilm", epochs=0, seed=0) == "demo-minilm"
    assert name(encoder="minilm", epochs=2, seed=3) == "demo-minilm-epochs2-seed3"
    folders = [str(tmp_path / "a" / "b"), str(tmp_path / "a-b"), "owner/model", "owner-model"]
    named = {name(encoder=folder) for folder in folders}
    assert len(named) == 4 and all("/" not in folder and len(folder) < 60 for folder in named)
    assert name(data=str(paths.SAMPLE)) == "demo" != name(profile="full", data=str(paths.SAMPLE))


def test_an_unknown_profile_is_refused(runs):
    with pytest.raises(UserError, match="'dmo'.*demo or full"):
        settings("05_multitask", "dmo", "")


def test_starting_over_deletes_old_runs_but_none_that_another_process_trains(runs):
    mine, other = runs / "05_multitask" / "demo-seed1", runs / "05_multitask" / "demo-seed2"
    for run in (mine / "main", mine / "head", other / "main"):
        run.mkdir(parents=True)
        (run / "checkpoint").touch()
    (mine / "head" / LOCK).touch()  # left by a process that died

    def start_over():
        settings("05_multitask", "demo", "", fresh=True, seed=1)

    with folder_lock(mine / "main"):
        program = f"from mtbert.workbook.parameters import remove_runs; remove_runs({str(mine)!r})"
        second = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert second.returncode == 1 and str(mine / "main") in second.stderr
        assert (mine / "main" / "checkpoint").exists() and (mine / "head" / "checkpoint").exists()
    start_over()
    assert not mine.exists() and (other / "main" / "checkpoint").exists()
    start_over()  # nothing to delete


def test_a_notebook_shows_an_interrupted_run_as_one_line():
    [line] = Interrupted("stopped after step 3 of 40")._render_traceback_()
    assert "step 3 of 40" in line and "\n" not in line


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_with_parameters_checks_them(notebook):
    cells = [cell for cell in json.loads(notebook.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]
    if any("parameters" in cell["metadata"].get("tags", []) for cell in cells):
        beginning = "".join("".join(cell["source"]) for cell in cells[:3])
        assert (
            "check_parameters()" in beginning
            or "setup(seed" in beginning
            or f'settings(\n    "{notebook.stem}"' in beginning.replace('settings("', 'settings(\n    "')
        )
    assert all("rmtree" not in "".join(cell["source"]) for cell in cells)


def test_papermill_stops_at_an_unknown_parameter_with_one_line(tmp_path):
    notebook = paths.ROOT / "notebooks" / "00_start_here.ipynb"
    command = [sys.executable, "-m", "papermill", str(notebook), str(tmp_path / "out.ipynb"), "-p", "sed", "3"]
    run = subprocess.run([*command, "--no-progress-bar"], capture_output=True, text=True)
    assert run.returncode == 1 and "'sed'" in run.stderr and "check_parameters()\n" not in run.stderr
