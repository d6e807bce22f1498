"""Numbers in the prose of notebooks 07 and 08, recomputed from what is recorded and printed."""

import math
import re

import pandas as pd
import pytest
import torch
from workbook.lessons import LESSONS, cells_of, output_of, prose, said, short

import mtbert
from mtbert.data import TASKS
from mtbert.experiments import results
from mtbert.experiments.recipes import RECIPES, scaled
from mtbert.experiments.report_tables import read_facts
from mtbert.experiments.reports import load_runs
from mtbert.nn import ADAPTERS, build_adapter
from mtbert.nn.adapters import AdapterShape
from mtbert.nn.bert import Bert, BertConfig
from mtbert.training.run import open_run
from mtbert.utils import paths
from mtbert.workbook import scores

PROSE = {lesson: prose(lesson) for lesson in ("07", "08")}
MARCHINI = "marchini-callon-cussen"
REPORTS = {
    "yin": [
        "baseline",
        *("pal-128", "pal-256", "pal-256-epochs-20", "pal-2-projections", "pal-3-projections"),
        *("low-rank", "low-rank-top", "low-rank-top-mean", "low-rank-top-max"),
    ],
    MARCHINI: ["baseline", "naive-multitask", "gradvac", "pals", "cosine", "combined"],
}


def recorded(recipe: str) -> float:
    runs = results.read_table(paths.RESULTS / "sts.csv")
    return runs[(runs.recipe == recipe) & (runs.encoder == scores.MINILM)].sts.mean()


def table(name: str, index: str) -> pd.DataFrame:
    return results.read_table(paths.RESULTS / f"{name}.csv").set_index(index)


def printed_row(notebook: str, cell: str, *names: str) -> list[float]:
    """The numbers of the line that begins with these names, in what the committed cell printed."""
    line = re.search(
        r"^ *" + r" +".join(map(re.escape, names)) + r" +([-\d.,Na ]+)$", output_of(notebook, cell), re.MULTILINE
    )
    return [float(number.replace(",", "")) for number in line[1].split()]


@pytest.fixture(scope="module")
def sts() -> dict[str, str]:
    order, frozen = table("sts_order", "loss"), table("sts_frozen", "kind")
    frozen = frozen[(frozen.encoder == scores.MINILM) & (frozen.what == "plain cosine")]
    facts = results.read_table(paths.ROOT / "data/reports/marchini-callon-cussen.csv").set_index("row")
    high = order["Spearman, labels >= 3"]
    return {
        "six layers reach {} before fine-tuning": short(frozen.dev["mean"]),
        "Before fine-tuning *r* is {} here": short(order.r["before fine-tuning"]),
        "no worse than before fine-tuning ({} against": short(high["MNRL"]),
        "against {}). But it gains": short(high["before fine-tuning"]),
        "read the scores ({} and": short(high["squared error"]),
        "and {}; each is one run). So the report's": short(high["CoSENT"]),
        "the baseline's {} matches": short(recorded("sts-concat"), 2),
        "report prints: {} after one epoch": short(facts.sts["STS baseline after 1 epoch"]),
        "under MNRL ({}), although": short(recorded("sts-concat-mnrl"), 2),
        "ends at {} instead": short(recorded("sts-concat-graded"), 2),
        "of an *r* of .34 is {} and": short((1 - recorded("sts-concat") ** 2) / math.sqrt(863), 2),
        "of an *r* of .87 is {}:": short((1 - recorded("sts-short") ** 2) / math.sqrt(863), 2),
        "single runs that differ by {} cannot": short(recorded("sts-smart") - recorded("sts-short")),
        "rises from {} to": f"{table('sts_retrieval', 'loss')['recall@1']['before fine-tuning']:.0%}",
        "% to {}, trained": f"{table('sts_retrieval', 'loss')['recall@1']['MNRL']:.0%}",
    }


def test_numbers_of_notebook_08_are_those_recorded_or_printed(sts):
    said("08", sts)


def test_a_ranking_loss_gains_a_third_of_what_losses_that_read_the_scores_gain():
    high = table("sts_order", "loss")["Spearman, labels >= 3"]
    high = high - high["before fine-tuning"]
    assert "gains a third of what" in PROSE["08"]
    assert high["MNRL"] / high[["squared error", "CoSENT"]].mean() == pytest.approx(1 / 3, abs=0.03)


