"""Recorded runs, summarized: means and intervals, histories, costs, and what recording never changes."""

import json
import math
import shutil

import pandas as pd
import pytest
from scipy import stats

import mtbert
from mtbert.experiments import results
from mtbert.training.run import Run, open_run
from mtbert.utils import paths
from mtbert.utils.errors import UserError


@pytest.fixture
def recorded(results_dir):
    rows = [
        ("a", 0, "x", 0.5, math.nan),
        ("a", 1, "x", 0.6, math.nan),
        ("a", 2, "x", 0.7, math.nan),
        ("b", 0, "x", math.nan, 0.9),
        ("a", 0, "y", 0.1, math.nan),
    ]
    table = pd.DataFrame(rows, columns=["recipe", "seed", "encoder", "sst", "cfimdb"])
    table = table.assign(fields='{"lr": 1}', data_sha256="{}")
    table.loc[len(table)] = ["b", 1, "x", math.nan, 0.5, '{"lr": 2}', "{}"]
    table.to_csv(results_dir / "runs.csv", index=False)


def test_a_summary_has_means_and_students_interval_over_the_seeds(recorded):
    table = results.summary("runs", ["sst", "cfimdb"]).set_index(["recipe", "encoder", "metric"])
    assert len(table) == 4  # nothing for what was not measured
    row = table.loc[("a", "x", "sst")]
    assert row.runs == 3 and row["mean"] == pytest.approx(0.6)
    low, high = stats.t.interval(0.95, 2, 0.6, stats.sem([0.5, 0.6, 0.7]))
    assert row.half == pytest.approx((high - low) / 2)
    alone = table.loc[("b", "x", "cfimdb")]  # two runs with different fields are not pooled, and one has no interval
    assert list(alone.runs) == [1, 1] and list(alone["mean"]) == [0.9, 0.5] and alone.half.isna().all()
    with pytest.raises(UserError, match="nothing.csv does not exist"):
        results.summary("nothing", ["sst"])


def test_a_summary_shows_the_recipe_fields_that_tell_its_rows_apart(tiny_runs, results_dir):
    results.record([tiny_runs / "one"], "mine")
    table = results.summary("mine", ["sst"], by=("recipe", "lr", "seed"))
    recipe = open_run(tiny_runs / "one").recipe
    assert table[["lr", "seed"]].values.tolist() == [[recipe.lr, recipe.seed]]


def test_recording_again_replaces_a_run_and_leaves_the_other_rows_as_they_were(tiny_runs, results_dir):
    """Also a row from before a field existed, and a recipe whose name and revision look like other things."""
    results.record([tiny_runs / "one"], "mine")
    path = results_dir / "mine.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    fields = json.loads(table.fields[0])
    del fields["surgery"], fields["gradient_accumulation_steps"]
    older = table.assign(seed="1", revision="older", fields=json.dumps(fields))
    odd = table.assign(recipe="NA", revision="1234e5", sst="0.50", seconds="")
    pd.concat([table, older, odd]).to_csv(path, index=False)
    lines = path.read_text().splitlines()
    results.record([tiny_runs / "one", tiny_runs / "two"], "mine")
    recorded = path.read_text().splitlines()
    assert [new == old for new, old in zip(recorded, lines, strict=True)] == [True, True, False, True]
    read = results.read_table(path)
    assert list(read.recipe) == ["tiny", "tiny", "NA"] and list(read.seed) == [0, 1, 0]
    assert read.revision[1] != "older" and read.revision[2] == "1234e5"
    assert math.isnan(read.seconds[2]) and read.sst[0] == mtbert.open_run(tiny_runs / "one").scores["sst"]


def test_tokens_per_second_are_those_of_all_epochs_together():
    epochs = [{"seconds": 1.0, "tokens_per_second": 100.0}, {"seconds": 3.0, "tokens_per_second": 20.0}]
    assert results._training_tokens(Run("run", {"epochs": epochs})) == (160, 40.0)
    untimed = Run("run", {"epochs": [{"seconds": 0.0, "tokens_per_second": 100.0}]})
    assert math.isnan(results._training_tokens(untimed)[1])


