"""The examples in the help and the commands in the README work as they are written."""

import re
import shlex
import shutil
import sys

import pytest
import typer

from mtbert import RECIPES, recipe
from mtbert.bench.notebooks import recorded
from mtbert.cli.main import app
from mtbert.experiments.recipes.entry import Entry
from mtbert.utils import paths

LINE = re.compile(r"^ *(?:Example: |cat \S+ \| |(?=mtbert))mtbert (.*)$", re.MULTILINE)
IN_README = re.compile(r"^(?:[^`]*&& )?python -m mtbert (.*)$", re.MULTILINE)
PARSED_ONLY = {
    "data fetch": "needs a network",
    "sweep": "trains a report's runs",
    "export": "needs a run with a frozen encoder",
    "bundle": "packs an encoder and wheels",
    "bench": "takes minutes",
    "classroom": "has tests of its own",
    "progress": "has tests of its own",
    "claims": "needs the runs of a sweep",
}


def commands(command, *words):
    """Every command and group, with the words that call it."""
    yield words, command
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, *words, name)


def words_of(line: str) -> list[str]:
    """The arguments in a line, without the explanation and the redirection after them."""
    return shlex.split(re.split(r"  |, then:| > | # ", line)[0])


HELP = [line for _, command in commands(typer.main.get_command(app)) for line in LINE.findall(command.epilog or "")]
README = IN_README.findall((paths.ROOT / "README.md").read_text("utf-8"))
RUN = [line for line in HELP if not line.startswith((*PARSED_ONLY, "--"))]


@pytest.mark.parametrize("line", [*HELP, *README])
def test_an_example_has_only_commands_and_options_that_exist(line):
    called = []
    root = typer.main.get_command(app)
    for words, command in commands(root):
        if not hasattr(command, "commands"):
            command.callback = lambda words=words, **options: called.append(words)
    arguments = words_of(line)
    if arguments[0].startswith("--"):
        assert any(arguments[0] in option.opts for option in root.params)
    else:
        root.main(arguments, prog_name="mtbert", standalone_mode=False)
        [words] = called
        assert arguments[: len(words)] == [*words]


def test_the_readme_shows_what_ask_answers(mtbert):
    page = (paths.ROOT / "README.md").read_text("utf-8")
    line, shown = re.search(r"```\n\$ python -m mtbert (ask .*)\n([^`]*)```", page).groups()
    assert mtbert(*shlex.split(line)).out == shown


def test_the_readme_asks_for_the_memory_that_notebooks_take():
    page = (paths.ROOT / "README.md").read_text("utf-8")
    most, most_of_12 = re.search(r"(\d) GB of memory \(for notebook 12, (\d) GB\)", page).groups()
    for row in recorded().itertuples():
        assert row.peak_memory_mb / 1024 <= int(most_of_12 if row.notebook == "12_throughput" else most), row.notebook


@pytest.fixture
def desk(tmp_path, monkeypatch, trained):
    """A folder with what the examples name: runs, data, pairs.csv and reviews.txt."""
    for run in ("demo-s0", "mixed-s0", "mixed-s1", "best-s0", "cfimdb-s0", "sweep-yin-small/yin-s0"):
        shutil.copytree(trained, tmp_path / "runs" / run)
    (tmp_path / "data").symlink_to(paths.ROOT / "data", target_is_directory=True)
    (tmp_path / "pairs.csv").write_text("sentence1,sentence2\nA cat,The cat\n", encoding="utf-8")
    (tmp_path / "reviews.txt").write_text("A fine film.\n", encoding="utf-8")
    (tmp_path / "answer").write_text("y\n", encoding="utf-8")
    few_steps = recipe("tiny").replace(steps_per_epoch=1, epochs=1, train_rows=40)
    monkeypatch.setitem(RECIPES, "demo", Entry(few_steps, "a few steps"))
    monkeypatch.setattr(paths, "RESULTS", shutil.copytree(paths.RESULTS, tmp_path / "results"))
    monkeypatch.setattr(paths, "RUNS", tmp_path / "runs")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("line", RUN)
def test_an_example_runs(mtbert, desk, monkeypatch, line):
    arguments = [path for word in words_of(line) for path in _expanded(word, desk)]
    with open(desk / "reviews.txt") as reviews, open(desk / "answer") as answer:
        monkeypatch.setattr(sys, "stdin", reviews if "-" in arguments else answer)
        result = mtbert(*arguments)
    no_such_device = arguments[0] == "doctor" and "[FAIL] device" in result.out
    assert result.code == 0 or no_such_device, result


def _expanded(word: str, folder) -> list[str]:
    """What a shell makes of a word."""
    if word.startswith("~"):
        return [word.replace("~", str(folder), 1)]
    return sorted(str(path.relative_to(folder)) for path in folder.glob(word)) if re.search(r"[*?]$", word) else [word]