def test_printed_scores_of_the_baseline_that_notebook_08_quotes():
    rows = [("yin", "baseline"), (MARCHINI, "baseline"), (MARCHINI, "naive-multitask")]
    printed = [RECIPES[f"{report}/{row}"] for report, row in rows]
    assert [entry.recipe.head["sts"] for entry in printed] == ["concat", "concat_sigmoid", "concat_sigmoid"]
    assert [entry.printed["sts"] for entry in printed] == pytest.approx([0.36] * 3, abs=0.006)
    cosine = RECIPES[f"{MARCHINI}/cosine"]
    assert cosine.recipe.head["sts"] == "cosine"
    said("08", {"and print {} for it": ".36", "jumps to {} by switching": short(cosine.printed["sts"], 2)})


def test_what_notebook_08_says_of_its_demo_runs_is_what_they_print():
    train = {name: printed_row("08", "37693cfc", name)[0] for name in ("(u, v)", "(u, v), train labels shuffled")}
    assert "fits nearly as well" in PROSE["08"] and 0 < train["(u, v)"] - train["(u, v), train labels shuffled"] < 0.1
    names = ("cosine, before fine-tuning", "constant: the mean")
    before, constant = (printed_row("08", "a5771bce", name) for name in names)
    assert before[0] > 0.6 and before[1] > constant[1]
    names = ("before fine-tuning", "squared error", "MNRL", "CoSENT")
    ordered = {name: printed_row("08", "03afdbd6", name) for name in names}
    assert "CoSENT orders the pairs at least as well" in PROSE["08"]
    assert max(ordered, key=lambda name: ordered[name][1]) == "CoSENT"
    assert "even below the plain cosine *before* fine-tuning" in PROSE["08"]
    assert recorded("sts-cosine-shifted") < table("sts_frozen", "kind").query("encoder == @scores.MINILM").dev["mean"]
    assert f"a constant ({constant[1]}, in the table" in PROSE["08"] and ordered["CoSENT"][2] > constant[1]
    assert "Seventy-four questions" in "".join(output_of("08", "e2c420d9").split("\n")[-1:])
    assert output_of("08", "e2c420d9").startswith("74 duplicates")


def test_what_notebook_08_says_of_poolings():
    before = table("sts_frozen", "kind")
    before = before[(before.encoder == scores.MINILM) & (before.what == "plain cosine")].dev
    after = {"mean": recorded("sts-short"), "cls": recorded("sts-cls"), "max": recorded("sts-max")}
    others = before.drop("mean")
    assert "is about six points ahead" in PROSE["08"]
    assert all(before["mean"] - score == pytest.approx(0.06, abs=0.006) for score in others)
    gap = (after["mean"] - after["cls"]) / (before["mean"] - before["cls"])
    assert "closes about half of the gap for [CLS]" in PROSE["08"] and gap == pytest.approx(0.5, abs=0.06)
    assert "The maximum even falls below its starting point" in PROSE["08"] and after["max"] < before["max"]


def test_what_notebook_08_says_of_one_sequence_or_two():
    bi, cross = (mtbert.recipe(f"sts-{name}") for name in ("cosine", "cross"))
    assert "by a point with half the epochs" in PROSE["08"] and cross.epochs == 2 * bi.epochs
    assert recorded("sts-cosine") - recorded("sts-cross") == pytest.approx(0.01, abs=0.004)
    runs = results.read_table(paths.RESULTS / "sts.csv").set_index(["recipe", "encoder"]).sts
    other = runs["sts-cosine", "intfloat/e5-small"].item()
    assert "gains a point and a half" in PROSE["08"] and other - recorded("sts-cosine") == pytest.approx(
        0.015, abs=2e-3
    )
    assert "to compare from 6,000 pairs" in PROSE["08"] and round(TASKS["sts"].train_rows, -2) == 6000


