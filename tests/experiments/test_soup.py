"""Soups: mean weights, a folder like any run's, and which runs have no mean."""

import json
import shutil

import pytest
import torch

import mtbert
from mtbert.experiments.ensembles import open_members
from mtbert.experiments.predictions import load_predictions
from mtbert.experiments.results import gather
from mtbert.experiments.soup import make_soup
from mtbert.experiments.submission import submission_files, submit
from mtbert.training.evaluation import evaluate
from mtbert.utils.errors import UserError

RECIPE = mtbert.recipe("tiny").replace(num_layers=1, epochs=1, steps_per_epoch=2, dev_rows=12)


@pytest.fixture(scope="module")
def runs(tmp_path_factory, few_rows):
    """Two runs from one random encoder, with different learning rates."""
    folder = tmp_path_factory.mktemp("members")
    return [mtbert.train(RECIPE.replace(lr=lr), folder / str(lr), few_rows, progress=False) for lr in (1e-3, 5e-3)]


@pytest.fixture
def changed(runs, tmp_path):
    """Makes a copy of a member whose record is changed."""

    def copy(**changes):
        folder = shutil.copytree(runs[1].folder, tmp_path / "changed")
        record = json.loads((folder / "run.json").read_text())
        (folder / "run.json").write_text(json.dumps({**record, **changes}))
        return folder

    return copy


def test_every_weight_is_the_mean_and_the_folder_is_a_runs(runs, few_rows, tmp_path):
    made = make_soup([run.folder for run in runs], tmp_path / "soup", few_rows, "cpu")
    weights, one, two = (mtbert.load_model(folder).state_dict() for folder in (made.folder, *(r.folder for r in runs)))
    assert any(not torch.equal(one[name], two[name]) for name in one)
    for name, weight in weights.items():
        assert torch.equal(weight, ((one[name].double() + two[name].double()) / 2).float()), name
    run = mtbert.open_run(made.folder)
    assert run.finished and run.recipe.name == "tiny-soup" and not run.recipe.differences(runs[0].recipe)
    predictions = load_predictions(run, few_rows)
    scores = evaluate(mtbert.load_model(made.folder), {task: rows for task, (rows, _) in predictions.items()})
    assert scores == pytest.approx(run.scores) and len(predictions["sts"].values) == 12
    assert gather([made.folder]).steps[0] == 4 and gather([made.folder]).tokens[0] > 0
    assert [member["scores"] for member in run.record["soup"]] == [member.scores for member in runs]
    record = submit(submission_files([made.folder], few_rows), tmp_path / "out")
    assert record["runs"][0]["soup"] == run.record["soup"]


def test_the_soup_of_equal_runs_is_that_run(runs, few_rows, tmp_path):
    twin = shutil.copytree(runs[0].folder, tmp_path / "twin")
    made = make_soup([runs[0].folder, twin], tmp_path / "soup", few_rows, "cpu")
    assert made.scores == runs[0].scores
    for name in ("heads.safetensors", "encoder/model.safetensors"):
        assert (made.folder / name).read_bytes() == (twin / name).read_bytes()


def test_of_frozen_encoders_only_heads_are_averaged(few_rows, tmp_path):
    recipe = RECIPE.replace(tasks="sst", trainable="heads")
    runs = [mtbert.train(recipe.replace(lr=lr), tmp_path / str(lr), few_rows, progress=False) for lr in (1e-3, 1e-2)]
    made = make_soup([run.folder for run in runs], tmp_path / "soup", few_rows, "cpu")
    assert not (made.folder / "encoder").exists()
    assert torch.equal(
        mtbert.load_model(made.folder).encoder.bert.embeddings.word.weight,
        mtbert.load_model(runs[0].folder).encoder.bert.embeddings.word.weight,
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"encoder_sha256": "0" * 64}, "encoder_sha256 differs"),
        ({"encoder_config": {"hidden_size": 4}}, "encoder_config differs"),
        ({"recipe": RECIPE.replace(num_layers=2).as_dict()}, "num_layers 2, .* 1"),
        ({"recipe": RECIPE.replace(pooling="cls").as_dict()}, "pooling 'cls'"),
        ({"recipe": RECIPE.replace(tasks="sts").as_dict()}, "tasks"),
    ],
)
def test_runs_of_other_models_are_refused_and_nothing_is_written(runs, changed, few_rows, tmp_path, changes, words):
    with pytest.raises(UserError, match=words):
        make_soup([runs[0].folder, changed(**changes)], tmp_path / "soup", few_rows)
    assert not (tmp_path / "soup").exists()


def test_one_run_or_a_full_folder_or_other_data_make_no_soup(runs, few_rows, sample, tmp_path):
    folders = [run.folder for run in runs]
    with pytest.raises(UserError, match="give two or more"):
        make_soup(folders[:1], tmp_path / "soup", few_rows)
    with pytest.raises(UserError, match="is not the file"):
        make_soup(folders, tmp_path / "soup", sample)
    assert not (tmp_path / "soup").exists()
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match="not an empty folder"):
        make_soup(folders, tmp_path, few_rows)


def test_unrelated_random_encoders_are_told(runs, changed, few_rows, tmp_path, messages):
    other = changed(recipe=RECIPE.replace(seed=1).as_dict())
    make_soup([runs[0].folder, other], tmp_path / "soup", few_rows)
    assert any("different random encoders" in message for message in messages)
    assert len(open_members([runs[0].folder, other])) == 2
