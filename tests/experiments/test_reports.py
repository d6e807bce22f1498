"""Reports' tables beside recorded runs: which runs count, and what is shown where nothing was measured."""

import json

import pandas as pd
import pytest

from mtbert.experiments.recipes import RECIPES, Scale, scaled
from mtbert.experiments.reports import (
    compare_to_printed,
    compare_to_report,
    format_mean_ci,
    load_runs,
    rows_read,
    scale_changes,
    uneven_pairs,
)
from mtbert.utils.errors import UserError

DATA = '{"ids-sst-dev.csv": "a", "quora-dev.csv": "b"}'
SCORES = {"quora": 0.7, "sts": 0.4, "plain": 0.533, "normalised": 0.633}


def run(name: str, seed: int = 0, scale: Scale = "small", sst: float = 0.5, data: str = DATA, **changes) -> dict:
    """A recorded run as data/results has it."""
    recipe = scaled(RECIPES[name].recipe, scale).replace(**changes)
    fields = {key: value for key, value in recipe.as_dict().items() if key not in ("name", "encoder", "seed")}
    about = {"recipe": name, "seed": seed, "encoder": recipe.encoder, "status": "finished", "sst": sst, **SCORES}
    costs = {"seconds": 60.0, "tokens": 1e5, "device": "cpu", "revision": "r"}
    return {**about, **costs, "data_sha256": data, "fields": json.dumps(fields)}


@pytest.fixture
def record(results_dir):
    """Writes runs to data/results/mine.csv."""
    return lambda *runs: pd.DataFrame(runs).to_csv(results_dir / "mine.csv", index=False)


def test_only_finished_runs_of_the_scale_count(record):
    nothing = load_runs("mine", "small")
    record(
        run("yin/baseline", 0),
        run("yin/baseline", 1, lr=1e-3),
        run("yin/baseline", 2, scale="demo"),
        {**run("yin/baseline", 3), "status": "unfinished"},
        run("li-tang/seq", 4),
    )
    assert list(load_runs("mine", "small").seed) == [0, 4] and list(load_runs("mine", "demo").seed) == [2]
    assert nothing.empty and list(nothing.columns) == list(load_runs("mine", "small").columns)
    assert load_runs("mine", "full").empty


def test_runs_that_cannot_be_compared_are_refused(record):
    record(run("yin/baseline"), run("yin/pal-256", precision="bfloat16"))
    with pytest.raises(UserError, match=r"mine.csv, small scale: .*precision bfloat16 and float32"):
        load_runs("mine", "small")
    assert list(load_runs("mine", "small", precision="bfloat16").recipe) == ["yin/pal-256"]
    record(*({**run("yin/baseline", seed, precision="auto"), "precision": "float32"} for seed in (0, 1)))
    assert list(load_runs("mine", "small", precision="float32").seed) == [0, 1]  # what "auto" was
    record(run("yin/baseline"), run("yin/baseline", encoder="e5"))
    with pytest.raises(UserError, match="encoder e5 and minilm"):
        load_runs("mine", "small")
    assert len(load_runs("mine", "small", encoder="e5")) == 1
    record(run("yin/baseline"), run("yin/pal-256", seed=7, data=DATA.replace('"b"', '"c"')))
    with pytest.raises(UserError, match=r"yin/pal-256, seed 7, .*quora-dev.csv"):
        load_runs("mine", "small")


def test_a_reports_table_has_its_figures_and_ours(record):
    record(*(run("yin/baseline", seed, sst=sst) for seed, sst in enumerate((0.50, 0.52, 0.53))), run("yin/pal-256"))
    table = compare_to_report("yin", load_runs("mine", "small"))
    assert list(table.index) == [name.removeprefix("yin/") for name in RECIPES if name.startswith("yin/")]
    printed = RECIPES["yin/baseline"].printed
    assert dict(table.loc["baseline", "printed"]) == {metric: f"{value:.3f}" for metric, value in printed.items()}
    assert (
        table.loc["baseline", ("measured", "sst")] == format_mean_ci(pd.Series([0.50, 0.52, 0.53])) == "0.517 ± 0.038"
    )
    assert table.loc["pal-256", ("measured", "sst")] == "0.500"  # one seed has no interval
    assert table.loc["pal-256", ("measured", "overall")] == "0.633"  # this report normalises
    assert set(table.loc["low-rank", "measured"].drop("seeds")) == {"not measured"}
    assert list(table["measured", "seeds"])[:3] == [3, 0, 1]