def test_what_notebook_08_says_of_recorded_runs_and_their_steps():
    runs = results.read_table(paths.RESULTS / "sts.csv").set_index("recipe")
    steps = runs.steps[["sts-concat", "sts-concat-diff", "sts-dot", "sts-short", "sts-cosine-shifted"]]
    assert "for one epoch of 188 steps, that with a frozen encoder for ten" in PROSE["08"]
    assert set(steps) == {188} and runs.steps["sts-concat-frozen"] == 1880
    ranked = runs.loc["quora-mnrl"]
    assert "lowest three layers and 400 steps" in PROSE["08"] and (ranked.num_layers, ranked.steps) == (3, 400)
    counts = results.read_table(paths.RESULTS / "confusion.csv").query("task == 'quora'").groupby("true")["rows"].sum()
    phrases = {
        "better than a coin ({})": short(ranked.quora, 2),
        "always saying “different” ({})": short(counts[0] / counts.sum(), 2),
    }
    said("08", phrases)
    baseline = runs.sts[["sts-concat", "sts-concat-sigmoid", "sts-concat-two-layer"]]
    assert "changes nothing that can be seen" in PROSE["08"] and baseline.max() - baseline.min() < 0.03


def test_numbers_of_notebook_08_that_follow_from_arithmetic():
    phrases = {
        "200 · 199 / 2 = {}": f"{200 * 199 // 2:,}",
        "24 · 384 ≈ {} dimensions": f"{round(24 * 384, -2):,}",
        "log(64) ≈ {} instead": f"{math.log(64):.2f}",
        "log(16) ≈ {},": f"{math.log(16):.2f}",
    }
    said("08", phrases)


def parameters(config: BertConfig) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in Bert(config).parameters())


def adapter_size(kind: str, width: int, config: BertConfig) -> int:
    with torch.device("meta"):
        adapter = build_adapter(kind, config, AdapterShape(width, heads=1 if kind == "pal" else None))
    return sum(parameter.numel() for parameter in adapter.parameters())


def test_sizes_of_adapters_in_the_text_of_notebook_07():
    bert = BertConfig()
    sizes = {kind: adapter_size(kind, 204, bert) / 1e6 for kind in ADAPTERS}
    houlsby, lora = f"{sizes['houlsby']:.1f}", f"{sizes['lora']:.1f}"
    assert houlsby == lora and sizes["houlsby"] / sizes["low_rank"] == pytest.approx(2, abs=0.02)
    pal, wider = (adapter_size("pal", width, bert) for width in (204, 256))
    assert wider / pal == pytest.approx(1.5, abs=0.02)  # "50% more"
    layer = 3 * (204**2 + 204)
    crossing = 2 * 11 * 768 / (3 * 12)
    phrases = {
        "largest, with {} million parameters each": lora,
        "a PAL has only {} million": f"{sizes['pal']:.1f}",
        "it always has {} million": f"{sizes['top']:.1f}",
        "the PAL of width 204 has {} parameters": f"{pal:,}",
        "= {}. Three tasks": f"{pal:,}",
        "this is {} + 12": f"{pal - 12 * layer:,}",
        "12 · {} =": f"{layer:,}",
        "of the encoder's, {} for BERT-base": f"{crossing:.0f}",
        "bring BERT-base to {} times its size": f"{1 + 8 * pal / parameters(bert):.2f}",
    }
    said("07", phrases)
    beside = [("pal", 204), ("pal", 128), ("pal", 256), ("low_rank", 100), ("low_rank", 256)]
    assert max(beside, key=lambda pair: adapter_size(*pair, bert)) == ("low_rank", 256)


def test_what_notebook_07_says_of_swapped_adapters_is_what_it_prints():
    number = r"([-+]\d\.\d{3})"
    printed = output_of("07", "9c1b0c12")
    own = re.findall(rf"^(\w+) +with its own adapter: {number}, 95% interval {number} to {number}$", printed, re.M)
    own = {task: [*map(float, numbers)] for task, *numbers in own}
    [others] = re.findall(rf"^others: differences up to {number}, intervals begin at {number} or lower$", printed, re.M)
    sst, sts = own["sst"], own["sts"]
    assert len(own) == 3 and own["quora"] == [0, 0, 0]
    assert "its own adapter gains about five points" in PROSE["07"] and sts[0] == pytest.approx(0.05, abs=0.01)
    assert "For sentiment the gain is as large" in PROSE["07"] and sst[0] == pytest.approx(sts[0], abs=0.01)
    assert "reaches just below 0" in PROSE["07"] and -0.01 < sst[1] < 0 < sts[1]
    assert "No interval of another task's adapter lies above 0" in PROSE["07"] and float(others[1]) <= 0


