"""A user's mistake is one line on stderr and exit code 1, and destroys nothing."""

import json
import shutil
from pathlib import Path

import pytest

from mtbert.utils import paths


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("learning_rate=1", "no field 'learning_rate'"),
        ("lr=-1", "lr is -1"),
        ("lr", "write name=value"),
        ("tasks=imdb", "unknown task 'imdb'"),
        ("head.sst=cosine", "head.sst: 'cosine'"),
        ("batch_size.sts=0", "batch_size.sts is 0"),
        ("num_layers=99", "num_layers is 99"),
        ("encoder=./none", "encoder './none'"),
    ],
)
def test_an_impossible_setting_stops_before_any_training(train, tmp_path, setting, words):
    assert words in train("--set", setting, "--out", tmp_path / "run").check_mistake()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("train demmo", "unknown recipe 'demmo'"),
        ("train tiny --device abacus", "device 'abacus'"),
        ("train tiny --data none", "none (from --data)"),
        ("data check --data .", "none of the course's files"),
        ("data fetch --only ,", "unknown task ''"),
        ("bundle there --tasks ,", "unknown task ''"),
        ("recipes nobody", "'nobody': the reports are ahmed-karamardian, cambronero-meza"),
        ("evaluate none", "none holds no run"),
        ("confusion none", "none holds no run"),
        ("predict none in.csv out.csv --task sts", "none holds no run"),
        ("bench step --adapters palm", "adapter is 'palm'"),
        ("bench step --precision int8", "--precision is 'int8'"),
        ("bench surgery --batch 8,32", "--batch is '8,32'"),
        ("bench ladder --batch 8,0,8", "--batch is '8,0,8'"),
        ("bench notebooks --only 99", "'99'"),
        ("bench notebooks --only /dev/null", "'/dev/null'"),
        ("sweep tiny --profile demo --executor abacus", "executor is 'abacus'"),
        ("sweep tiny --profile demo --out /dev/null/runs", "/dev/null is not a folder"),
        ("sweep tiny --profile demo --record a/b", "'a/b' is no name of a table"),
    ],
)
def test_a_wrong_argument_is_named_and_writes_nothing(mistake, tmp_path, monkeypatch, line, words):
    monkeypatch.chdir(tmp_path)
    assert words in mistake(*line.split())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "line",
    [
        "train X",
        "train X.json",
        "train tiny --set X",
        "train tiny --set X=1",
        "train tiny --set seed=9X",
        "train tiny --set head.X=linear",
        "train tiny --set tasks=sst,sst,X",
        "train tiny --set encoder=X",
        "train tiny --device X",
        "train tiny --data X",
        "predict X in.csv out.csv --task sts",
        "results X",
        "sweep X",
        "costs X",
        "ask --model X text",
        "bench step --tasks X",
        "bench notebooks --only X",
    ],
)
def test_a_long_value_does_not_make_a_long_message(mistake, tmp_path, monkeypatch, line):
    monkeypatch.chdir(tmp_path)
    assert len(mistake(*line.replace("X", "x" * 100_000).split())) < 2000
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a/b", "../a", "a\nb", "..", ".csv", "../a.csv"])
def test_a_table_has_a_plain_name(mtbert, trained, sample, results_dir, name):
    for line in (["results", trained], ["-q", "confusion", trained, "--data", sample]):
        result = mtbert(*line, "--record", name)
        assert repr(name) in result.check_mistake() and not result.out  # before any other work
    assert not list(results_dir.iterdir())