def test_histories_have_a_row_for_each_task_of_each_epoch(recorded, results_dir):
    table = pd.read_csv(results_dir / "runs.csv").assign(steps=6, fields='{"tasks": ["sst", "yelp"]}')
    epoch = {"step": 3, "losses": {"yelp": 1.5}, "scores": {"sst": 0.5, "plain": 0.5}}  # as in older records
    surgery = {"steps": 3, "conflicts": {"sst-yelp": 2}}
    last = {**epoch, "step": 6, "losses": {"sst": 1.0}, "train_scores": {"sst": 0.7}, "surgery": surgery}
    table["history"] = json.dumps([epoch, last])
    table.loc[1:, "history"] = None  # as in older records
    table.to_csv(results_dir / "epochs.csv", index=False)
    history = results.histories("epochs")
    positions = [(1, 3, "sst"), (1, 3, "yelp"), (2, 6, "sst"), (2, 6, "yelp")]
    assert list(zip(history.epoch, history.step, history.task, strict=True)) == positions
    assert history.loss.fillna(-1).tolist() == [-1, 1.5, 1.0, -1]
    assert history.score.fillna(-1).tolist() == [0.5, -1, 0.5, -1]
    assert history.train_score.fillna(-1).tolist() == [-1, -1, 0.7, -1]
    assert results.conflict_counts("epochs").iloc[:, 2:].values.tolist() == [[2, "sst-yelp", 3, 2]]
    assert results.conflict_counts("runs").empty
    assert results.histories("runs").empty  # recorded before epochs were


def test_a_recorded_epoch_keeps_train_scores_and_the_conflicts_of_surgery():
    surgery = {"steps": 2, "cosines": {"sst-sts": [0.1, -0.1]}, "conflicts": {"sst-sts": 1}}
    epoch = {"step": 2, "losses": {"sst": 1 / 3}, "scores": {}, "train_scores": {"sst": 2 / 3}, "surgery": surgery}
    kept = {"steps": 2, "conflicts": {"sst-sts": 1}}
    entry = {"step": 2, "losses": {"sst": 0.33333}, "train_scores": {"sst": 0.66667}, "scores": {}}
    assert results._history_entry(epoch) == {**entry, "surgery": kept}
    assert results._history_entry({**epoch, "surgery": {"steps": 0}}) == entry
    both = {"average": {"sst": 0.123456}, "raw": {"sst": 0.5}}
    kept = results._history_entry({**epoch, "scores_by_weights": both})["scores_by_weights"]
    assert kept == {"average": {"sst": 0.12346}, "raw": {"sst": 0.5}}


def test_an_archive_holds_all_of_a_run_but_weights(tiny_runs, tmp_path, sample):
    results.archive([tiny_runs / "one"], tmp_path / "home.tar.xz")
    shutil.unpack_archive(tmp_path / "home.tar.xz", tmp_path / "home")
    assert not list((tmp_path / "home").rglob("*.safetensors"))
    assert results.gather([tiny_runs / "one"]).equals(results.gather([tmp_path / "home" / "one"]))
    assert (tmp_path / "home" / "one" / "predictions" / "sst-dev.csv").exists()
    with pytest.raises(UserError, match="are called one"):
        results.archive([tiny_runs / "one", tmp_path / "home" / "one"], tmp_path / "twice.tar.xz")
    with pytest.raises(UserError, match="home.zip: an archive is a .tar.xz"):
        results.archive([tiny_runs / "one"], tmp_path / "home.zip")


def test_runs_of_one_recipe_and_machine_make_one_row_of_costs(results_dir):
    """Runs on a CPU and on two GPUs, one of them unfinished, and a table without runs."""
    row = {"recipe": "mixed", "encoder": "a/b", "steps": 10, "device": "cpu (X)", "fields": "{}", "status": "finished"}
    cpu = [{**row, "seconds": 60, "peak_memory_mb": 1024}, {**row, "seconds": 180, "peak_memory_mb": 2048}]
    pd.DataFrame(cpu).to_csv(results_dir / "one.csv")
    gpu = {**row, "device": "cuda (Y)", "world_size": 2, "seconds": 6, "peak_memory_mb": 512}
    pd.DataFrame([gpu, {**gpu, "status": "unfinished", "seconds": 1}]).to_csv(results_dir / "two.csv")
    pd.DataFrame([{"seconds": 1}]).to_csv(results_dir / "three.csv")
    costs = results.run_costs()
    assert results.format_costs(costs).splitlines()[2:] == [
        "| `mixed` | b | 10 | cpu (X) | 2 | 2.0 | 2.0 GB |",
        "| `mixed` | b | 10 | 2 x cuda (Y) | 1 | 0.1 | 0.5 GB |",
    ]
    without_gpu = results.format_costs(costs[costs.device == "cpu (X)"])
    assert without_gpu.endswith("| a GPU | | not measured | not measured |")


def test_the_page_of_results_shows_the_recorded_costs():
    page = (paths.RESULTS / "README.md").read_text(encoding="utf-8")
    assert results.format_costs(results.run_costs(), results.COST_RECIPES) in page


