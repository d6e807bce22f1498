"""A pleasant command line: examples in every help, hints for typing mistakes, lines that fit a terminal."""

import os
import shutil
import subprocess
import sys

import pytest
import typer

from mtbert.cli.main import app

COLUMNS = 100


def commands(command, name="mtbert"):
    """Every command and group by its full name."""
    yield name, command
    for child_name, child in getattr(command, "commands", {}).items():
        yield from commands(child, f"{name} {child_name}")


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_an_example_of_the_command_itself(name):
    epilog = COMMANDS[name].epilog
    assert "Example" in epilog and name in epilog


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("train mixd", "did you mean 'mixed'?"),
        ("costs mixd", "did you mean 'mixed'?"),
        ("costs nope", "unknown recipe 'nope'"),
        ("train nope", "unknown recipe 'nope'"),
        ("sweep nope", "unknown recipe 'nope'"),
    ],
)
def test_an_unknown_recipe_is_an_error_with_a_hint_and_no_list(mistake, sample, line, words):
    message = mistake(*line.split())
    assert words in message and len(message) < 120


def test_an_unknown_command_is_wrong_usage_with_a_hint(mtbert):
    result = mtbert("trian")
    assert result.code == 2 and "'train'" in result.err


def test_a_device_is_checked_also_where_there_is_nothing_to_do(train, trained):
    assert "device 'abacus'" in train("--out", trained, "--device", "abacus").check_mistake()


def test_epoch_lines_of_four_tasks_fit_the_terminal(mtbert, few_rows, tmp_path):
    settings = ["tasks=sst,quora,sts,cfimdb", "steps_per_epoch=1", "epochs=1", "num_layers=1"]
    options = [option for setting in settings for option in ("--set", setting)]
    result = mtbert("train", "tiny", *options, "--data", few_rows, "--out", tmp_path / "run", "--no-progress")
    epoch = result.out.partition("epoch 1/1: ")[2].partition(" s\n")[0]
    assert all(f"{task} " in epoch for task in ("loss sst", "dev sst", "cfimdb", "plain", "normalised"))
    assert max(map(len, epoch.splitlines())) <= COLUMNS - len("epoch 1/1: ")


def test_the_shell_completes_commands_and_options():
    for words, expected in {"mtbert tra": "train", "mtbert train --sc": "--scale"}.items():
        position = str(len(words.split()) - 1)
        env = os.environ | {"_MTBERT_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": position}
        code = "import sys; sys.argv = ['mtbert']; from mtbert.__main__ import main; main()"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
        assert done.stdout.split() == [expected]


def test_the_lines_of_data_check_fit_the_terminal(mtbert, sample):
    assert max(map(len, mtbert("data", "check", "--data", sample).out.splitlines())) <= COLUMNS


def test_without_the_project_every_command_says_what_is_missing(mtbert, mistake, monkeypatch, tmp_path, trained):
    for name in ("SAMPLE", "MODELS", "REPORTS", "RESULTS"):
        monkeypatch.setattr(f"mtbert.utils.paths.{name}", tmp_path / name)  # as in a wheel
    for line in ("start here", "recipes yin", "costs", "claims yin", "sweep yin", "progress .", "classroom release x"):
        assert "pip install -e ." in mistake(*line.split())
    for line in (["ask", "A film."], ["train", "tiny", "--out", tmp_path / "run", "--no-progress"]):
        result = mtbert(*line)
        assert result.code == 1 and "pip install -e ." in result.err.splitlines()[0]
    result = mtbert("ask", "A film.", "--model", trained)  # what needs nothing of it works
    assert result.code == 0 and "sentiment" in result.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["submit", "run", "--out", ""], "value of --out"),
        (["train", "tiny", "--data="], "value of --data"),
        (["ask", "A film.", "--model", " "], "value of --model"),
        (["ask", "", "--model", "workbook"], "text 1"),
        (["-q", "ask", ""], "text 1"),
        (["-q", "results", ""], "argument of results"),
        (["results", ""], "argument of results"),
        ([""], "argument"),
    ],
)
def test_an_empty_argument_is_not_the_current_folder(mistake, monkeypatch, tmp_path, arguments, words):
    monkeypatch.chdir(tmp_path)
    message = mistake(*arguments)
    assert words in message and "is empty" in message
    assert not [*tmp_path.iterdir()]


def test_a_bundle_without_wheels_is_asked_for_by_an_empty_list(mistake, tmp_path):
    arguments = ["bundle", tmp_path / "there", "--wheels", "", "--data", tmp_path / "none"]
    assert "none (from --data) does not exist" in mistake(*arguments)


def test_recipes_are_listed_without_the_tables_of_the_reports(mtbert, monkeypatch, tmp_path):
    printed = mtbert("recipes", "yin").out.splitlines()
    monkeypatch.setattr("mtbert.utils.paths.REPORTS", tmp_path)
    result = mtbert("recipes", "yin")
    assert result.code == 0 and f"{tmp_path} holds no tables" in result.out
    assert result.out.splitlines()[1:] == [line for line in printed if "printed (" not in line]


@pytest.mark.skipif(not shutil.which("sh"), reason="needs a shell")
@pytest.mark.parametrize(
    ("text", "closed", "code"), [("", "<&-", 1), ("A film.", "<&- >&-", 0), ("A film.", "2>&-", 0)]
)
def test_a_closed_stream_is_an_empty_one(trained, text, closed, code):
    command = [sys.executable, "-m", "mtbert", "ask", "--model", str(trained), *([text] if text else [])]
    shell = ["sh", "-c", f'"$@" {closed}', "sh", *command]
    done = subprocess.run(shell, input="", capture_output=True, text=True, timeout=120)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)
    assert ("standard input holds no text" in done.stderr) == (code == 1)


def test_a_file_in_the_place_of_a_folder_is_named_with_what_to_do(mistake, trained, few, tmp_path):
    (tmp_path / "file").write_text("x")
    for line in (["start", tmp_path / "file/new"], ["predict", trained, few, tmp_path / "file/o.csv", "--task", "sts"]):
        message = mistake(*line)
        assert str(tmp_path / "file") in message and "choose another" in message