def test_what_can_be_known_before_the_work_is_said_before_it(mtbert, trained, copied, sample, few, tmp_path):
    """No progress bar and no table comes before the one line of the mistake."""
    (copied / "heads.safetensors").unlink()
    handed_in = tmp_path / "handed in"
    (handed_in / "Ben").mkdir(parents=True)
    shutil.copy(paths.ROOT / "notebooks" / "01_attention.ipynb", handed_in / "Ben")
    lines = [
        ["submit", trained, copied, "--data", sample, "--out", tmp_path / "out"],
        ["submit", trained, "--data", sample, "--out", few / "out"],
        ["predict", trained, few, few / "out.csv", "--task", "sts"],
        ["results", trained, "--archive", tmp_path / "home.zip"],
        ["results", trained, "--archive", few / "home.tar.xz"],
        ["confusion", trained, "--data", sample, "--calibration", "sts"],
        ["classroom", "grade", handed_in, "--out", tmp_path / "grades.csv", "--report", few],
        ["classroom", "grade", handed_in, "--out", few / "grades.csv"],
    ]
    for line in lines:
        result = mtbert("-q", *line)
        assert result.check_mistake() and not result.out, line
    assert not (tmp_path / "out").exists() and not (tmp_path / "grades.csv").exists()


def test_a_folder_with_a_run_of_another_recipe_is_left_alone(train, trained):
    before = (trained / "run.json").read_bytes()
    line = train("--set", "lr=0.5", "--out", trained).check_mistake()
    assert str(trained) in line and "lr is 0.5, there 0.001" in line
    assert (trained / "run.json").read_bytes() == before


def test_a_folder_with_other_things_in_it_or_a_file_cannot_hold_a_run(train, few):
    for out in (few.parent, few):
        assert str(out) in train("--out", out).check_mistake()
    assert list(few.parent.iterdir()) == [few]


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"recipe": {}}'])
@pytest.mark.parametrize("command", ["evaluate", "results"])
def test_a_damaged_record_is_named(mistake, command, tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    assert f"{tmp_path / 'run.json'} " in mistake(command, tmp_path)


def test_a_run_without_a_finished_epoch_has_no_results_and_no_model(mistake, copied, sample):
    record = json.loads((copied / "run.json").read_text())
    (copied / "run.json").write_text(json.dumps({**record, "epochs": [], "best_epoch": 0, "status": "unfinished"}))
    (copied / "heads.safetensors").unlink()
    assert "no epoch" in mistake("results", copied)
    assert "no epoch" in mistake(
        "confusion", copied, "--data", sample, "--record", "mine"
    )  # with predictions or without
    assert "no epoch" in mistake("evaluate", copied, "--data", sample)


@pytest.mark.parametrize("name", ["encoder/model.safetensors", "heads.safetensors"])
@pytest.mark.parametrize("share", [0, 0.5])
def test_a_damaged_weight_file_is_named(mistake, copied, sample, name, share):
    content = (copied / name).read_bytes()
    (copied / name).write_bytes(content[: int(len(content) * share)])
    assert f"{copied / name} is damaged" in mistake("evaluate", copied, "--data", sample)
    shutil.rmtree(copied / "encoder")
    assert str(copied / "encoder") in mistake("evaluate", copied, "--data", sample)


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-100])])
@pytest.mark.parametrize("name", ["encoder/model.safetensors", "heads.safetensors"])
def test_train_and_those_that_use_a_run_agree_on_what_brings_its_weights_back(
    mtbert, train, copied, sample, few, tmp_path, name, damage
):
    damage(copied / name)
    advice = f"delete the folder {copied}, then give the same train command again\n"
    for result in (
        train("--out", copied),
        mtbert("-q", "evaluate", copied, "--data", sample),
        mtbert("predict", copied, few, tmp_path / "out.csv", "--task", "sts"),
        mtbert("-q", "submit", copied, "--data", sample, "--out", tmp_path / "out"),
        mtbert("-q", "ask", "--model", copied, "A film."),
    ):
        line = result.check_mistake()
        assert f" {copied / name} " in line and line.endswith(advice)
    shutil.rmtree(copied)
    assert train("--out", copied).code == 0 and mtbert("evaluate", copied, "--data", sample).code == 0


@pytest.mark.parametrize(
    ("name", "content"),
    [("encoder/config.json", ""), ("encoder/tokenizer.json", ""), ("predictions/sts-dev.csv", "id,prediction\n")],
)
def test_other_files_of_a_run_come_back_the_same_way_and_not_by_a_download(mistake, copied, sample, name, content):
    (copied / name).write_text(content)
    command = "confusion" if name.startswith("predictions") else "evaluate"
    line = mistake("-q", command, copied, "--data", sample)
    assert f"{copied / name} " in line and "download" not in line
    assert line.endswith(f"delete the folder {copied}, then give the same train command again\n")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_damaged_file_of_an_encoder_is_named(train, copied, tmp_path, name):
    path = copied / "encoder" / name
    path.write_bytes(path.read_bytes()[:100])
    assert str(path) in train("--set", f"encoder={path.parent}", "--out", tmp_path / "run").check_mistake()


