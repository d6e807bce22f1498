"""Recorded runs, summarised."""

import json
import math

import pandas as pd
import pytest
from scipy import stats

from mtbert.experiments import results
from mtbert.training.recipe import Recipe
from mtbert.training.run import Run
from mtbert.utils import paths
from mtbert.utils.errors import UserError


@pytest.fixture
def recorded(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "RESULTS", tmp_path)
    table = pd.DataFrame(
        [
            ("a", 0, "x", 0.5, math.nan),
            ("a", 1, "x", 0.6, math.nan),
            ("a", 2, "x", 0.7, math.nan),
            ("b", 0, "x", math.nan, 0.9),
            ("a", 0, "y", 0.1, math.nan),
        ],
        columns=["recipe", "seed", "encoder", "sst", "cfimdb"],
    ).assign(fields='{"lr": 1}', data_sha256="{}")
    table.loc[len(table)] = ["b", 1, "x", math.nan, 0.5, '{"lr": 2}', "{}"]
    table.to_csv(tmp_path / "runs.csv", index=False)


def test_a_summary_has_means_and_students_interval_over_the_seeds(recorded):
    table = results.summary("runs", ["sst", "cfimdb"]).set_index(["recipe", "encoder", "metric"])
    assert len(table) == 4  # nothing for what was not measured
    row = table.loc[("a", "x", "sst")]
    assert row.runs == 3 and row["mean"] == pytest.approx(0.6)
    low, high = stats.t.interval(0.95, 2, 0.6, stats.sem([0.5, 0.6, 0.7]))
    assert row.half == pytest.approx((high - low) / 2)


def test_a_single_run_has_no_interval_and_runs_with_other_fields_are_not_pooled(recorded):
    table = results.summary("runs", ["cfimdb"])
    assert list(table.runs) == [1, 1] and list(table["mean"]) == [0.9, 0.5] and table.half.isna().all()


def test_a_record_from_before_a_field_existed_is_that_of_its_default():
    fields = Recipe().as_dict()
    now = json.dumps({name: fields[name] for name in fields if name not in ("name", "encoder", "seed")})
    before = json.loads(now)
    del before["surgery"], before["gradient_accumulation_steps"]
    assert results._completed(json.dumps(before)) == now == results._completed(now)
    assert results._completed(json.dumps({**before, "surgery": "pcgrad"})) != now


def test_what_was_never_recorded_is_said(recorded):
    with pytest.raises(UserError, match="nothing.csv does not exist: record runs"):
        results.summary("nothing", ["sst"])


def test_tokens_a_second_are_those_of_all_epochs_together():
    epochs = [{"seconds": 1.0, "tokens_per_second": 100.0}, {"seconds": 3.0, "tokens_per_second": 20.0}]
    assert results._tokens_per_second(Run("run", {"epochs": epochs})) == 40.0
    assert results._tokens(Run("run", {"epochs": epochs})) == 160.0
    untimed = Run("run", {"epochs": [{"seconds": 0.0, "tokens_per_second": 100.0}]})
    assert math.isnan(results._tokens_per_second(untimed))


def test_histories_have_a_row_for_each_task_of_each_epoch(recorded):
    table = pd.read_csv(paths.RESULTS / "runs.csv").assign(steps=6, fields='{"tasks": ["sst", "yelp"]}')
    epoch = {"step": 3, "losses": {"yelp": 1.5}, "scores": {"sst": 0.5, "plain": 0.5}}
    table["history"] = json.dumps([epoch, {**epoch, "step": 6, "losses": {"sst": 1.0}}])
    table.loc[1:, "history"] = None  # as in records from before
    table.to_csv(paths.RESULTS / "epochs.csv", index=False)
    found = results.histories("epochs")
    assert list(zip(found.epoch, found.step, found.task, strict=True)) == [
        (1, 3, "sst"),
        (1, 3, "yelp"),
        (2, 6, "sst"),
        (2, 6, "yelp"),
    ]
    assert found.loss.fillna(-1).tolist() == [-1, 1.5, 1.0, -1]
    assert found.score.fillna(-1).tolist() == [0.5, -1, 0.5, -1]
    assert results.histories("runs").empty  # recorded before epochs were kept
