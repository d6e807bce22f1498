"""The model that comes with the project is small, computes what it did when it was committed, and knows its facts."""

import csv

import pytest

import mtbert
from mtbert.data import TASKS, read_split
from mtbert.experiments.answers import SHIPPED
from mtbert.experiments.export import SAMPLE_PREDICTIONS, sample_predictions
from mtbert.training.evaluation import evaluate
from mtbert.utils import paths

FOLDER = paths.MODELS / SHIPPED


@pytest.fixture(scope="module")
def model():
    return mtbert.load_model(SHIPPED)


def test_it_is_at_most_six_megabytes_and_trained_only_adapters_and_heads():
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) <= 6e6
    recipe = mtbert.open_run(SHIPPED).recipe
    assert recipe.trainable == "adapters" and recipe.encoder == "minilm"
    assert set(recipe.tasks) == {"sst", "quora", "sts", "cfimdb"}


def test_its_committed_predictions_are_those_it_makes(model):
    with open(FOLDER / SAMPLE_PREDICTIONS, encoding="utf-8") as file:
        committed = list(csv.DictReader(file))
    made = list(sample_predictions(model))
    assert [(row["task"], row["id"]) for row in committed] == [(row["task"], row["id"]) for row in made]
    for column in ("prediction", "confidence"):
        expected = [float(row[column]) for row in committed if row[column]]
        assert [row[column] for row in made if row[column] is not None] == pytest.approx(expected, abs=2e-3)


def test_its_card_gives_the_scores_and_checksums_of_its_record():
    card, run = (FOLDER / "README.md").read_text(encoding="utf-8"), mtbert.open_run(SHIPPED)
    facts = [f"{run.scores[task]:.3f} |" for task in run.recipe.tasks]
    facts += [file["sha256"] for file in run.record["data"].values()]
    assert [fact for fact in facts if fact not in card] == []


def test_it_answers_by_name():
    sentence = mtbert.ask("The plot is thin, but the two leads are superb.")
    assert sentence["sst"].prediction >= 3 and sentence["cfimdb"].label == "positive"
    same = mtbert.ask("How do I learn to swim?", "What is the best way to learn swimming?")
    other = mtbert.ask("How do I learn to swim?", "Why is the sky blue?")
    assert same["quora"].prediction == 1 and other["quora"].prediction == 0
    assert same["sts"].prediction > 3 > 1 > other["sts"].prediction


@pytest.mark.parametrize("task", ["sst", "sts"])
def test_its_scores_are_those_on_the_real_dev_rows(model, real_data, task):
    scores = evaluate(model, {task: read_split(real_data, TASKS[task], "dev")})
    assert scores[task] == pytest.approx(mtbert.open_run(SHIPPED).scores[task], abs=2e-3)
