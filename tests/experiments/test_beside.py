"""A report's tables beside recorded runs: which runs count, and what stands where nothing was measured."""

import json

import pandas as pd
import pytest

from mtbert.experiments.beside import compare_to_report, costs, load_runs, metrics_of, shown
from mtbert.experiments.recipes import RECIPES, Scale, scale_of, scaled
from mtbert.experiments.results import half_interval, recipe_of
from mtbert.utils.errors import UserError

REPORTS_ROWS = [name for name in RECIPES if "/" in name]
DATA = '{"ids-sst-dev.csv": "a", "quora-dev.csv": "b"}'


def run(name: str, seed: int = 0, scale: Scale = "small", sst: float = 0.5, data: str = DATA, **changes) -> dict:
    """A recorded run as data/results has it."""
    recipe = scaled(RECIPES[name].recipe, scale).replace(**changes)
    fields = {key: value for key, value in recipe.as_dict().items() if key not in ("name", "encoder", "seed")}
    return {
        "recipe": name,
        "seed": seed,
        "encoder": recipe.encoder,
        "status": "finished",
        "sst": sst,
        "quora": 0.7,
        "sts": 0.4,
        "plain": 0.533,
        "normalised": 0.633,
        "seconds": 60.0,
        "tokens": 1e5,
        "device": "cpu",
        "revision": "r",
        "data_sha256": data,
        "fields": json.dumps(fields),
    }


@pytest.fixture
def record(kept):
    """Writes runs to data/results/mine.csv."""
    return lambda *runs: pd.DataFrame(runs).to_csv(kept / "mine.csv", index=False)


# -- scale ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REPORTS_ROWS)
def test_a_rows_scale_is_known_whatever_its_seed_encoder_and_precision(name):
    for scale in ("full", "small", "demo"):
        recipe = scaled(RECIPES[name].recipe, scale)
        assert scale_of(recipe) == scale
        assert scale_of(recipe.replace(seed=5, encoder="elsewhere", precision="bfloat16")) == scale


@pytest.mark.parametrize("changes", [{"lr": 3e-4}, {"dev_rows": 1999}, {"name": "mine"}, {"steps_per_epoch": 5}])
def test_a_changed_row_is_of_no_scale(changes):
    small = scaled(RECIPES["yin/baseline"].recipe, "small")
    assert scale_of(small) == "small" and scale_of(small.replace(**changes)) is None


# -- which runs count -------------------------------------------------------------------------------------------------


def test_a_recorded_run_gives_its_recipe_back():
    row = run("yin/pal-256", seed=3, precision="bfloat16")
    assert recipe_of(row) == scaled(RECIPES["yin/pal-256"].recipe, "small").replace(seed=3, precision="bfloat16")


def test_only_finished_runs_of_that_scale_count(record):
    record(
        run("yin/baseline", 0),
        run("yin/baseline", 1, lr=1e-3),
        run("yin/baseline", 2, scale="demo"),
        {**run("yin/baseline", 3), "status": "unfinished"},
        run("li-tang/seq", 4),
    )
    assert list(load_runs("mine", "small").seed) == [0, 4]
    assert list(load_runs("mine", "demo").seed) == [2]


def test_where_nothing_is_recorded_there_are_no_runs_and_the_same_columns(record):
    nothing = load_runs("mine", "small")
    record(run("yin/baseline"))
    assert nothing.empty and list(nothing.columns) == list(load_runs("mine", "small").columns)
    assert load_runs("mine", "full").empty


def test_runs_that_cannot_be_compared_are_told_apart(record):
    record(run("yin/baseline"), run("yin/pal-256", precision="bfloat16"))
    with pytest.raises(UserError, match="mine.csv, small scale: runs with precision bfloat16 and float32"):
        load_runs("mine", "small")
    assert list(load_runs("mine", "small", precision="bfloat16").recipe) == ["yin/pal-256"]
    record(run("yin/baseline"), run("yin/baseline", encoder="e5"))
    with pytest.raises(UserError, match="runs with encoder e5 and minilm"):
        load_runs("mine", "small")
    assert len(load_runs("mine", "small", encoder="e5")) == 1
    record(run("yin/baseline"), run("yin/pal-256", seed=7, data=DATA.replace('"b"', '"c"')))
    with pytest.raises(UserError, match="yin/pal-256, seed 7, has another quora-dev.csv"):
        load_runs("mine", "small")


# -- the table --------------------------------------------------------------------------------------------------------


def test_a_reports_table_has_its_figures_and_ours(record):
    record(*(run("yin/baseline", seed, sst=sst) for seed, sst in enumerate((0.50, 0.52, 0.53))), run("yin/pal-256"))
    table = compare_to_report("yin", load_runs("mine", "small"))
    assert list(table.index) == [name.removeprefix("yin/") for name in RECIPES if name.startswith("yin/")]
    printed = RECIPES["yin/baseline"].printed
    assert dict(table.loc["baseline", "printed"]) == {metric: f"{value:.3f}" for metric, value in printed.items()}
    half = half_interval(pd.Series([0.50, 0.52, 0.53]))
    assert table.loc["baseline", ("measured", "sst")] == f"0.517 ± {half:.3f}"
    assert table.loc["pal-256", ("measured", "sst")] == "0.500"  # one seed has no interval
    assert table.loc["pal-256", ("measured", "overall")] == "0.633"  # this report normalises
    assert set(table.loc["low-rank", "measured"].drop("seeds")) == {"not measured"}
    assert list(table["measured", "seeds"])[:3] == [3, 0, 1]
    assert table.loc["low-rank-top-mean-mnrl-pairs", ("printed", "overall")] == ""  # left empty there


def test_what_a_row_does_not_train_is_empty(record):
    table = compare_to_report("ahmed-karamardian", load_runs("mine", "small"), ["sst-finetune", "baseline"])
    assert list(table.index) == ["sst-finetune", "baseline"] and ("printed", "cfimdb") not in table
    assert dict(table.loc["sst-finetune", "measured"]) == {
        "sst": "not measured",
        "quora": "",
        "sts": "",
        "overall": "",
        "seeds": 0,
    }
    assert table.loc["sst-finetune", ("printed", "quora")] == ""


def test_the_overall_score_is_the_one_that_a_report_uses(record):
    record(run("li-tang/seq"))
    table = compare_to_report("li-tang", load_runs("mine", "small"), ["seq"])
    assert table.loc["seq", ("measured", "overall")] == "0.533"


def test_metrics_of_a_recipe_are_those_of_its_tasks():
    assert metrics_of(RECIPES["li-tang/mix-aux-0.3"].recipe) == ["sst", "quora", "sts", "overall"]
    assert metrics_of(RECIPES["ahmed-karamardian/cfimdb-finetune"].recipe) == ["cfimdb"]


def test_a_row_costs_the_mean_of_its_runs(record):
    slow = {**run("yin/baseline", 1), "seconds": 120.0, "tokens": 3e6, "tokens_per_second": 2000.0}
    record({**run("yin/baseline"), "tokens_per_second": 500.0}, slow, run("yin/pal-256"))
    table = costs("yin", load_runs("mine", "small"))
    assert list(table.loc["baseline"]) == ["90", "1,550", "1,250"]
    assert list(table.loc["pal-256"]) == ["60", "100", "not measured"]
    assert set(table.loc["low-rank"]) == {"not measured"}
    assert set(costs("yin", load_runs("nothing", "small")).stack()) == {"not measured"}


def test_where_no_score_is_there_it_says_so():
    assert shown(pd.Series([], dtype=float)) == "not measured" and shown(pd.Series([0.5])) == "0.500"
