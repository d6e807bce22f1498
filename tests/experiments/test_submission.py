"""Submission files: which rows they answer, in which order, with whose model, and what they never do."""

import json
import shutil
import zipfile

import pytest

import mtbert
from mtbert import UserError
from mtbert.data import get_task, read_split
from mtbert.data.tasks import overall
from mtbert.experiments import submission
from mtbert.training.evaluation import accuracy, pearson, predict_logits, write_predictions
from mtbert.utils.files import file_sha256

STEMS = {"sst": "sst-{}-output", "quora": "para-{}-output", "sts": "sts-{}-output", "cfimdb": "finetune-cfimdb-{}-out"}
NAMES = {f"{stem}.csv".format(split): (task, split) for task, stem in STEMS.items() for split in ("test", "dev")}
RECIPE = mtbert.recipe("tiny").replace(num_layers=1, epochs=1, steps_per_epoch=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory, few_rows):
    """A few rows of each set. One of dev has no label, as in the course's Quora."""
    folder = shutil.copytree(few_rows, tmp_path_factory.mktemp("submission") / "data")
    dev = folder / "quora-dev.csv"
    lines = dev.read_text(encoding="utf-8").split("\n")
    lines[3] = lines[3].rpartition("\t")[0] + "\t"
    dev.write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory, data):
    """A run of three tasks and one of the fourth."""
    folder = tmp_path_factory.mktemp("runs")
    recipes = {"three": RECIPE, "fourth": RECIPE.replace(tasks="cfimdb", seed=1)}
    return [mtbert.train(recipe, folder / name, data, progress=False).folder for name, recipe in recipes.items()]


@pytest.fixture(scope="module")
def submitted(tmp_path_factory, runs, data):
    """The folder of their submission. Not to be changed."""
    out = tmp_path_factory.mktemp("submission") / "deep"
    submission.submit(submission.submission_files(runs, data), out)
    return out


def lines_of(path) -> list[tuple[str, str]]:
    """(id, value as text) of each line after the header of a file in the course's format."""
    return [tuple(line.removesuffix(" ").split(" , ")) for line in path.read_text(encoding="utf-8").splitlines()[1:]]


def test_a_dev_row_without_a_label_has_no_line(submitted, data):
    left_out = (data / "quora-dev.csv").read_text(encoding="utf-8").split("\n")[3].split("\t")[1]
    ids = [identity for identity, _ in lines_of(submitted / "para-dev-output.csv")]
    assert len(ids) == 15 and left_out not in ids
    assert len(lines_of(submitted / "para-test-output.csv")) == 16


@pytest.mark.parametrize("name", NAMES)
def test_rows_stand_in_the_order_of_their_file_with_the_predictions_of_their_run(submitted, runs, data, name):
    task, split = NAMES[name]
    model = mtbert.load_model(runs[task == "cfimdb"])
    rows = read_split(data, get_task(task), split)
    written = lines_of(submitted / name)
    assert [identity for identity, _ in written] == [example.id.lower() for example in rows.examples]
    texts = [example.texts for example in rows.examples]
    predicted = model.predict(task, texts if rows.task.is_pair else [text for (text,) in texts])
    assert [float(value) for _, value in written] == pytest.approx(predicted, abs=1e-5)


def test_the_record_names_runs_and_files_with_checksums_and_dev_scores(submitted, runs, data):
    record = json.loads((submitted / "predictions.json").read_text(encoding="utf-8"))
    for folder, entry in zip(runs, record["runs"], strict=True):
        run = mtbert.open_run(folder)
        assert (entry["recipe"], entry["seed"], entry["encoder"]) == (run.recipe.name, run.recipe.seed, "tiny")
        assert entry["fields"] == run.recipe.as_dict() and entry["revision"] == run.record["revision"]
        assert entry["read"] == {name: file["sha256"] for name, file in run.record["data"].items()}
    dev = record["dev"]
    three = overall({task: dev[task] for task in ("sst", "quora", "sts")})
    assert {name: dev[name] for name in three} == three and "cfimdb" in dev
    files = {name: entry for run in record["runs"] for name, entry in run["files"].items()}
    assert files.keys() == NAMES.keys()
    assert {path.name for path in submitted.iterdir()} == {*NAMES, "predictions.json"}
    for name, entry in files.items():
        task, split = NAMES[name]
        rows = read_split(data, get_task(task), split)
        assert entry["sha256"] == file_sha256(submitted / name) and entry["rows"] == len(lines_of(submitted / name))
        assert (entry["data"], entry["data_sha256"]) == (rows.path.name, rows.sha256)
        assert ("score" in entry) == (split == "dev")
        if split == "dev":
            metric = pearson if task == "sts" else accuracy
            predicted = [float(value) for _, value in lines_of(submitted / name)]
            assert entry["score"] == record["dev"][task] == pytest.approx(metric(predicted, rows.labels), abs=1e-4)