def test_what_notebook_07_says_of_trained_parts_is_what_it_prints():
    names = ["heads alone", "LoRA", "PAL", "Houlsby", "every weight"]
    rows = {name: printed_row("07", "d1fe173d", name) for name in names}
    constant = printed_row("07", "d1fe173d", "constant prediction")
    _, _, _, means, trainable, errors = zip(*(rows[name] for name in names[1:]), strict=True)
    assert "differ by a factor of two hundred" in PROSE["07"]
    assert max(trainable) / min(trainable) == pytest.approx(200, abs=10)
    assert "the mean scores by half a standard error" in PROSE["07"]
    assert (max(means) - min(means)) / max(errors) == pytest.approx(0.5, abs=0.1)
    better = [task for row in rows.values() for task in (0, 1) if row[task] > constant[task]]
    assert len(better) <= 1  # "hardly any"
    sts = {name: row[2] for name, row in rows.items()}
    error = short((1 - sts["heads alone"] ** 2) / math.sqrt(150), 2)
    between = f"the heads alone ({short(sts['heads alone'])}) and every weight ({short(sts['every weight'])})"
    assert f"{between}, but such a score has a standard error of up to {error}." in PROSE["07"]
    assert all(sts["heads alone"] < sts[name] < sts["every weight"] for name in ("LoRA", "PAL", "Houlsby"))


def test_minutes_of_an_epoch_in_notebook_07():
    facts = read_facts().set_index("fact").value
    naive, combined = (facts[f"training of the {model} model"] for model in ("naive multitask", "combined"))
    saved = facts["time that PALs save, compared with the combined model"]
    code = next(cell.source for cell in cells_of(LESSONS["07"]) if cell.id == "fe9fc289")
    assert "read_facts()" in code and not re.search(r"[1-9]\d|\.5", code)  # no figure of the report is typed in
    percent = f"{saved:.0%}"
    said("07", {"almost {} less time per epoch": percent, "“Almost {} shorter per epoch”": percent})
    assert f"{naive:.0f} minutes per epoch for the plain" in PROSE["07"]
    longer = combined * (1 - saved) / naive - 1
    assert f"PALs vs. no PALs: {longer:+.0%}" in output_of("07", "fe9fc289")
    assert "a good quarter longer" in PROSE["07"] and longer == pytest.approx(0.27, abs=0.02)


def test_what_notebook_07_says_of_the_rows_of_yin():
    printed = scores.printed_scores("yin", REPORTS["yin"])
    wider, base = printed.loc["pal-256"], printed.loc["baseline"]
    phrases = {
        "its STS score fell by {}": short(printed.loc["pal-128"].sts - wider.sts),
        "With more epochs SST fell by {}": short(wider.sst - printed.loc["pal-256-epochs-20"].sst),
    }
    said("07", phrases)
    assert (wider > base)[["sst", "quora", "sts"]].all()
    assert printed.loc["pal-3-projections"].equals(printed.loc["low-rank"])
    half = scores.twice_standard_error(base, 20_212)
    beyond = {task: ((printed[task] - base[task]).drop("baseline").abs() > half[task]).sum() for task in half}
    assert "for paraphrase, with its many dev rows, six of nine are" in PROSE["07"]
    assert beyond == {"sst": 0, "quora": 6, "sts": 0} and len(printed) == 10


@pytest.mark.parametrize("report", ["yin", MARCHINI])
def test_the_small_scale_is_as_notebook_07_describes_it(report):
    for row in REPORTS[report]:
        full, small = RECIPES[f"{report}/{row}"].recipe, scaled(RECIPES[f"{report}/{row}"].recipe, "small")
        rows = small.steps_per_epoch * sum(small.batch_size[task] for task in small.tasks)
        rows /= 1 if small.sampler == "mixed" else len(small.tasks)
        assert (full.epochs, small.epochs) == ((20, 4) if row.endswith("epochs-20") else (10, 2))
        assert (round(rows), small.lr, small.dev_rows) == (4800, 1e-4, 2000)
        assert not full.adapter_size or small.adapter_size / full.adapter_size == pytest.approx(1 / 2, abs=0.03)


