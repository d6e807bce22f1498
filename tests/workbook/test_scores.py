"""Scores as lessons compare them: recorded, printed, within seeds, and with their errors."""

import math

import numpy as np
import pandas as pd
import pytest

from mtbert.data import TASKS
from mtbert.experiments import results
from mtbert.experiments.metrics import half_interval
from mtbert.utils import paths
from mtbert.workbook import scores


def test_recorded_scores_have_an_interval_over_seeds_and_say_what_was_not_run():
    runs = results.read_table(paths.RESULTS / "sts.csv")
    cosine = runs[(runs.recipe == "sts-cosine") & (runs.encoder == scores.MINILM)].sts
    table = scores.recorded_scores("sts", "sts", {"sts-cosine": "cosine", "no-such-recipe": "none"})
    assert table.loc["cosine"].tolist() == [f"{cosine.mean():.3f} ± {half_interval(cosine):.3f}", len(cosine)]
    assert table.loc["none"].tolist() == ["not measured", 0]


def test_printed_scores_are_those_of_the_report():
    table = scores.printed_scores("yin", ["baseline", "low-rank"])
    assert table.loc["baseline", "sst"] == 0.502 and table.loc["low-rank", "quora"] == 0.728


def test_differences_are_taken_within_a_seed_and_leave_out_seeds_that_one_row_lacks():
    rows = [("r/a", 0, 0.5), ("r/a", 1, 0.7), ("r/b", 1, 0.6), ("r/b", 2, 0.9)]
    runs = pd.DataFrame(rows, columns=["recipe", "seed", "sst"]).assign(quora=0.0, sts=0.0)
    table = scores.measured_differences(runs, "r", ["a", "b"], "a")
    assert table.index.tolist() == [("b", 1)] and table.loc[("b", 1), "sst"] == pytest.approx(-0.1)


def test_the_error_of_a_difference_depends_on_the_rows_that_were_scored():
    few, many = (scores.twice_standard_error({"sst": 0.5, "quora": 0.8, "sts": 0.6}, rows) for rows in (2000, 20_000))
    assert few["quora"] == pytest.approx(2 * math.sqrt(2 * 0.16 / 2000))
    assert few["quora"] / many["quora"] == pytest.approx(math.sqrt(10)) and few["sts"] == many["sts"]
    assert few["sts"] == pytest.approx(2 * math.sqrt(2) * 0.64 / math.sqrt(863))


@pytest.mark.parametrize("task", ["sst", "sts"])
def test_a_paired_effect_lies_in_its_interval_and_equal_models_have_none(task):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 300)
    worse = np.where(rng.random(300) < 0.5, labels, rng.integers(0, 5, 300))
    difference, low, high = scores.paired_effect(TASKS[task], labels, worse, labels)
    assert 0 < low < difference < high
    assert scores.paired_effect(TASKS[task], labels, worse, worse) == (0, 0, 0)
