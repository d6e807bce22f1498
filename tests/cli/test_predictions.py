"""predict, evaluate, submit and claims on files of predictions, and what results makes of folders that hold no run."""

import hashlib
import io
import json
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from mtbert.experiments.results import read_table


def scores_in(line: str) -> dict[str, float]:
    """The scores in "sst 0.1234, sts 0.5678"."""
    return {name: float(value) for name, value in (part.split() for part in line.split(", "))}


@pytest.fixture(scope="module")
def data(first_rows):
    """A folder with a few rows of each sample file."""
    return first_rows("sst", "quora", "sts", train=40, dev=40, test=20)


@pytest.fixture
def second(copied):
    """A second run, with the weights of the first."""
    record = json.loads((copied / "run.json").read_text())
    record["recipe"]["seed"] = 1
    (copied / "run.json").write_text(json.dumps(record))
    return copied


@pytest.fixture
def submitted(mtbert, trained, data, tmp_path):
    """The folder of a submission."""
    assert mtbert("submit", trained, "--data", data, "--out", tmp_path / "sub").code == 0
    return tmp_path / "sub"


def test_submit_writes_a_file_for_each_set_once(mtbert, mistake, trained, data, tmp_path):
    out = tmp_path / "out"
    arguments = ["submit", trained, "--data", data, "--out", out]
    _, *files, dev, last = mtbert(*arguments, "--zip").out.splitlines()
    assert last == f"6 files, predictions.zip and predictions.json in {out}" and len(files) == 6
    checksum = hashlib.sha256((out / "sts-test-output.csv").read_bytes()).hexdigest()
    assert f"sts-test-output.csv: 20 rows, sha256 {checksum}" in files
    assert any(line.startswith("sts-dev-output.csv: 40 rows, Pearson r ") for line in files)
    assert scores_in(dev.removeprefix("dev: ")).keys() == {"sst", "quora", "sts", "plain", "normalised"}
    assert (out / "para-test-output.csv").read_text().startswith("id \t Predicted_Is_Paraphrase \n")
    assert "--force" in mistake(*arguments)
    assert mtbert(*arguments, "--force").code == 0
    assert mtbert(*arguments, "--format", "csv").code == 2


@pytest.mark.parametrize("file_format", ["course", "plain"])
def test_evaluate_scores_submitted_files_like_the_run_that_wrote_them(mtbert, trained, data, tmp_path, file_format):
    out = tmp_path / "out"
    assert mtbert("submit", trained, "--data", data, "--out", out, "--format", file_format).code == 0
    of_run = mtbert("-q", "evaluate", trained, "--data", data).out.strip()
    *lines, last = mtbert("-q", "evaluate", "--predictions", out, "--data", data).out.splitlines()
    assert last == f"{out}: {of_run}"
    assert len(lines) == 6 and sum(line.endswith("20 rows, no labels") for line in lines) == 3


def test_evaluate_tells_what_an_ensemble_adds(mtbert, mistake, trained, second, data):
    result = mtbert("evaluate", trained, second, "--data", data)
    assert (
        result.code == 0 and result.out.splitlines()[-1] == mtbert("-q", "evaluate", trained, "--data", data).out[:-1]
    )
    gains = [line for line in result.out.splitlines() if "together" in line]
    assert [line.split(":")[0] for line in gains] == ["sst", "quora", "sts"]
    assert all(str(trained) in line and str(second) in line and "+0.0000" in line for line in gains)
    assert "given twice" in mistake("evaluate", trained, trained, "--data", data)
    assert "leave out --predictions" in mistake("evaluate", "--predictions", trained, "--record", "x", "--data", data)
    assert "leave out --predictions" in mistake("evaluate", "--predictions", trained, "--both-orders", "--data", data)
    assert "no name of a table" in mistake("evaluate", trained, "--record", "a/b", "--data", data)


def test_claims_compares_files_of_predictions_with_those_of_the_first_folder(mtbert, mistake, submitted, data):
    other = shutil.copytree(submitted, submitted.with_name("other"))
    lines = (other / "sst-dev-output.csv").read_text().splitlines(keepends=True)
    (other / "sst-dev-output.csv").write_text(lines[0] + "".join(f"{line.split()[0]} , 2 \n" for line in lines[:0:-1]))
    result = mtbert("claims", "--predictions", submitted, other, "--data", data)
    compared = {line.split(",")[1].split(":")[0].strip(): line for line in result.out.splitlines()[1:]}
    assert compared.keys() == {"sst", "quora", "sts", "plain", "normalised"}
    assert compared["sst"].startswith(f"{other} against {submitted}, sst: ") and "(40 rows)" in compared["sst"]
    assert "+0.0000, +0.0000 to +0.0000" in compared["quora"]
    assert "second" in mistake("claims", "--predictions", submitted, "--data", data)
    assert mtbert("claims", "--predictions", submitted, other, "--record").code == 2
    (other / "sst-dev-output.csv").write_text("".join(lines[:-1]))
    line = mistake("claims", "--predictions", submitted, other, "--data", data)
    assert f"{other / 'sst-dev-output.csv'} has no line for id " in line