def test_a_score_that_a_row_does_not_train_is_empty_and_overall_is_the_reports_own(record):
    table = compare_to_report("ahmed-karamardian", load_runs("mine", "small"), ["sst-finetune", "baseline"])
    assert list(table.index) == ["sst-finetune", "baseline"] and ("printed", "cfimdb") not in table
    empty = {"quora": "", "sts": "", "overall": ""}
    assert dict(table.loc["sst-finetune", "measured"]) == {"sst": "not measured", **empty, "seeds": 0}
    assert table.loc["sst-finetune", ("printed", "quora")] == ""
    record(run("li-tang/seq"))
    table = compare_to_report("li-tang", load_runs("mine", "small"), ["seq"])
    assert table.loc["seq", ("measured", "overall")] == "0.533"


def test_means_of_a_sweep_stand_beside_the_printed_figures(record):
    table = compare_to_printed(pd.DataFrame([run("li-tang/seq", seed, sst=sst) for seed, sst in enumerate((0.4, 0.6))]))
    row = table.loc["li-tang/seq"]
    assert (row["seeds"], row["quora, printed"], row["overall, printed"]) == (2, 0.877, 0.739)
    assert "overall" not in row and row["sst"] == pytest.approx(0.5)  # no score of ours is called overall


@pytest.mark.parametrize(
    ("row", "scale", "read"),
    [
        ("ahmed-karamardian/baseline", "full", 2 * 75_842),
        ("ahmed-karamardian/iteration-1", "full", 2 * 75_842),
        ("ahmed-karamardian/baseline", "small", 4032),
        ("ahmed-karamardian/iteration-1", "small", 4032),
        ("yin/low-rank-top-mean", "small", 8064),
        ("yin/low-rank-top-mean-curriculum", "small", 11_936),
    ],
)
def test_rows_read_are_those_that_the_sampler_draws(row, scale, read):
    assert rows_read(scaled(RECIPES[row].recipe, scale))["quora"] == read


def test_what_the_small_scale_changes_in_a_row():
    changes = scale_changes("yin/pal-256")
    full, small = RECIPES["yin/pal-256"].recipe, scaled(RECIPES["yin/pal-256"].recipe, "small")
    assert dict(changes.full) == {field: getattr(full, field) for field in changes.index}
    assert dict(changes.small) == {field: getattr(small, field) for field in changes.index}
    assert changes.loc["epochs"].tolist() == [2, 10] and "lr" in changes.index and "sampler" not in changes.index


def test_pairs_that_the_small_scale_does_not_shrink_alike():
    frozen, sequential, alone = "li-tang/pretrain", "li-tang/seq", "ahmed-karamardian/sst-finetune"
    alike = ("yin/low-rank-top-mean-curriculum", "yin/low-rank-top-mean")
    pairs = [(sequential, frozen), alike, (alone, "ahmed-karamardian/sst-pretrain"), (sequential, frozen)]
    [line] = uneven_pairs(pairs, "quora").to_dict("records")  # without repetitions, and pairs that read none of it
    read = [rows_read(scaled(RECIPES[name].recipe, "small"))["quora"] for name in (sequential, frozen)]
    assert line["row / baseline"] == "li-tang/seq / pretrain" and line["small: rows"] == "{:,} / {:,}".format(*read)
    assert (line["full: ratio"], line["small: ratio"]) == ("1.00", f"{read[0] / read[1]:.2f}")
    assert len(uneven_pairs(pairs, "quora", factor=1.01)) > 1 and uneven_pairs(pairs, "quora", factor=2).empty
