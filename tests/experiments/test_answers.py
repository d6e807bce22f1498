"""Asking a model: every task that fits answers, with the model's own predictions and probabilities."""

import shutil

import pytest

import mtbert
from mtbert.experiments.answers import ask, ask_all
from mtbert.nn.model import MultitaskModel
from mtbert.utils.errors import UserError

TEXTS = ["A film.", ("One cat.", "Two cats."), "Another film, and a better one.", ("A dog.", "The dog runs.")]


@pytest.fixture(scope="module")
def model(tiny_runs) -> MultitaskModel:
    return mtbert.load_model(tiny_runs / "one")


def test_sentences_and_pairs_are_answered_by_their_tasks_in_order(model):
    answers = ask_all(TEXTS, model)
    assert [list(found) for found in answers] == [["sst"], ["quora", "sts"]] * 2
    singles, pairs = TEXTS[::2], TEXTS[1::2]
    assert [found["sst"].prediction for found in answers[::2]] == model.predict("sst", singles)
    for task in ("quora", "sts"):
        predicted = [found[task].prediction for found in answers[1::2]]
        assert predicted == pytest.approx(model.predict(task, pairs), abs=1e-5)


def test_probabilities_are_those_of_the_model_under_the_labels_names(model):
    answers = ask_all(TEXTS, model)
    shares = answers[0]["sst"].probabilities
    assert list(shares) == ["very negative", "negative", "neutral", "positive", "very positive"]
    assert list(shares.values()) == pytest.approx(model.predict_proba("sst", TEXTS[:1])[0].tolist(), abs=1e-5)
    assert answers[0]["sst"].label == max(shares, key=shares.get)
    paraphrase = answers[1]["quora"].probabilities
    assert paraphrase["a paraphrase"] == pytest.approx(float(model.predict_proba("quora", TEXTS[1:2])), abs=1e-5)
    assert sum(paraphrase.values()) == pytest.approx(1)
    assert answers[1]["sts"].probabilities == {}


def test_the_chart_draws_a_bar_as_long_as_its_probability(model):
    answer = ask("A film.", model=model)
    head, *bars = repr(answer).splitlines()
    assert head.endswith(f": {answer['sst'].label}")
    shares = answer["sst"].probabilities
    assert [line.count("█") for line in bars] == [round(24 * share) for share in shares.values()]
    assert "#" in answer.chart("#") and "█" not in answer.chart("#")


def test_a_folder_is_loaded_once_and_again_when_its_run_has_changed(tiny_runs, tmp_path):
    run = shutil.copytree(tiny_runs / "one", tmp_path / "run")
    first = ask("A film.", model=run)
    shutil.rmtree(run)
    shutil.copytree(tiny_runs / "two", run)
    assert ask("A film.", model=run)["sst"].probabilities != first["sst"].probabilities


def test_texts_that_no_task_fits_are_refused(model):
    single = mtbert.load_encoder("tiny")
    only_sst = MultitaskModel(single, [mtbert.data.TASKS["sst"]], {"sst": "linear"}, {}, {"sst": 16})
    with pytest.raises(UserError, match="pairs.*sst"):
        ask("One.", "Two.", model=only_sst)
    for texts in ((), ("One.", "Two.", "Three."), (" ",)):
        with pytest.raises(UserError):
            ask(*texts, model=model)


def test_a_text_that_is_cut_off_is_noted(model, messages):
    ask("very long " * 100, model=model)
    assert any("sst" in line and "128 tokens" in line for line in messages)
