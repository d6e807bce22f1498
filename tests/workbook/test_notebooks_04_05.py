"""What notebooks 04 and 05 say of recorded runs, recomputed from the records."""

import re

import pytest
from workbook.lessons import output_of, prose, short

from mtbert.experiments import results
from mtbert.utils import paths
from mtbert.utils.errors import UserError
from mtbert.workbook.plots import single_task
from mtbert.workbook.recorded import Recorded, recorded_history, recorded_limits, recorded_means

PROSE = {lesson: prose(lesson) for lesson in ("04", "05")}
TASKS = ("sst", "quora", "sts")
LONGER = Recorded("best", "best", "e5-small", 4500)


def test_a_recorded_history_has_the_columns_of_a_run_and_the_mean_of_its_tasks():
    history = recorded_history(LONGER)
    assert history.columns.tolist() == ["epoch", *(f"loss {task}" for task in TASKS), *TASKS, "plain"]
    assert history.epoch.tolist() == [1, 2, 3]
    assert history.plain.tolist() == pytest.approx(history[list(TASKS)].mean(axis=1).tolist())
    with pytest.raises(UserError, match=r"best\.csv has no epoch of tiny"):
        recorded_history(Recorded("best", "tiny"))


def test_recorded_limits_are_those_of_the_recipes():
    limits = recorded_limits("truncation", "cfimdb")
    assert limits.columns.tolist() == ["max_length", "lr", "seed", "accuracy"]
    assert sorted(limits.max_length) == [64, 128, 256, 512] and limits.lr.nunique() == 1
    with_shares = limits.assign(cut=0.5)
    assert [len(single_task.truncation(table, 245).axes) for table in (limits, with_shares)] == [1, 2]


def test_numbers_of_notebook_04_are_those_recorded():
    limits = recorded_limits("truncation", "cfimdb").set_index("max_length").accuracy
    by = ("recipe", "lr")
    tables = {name: results.summary(name, ["sst", "cfimdb"], by) for name in ("single_task", "learning_rates")}
    assert not any(table.recipe.duplicated().any() for table in tables.values())  # one definition of each recipe
    tuned, low = (table.set_index("recipe") for table in tables.values())
    assert set(tuned.lr[["sst-last-layer", "cfimdb-last-layer"]]) == {3e-3} and set(low.lr) == {1e-3}
    assert f"all 512: {short(limits[64])} against {short(limits[512])}" in PROSE["04"]
    assert max(limits[128], limits[256]) < min(limits[64], limits[512])
    error = single_task.standard_error(limits, 245)
    assert f"about {short(error.mean())}" in PROSE["04"] and f"one of {short(2**0.5 * error.max())}" in PROSE["04"]
    assert f"all 512 tokens gave {short(low['mean']['cfimdb-last-layer'])} (the mean of three seeds)" in PROSE["04"]
    cost = tuned["mean"] - low["mean"]
    assert round(100 * cost["sst-last-layer"]) == 1 and 0.04 < cost["cfimdb-last-layer"] < 0.05
    assert cost["sst-last-layer"] < tuned.half["sst-last-layer"] + low.half["sst-last-layer"]  # the intervals overlap
    assert limits.max() - limits.min() < cost["cfimdb-last-layer"]
    assert tuned["mean"]["cfimdb"] - tuned["mean"]["cfimdb-last-layer"] > 0.12
    assert tuned["mean"]["sst"] - tuned["mean"]["sst-last-layer"] > 0.06


def test_what_a_low_rate_costs_on_the_sample_is_what_notebook_04_prints():
    [low] = re.findall(r"last layer: ([.\d]+) at 0.001, ([.\d]+) at 0.01", output_of("04"))
    [full] = re.findall(r"all layers: ([.\d]+) at", output_of("04"))
    at_a_tenth, at_ours = map(float, low)
    assert "On the sample, 1e-3 cost fifteen points compared with 1e-2" in PROSE["04"]
    assert round(100 * (at_ours - at_a_tenth)) == 15
    assert 'we would have "measured" a gain of nineteen points' in PROSE["04"]
    assert round(100 * (float(full) - at_a_tenth)) == 19


def test_numbers_of_notebook_05_are_those_recorded():
    rows = {
        "alone": [Recorded("single_task", "sst"), Recorded("sts", "sts-cosine")],
        "mixed": [Recorded("multitask", "mixed")],
        "minilm": [Recorded("best", "best-minilm")],
        "best": [Recorded("best", "best", "e5-small", 3000)],
        "longer": [LONGER],
    }
    table = recorded_means(rows, ["sst", "sts"]).astype(float)
    every = recorded_means({name: rows[name] for name in ("best", "longer")}, TASKS).astype(float)
    history = recorded_history(LONGER)
    alone, mixed, minilm = table.sst[["alone", "mixed", "minilm"]]
    losses = sorted(table.sts["alone"] - table.sts[["mixed", "minilm"]])
    assert f"{short(alone)} alone, {short(mixed)} in mixed steps, {short(minilm)} with one task" in PROSE["05"]
    assert alone - mixed > 2 * 0.015 > alone - minilm
    assert f"{short(losses[0])} to {short(losses[1])} lower in one model" in PROSE["05"]
    assert f"adds {short(table.sst['best'] - minilm)} to sentiment" in PROSE["05"]
    largest = (every.loc["best"] - every.loc["longer"]).abs().max()
    assert f"no score changed by more than {short(largest)}" in PROSE["05"]
    assert f"still gains, from {short(history.quora[1])} to {short(history.quora[2])}" in PROSE["05"]
    assert f"({short(history.sst[1])}, then {short(history.sst[2])})" in PROSE["05"]
    assert history["loss sst"].is_monotonic_decreasing and history.plain.idxmax() == 1


def test_how_often_notebook_05_says_that_data_sets_were_read():
    runs = results.read_table(paths.RESULTS / "best.csv")
    [run] = runs[(runs.recipe == "best") & (runs.steps == LONGER.steps)].to_dict("records")
    recipe, rows = results.recipe_of(run), {"sst": 8544, "quora": 75_842, "sts": 6040}
    shares = {task: count ** (1 / recipe.temperature) for task, count in rows.items()}
    assert recipe.sampler == "temperature" and recipe.tasks == tuple(rows)
    passes = {
        task: LONGER.steps * shares[task] / sum(shares.values()) * recipe.batch_size[task] / rows[task] for task in rows
    }
    words = f"SST has been read about {passes['sst']:.1f} times, and Quora about {passes['quora']:.1f} times"
    assert words in PROSE["05"]