def test_an_encoder_folder_is_not_named_by_its_path_and_an_auxiliary_task_has_no_files(runs, data, tmp_path):
    recipe = RECIPE.replace(tasks="sst,yelp", num_layers=None, encoder=str(runs[0] / "encoder"))
    run = mtbert.train(recipe, tmp_path / "run", data, progress=False)
    record = submission.submit(submission.submission_files([run.folder], data), tmp_path / "out")
    assert record["runs"][0]["encoder"] == record["runs"][0]["fields"]["encoder"] == "encoder"
    assert record["runs"][0]["files"].keys() == {"finetune-sst-dev-out.csv", "finetune-sst-test-out.csv"}


def test_dev_rows_are_answered_in_the_precision_that_scored_them(data, tmp_path):
    recipe = RECIPE.replace(tasks="sts", precision="bfloat16")
    run = mtbert.train(recipe, tmp_path / "run", data, progress=False)
    files = submission.submission_files([run.folder], data, "plain")
    record = submission.submit(files, tmp_path / "out", file_format="plain")
    saved = (run.folder / "predictions" / "sts-dev.csv").read_text()
    assert (tmp_path / "out" / "sts-dev-output.csv").read_text() == saved
    assert record["dev"]["sts"] == pytest.approx(run.scores["sts"], abs=1e-6)
    rows = read_split(data, get_task("sts"), "dev")
    write_predictions(tmp_path / "exact.csv", rows, predict_logits(mtbert.load_model(run.folder), rows))
    assert (tmp_path / "exact.csv").read_text() != saved


def test_what_cannot_be_submitted_is_refused_before_anything_is_predicted(runs, data, tmp_path):
    with pytest.raises(UserError, match=r"three is given twice"):
        submission.submission_files([runs[0], runs[1], runs[0]], data)
    with pytest.raises(UserError, match="ids-sst-test-student.csv does not exist"):
        submission.submission_files(runs, tmp_path)
    files = submission.submission_files(runs[1:], data)
    submission.check_output_dir(files, tmp_path, force=False)
    (tmp_path / "finetune-cfimdb-dev-out.csv").write_text("precious")
    with pytest.raises(UserError, match="holds finetune-cfimdb-dev-out.csv: .*--force"):
        submission.check_output_dir(files, tmp_path, force=False)
    submission.check_output_dir(files, tmp_path, force=True)
    with pytest.raises(UserError, match="holds finetune-cfimdb-dev-out.csv, which these runs do not write"):
        submission.check_output_dir(submission.submission_files(runs[1:], data, "plain"), tmp_path, force=True)
    (tmp_path / "sst-dev-output.csv").write_text("of another run")  # not even with --force
    with pytest.raises(UserError, match="holds sst-dev-output.csv, which these runs do not write"):
        submission.check_output_dir(files, tmp_path, force=True)
    with pytest.raises(UserError, match="sst-dev-output.csv is a file: choose a folder"):
        submission.check_output_dir(files, tmp_path / "sst-dev-output.csv", force=True)


def test_nothing_is_written_if_a_later_model_is_damaged(runs, data, tmp_path):
    damaged = shutil.copytree(runs[1], tmp_path / "damaged")
    (damaged / "heads.safetensors").write_bytes((runs[1] / "heads.safetensors").read_bytes()[:-1])
    with pytest.raises(UserError, match="heads.safetensors is damaged"):
        submission.submit(submission.submission_files([runs[0], damaged], data), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_sst_and_cfimdb_without_the_pairs_are_part_1_named_by_whether_the_encoder_was_trained(data, tmp_path):
    frozen = RECIPE.replace(tasks="sst", trainable="heads")
    run = mtbert.train(frozen, tmp_path / "run", data, progress=False)
    names = [file.name for file in submission.submission_files([run.folder], data)]
    assert names == ["pretrain-sst-test-out.csv", "pretrain-sst-dev-out.csv"]


def test_the_zip_holds_the_same_files_below_predictions(runs, data, tmp_path):
    files = submission.submission_files(runs[1:], data)
    for name in ("one", "two"):
        submission.submit(files, tmp_path / name, zipped=True)
    with zipfile.ZipFile(tmp_path / "one" / "predictions.zip") as archive:
        assert archive.namelist() == [f"predictions/{file.name}" for file in files]
        for file in files:
            assert archive.read(f"predictions/{file.name}") == (tmp_path / "one" / file.name).read_bytes()
    assert file_sha256(tmp_path / "one" / "predictions.zip") == file_sha256(tmp_path / "two" / "predictions.zip")


def test_an_ensembles_file_is_listed_with_every_member_and_its_own_score(runs, data, tmp_path, messages):
    other = mtbert.train(RECIPE.replace(tasks="sts", seed=1), tmp_path / "other", data, progress=False)
    files = submission.submission_files([runs[0], other.folder], data)
    record = submission.submit(files, tmp_path / "out")
    first, second = (run["files"]["sts-dev-output.csv"] for run in record["runs"])
    assert first["alone"] == pytest.approx(mtbert.open_run(runs[0]).scores["sts"], abs=1e-4)
    assert second["alone"] == pytest.approx(other.scores["sts"], abs=1e-4)
    assert first["score"] == second["score"] == record["dev"]["sts"]
    assert "alone" not in record["runs"][0]["files"]["sst-dev-output.csv"]
    (line,) = [message for message in messages if "together" in message]
    assert line.startswith("sts: ") and f"{first['alone']:.4f}" in line and f"{first['score']:.4f}" in line
