"""A run's folder: whose it is, who may write to it, and the model that is loaded from it."""

import json
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

import mtbert
from mtbert.nn.heads import HEADS
from mtbert.training import Trainer
from mtbert.training.run import build_model
from mtbert.utils.errors import UserError
from mtbert.utils.files import folder_lock


def test_a_finished_run_is_returned_untouched(finished, recipe, train, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*")}
    monkeypatch.setattr(Trainer, "__init__", lambda *a, **k: pytest.fail("it was trained again"))
    again = train(recipe.replace(name="another name"), finished.folder)
    assert again.scores == finished.scores
    assert {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*")} == before


def test_a_finished_run_of_other_data_is_refused(finished, recipe, data, train, tmp_path):
    other = shutil.copytree(data, tmp_path / "data")
    assert train(recipe, finished.folder, other).scores == finished.scores  # the same files elsewhere
    with open(other / "sts-dev.csv", "a") as file:
        file.write("\n")
    with pytest.raises(UserError, match=r"other data: sts-dev.csv differs in .*: choose another folder"):
        train(recipe, finished.folder, other)


def test_a_folder_that_holds_something_else_is_refused(recipe, train, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    for out, reason in ((tmp_path, "not empty and holds no run"), (tmp_path / "letter.txt", "is a file")):
        with pytest.raises(UserError, match=reason):
            train(recipe, out)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ('{"status": ', "not JSON"),
        ("[" * 10**5, "nested"),
        ('{"status": "finished"}', "recipe is missing"),
        ({"status": "done"}, "status is 'done'"),
        ({"recipe": None}, "recipe is None"),
        ({"recipe": {"lr": -1}}, "lr is -1"),
        ({"recipe": {"name": "a\0"}}, "NUL in field 'recipe.name'"),
        ({"epochs": {}}, "epochs is {}"),
        ({"epochs": [None]}, "epochs.0 is None"),
        ({"epochs": [], "best_epoch": 1}, "best_epoch is 1 of 0"),
        ({"best_epoch": True}, "best_epoch is True"),
        ({"best_epoch": 0}, "best_epoch is 0 of 2"),
        ({"data": {"sst-train.csv": {}}}, "data.sst-train.csv.task is missing"),
        ({"seconds": "long"}, "seconds is 'long'"),
        ({"weights_sha256": {"heads.safetensors": 5}}, "weights_sha256.heads.safetensors is 5"),
        ({"revision": 10**2000}, "a number of 2,001 digits in field 'revision'"),
    ],
)
def test_a_damaged_record_is_a_user_error(finished, recipe, train, tmp_path, changes, named):
    content = changes if isinstance(changes, str) else json.dumps({**finished.record, **changes})
    (tmp_path / "run.json").write_text(content)
    for use in (lambda folder: train(recipe, folder), mtbert.load_model, mtbert.open_run):
        with pytest.raises(UserError, match=re.escape(named)) as caught:
            use(tmp_path)
        message = str(caught.value)
        assert message.startswith(f"{tmp_path / 'run.json'} ") and "\n" not in message and len(message) < 600
        assert message.endswith(": delete the folder or choose another")


def test_two_processes_do_not_train_in_one_folder(recipe, train, tmp_path):
    with folder_lock(tmp_path / "run"), pytest.raises(UserError, match=f"{tmp_path / 'run'}: wait for it"):
        train(recipe, tmp_path / "run")
    assert train(recipe.replace(epochs=1), tmp_path / "run").finished


def test_an_empty_name_is_not_the_run_in_the_current_folder(recipe, train, tmp_path, monkeypatch):
    train(recipe.replace(epochs=1), tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("", " "):
        with pytest.raises(UserError, match="is empty"):
            mtbert.load_model(name)
    assert mtbert.load_model(".")


def test_a_folder_without_a_model_is_a_user_error(recipe, train_until, tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        mtbert.load_model(tmp_path)
    out = train_until(recipe, tmp_path / "run", 1)
    with pytest.raises(UserError, match="holds no model yet"):
        mtbert.load_model(out)


@pytest.mark.parametrize("name", ["heads.safetensors", "encoder/model.safetensors"])
def test_damaged_weights_are_named(finished, tmp_path, name):
    copy = shutil.copytree(finished.folder, tmp_path / "run")
    (copy / name).write_bytes((copy / name).read_bytes()[:-100])
    with pytest.raises(UserError, match=f"{name} is damaged"):
        mtbert.load_model(copy)


@pytest.mark.parametrize("name", ["heads.safetensors", "encoder/model.safetensors"])
@pytest.mark.parametrize("change", [lambda tensor: tensor * float("nan"), lambda tensor: tensor.to(torch.int8)])
def test_weights_that_no_model_computes_with_are_named(finished, tmp_path, name, change):
    copy = shutil.copytree(finished.folder, tmp_path / "run")
    tensors = load_file(copy / name)
    first = min(tensors)
    save_file({**tensors, first: change(tensors[first])}, copy / name)
    with pytest.raises(UserError, match=f"^{copy / name}.*{first}.*(NaN|int8)"):
        mtbert.load_model(copy)


def test_a_frozen_encoder_named_by_a_relative_path_is_found_from_anywhere(frozen, train, tmp_path, monkeypatch):
    shutil.copytree(frozen.encoder, tmp_path / "encoder")
    monkeypatch.chdir(tmp_path)
    run = train(frozen.replace(encoder="encoder", epochs=1), tmp_path / "run")
    here = mtbert.load_model(tmp_path / "run").predict("sts", PAIRS)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run.recipe.encoder == "encoder" and mtbert.load_model("../run").predict("sts", PAIRS) == here
    (tmp_path / "encoder").rename(tmp_path / "elsewhere" / "encoder")  # what the recipe says counts, too
    assert mtbert.load_model("../run").predict("sts", PAIRS) == here


SENTENCES = ["A fine film.", "No.", "It goes on and on, and then, when one has given up all hope, it goes on."]
PAIRS = [("A man sings.", "Someone sings."), ("Is it far?", "How do I learn to cook a soup?"), ("No.", "No.")]


def test_a_model_predicts_labels_of_each_task(model):
    scores = model.predict_proba("sst", SENTENCES)
    assert scores.shape == (3, 5) and model.predict("sst", SENTENCES) == scores.argmax(1).tolist()
    torch.testing.assert_close(scores.sum(1), torch.ones(3))
    scores = model.predict_proba("quora", PAIRS)
    assert scores.shape == (3,) and model.predict("quora", PAIRS) == [int(score > 0.5) for score in scores]
    labels = model.predict("sts", PAIRS)
    assert labels == model.predict_proba("sts", PAIRS).tolist() and all(0 <= label <= 5.00001 for label in labels)
    assert labels[2] == pytest.approx(5, abs=1e-5)  # the two sentences are the same


@pytest.mark.parametrize("pooling", ["cls", "pooler", "mean", "max"])
@pytest.mark.parametrize("head", [name for name, spec in HEADS.items() if "regression" in spec.kinds])
def test_a_prediction_does_not_depend_on_the_rest_of_its_batch(tiny_encoder, head, pooling):
    encoding = HEADS[head].encoding
    recipe = mtbert.Recipe(tasks=("sts",), encoder=tiny_encoder, encoding=encoding, head=head, pooling=pooling)
    model = build_model(recipe, mtbert.load_encoder(tiny_encoder)).eval()
    alone = [model.predict("sts", [pair])[0] for pair in PAIRS]
    assert model.predict("sts", PAIRS) == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize(
    ("task", "texts", "expected"),
    [
        ("cfimdb", ["a"], "no head for task 'cfimdb': it was trained on sst, quora, sts"),
        ("sst", [("a", "b")], "task 'sst', text 1: "),
        ("sst", ["a", "  "], "text 2 is empty"),
        ("sst", [], "no text given"),
        ("sst", "film", "'film' is one text: give a list"),
        ("quora", [("a", "b"), "c"], "task 'quora', text 2: .* is not a pair of sentences"),
        ("sts", [("a", "")], "a text of pair 1 is empty"),
        ("sts", [("a", "b", "c")], "text 1"),
    ],
)
def test_texts_of_the_wrong_form_are_named(model, task, texts, expected):
    for method in (model.predict, model.predict_proba):
        with pytest.raises(UserError, match=expected):
            method(task, texts)
