"""What the commands print and write."""

import hashlib
import json
import re
import subprocess
import sys

import pandas as pd
import pytest

from mtbert import RECIPES, __version__, open_run
from mtbert.data import get_task, read_split
from mtbert.training.recipe import Recipe, settings


def scores_in(line: str) -> dict[str, float]:
    """The scores in "sst 0.1234, sts 0.5678"."""
    return {name: float(value) for name, value in (part.split() for part in line.split(", "))}


GROUPS = {
    "data": ["check", "fetch"],
    "bench": ["step", "surgery", "ladder", "notebooks"],
    "classroom": ["release", "slides", "grade"],
}


def test_every_command_has_a_help_with_an_example(mtbert):
    commands = re.findall(r"^  ([a-z]+)  ", mtbert("--help").out.partition("Commands:")[2], re.MULTILINE)
    assert len(commands) == 21 and mtbert("--version").out == f"mtbert {__version__}\n"
    for command in commands:
        for words in [[command, name] for name in GROUPS.get(command, [])] or [[command]]:
            result = mtbert(*words, "--help")
            assert result.code == 0 and re.search(rf"Examples?:\s+mtbert {' '.join(words)}", result.out)


@pytest.mark.parametrize(
    "line", ["trian", "train", "train tiny --epochs 3", "predict run", "data chekc", "submit run", "-vq doctor"]
)
def test_wrong_usage_has_exit_code_2(mtbert, line):
    result = mtbert(*line.split())
    assert result.code == 2 and "Usage" in result.err and "Traceback" not in result.err


def test_a_process_runs_from_any_folder_and_reports_a_mistake_on_one_line(tmp_path):
    command = [sys.executable, "-m", "mtbert", "train", "tiny", "--set", "lr=-1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "") and done.stderr.startswith("mtbert: lr is -1")
    assert done.stderr.count("\n") == 1 and list(tmp_path.iterdir()) == []


def test_the_doctor_finds_everything(mtbert):
    lines = mtbert("doctor").out.splitlines()
    assert len(lines) == 12 and all(line.startswith("[ OK ] ") for line in lines)


def test_data_check_shows_every_file_with_rows_and_sha256(mtbert, sample):
    result = mtbert("data", "check", "--data", sample)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("data: data/sample\n") and "no rows shared between splits" in result.out
    lines = [line.split() for line in result.out.splitlines()]
    for path in sample.glob("*.csv"):
        (row,) = [line for line in lines if line[:1] == [path.name]]
        assert int(row[1]) == len(path.read_text(encoding="utf-8").splitlines()) - 1
        assert [hashlib.sha256(path.read_bytes()).hexdigest(), path.name] in lines


def test_recipes_lists_names_what_sets_them_apart_and_the_reports_figures(mtbert):
    out = mtbert("recipes").out
    assert all(f"{name}: {entry.about}\n" in out for name, entry in RECIPES.items())
    assert "printed (Table 1, dev): sst 0.39, quora 0.702, sts 0.457, overall 0.516 (plain)\n" in out
    assert "overall 0.639 (no mean of these); the three scores give 0.642\n" in out
    about, common, *rest = mtbert("recipes", "li-tang").out.splitlines()
    assert about.startswith("# li-tang: Li & Tang: ") and "encoder=bert-base-uncased" in common
    names = [line.split(":")[0] for line in rest if not line.startswith(" ")]
    assert names == [name for name in RECIPES if name.startswith("li-tang/")]
    assert "    surgery=pcgrad, head_dropout=0.5" in rest and not any("encoder=" in line for line in rest)


def test_changes_are_listed_as_set_takes_them(mtbert):
    """For every recipe of ours, from the default one: nothing is missing, and nothing else is listed."""
    lines = iter(mtbert("recipes").out.splitlines())
    for line in lines:
        if line.startswith("#"):
            break
        name, listed = line.split(":")[0], next(lines).strip()
        changes = {} if listed == "no changes" else settings(re.split(r", (?=[a-z_.]+=)", listed))
        assert not Recipe().replace(**changes).differences(RECIPES[name].recipe), name


def test_train_logs_its_data_and_prints_scores_and_folder(train, tmp_path):
    result = train("--set", "tasks=sts", "--set", "name=5", "--out", tmp_path / "run")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0] == "data: data/sample" and lines[-1] == f"run: {tmp_path / 'run'}"
    assert scores_in(lines[-2].removeprefix("best epoch 1: ")).keys() == {"sts", "plain", "normalised"}
    assert open_run(tmp_path / "run").recipe.name == "5"


