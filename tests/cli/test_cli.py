"""The command line: what it prints, what it writes, and that a mistake is one line and exit code 1."""

import csv
import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from mtbert import RECIPES, open_run
from mtbert.bench import ladder as bench_ladder
from mtbert.cli import main as cli
from mtbert.data import get_task, read_split
from mtbert.training.recipe import Recipe, settings

TINY = ["tiny", "--set", "steps_per_epoch=2", "--set", "epochs=1", "--set", "train_rows=40", "--no-progress"]


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def mtbert(monkeypatch, capfd):
    """Runs the command line in this process."""

    def run(*arguments) -> Result:
        monkeypatch.setattr(sys, "argv", ["mtbert", *map(str, arguments)])
        capfd.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        return Result(code, *capfd.readouterr())

    return run


@pytest.fixture
def mistake(mtbert):
    """Runs a command that must fail with one line on stderr, and returns that line."""

    def run(*arguments) -> str:
        result = mtbert(*arguments)
        assert_one_line(result)
        return result.err

    return run


def assert_one_line(result) -> None:
    assert result.code == 1, result
    assert result.err.startswith("mtbert: ") and result.err.count("\n") == 1 and result.err.endswith("\n"), result.err
    assert "Traceback" not in result.err + result.out


def process(*arguments, **options) -> Result:
    """Runs ``python -m mtbert`` as a user does."""
    command = [sys.executable, "-m", "mtbert", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, **options)
    return Result(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, sample) -> Path:
    """A finished run of a few steps. Not to be changed: see ``copied``."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["mtbert", "train", *TINY, "--data", str(sample), "--out", str(folder)])
        with pytest.raises(SystemExit) as end:
            cli.main()
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


def figures(line: str) -> dict[str, float]:
    """The scores in "sst 0.1234, sts 0.5678"."""
    return {name: float(value) for name, value in (part.split() for part in line.split(", "))}


# -- data -------------------------------------------------------------------------------------------------------------


def test_data_check_shows_every_file_with_rows_and_sha256(mtbert, sample):
    result = mtbert("data", "check", "--data", sample)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("data: data/sample\n") and "no rows shared between splits" in result.out
    for path in sample.glob("*.csv"):
        (line,) = [line for line in result.out.splitlines() if line.split()[:1] == [path.name]]
        assert line.split()[-1] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_data_check_of_a_bad_file_is_a_failed_check(mistake, sample, tmp_path):
    text = (sample / "sts-dev.csv").read_text().splitlines()[:2]
    (tmp_path / "sts-dev.csv").write_text("\n".join([*text, "1\tid\tone\ttwo\t7"]))
    line = mistake("data", "check", "--data", tmp_path)
    assert "sts-dev.csv, row 2 (line 3)" in line and "'7'" in line


def test_data_check_of_an_empty_folder_is_a_failed_check(mistake, tmp_path):
    assert "none of the course's files" in mistake("data", "check", "--data", tmp_path)


@pytest.mark.parametrize("command", [["data", "check"], ["train", "tiny"]])
def test_a_missing_data_folder_is_a_mistake(mistake, tmp_path, command):
    assert f"{tmp_path / 'none'} (from --data) does not exist" in mistake(*command, "--data", tmp_path / "none")


def test_the_data_folder_may_come_from_the_environment(mistake, mtbert, monkeypatch, sample, tmp_path):
    monkeypatch.setenv("MTBERT_DATA", str(tmp_path / "none"))
    assert "from MTBERT_DATA" in mistake("data", "check")
    assert mtbert("data", "check", "--data", sample).code == 0


# -- recipes ----------------------------------------------------------------------------------------------------------


def test_recipes_lists_every_name_what_it_changes_and_the_reports_figures(mtbert):
    result = mtbert("recipes")
    assert result.code == 0
    for name, entry in RECIPES.items():
        assert f"{name}: {entry.about}\n" in result.out
    assert "printed (Table 1, dev): sst 0.39, quora 0.702, sts 0.457, overall 0.516 (plain)\n" in result.out
    assert "overall 0.639 (no mean of these); the three scores give 0.642\n" in result.out


def test_a_reports_recipes_say_what_sets_them_apart(mtbert):
    out = mtbert("recipes", "li-tang").out
    about, common, *rest = out.splitlines()
    assert about.startswith("# li-tang: Li & Tang: sequential against mixed") and "is constant in all rows" in about
    assert common.startswith("# Unless said otherwise, ") and "encoder=bert-base-uncased" in common
    assert "li-tang/mix-surgery-0.5: " in out and "    surgery=pcgrad, head_dropout=0.5\n" in out
    assert not any("encoder=" in line for line in rest)


def test_changes_are_listed_as_set_takes_them(mtbert):
    """For every recipe of ours, from the default one: nothing is missing, and nothing else is said."""
    lines = iter(mtbert("recipes").out.splitlines())
    for line in lines:
        if line.startswith("#"):
            break
        name, said = line.split(":")[0], next(lines).strip()
        changes = {} if said == "nothing else" else settings(re.split(r", (?=[a-z_.]+=)", said))
        assert not Recipe().replace(**changes).differences(RECIPES[name].recipe), name


def test_recipes_of_one_report(mtbert, mistake):
    out = mtbert("recipes", "li-tang").out
    named = [line.split(":")[0] for line in out.splitlines() if not line.startswith((" ", "#"))]
    assert named == [name for name in RECIPES if name.startswith("li-tang/")]
    assert "no recipe of 'nobody': the reports are ahmed-karamardian, cambronero-meza" in mistake("recipes", "nobody")


# -- train, evaluate, results -----------------------------------------------------------------------------------------


def test_train_says_which_data_it_used_and_where_the_run_is(mtbert, sample, tmp_path):
    result = mtbert("train", *TINY, "--set", "tasks=sts", "--data", sample, "--out", tmp_path / "run")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0] == "data: data/sample" and lines[-1] == f"run: {tmp_path / 'run'}"
    assert figures(lines[-2].removeprefix("best epoch 1: ")).keys() == {"sts", "plain", "normalised"}


def test_a_run_leaves_its_record_its_weights_and_its_dev_predictions(trained, sample):
    run = open_run(trained)
    assert run.finished and run.recipe.name == "tiny" and run.recipe.train_rows == 40
    left = {path.relative_to(trained).as_posix() for path in trained.rglob("*") if path.is_file()}
    assert {"run.json", "recipe.json", "heads.safetensors", "encoder/model.safetensors"} <= left
    assert not [name for name in left if "checkpoint" in name or name.endswith(".part")]
    for task in ("sst", "quora", "sts"):
        with (trained / "predictions" / f"{task}-dev.csv").open(newline="") as file:
            ids = [row["id"] for row in csv.DictReader(file)]
        assert ids == [each.id for each in read_split(sample, get_task(task), "dev").examples]


def test_a_finished_run_is_not_trained_again(mtbert, trained, sample):
    before = (trained / "run.json").read_bytes()
    result = mtbert("train", *TINY, "--data", sample, "--out", trained)
    assert result.code == 0 and "is finished: nothing to do" in result.out
    assert (trained / "run.json").read_bytes() == before


def test_a_runs_recipe_file_can_be_trained(mtbert, trained, sample):
    result = mtbert("train", trained / "recipe.json", "--no-progress", "--data", sample, "--out", trained)
    assert result.code == 0 and "nothing to do" in result.out


def test_evaluate_gives_the_scores_of_the_runs_best_epoch(mtbert, trained, sample):
    result = mtbert("evaluate", trained, "--data", sample)
    assert (result.code, result.err) == (0, "")
    assert figures(result.out.splitlines()[-1]) == pytest.approx(open_run(trained).scores, abs=1e-3)


def test_results_is_a_table_of_runs(mtbert, trained):
    result = mtbert("results", trained)
    head, row = (line.split() for line in result.out.splitlines())
    shown = dict(zip(head, row, strict=True))
    assert shown["recipe"] == "tiny" and float(shown["plain"]) == pytest.approx(
        open_run(trained).scores["plain"], abs=1e-4
    )


def test_a_recorded_run_replaces_its_older_row_and_no_other(mtbert, trained, copied, tmp_path, monkeypatch):
    monkeypatch.setattr("mtbert.utils.paths.RESULTS", tmp_path / "results")
    record = json.loads((copied / "run.json").read_text())
    record["recipe"]["seed"] = 5
    (copied / "run.json").write_text(json.dumps(record))
    for runs in ([trained], [copied], [trained]):
        assert mtbert("results", *runs, "--record", "mine").code == 0
    table = pd.read_csv(tmp_path / "results" / "mine.csv")
    assert sorted(table["seed"]) == [0, 5] and table["plain"].notna().all()


def test_confusion_prints_matrices_and_keeps_counts(mtbert, mistake, trained, sample, tmp_path, kept):
    result = mtbert("confusion", trained, "--data", sample, "--record", "counts")
    assert result.code == 0 and ", quora, " in result.out and "precision" in result.out
    assert f"recorded in {kept / 'counts.csv'}" in result.out and (kept / "counts.csv").exists()
    assert "holds no run" in mistake("confusion", tmp_path, "--data", sample)


def test_confusion_keeps_the_calibration_of_a_task_if_asked(mtbert, mistake, trained, sample, kept):
    result = mtbert("confusion", trained, "--data", sample, "--calibration", "sst")
    assert result.code == 0 and f"recorded in {kept / 'calibration.csv'}" in result.out
    assert set(pd.read_csv(kept / "calibration.csv").task) == {"sst"}
    assert "'sts' predicts scores" in mistake("confusion", trained, "--data", sample, "--calibration", "sts")


@pytest.mark.parametrize("command", [["data", "fetch", "--only", ""], ["pack", "there", "--tasks", ""]])
def test_no_task_at_all_does_not_stand_for_all(mistake, sample, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    assert "unknown task '': choose from" in mistake(*command, "--data", sample)
    assert not list(tmp_path.iterdir())


# -- predict ----------------------------------------------------------------------------------------------------------


def test_predict_writes_id_and_prediction_for_every_row(mtbert, trained, few, tmp_path):
    out = tmp_path / "deep" / "out.csv"
    result = mtbert("predict", trained, "--task", "sts", few, out)
    assert (result.code, result.out, result.err) == (0, f"2 predictions in {out}\n", "")
    header, *rows = list(csv.reader(out.open(newline="")))
    assert header == ["id", "prediction"] and [row[0] for row in rows] == ["x7", "y8"]
    assert all(0 <= float(row[1]) <= 5 for row in rows)


def test_predict_does_not_read_labels(mtbert, trained, few, tmp_path):
    few.with_name("labelled.csv").write_text(
        "id\tsentence1\tsentence2\tsimilarity\nx7\tOne cat\tTwo cats\t\ny8\tA dog\tThe dog runs\tmuch\n"
    )
    for name in ("in", "labelled"):
        assert mtbert("predict", trained, "--task", "sts", tmp_path / f"{name}.csv", tmp_path / f"{name}.out").code == 0
    assert (tmp_path / "in.out").read_bytes() == (tmp_path / "labelled.out").read_bytes()


def test_predictions_on_dev_are_those_the_run_wrote(mtbert, trained, sample, tmp_path):
    assert mtbert("predict", trained, "--task", "quora", sample / "quora-dev.csv", tmp_path / "out.csv").code == 0
    assert (tmp_path / "out.csv").read_bytes() == (trained / "predictions" / "quora-dev.csv").read_bytes()


def test_predict_writes_over_a_file_only_when_forced(mtbert, mistake, trained, few, tmp_path):
    out = tmp_path / "out.csv"
    out.write_text("precious")
    assert f"{out} exists" in mistake("predict", trained, "--task", "sts", few, out)
    assert out.read_text() == "precious"
    assert mtbert("predict", trained, "--task", "sts", few, out, "--force").code == 0
    assert out.read_text().startswith("id,prediction\n")


def test_submit_writes_a_file_for_each_set_once(mtbert, mistake, trained, sample, tmp_path):
    out = tmp_path / "out"
    result = mtbert("submit", trained, "--data", sample, "--out", out)
    assert result.code == 0
    data, *files, dev, last = result.out.splitlines()
    assert (data, last) == ("data: data/sample", f"6 files and predictions.json in {out}")
    checksum = hashlib.sha256((out / "sts-test-output.csv").read_bytes()).hexdigest()
    assert f"sts-test-output.csv: 200 rows, sha256 {checksum}" in files and len(files) == 6
    assert any(line.startswith("sts-dev-output.csv: 200 rows, Pearson r ") for line in files)
    assert figures(dev.removeprefix("dev: ")) == pytest.approx(open_run(trained).scores, abs=1e-3)
    assert "give another folder, or --force" in mistake("submit", trained, "--data", sample, "--out", out)
    assert mtbert("submit", trained, "--data", sample, "--out", out, "--force").code == 0
    assert mtbert("submit", trained).code == 2


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_predict_never_replaces_what_is_no_file(mistake, trained, few, tmp_path, force):
    (tmp_path / "folder").mkdir()
    assert "is no file" in mistake("predict", trained, "--task", "sts", few, tmp_path / "folder", *force)
    if Path("/dev/full").is_char_device():
        assert "is no file" in mistake("predict", trained, "--task", "sts", few, "/dev/full", *force)
        assert Path("/dev/full").is_char_device()


def test_a_full_disk_is_a_mistake_that_names_the_file_and_leaves_it_as_it_was(
    mtbert, mistake, trained, sample, tmp_path
):
    resource = pytest.importorskip("resource")
    out = tmp_path / "out.csv"
    arguments = ["predict", trained, "--task", "quora", sample / "quora-dev.csv", out]
    assert mtbert(*arguments).code == 0
    out.write_text("precious")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))  # bytes a file may have: no room for 400 lines
        line = mistake(*arguments, "--force")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(out) in line
    assert out.read_text() == "precious" and list(tmp_path.iterdir()) == [out]


# -- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("learning_rate=1", "no field 'learning_rate'"),
        ("lr=-1", "lr is -1"),
        ("lr=fast", "lr is 'fast'"),
        ("lr=1e999", "lr is inf"),
        ("lr", "write name=value"),
        ("tasks=imdb", "unknown task 'imdb'"),
        ("tasks=7", "tasks is 7"),
        ("head.imdb=linear", "head: unknown task 'imdb'"),
        ("head.sst=cosine", "head.sst: 'cosine' needs two vectors"),
        ("encoding=bi", "head.quora: 'linear' sees one vector"),
        ("batch_size.sts=0", "batch_size.sts is 0"),
        ("num_layers=99", "num_layers is 99"),
        ("max_length.quora=513", "max_length.quora is 513"),
        ("encoder=./none", "encoder './none'"),
    ],
)
def test_an_impossible_setting_is_a_mistake_before_any_training(mistake, sample, tmp_path, setting, words):
    out = tmp_path / "run"
    assert words in mistake("train", *TINY, "--set", setting, "--data", sample, "--out", out)
    assert not out.exists()


def test_a_name_that_is_a_number_is_a_name(mtbert, trained, sample):
    assert mtbert("train", *TINY, "--set", "name=5", "--data", sample, "--out", trained).code == 0


def test_an_unknown_recipe_is_a_mistake(mistake):
    assert "unknown recipe 'demmo': choose from demo" in mistake("train", "demmo")


def test_a_folder_with_a_run_of_another_recipe_is_a_mistake(mistake, trained, sample):
    before = (trained / "run.json").read_bytes()
    line = mistake("train", *TINY, "--set", "lr=0.5", "--data", sample, "--out", trained)
    assert f"{trained} holds a run of another recipe (lr is 0.5, there 0.001)" in line
    assert (trained / "run.json").read_bytes() == before


def test_a_folder_with_other_things_in_it_is_a_mistake(mistake, sample, tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    assert "is not empty and holds no run" in mistake("train", *TINY, "--data", sample, "--out", tmp_path)


def test_a_file_in_place_of_the_runs_folder_is_a_mistake(mistake, sample, few):
    assert str(few) in mistake("train", *TINY, "--data", sample, "--out", few)


def test_train_rows_that_stand_in_dev_are_a_mistake_unless_allowed(mistake, mtbert, sample, tmp_path):
    data = shutil.copytree(sample, tmp_path / "data")
    shutil.copy(data / "sts-dev.csv", data / "sts-train.csv")
    arguments = ["train", *TINY, "--set", "tasks=sts", "--data", data, "--out", tmp_path / "run"]
    line = mistake(*arguments)
    assert "200 rows also stand in sts-dev.csv" in line and "set overlap to drop" in line
    assert mtbert(*arguments, "--set", "overlap=keep").code == 0


def test_an_unavailable_device_is_a_mistake(mistake, sample, tmp_path):
    line = mistake("train", *TINY, "--data", sample, "--out", tmp_path / "run", "--device", "abacus")
    assert "device 'abacus' is not available" in line


@pytest.mark.parametrize("command", ["evaluate", "results", "predict"])
def test_a_folder_without_a_run_is_a_mistake(mistake, command, sample, few, tmp_path):
    more = {"evaluate": ["--data", sample], "results": [], "predict": ["--task", "sts", few, tmp_path / "out.csv"]}
    assert f"{tmp_path / 'none'} holds no run" in mistake(command, tmp_path / "none", *more[command])


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"recipe": {}}'])
@pytest.mark.parametrize("command", ["evaluate", "results"])
def test_a_damaged_record_is_a_mistake(mistake, command, tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    assert f"{tmp_path / 'run.json'} is " in mistake(command, tmp_path)


def test_a_run_without_a_finished_epoch_has_no_results_and_no_model(mistake, copied, sample):
    record = json.loads((copied / "run.json").read_text())
    (copied / "run.json").write_text(json.dumps({**record, "epochs": [], "best_epoch": 0, "status": "unfinished"}))
    (copied / "heads.safetensors").unlink()
    assert "no epoch" in mistake("results", copied)
    assert "no epoch of this run is finished" in mistake("evaluate", copied, "--data", sample)


@pytest.mark.parametrize("task", ["imdb", "cfimdb"])
def test_a_task_that_the_run_does_not_know_is_a_mistake(mistake, trained, few, tmp_path, task):
    assert repr(task) in mistake("predict", trained, "--task", task, few, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("name", ["encoder/model.safetensors", "heads.safetensors"])
@pytest.mark.parametrize("share", [0, 0.5])
def test_a_damaged_weight_file_is_a_mistake_that_names_it(mistake, copied, sample, name, share):
    whole = (copied / name).read_bytes()
    (copied / name).write_bytes(whole[: int(len(whole) * share)])
    assert f"{copied / name} is damaged" in mistake("evaluate", copied, "--data", sample)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_damaged_encoder_folder_is_a_mistake_that_names_the_file(mistake, copied, sample, tmp_path, name):
    path = copied / "encoder" / name
    path.write_bytes(path.read_bytes()[:100])
    line = mistake("train", *TINY, "--set", f"encoder={path.parent}", "--data", sample, "--out", tmp_path / "run")
    assert str(path) in line


def test_a_run_whose_encoder_is_gone_is_a_mistake(mistake, copied, sample):
    shutil.rmtree(copied / "encoder")
    assert f"{copied / 'encoder'} does not exist" in mistake("evaluate", copied, "--data", sample)


def test_input_that_is_missing_or_bad_is_a_mistake(mistake, trained, few, tmp_path):
    out = tmp_path / "out.csv"
    assert "none.csv does not exist" in mistake("predict", trained, "--task", "sts", tmp_path / "none.csv", out)
    few.write_text("id,sentence1\nx,One\n")
    assert "no column 'sentence2'" in mistake("predict", trained, "--task", "sts", few, out)
    assert not out.exists()


@pytest.mark.parametrize(
    "arguments",
    [["trian"], ["train"], ["train", "tiny", "--epochs", "3"], ["predict", "run"], ["data", "chekc"], ["results"]],
)
def test_wrong_usage_has_exit_code_2(mtbert, arguments):
    result = mtbert(*arguments)
    assert result.code == 2 and "Usage" in result.err and "Traceback" not in result.err


# -- as a user starts it ----------------------------------------------------------------------------------------------


def test_the_module_runs_from_any_folder(tmp_path, sample):
    result = process("data", "check", "--data", sample, cwd=tmp_path)
    assert (result.code, result.err) == (0, "") and "sha256" in result.out
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_in_a_process_is_one_line_without_traceback(tmp_path):
    result = process("train", "tiny", "--set", "lr=-1", cwd=tmp_path)
    assert_one_line(result)
    assert (result.out, result.err) == ("", "mtbert: lr is -1, but must be a number from 0 up\n")


def test_predict_says_how_many_texts_were_truncated(mtbert, trained, tmp_path):
    source, target = tmp_path / "long.csv", tmp_path / "out.csv"
    source.write_text("id\tsentence\na\tshort\nb\t" + "long " * 200 + "\n", encoding="utf-8")
    result = mtbert("predict", trained, "--task", "sst", source, target)
    assert result.code == 0 and "long.csv: 1 of 2 sequences are longer than 128 tokens and are truncated" in result.out
    assert len(target.read_text(encoding="utf-8").splitlines()) == 3


def test_the_doctor_finds_all_in_place(mtbert):
    lines = mtbert("doctor").out.splitlines()
    assert len(lines) == 8 and all(line.startswith("[ OK ] ") for line in lines)


def test_bench_step_shows_what_adapters_cost(mtbert, sample):
    said = mtbert(
        "bench",
        "step",
        "--data",
        sample,
        "--encoder",
        "tiny",
        "--steps",
        1,
        "--batch",
        2,
        "--tasks",
        "sst",
        "--adapters",
        "pal, lora",
    ).out
    rows = [line.split() for line in said.splitlines()[2:]]
    assert [row[:2] for row in rows] == [["sst", "none"], ["sst", "pal"], ["sst", "lora"]]
    assert rows[0][3] == "1.00" and all(float(row[3]) > 0 for row in rows)


def test_bench_step_refuses_an_unknown_adapter(mistake):
    assert "adapter is 'palm'" in mistake("bench", "step", "--adapters", "palm")


def test_bench_surgery_shows_all_sides_as_ratios_to_the_plain_sum(mtbert, sample):
    said = mtbert("bench", "surgery", "--data", sample, "--encoder", "tiny", "--steps", 1, "--batch", "2,3,2").out
    rows = [line.split() for line in said.splitlines() if line.endswith(tuple("0123456789"))]
    ratios = {" ".join(row[:-3]): float(row[-2].rstrip("x")) for row in rows}
    assert list(ratios) == ["plain sum", "surgery", "TorchJD", "textbook"]
    assert ratios["plain sum"] == 1 and all(ratio > 0 for ratio in ratios.values())


@pytest.mark.parametrize("bench", ["surgery", "ladder"])
@pytest.mark.parametrize("batch", ["8,32", "8,0,8", "a,b,c"])
def test_bench_of_a_mixed_step_refuses_other_batches(mistake, bench, batch):
    assert "give three whole numbers" in mistake("bench", bench, "--batch", batch)


def test_bench_ladder_shows_every_rung_and_records_it_if_asked(mtbert, sample, tmp_path, monkeypatch):
    monkeypatch.setattr(bench_ladder, "TABLE", tmp_path / "ladder.csv")
    asked = ("bench", "ladder", "--data", sample, "--encoder", "tiny", "--steps", 1, "--batch", "2,3,2")
    said = mtbert(*asked, "--record").out.splitlines()
    assert [line[:25].strip() for line in said[2:-1]] == list(bench_ladder.RUNGS)
    assert said[-1].startswith("recorded in") and list(bench_ladder.recorded().rung) == list(bench_ladder.RUNGS)


def test_claims_compares_the_rows_of_a_report(mtbert, mistake, trained, sample, tmp_path, kept):
    runs = []
    for row in ("sts-concat", "sts-triplet"):
        runs.append(tmp_path / row)
        result = mtbert(
            "train",
            f"marchini-callon-cussen/{row}",
            "--scale",
            "demo",
            "--set",
            "encoder=tiny",
            "--no-progress",
            "--data",
            sample,
            "--out",
            runs[-1],
        )
        assert result.code == 0, result.err
    result = mtbert("claims", *runs, "--data", sample, "--record")
    difference = open_run(runs[1]).scores["sts"] - open_run(runs[0]).scores["sts"]
    said = result.out.splitlines()[1]
    assert said.startswith("marchini-callon-cussen/sts-triplet s0 against marchini-callon-cussen/sts-concat s0, sts: ")
    assert f" {difference:+.3f}" in said and "(100 rows)" in said
    assert list(pd.read_csv(kept / "claims.csv").metric) == ["sts"]
    assert "no two of these runs" in mistake("claims", trained, "--data", sample)


def test_bench_notebooks_refuses_a_number_that_no_notebook_has(mistake):
    assert "begins with '99'" in mistake("bench", "notebooks", "--only", "99")
