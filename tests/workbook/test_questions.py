"""Labeled questions put to several models, and heads fitted in closed form."""

import pytest
import torch

from mtbert.data import TASKS, read_split
from mtbert.utils import paths
from mtbert.workbook.frozen import ridge, tuned_ridge
from mtbert.workbook.questions import Constant, Question, is_right, put_to
from mtbert.workbook.recorded import Recorded, recorded_means


@pytest.mark.parametrize(
    ("task", "label", "prediction", "right"),
    [
        ("sst", 4, 3, True),
        ("sst", 0, 1, True),
        ("sst", 2, 2, True),
        ("sst", 2, 3, False),
        ("sst", 3, 2, False),
        ("sst", 1, 3, False),
        ("quora", 1, 1, True),
        ("quora", 1, 0, False),
        ("sts", 4.0, 3.0, True),
        ("sts", 4.0, 2.9, False),
    ],
)
def test_sentiment_counts_by_side_and_similarity_by_a_point(task, label, prediction, right):
    assert is_right(TASKS[task], label, prediction) == right


def test_models_are_asked_the_same_and_what_is_right_is_counted():
    train = {name: read_split(paths.SAMPLE, TASKS[name], "train") for name in ("sst", "quora", "sts")}
    constant = Constant(train)
    assert constant.answers["quora"] == 0 and 0 < constant.answers["sts"] < 5
    questions = [Question("quora", ("a?", "b?"), 0), Question("quora", ("a?", "a?"), 1), Question("sst", "bad", 9)]
    table = put_to({"constant": constant, "again": constant}, questions)
    assert table["constant"].tolist() == table["again"].tolist()
    assert table["constant"].tolist()[:2] == ["0 ✓", "0 ✗"] and table["constant"].iloc[-1] in ("1", "2")
    assert table["text"].tolist() == ["a? | b?", "a? | a?", "bad", "right"]


def test_ridge_is_least_squares_without_a_penalty_and_the_mean_with_a_large_one():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 3, generator=generator, dtype=torch.float64)
    y = x @ torch.tensor([[1.0], [-2.0], [0.5]], dtype=torch.float64) + 3
    torch.testing.assert_close(ridge(x, y, x, 0.0), y)
    torch.testing.assert_close(ridge(x, y, x, 1e12), y.mean(0).expand_as(y))


def test_the_penalty_is_chosen_on_held_out_rows():
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.randn(50, 40, generator=generator), torch.randn(50, 1, generator=generator)
    tried = []

    def score(predictions, targets):
        assert len(predictions) == len(targets) == 10
        tried.append(predictions)
        return -float((predictions - targets).square().mean())

    chosen = tuned_ridge(x, x[:, :1] + noise, x, score, (1e-3, 1e3))
    held = torch.arange(50) % 5 == 0
    errors = [(prediction - (x[:, :1] + noise)[held]).square().mean() for prediction in tried]
    best = (1e-3, 1e3)[int(torch.stack(errors).argmin())]
    torch.testing.assert_close(chosen, ridge(x.double(), (x[:, :1] + noise).double(), x.double(), best))


def test_recorded_means_have_a_mean_of_all_tasks_only_where_all_were_measured():
    rows = {
        "alone": [Recorded("single_task", "sst"), Recorded("sts", "sts-cosine")],
        "one model": [Recorded("multitask", "mixed")],
        "nothing": [Recorded("no_table", "mixed")],
    }
    table = recorded_means(rows, ["sst", "quora", "sts", "plain"])
    assert table.loc["alone", ["quora", "plain"]].tolist() == ["not measured"] * 2
    assert table.loc["one model"].astype(float).between(0, 1).all()
    assert set(table.loc["nothing"]) == {"not measured"}
    scores = table.loc["one model"].astype(float)
    assert scores["plain"] == pytest.approx(scores[["sst", "quora", "sts"]].mean(), abs=0.002)