def test_the_readmes_quote_the_seeds_of_the_best_model():
    runs = results.read_table(paths.RESULTS / "best_averaged.csv").sort_values("seed")
    columns = ["sst", "quora", "sts", "plain", "normalised"]

    def cells(scores):
        return " | ".join(f"{scores[column]:.3f}".removeprefix("0") for column in columns)

    pages = [(folder / "README.md").read_text(encoding="utf-8") for folder in (paths.ROOT, paths.RESULTS)]
    assert all(
        f"mean of three seeds | {size}{cells(runs[columns].mean())} |" in page
        for page, size in zip(pages, ("33 M | ", ""), strict=True)
    )
    assert all(f"seed {run.seed} | {cells(run._asdict())} |" in pages[1] for run in runs.itertuples())
    both = results.read_table(paths.RESULTS / "both.csv").sort_values("seed")
    best = both[both.recipe == "best"]
    assert len(best) == 3
    recipe = mtbert.recipe("best").replace(precision="bfloat16")  # the page names that command
    assert all(results.recipe_of(run).replace(seed=0) == recipe for run in best.to_dict("records"))
    assert all(
        f"{name}, mean of three seeds | {size}{cells(best[columns].mean())} |" in page
        for page, name, size in zip(pages, ("recipe `best` (e5-small)", "`best`"), ("33 M | ", ""), strict=True)
    )
    assert all(f"`best`, seed {run.seed} | {cells(run._asdict())} |" in pages[1] for run in best.itertuples())
    ensembles = results.read_table(paths.RESULTS / "ensembles.csv").to_dict("records")
    for together in ensembles:
        assert f"{together['parameters'] / 1e6:.0f} million parameters | {cells(together)} |" in pages[1]
    assert f"| 100 M | {cells(ensembles[-1])} |" in pages[0]
    for seeds in (runs, best):
        half = stats.t.ppf(0.975, len(seeds) - 1) * seeds.plain.sem()
        interval = f"{seeds.plain.mean():.3f} ± {half:.3f}".replace("0.", ".")
        assert all(interval in page for page in pages)


def test_the_page_of_results_compares_reading_pairs_both_ways_at_the_same_steps():
    page = (paths.RESULTS / "README.md").read_text(encoding="utf-8")
    (plain,) = results.read_table(paths.RESULTS / "best_recipe.csv").to_dict("records")
    alone, both = (
        results.read_table(paths.RESULTS / "both.csv")
        .query("seed == 0")
        .sort_values("recipe", ascending=False)
        .to_dict("records")
    )
    changes = {"encoding": {"sts": "bi"}, "head": {"sts": "cosine"}, "precision": "float32"}
    assert results.recipe_of(plain) == results.recipe_of(both).replace(**changes)
    assert both["status"] == plain["status"] == "finished" and both["seed"] == plain["seed"]
    assert len(json.loads(both["history"])) == 4
    for pair in zip(json.loads(plain["history"]), json.loads(both["history"]), strict=True):
        assert pair[0]["step"] == pair[1]["step"]
        for name, epoch in zip(
            (f"two sequences, after {pair[0]['step']:,} steps", "the same, both ways"), pair, strict=True
        ):
            scores = (f"{epoch['scores'][task]:.3f}"[1:] for task in ("sst", "quora", "sts", "plain"))
            assert f"| {name} | {' | '.join(scores)} |" in page
    everything = results.read_table(paths.RESULTS / "sts.csv")
    cosine = everything[(everything.recipe == "sts-cosine") & (everything.encoder == alone["encoder"])]
    assert f"{cosine.sts.item():.3f}" == f"{alone['sts']:.3f}" == "0.895" and "(.895 with either head" in page


def test_the_page_of_results_shows_the_recorded_training_steps():
    page = (paths.RESULTS / "README.md").read_text(encoding="utf-8")
    everything = results.read_table(paths.RESULTS / "throughput.csv").set_index(["task", "side"])
    table, compiled = (everything[everything["compile"] == flag] for flag in (False, True))
    for task, name in (("sst", "SST"), ("quora", "Quora"), ("sts", "STS")):
        sides = table.loc[task]
        rates = " | ".join(f"{rate:.1f}" for rate in sides.examples_per_second)
        ours = sides[sides.index.str.startswith("mtbert")]
        ratios = [f"{sides.mtbert_is[peer]:.2f}" for peer in ("transformers", "transformers, grouped")]
        assert f"| {name} | {rates} | {' | '.join(ratios)} | {ours.mfu[ours.mtbert_is.idxmin()]:.0%} |" in page
    sst, quora, sts = compiled.xs("transformers, compiled, grouped", level="side").mtbert_is
    assert f"{sst:.2f} times as fast on SST, {quora:.2f} on Quora and {sts:.2f} on STS" in " ".join(page.split())