def test_a_run_leaves_its_record_its_weights_and_its_dev_predictions(trained, sample):
    run = open_run(trained)
    assert run.finished and run.recipe.name == "tiny" and run.recipe.train_rows == 40
    files = {path.relative_to(trained).as_posix() for path in trained.rglob("*") if path.is_file()}
    assert {"run.json", "recipe.json", "heads.safetensors", "encoder/model.safetensors"} <= files
    assert not [name for name in files if "checkpoint" in name or name.endswith(".part")]
    ids = pd.read_csv(trained / "predictions" / "sts-dev.csv", dtype=str)["id"]
    assert list(ids) == [example.id for example in read_split(sample, get_task("sts"), "dev").examples]


def test_a_finished_run_is_not_trained_again(mtbert, train, trained, sample):
    before = (trained / "run.json").read_bytes()
    by_file = mtbert("train", trained / "recipe.json", "--no-progress", "--data", sample, "--out", trained)
    for result in (train("--out", trained), by_file):
        assert result.code == 0 and "nothing to do" in result.out
    assert (trained / "run.json").read_bytes() == before


def test_evaluate_gives_the_scores_of_the_best_epoch_and_quietly_nothing_else(mtbert, trained, sample):
    result = mtbert("-q", "evaluate", trained, "--data", sample)
    assert (result.code, result.err) == (0, "")
    assert scores_in(result.out.strip()) == pytest.approx(open_run(trained).scores, abs=1e-3)


def test_results_is_a_table_and_a_recorded_run_replaces_only_its_older_row(mtbert, trained, copied, results_dir):
    record = json.loads((copied / "run.json").read_text())
    record["recipe"]["seed"] = 5
    (copied / "run.json").write_text(json.dumps(record))
    for run in (trained, copied, trained):
        result = mtbert("results", run, "--record", "mine")
        assert result.code == 0 and f"recorded in {results_dir / 'mine.csv'}" in result.out
    header, row = (line.split() for line in result.out.splitlines()[:2])
    plain = float(dict(zip(header, row, strict=True))["plain"])
    assert plain == pytest.approx(open_run(trained).scores["plain"], abs=1e-4)
    table = pd.read_csv(results_dir / "mine.csv")
    assert sorted(table["seed"]) == [0, 5] and table["plain"].notna().all()
    assert "| `tiny` |" in mtbert("costs").out and "| `tiny` |" not in mtbert("costs", "mixed").out


def test_the_name_of_a_table_may_have_its_ending(mtbert, trained, sample, results_dir):
    for name in ("mine", "mine.csv"):
        assert f"recorded in {results_dir / 'mine.csv'}\n" in mtbert("results", trained, "--record", name).out
    assert [path.name for path in results_dir.iterdir()] == ["mine.csv"]
    assert len(pd.read_csv(results_dir / "mine.csv")) == 1
    result = mtbert("confusion", trained, trained, "--data", sample, "--record", "counts.csv")
    assert result.code == 0 and {path.name for path in results_dir.glob("counts*")} <= {
        "counts.csv",
        "counts_pairs.csv",
    }


def test_confusion_prints_matrices_and_keeps_counts_and_calibration(mtbert, mistake, trained, sample, results_dir):
    arguments = ["confusion", trained, "--data", sample, "--calibration"]
    result = mtbert(*arguments, "sst", "--record", "counts")
    assert result.code == 0 and ", quora, " in result.out and "precision" in result.out
    for name in ("counts", "calibration"):
        assert f"recorded in {results_dir / name}.csv" in result.out and (results_dir / f"{name}.csv").exists()
    assert set(pd.read_csv(results_dir / "calibration.csv").task) == {"sst"}
    assert "'sts'" in mistake(*arguments, "sts")


def test_claims_compares_the_rows_of_a_report(mtbert, mistake, trained, sample, tmp_path, results_dir):
    runs = [tmp_path / "sts-concat", tmp_path / "sts-triplet"]
    for run in runs:
        options = ["--scale", "demo", "--set", "encoder=tiny", "--no-progress", "--data", sample, "--out", run]
        assert mtbert("train", f"marchini-callon-cussen/{run.name}", *options).code == 0
    line = mtbert("claims", *runs, "--data", sample, "--record").out.splitlines()[1]
    assert line.startswith("marchini-callon-cussen/sts-triplet s0 against marchini-callon-cussen/sts-concat s0, sts: ")
    difference = open_run(runs[1]).scores["sts"] - open_run(runs[0]).scores["sts"]
    assert f" {difference:+.3f}" in line and "(100 rows)" in line
    assert list(pd.read_csv(results_dir / "claims.csv").metric) == ["sts"]
    assert str(trained) not in mistake("claims", trained, "--data", sample)


