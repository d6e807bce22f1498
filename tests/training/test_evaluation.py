"""Scores over whole sets, never NaN; both overall scores; and the file of predictions."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from mtbert import Recipe, UserError, load_encoder
from mtbert.data import Example, Rows, get_task, read_split
from mtbert.data.tasks import overall
from mtbert.nn.model import labels_from, probabilities
from mtbert.training.evaluation import accuracy, evaluate, pearson, predict_logits, score, write_predictions
from mtbert.training.run import build_model

NUMBERS = st.floats(-1e3, 1e3, allow_subnormal=False)
SHARES = st.floats(0, 1)


def rows_of(name, *ids):
    task = get_task(name)
    return Rows(task, "predict", "rows.csv", "", [Example(id, ("x",) * len(task.text_columns), None) for id in ids])


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=3, max_size=50))
def test_pearson_is_scipys(pairs):
    x, y = zip(*pairs, strict=True)
    assume(min(np.std(x), np.std(y)) > 1e-6)
    assert pearson(x, y) == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-6)


@given(NUMBERS, st.lists(NUMBERS, min_size=1))
def test_pearson_of_constants_is_0(constant, others):
    same = [constant] * len(others)
    assert pearson(same, others) == pearson(others, same) == pearson(same, same) == 0.0


@given(st.lists(st.tuples(st.floats(-1e100, 1e100), st.floats(-1e100, 1e100)), min_size=1, max_size=20))
def test_pearson_is_a_number_from_minus_1_to_1_whatever_the_scale(pairs):
    assert -1 <= pearson(*zip(*pairs, strict=True)) <= 1


def test_pearson_sees_differences_too_small_to_be_squared():
    assert pearson([0, 1e-200, 0], [0, 1, 1]) == pytest.approx(0.5)


@pytest.mark.parametrize("metric", [pearson, accuracy])
@pytest.mark.parametrize(
    ("predictions", "labels", "words"),
    [
        ([], [], "0 predictions and 0 labels have no score"),
        ([1], [1, 2, 3], "1 predictions and 3 labels have"),
        ([1, math.nan, 2], [1, 2, 3], "row 2 has prediction nan and label 2.0: only finite"),
        ([1, 2], [1, math.inf], "row 2 has prediction 2.0 and label inf: only finite"),
    ],
)
def test_what_has_no_score_is_refused(metric, predictions, labels, words):
    with pytest.raises(UserError, match=words):
        metric(predictions, labels)


def test_a_logit_of_0_is_label_0_and_a_class_is_the_first_of_the_largest_logits():
    outputs = torch.tensor([[0.0], [-0.0], [1e-30], [-1e-30], [9.0]])
    assert labels_from(get_task("quora"), outputs) == [0, 0, 1, 0, 1]
    assert probabilities(get_task("quora"), outputs)[0] == 0.5
    assert labels_from(get_task("sst"), torch.tensor([[0.0, 2.0, 1.0, 2.0, 0.0], [5.0, 0.0, 0.0, 0.0, 0.0]])) == [1, 0]


def test_each_task_is_scored_by_its_own_metric():
    assert accuracy([0, 1, 2, 3], [0.0, 1.0, 1.0, 3.0]) == 0.75
    assert score(get_task("sst"), torch.eye(5), [0, 1, 2, 3, 0]) == 0.8
    assert score(get_task("quora"), torch.tensor([[3.0], [-3.0]]), [1, 1]) == 0.5
    assert score(get_task("sts"), torch.tensor([[1.0], [2.0], [4.0]]), [2, 4, 8]) == pytest.approx(1)
    assert score(get_task("sts"), torch.full((3, 1), 2.5), [1, 2, 3]) == 0.0


@given(SHARES, SHARES, st.floats(-1, 1), SHARES)
def test_overall_is_the_courses_score_of_2023_and_of_2024(sst, quora, sts, yelp):
    tasks = {"sst": sst, "quora": quora, "sts": sts}
    scores = overall(tasks)
    assert scores["plain"] == pytest.approx((sst + quora + sts) / 3)
    assert scores["normalised"] == pytest.approx((sst + quora + (sts + 1) / 2) / 3)
    assert overall({**tasks, **scores, "yelp": yelp}) == scores  # neither yelp nor overall scores count
    assert overall({"yelp": yelp}) == {"plain": 0.0, "normalised": 0.0}


@pytest.fixture(scope="module")
def model(tiny_encoder):
    return build_model(Recipe(encoder=tiny_encoder, head_dropout=0.5), load_encoder(tiny_encoder)).train()


@pytest.fixture(scope="module")
def few(data):
    return {name: read_split(data, get_task(name), "dev") for name in ("sst", "quora", "sts")}


def test_evaluate_gives_each_tasks_score_over_the_whole_set_and_both_overall_scores(model, few):
    scores = evaluate(model, few)
    assert evaluate(model, few) == scores and model.training
    assert list(scores) == ["sst", "quora", "sts", "plain", "normalised"]
    for name, rows in few.items():
        assert scores[name] == score(rows.task, predict_logits(model, rows), rows.labels)
    assert {name: scores[name] for name in ("plain", "normalised")} == overall(scores)


@pytest.mark.parametrize(
    ("task", "ids", "logits", "content"),
    [
        ("quora", ("a", "b", "c"), [[1.0], [-1.0], [0.0]], "a,1\nb,0\nc,0\n"),
        ("sts", ("a", "b"), [[1.23456789], [5.0]], "a,1.234568\nb,5.0\n"),
        ("sst", ('a,"b"',), [[0.0, 0.0, 0.0, 9.0, 0.0]], '"a,""b""",3\n'),
    ],
)
def test_predictions_are_written_as_id_and_label_in_the_rows_order(tmp_path, task, ids, logits, content):
    path = tmp_path / "new" / "out.csv"
    write_predictions(path, rows_of(task, *ids), torch.tensor(logits))
    assert path.read_text() == "id,prediction\n" + content


def test_a_missing_row_of_logits_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(ValueError):
        write_predictions(tmp_path / "out.csv", rows_of("sst", "a", "b", "c"), torch.eye(5)[:2])
    assert list(tmp_path.iterdir()) == []