def test_predict_reads_standard_input_and_writes_only_predictions_to_standard_output(
    mtbert, trained, few, tmp_path, monkeypatch
):
    assert mtbert("predict", trained, "--task", "sts", few, tmp_path / "out.csv").code == 0
    long = few.read_text() + "z9\t" + "long " * 200 + "\tshort\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(long.encode())))
    result = mtbert("predict", trained, "--task", "sts", "-", "-")
    assert result.code == 0 and result.out.startswith((tmp_path / "out.csv").read_text())
    assert len(result.out.splitlines()) == 4 and "128 tokens" in result.err


def test_a_link_is_kept_and_what_it_points_to_is_written(mtbert, mistake, trained, few, tmp_path):
    link, target, loop = tmp_path / "link.csv", tmp_path / "target.csv", tmp_path / "loop.csv"
    link.symlink_to(target)
    loop.symlink_to(loop)
    arguments = ["predict", trained, "--task", "sts", few]
    assert f"{link} exists" in mistake(*arguments, link) and not target.exists()
    for _ in range(2):  # a dangling link, and one to a file
        assert mtbert(*arguments, link, "--force").code == 0
        assert link.is_symlink() and not target.is_symlink() and target.read_text().startswith("id,prediction\n")
    assert "not a regular file" in mistake(*arguments, loop, "--force")


def test_a_name_that_the_terminal_cannot_show_is_escaped(trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "\u0442\u0435\u0441\u0442" / "run")
    (folder.parent / "\u0442").mkdir()
    for command in (["results", folder, folder.parent / "\u0442"], ["evaluate", folder.parent]):
        done = subprocess.run(
            [sys.executable, "-m", "mtbert", *command],
            capture_output=True,
            timeout=120,
            env={"PYTHONIOENCODING": "cp1252", "PYTHONPATH": ":".join(sys.path)},
            check=False,
        )
        assert b"Traceback" not in done.stderr and b"\\u0442" in done.stdout + done.stderr
        assert done.returncode == (command[0] == "evaluate")


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"recipe": null, "status": "finished", "epochs": [], "best_epoch": 0}']
)
def test_results_names_a_damaged_record_and_shows_and_records_the_others(
    mtbert, trained, tmp_path, results_dir, content
):
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "run.json").write_text(content)
    result = mtbert("results", tmp_path / "damaged", trained, "--record", "mine")
    assert result.code == 1 and "tiny" in result.out and len(read_table(results_dir / "mine.csv")) == 1
    assert result.err.startswith(f"mtbert: {tmp_path / 'damaged' / 'run.json'} ") and result.err.count("\n") == 1


def test_results_leaves_out_what_holds_no_run_but_misses_what_does_not_exist(mtbert, mistake, trained, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "run.log").write_text("log")
    result = mtbert("results", trained, tmp_path / "notes", tmp_path / "run.log")
    assert (result.code, result.err) == (0, "") and "notes, run.log" in result.out
    assert "notes holds no run" in mistake("results", tmp_path / "notes")
    missing = mtbert("results", trained, tmp_path / "none")
    assert missing.code == 1 and f"{tmp_path / 'none'} does not exist" in missing.err and "tiny" in missing.out


def test_results_finds_the_runs_of_a_notebook_below_its_folder(mtbert, copied, tmp_path):
    shutil.copytree(copied, tmp_path / "05_multitask/demo-minilm/main")
    result = mtbert("results", tmp_path / "05_multitask", copied, copied)
    assert result.code == 0 and len(result.out.splitlines()) == 3


@pytest.mark.parametrize("name", ["NA", "None", "007", "1e5", "nan"])
def test_a_recipe_of_any_name_is_recorded_beside_others_and_keeps_its_name(mtbert, copied, results_dir, name):
    record = json.loads((copied / "run.json").read_text())
    for recipe in (name, "other", name):
        record["recipe"]["name"] = recipe
        (copied / "run.json").write_text(json.dumps(record))
        result = mtbert("results", copied, "--record", "mine")
        assert result.code == 0 and recipe in result.out.splitlines()[1].split()
    assert list(read_table(results_dir / "mine.csv").recipe) == [name, "other"]
    assert pd.read_csv(results_dir / "mine.csv", dtype=str, keep_default_na=False).recipe[0] == name
    assert f"| `{name}` |" in mtbert("costs", name).out


def test_a_table_is_recorded_only_beside_the_others(mistake, trained, results_dir):
    assert "'../mine'" in mistake("results", trained, "--record", "../mine")
    assert not (results_dir.parent / "mine.csv").exists()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("claim,row\na,b\n", "is another table, without the column 'recipe'"),
        ("recipe,seed,encoder,data_sha256,fields\na,0,b,c,{\n", "has a row that is no run"),
    ],
)
def test_a_table_of_other_things_or_a_damaged_one_is_left_alone(mistake, trained, results_dir, content, problem):
    (results_dir / "mine.csv").write_text(content)
    assert f"{results_dir / 'mine.csv'} {problem}" in mistake("results", trained, "--record", "mine")
    assert (results_dir / "mine.csv").read_text() == content
