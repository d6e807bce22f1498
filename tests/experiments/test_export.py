"""An exported run is small, loads like any other, and says what it is."""

import csv
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

import mtbert
from mtbert.data import TASKS, read_split
from mtbert.experiments.export import SAMPLE_PREDICTIONS, export_run, sample_predictions
from mtbert.training.evaluation import evaluate
from mtbert.utils import paths
from mtbert.utils.errors import UserError
from mtbert.utils.files import write_json


@pytest.fixture(scope="module")
def data(first_rows):
    return first_rows("sst", "sts", train=16, dev=16)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """A run of adapters and heads that was scored on half of its dev rows. Not to be changed."""
    recipe = mtbert.recipe("tiny").replace(
        tasks=("sst", "sts"), trainable="adapters", adapter="lora", epochs=1, steps_per_epoch=2, dev_rows=8
    )
    return mtbert.train(recipe, tmp_path_factory.mktemp("runs") / "run", data, progress=False)


@pytest.fixture(scope="module")
def exported(run, data, tmp_path_factory):
    return export_run(run.folder, tmp_path_factory.mktemp("exported") / "small", data)


def test_the_weights_are_those_of_the_run_in_16_bits(run, exported):
    for name in ("adapters.safetensors", "heads.safetensors"):
        original, rounded = load_file(run.folder / name), load_file(exported.folder / name)
        assert original.keys() == rounded.keys()
        assert all(torch.equal(rounded[key], tensor.half()) for key, tensor in original.items())


def test_the_scores_are_those_of_the_rounded_model_on_all_dev_rows(exported, data):
    sets = {name: read_split(data, TASKS[name], "dev") for name in ("sst", "sts")}
    model = mtbert.load_model(exported.folder)
    assert exported.scores == mtbert.open_run(exported.folder).scores == evaluate(model, sets)
    assert exported.record["exported"]["dev_rows"] == {"sst": 16, "sts": 16}


def test_the_sample_predictions_are_those_of_the_loaded_model(exported):
    with open(exported.folder / SAMPLE_PREDICTIONS, encoding="utf-8") as file:
        saved = list(csv.DictReader(file))
    again = list(sample_predictions(mtbert.load_model(exported.folder)))
    assert {row["task"] for row in saved} == {"sst", "sts"}
    assert [row["id"] for row in saved] == [row["id"] for row in again]
    assert [float(row["prediction"]) for row in saved] == pytest.approx([row["prediction"] for row in again], abs=1e-3)


def test_the_card_names_scores_settings_and_checksums(exported):
    card = (exported.folder / "README.md").read_text(encoding="utf-8")
    facts = [
        "# small",
        f"{exported.scores['sst']:.3f}",
        "lora",
        *(f["sha256"] for f in exported.record["data"].values()),
    ]
    assert [fact for fact in facts if fact not in card] == []
    assert max(map(len, card.splitlines())) < 400


def test_only_runs_with_a_frozen_encoder_on_the_same_data_into_a_new_folder_are_exported(
    run, exported, data, first_rows, tmp_path
):
    trained = mtbert.train(run.recipe.replace(trainable="all"), tmp_path / "all", data, progress=False)
    with pytest.raises(UserError, match="trained its encoder"):
        export_run(trained.folder, tmp_path / "out", data)
    with pytest.raises(UserError, match=r"ids-sst-dev\.csv"):
        export_run(run.folder, tmp_path / "out", first_rows("sst", "sts", train=16, dev=9))
    with pytest.raises(UserError, match=str(exported.folder)):
        export_run(run.folder, exported.folder, data)
    assert not (tmp_path / "out").exists()


def test_a_weight_that_16_bits_cannot_hold_leaves_nothing_behind(run, data, tmp_path):
    copy = shutil.copytree(run.folder, tmp_path / "copy")
    weights = load_file(copy / "heads.safetensors")
    name = next(iter(weights))
    save_file({**weights, name: weights[name] + 1e6}, copy / "heads.safetensors")
    write_json(copy / "run.json", {**run.record, "weights_sha256": {}})
    with pytest.raises(UserError, match=name.replace(".", r"\.")):
        export_run(copy, tmp_path / "out", data)
    assert list(tmp_path.iterdir()) == [copy]


def test_a_model_of_the_project_is_found_by_its_name(exported, monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "MODELS", exported.folder.parent)
    assert mtbert.open_run("small").folder == exported.folder
    assert set(mtbert.load_model("small").tasks) == {"sst", "sts"}
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="large holds no run"):
        mtbert.open_run("large")


def test_other_weights_of_the_encoder_are_refused(exported, tmp_path):
    copy = shutil.copytree(exported.folder, tmp_path / "copy")
    record = (copy / "run.json").read_text(encoding="utf-8")
    (copy / "run.json").write_text(
        record.replace('"encoder_sha256": null', '"encoder_sha256": "abc"'), encoding="utf-8"
    )
    with pytest.raises(UserError, match="other weights of encoder tiny.*abc"):
        mtbert.load_model(copy)