def test_what_notebook_07_says_of_the_rows_of_marchini():
    printed = scores.printed_scores(MARCHINI, REPORTS[MARCHINI])
    cosine, naive = printed.loc["cosine"], printed.loc["naive-multitask"]
    frozen = [RECIPES[name].printed["sst"] for name in ("li-tang/pretrain", "ahmed-karamardian/sst-pretrain")]
    ahmed = results.read_table(paths.REPORTS / "ahmed-karamardian.csv").set_index("row").sst
    alone = scores.recorded_scores("single_task", "sst", {"sst-last-layer": "frozen"}).iloc[0, 0]
    phrases = {
        "One number is odd: {} for sentiment": short(printed.loc["baseline"].sst),
        f"Two other reports print {short(frozen[0])} and {{}}": short(frozen[1]),
        "our frozen MiniLM reaches {} (": alone.split()[0].removeprefix("0"),
        "the course's reference is {}.": short(ahmed["SST, Finetuning, baseline"]),
        f"raises STS from {short(naive.sts, 2)} to {{}}": short(cosine.sts, 2),
        "cosine head alone is ahead, by {}.": short(cosine.overall - printed.loc["combined"].overall),
    }
    said("07", phrases)
    assert "change each printed score by less than .01" in PROSE["07"]
    assert (printed.loc["pals"] - naive).abs().max() < 0.01
    ours = scores.measured_differences(load_runs("reports", "small"), MARCHINI, REPORTS[MARCHINI], "naive-multitask")
    for row in ("gradvac", "combined"):
        assert RECIPES[f"{MARCHINI}/{row}"].recipe.sampler == "mixed"
        assert len(ours.loc[row]) == 1 and (ours.loc[row][["sst", "quora"]] > 0).all(axis=None)


def test_two_rows_of_yin_are_ahead_in_sentiment_in_every_seed_by_more_than_their_bar():
    rows = ["low-rank-top", "low-rank-top-mean"]
    ahead = scores.measured_differences(load_runs("reports", "small"), "yin", rows, "baseline").sst
    half = scores.twice_standard_error(scores.printed_scores("yin", ["baseline"]).loc["baseline"], 2000)["sst"]
    phrases = {
        "they are ahead in sentiment, by {}": f"{short(ahead.min(), 2)} to {short(ahead.max(), 2)}",
        "a bar of ours reaches {}": short(half),
    }
    said("07", phrases)
    assert len(ahead) == 6 and ahead.min() > half


def test_the_shipped_model_reaches_what_notebook_07_says_of_it():
    run = open_run("workbook")
    minilm = BertConfig(hidden_size=384, num_hidden_layers=6, intermediate_size=1536)
    with torch.device("meta"):
        adapter = build_adapter("houlsby", minilm, AdapterShape(run.recipe.adapter_size))
    share = sum(parameter.numel() for parameter in adapter.parameters()) / parameters(minilm)
    said("07", {"Each task trained {}": f"{share:.1%}"})
    assert f"adapters of width {run.recipe.adapter_size}" in PROSE["07"] and run.recipe.trainable == "adapters"
    assert f"in one run of {run.epochs[-1]['step']:,} steps" in PROSE["07"]
    megabytes = (run.folder / "adapters.safetensors").stat().st_size / 1e6 / len(run.recipe.tasks)
    assert "a little over a megabyte each, stored in 16 bits" in PROSE["07"] and 1 < megabytes < 1.3
    alone = results.read_table(paths.RESULTS / "single_task.csv").groupby("recipe")[["sst", "cfimdb"]].mean()
    for task, rows in (("sst", 1101), ("cfimdb", 245)):
        full, reached = alone[task][task], run.scores[task]
        two_errors = 2 * math.sqrt(full * (1 - full) / rows)
        assert reached > full - two_errors and round(two_errors, 2) == 0.03
        assert reached > alone[task][f"{task}-last-layer"] + 0.03