def test_predict_needs_a_task_of_the_run_and_an_input_with_its_columns(mistake, trained, few, tmp_path):
    out = tmp_path / "out.csv"
    for task in ("imdb", "cfimdb"):
        assert repr(task) in mistake("predict", trained, "--task", task, few, out)
    missing = mistake("predict", trained, "--task", "sts", tmp_path / "none.csv", out)
    assert "none.csv does not exist: give a file" in missing and "fetch" not in missing
    few.write_text("id,sentence1\nx,One\n")
    assert "'sentence2'" in mistake("predict", trained, "--task", "sts", few, out)
    assert not out.exists()


def test_predict_overwrites_a_file_only_when_forced(mtbert, mistake, trained, few, tmp_path):
    out = tmp_path / "out.csv"
    out.write_text("precious")
    assert f"{out} exists" in mistake("predict", trained, "--task", "sts", few, out)
    assert out.read_text() == "precious"
    assert mtbert("predict", trained, "--task", "sts", few, out, "--force").code == 0
    assert out.read_text().startswith("id,prediction\n")


def test_predict_never_replaces_what_it_reads(mistake, trained, few, tmp_path):
    content = few.read_bytes()
    (tmp_path / "link.csv").symlink_to(few)
    (tmp_path / "same.csv").hardlink_to(few)
    for source, target in [(few, few), (few, "link.csv"), ("link.csv", few), (few, "same.csv"), (few, "./in.csv")]:
        arguments = [tmp_path / source, tmp_path / target, "--task", "sts", "--force"]
        assert "is the file that is read" in mistake("predict", trained, *arguments)
    assert few.read_bytes() == content


@pytest.mark.parametrize("line", ["start LOOP", "bundle LOOP --data SAMPLE", "soup RUN LOOP --out OUT"])
def test_a_link_to_itself_is_a_mistake(mistake, trained, sample, tmp_path, line):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    names = {"LOOP": loop, "SAMPLE": sample, "RUN": trained, "OUT": tmp_path / "out"}
    assert str(loop) in mistake(*(names.get(word, word) for word in line.split()))
    assert list(tmp_path.iterdir()) == [loop]


def test_an_archive_is_overwritten_only_when_forced(mtbert, mistake, trained, tmp_path):
    archive = tmp_path / "home.tar.xz"
    archive.write_text("precious")
    assert f"{archive} exists" in mistake("results", trained, "--archive", archive)
    assert archive.read_text() == "precious"
    for force in ([], ["--force"]):
        archive.unlink() if not force else None
        assert mtbert("results", trained, "--archive", archive, *force).code == 0
    assert archive.read_bytes().startswith(b"\xfd7zXZ")


def test_predict_never_replaces_what_is_not_a_file(mistake, trained, few, tmp_path):
    (tmp_path / "folder").mkdir()
    targets = [tmp_path / "folder", *(device for device in [Path("/dev/full")] if device.is_char_device())]
    for target in targets:
        for force in ([], ["--force"]):
            assert "not a regular file" in mistake("predict", trained, "--task", "sts", few, target, *force)
    assert all(target.is_dir() or target.is_char_device() for target in targets)


def test_a_full_disk_leaves_the_file_as_it_was(mtbert, mistake, trained, sample, tmp_path):
    resource = pytest.importorskip("resource")
    out = tmp_path / "out.csv"
    arguments = ["predict", trained, "--task", "quora", sample / "quora-dev.csv", out, "--force"]
    assert mtbert(*arguments).code == 0  # its tokens are cached now
    out.write_text("precious")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))  # bytes a file may have: no room for 400 lines
        line = mistake(*arguments)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(out) in line
    assert out.read_text() == "precious" and list(tmp_path.iterdir()) == [out]