def test_predict_writes_id_and_prediction_for_every_row_and_reads_no_labels(mtbert, trained, few, tmp_path):
    labelled = tmp_path / "labelled.csv"
    labelled.write_text(
        few.read_text().replace("2\n", "2\tsimilarity\n").replace("cats", "cats\t").replace("runs", "runs\tmuch")
    )
    outputs = [tmp_path / "deep" / "few.csv", tmp_path / "out.csv"]
    for source, out in zip((few, labelled), outputs, strict=True):
        result = mtbert("predict", trained, "--task", "sts", source, out)
        assert (result.code, result.out, result.err) == (0, f"2 predictions in {out}\n", "")
    table = pd.read_csv(outputs[0])
    assert list(table) == ["id", "prediction"] and list(table["id"]) == ["x7", "y8"] and table["prediction"].max() <= 5
    assert outputs[0].read_bytes() == outputs[1].read_bytes()


def test_predictions_on_dev_are_those_the_run_wrote(mtbert, trained, sample, tmp_path):
    assert mtbert("predict", trained, "--task", "quora", sample / "quora-dev.csv", tmp_path / "out.csv").code == 0
    assert (tmp_path / "out.csv").read_bytes() == (trained / "predictions" / "quora-dev.csv").read_bytes()


def test_predict_counts_truncated_texts(mtbert, trained, tmp_path):
    source, target = tmp_path / "long.csv", tmp_path / "out.csv"
    source.write_text("id\tsentence\na\tshort\nb\t" + "long " * 200 + "\n", encoding="utf-8")
    result = mtbert("predict", trained, "--task", "sst", source, target)
    assert result.code == 0 and re.search(r"long\.csv: 1 of 2 .* 128 tokens", result.out)
    assert len(target.read_text(encoding="utf-8").splitlines()) == 3


@pytest.fixture
def bench(mtbert, sample):
    """Runs a bench of one step on sample data, and returns the lines of its table, without its head."""

    def run(name: str, *arguments) -> list[str]:
        options = ["--data", sample, "--encoder", "tiny", "--steps", 1, *arguments]
        result = mtbert("-q", "bench", name, *options)
        assert result.code == 0
        return result.out.splitlines()[1:]

    return run


def test_bench_step_shows_every_side_with_its_lead_and_its_share_of_the_peak(bench):
    rows = [line.split() for line in bench("step", "--batch", 2, "--tasks", "sst")]
    assert [row[0] for row in rows] == ["sst"] * 5
    assert [row[1].rstrip(",") for row in rows] == ["mtbert"] * 2 + ["transformers"] * 3
    assert sum(row.count("x") for row in rows) == 3 and all(
        row[-2].endswith("%") or row[-1].endswith("%") for row in rows
    )


def test_bench_step_shows_what_adapters_cost(bench):
    rows = [line.split() for line in bench("step", "--batch", 2, "--tasks", "sst", "--adapters", "pal, lora")]
    assert [row[:2] for row in rows] == [["sst", "none"], ["sst", "pal"], ["sst", "lora"]]
    assert rows[0][3] == "1.00" and all(float(row[3]) > 0 for row in rows)


def test_bench_surgery_shows_all_sides_as_ratios_to_the_plain_sum(bench):
    rows = [line.split() for line in bench("surgery", "--batch", "2,3,2")]
    ratios = {" ".join(row[:-3]): float(row[-2].rstrip("x")) for row in rows if row[-1].isdigit()}
    assert list(ratios) == ["plain sum", "surgery", "TorchJD", "textbook"]
    assert ratios["plain sum"] == 1 and all(ratio > 0 for ratio in ratios.values())


def test_bench_ladder_shows_every_rung_and_records_it(bench, tmp_path, monkeypatch):
    from mtbert.bench import ladder

    monkeypatch.setattr("mtbert.utils.paths.RESULTS", tmp_path)
    lines = bench("ladder", "--batch", "2,3,2", "--record")
    assert [line[:25].strip() for line in lines[:-1]] == list(ladder.RUNGS) == list(ladder.recorded().rung)
    assert lines[-1].startswith("recorded in")
