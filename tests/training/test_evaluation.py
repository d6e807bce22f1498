"""Scores over whole sets, never NaN; both overall scores; and the file of predictions."""

import csv
import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from mtbert import Recipe, UserError, load_encoder
from mtbert.data import TASKS, Example, Rows, get_task, read_split
from mtbert.data.tasks import overall
from mtbert.nn.model import labels_from, probabilities
from mtbert.training.evaluation import accuracy, evaluate, pearson, predict_logits, score, write_predictions
from mtbert.training.run import build_model

NUMBERS = st.floats(-1e3, 1e3, allow_subnormal=False)
SHARES = st.floats(0, 1)


def rows_of(task, count):
    """Rows with ids 0, 1, ... and no label."""
    examples = [Example(f"id{i}", ("x",) * len(task.text_columns), None) for i in range(count)]
    return Rows(task, "predict", "rows.csv", "", examples)


# -- Pearson ----------------------------------------------------------------------------------------------------------


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


# -- accuracy and ties ------------------------------------------------------------------------------------------------


def test_accuracy_is_the_share_of_equal_labels():
    assert accuracy([0, 1, 2, 3], [0.0, 1.0, 1.0, 3.0]) == 0.75


def test_a_logit_of_0_is_label_0():
    outputs = torch.tensor([[0.0], [-0.0], [1e-30], [-1e-30], [9.0]])
    assert labels_from(get_task("quora"), outputs) == [0, 0, 1, 0, 1]
    assert probabilities(get_task("quora"), outputs)[0] == 0.5


def test_a_class_is_the_largest_logit_and_the_first_of_equals():
    outputs = torch.tensor([[0.0, 2.0, 1.0, 2.0, 0.0], [5.0, 0.0, 0.0, 0.0, 0.0]])
    assert labels_from(get_task("sst"), outputs) == [1, 0]
    assert probabilities(get_task("sst"), outputs).sum(1).tolist() == pytest.approx([1, 1])


def test_each_task_is_scored_by_its_own_metric():
    assert score(get_task("sst"), torch.eye(5), [0, 1, 2, 3, 0]) == 0.8
    assert score(get_task("quora"), torch.tensor([[3.0], [-3.0]]), [1, 1]) == 0.5
    assert score(get_task("sts"), torch.tensor([[1.0], [2.0], [4.0]]), [2, 4, 8]) == pytest.approx(1)
    assert score(get_task("sts"), torch.full((3, 1), 2.5), [1, 2, 3]) == 0.0


# -- overall ----------------------------------------------------------------------------------------------------------


@given(SHARES, SHARES, st.floats(-1, 1))
def test_overall_is_the_courses_score_of_2023_and_of_2024(sst, quora, sts):
    scores = overall({"sst": sst, "quora": quora, "sts": sts})
    assert scores["plain"] == pytest.approx((sst + quora + sts) / 3)
    assert scores["normalised"] == pytest.approx((sst + quora + (sts + 1) / 2) / 3)


@given(st.dictionaries(st.sampled_from(list(TASKS)), SHARES), SHARES)
def test_yelp_never_counts(scores, yelp):
    without = {name: value for name, value in scores.items() if name != "yelp"}
    assert overall({**without, "yelp": yelp}) == overall(without)


def test_overall_of_nothing_is_0_not_nan_and_overall_scores_do_not_count():
    assert overall({}) == overall({"yelp": 0.5}) == {"plain": 0.0, "normalised": 0.0}
    scores = {"sst": 0.5, "sts": 0.8}
    assert overall({**scores, **overall(scores)}) == overall(scores)


# -- a model's scores -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tiny_encoder):
    return build_model(Recipe(encoder=tiny_encoder, head_dropout=0.5), load_encoder(tiny_encoder)).train()


@pytest.fixture(scope="module")
def few(data):
    return {name: read_split(data, get_task(name), "dev") for name in ("sst", "quora", "sts")}


def test_logits_are_those_of_each_row_alone_in_the_files_order(model, few):
    for rows in few.values():
        single = [dataclasses.replace(rows, examples=[example]) for example in rows.examples]
        alone = torch.cat([predict_logits(model, row) for row in single])
        torch.testing.assert_close(predict_logits(model, rows), alone, rtol=1e-4, atol=1e-5)


def test_evaluate_gives_each_tasks_score_over_the_whole_set_and_both_overall_scores(model, few):
    scores = evaluate(model, few)
    assert evaluate(model, few) == scores and model.training
    assert list(scores) == ["sst", "quora", "sts", "plain", "normalised"]
    for name, rows in few.items():
        assert scores[name] == score(rows.task, predict_logits(model, rows), rows.labels)
    assert {name: scores[name] for name in ("plain", "normalised")} == overall(scores)


# -- predictions ------------------------------------------------------------------------------------------------------


def test_predictions_are_written_as_id_and_label_in_the_rows_order(tmp_path):
    path = tmp_path / "new" / "out.csv"
    write_predictions(path, rows_of(get_task("quora"), 3), torch.tensor([[1.0], [-1.0], [0.0]]))
    assert path.read_bytes() == b"id,prediction\nid0,1\nid1,0\nid2,0\n"
    write_predictions(path, rows_of(get_task("sts"), 2), torch.tensor([[1.23456789], [5.0]]))
    assert path.read_bytes() == b"id,prediction\nid0,1.234568\nid1,5.0\n"
    write_predictions(path, rows_of(get_task("sst"), 1), torch.tensor([[0.0, 0.0, 0.0, 9.0, 0.0]]))
    assert path.read_bytes() == b"id,prediction\nid0,3\n"


def test_ids_with_commas_and_quotes_come_back(tmp_path):
    task = get_task("sst")
    rows = Rows(task, "predict", "rows.csv", "", [Example('a,"b"', ("x",), None)])
    write_predictions(tmp_path / "out.csv", rows, torch.eye(5)[:1])
    with (tmp_path / "out.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [{"id": 'a,"b"', "prediction": "0"}]


def test_a_missing_row_of_logits_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(ValueError):
        write_predictions(tmp_path / "out.csv", rows_of(get_task("sst"), 3), torch.eye(5)[:2])
    assert list(tmp_path.iterdir()) == []
