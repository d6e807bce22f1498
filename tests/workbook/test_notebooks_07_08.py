"""Numbers in the prose of notebooks 07 and 08, recomputed from what is recorded and printed."""

import math

import pandas as pd
import pytest
import torch
from workbook.exercises import NOTEBOOKS, cells_of

from mtbert.experiments import results
from mtbert.experiments.reports import load_runs
from mtbert.nn import build_adapter
from mtbert.nn.adapters import AdapterShape
from mtbert.nn.bert import Bert, BertConfig
from mtbert.training.run import open_run
from mtbert.utils import paths
from mtbert.workbook import scores

PROSE = {
    path.stem[:2]: " ".join(" ".join(cell.source for cell in cells_of(path) if cell.cell_type == "markdown").split())
    for path in NOTEBOOKS
}


def short(value: float, digits: int = 3) -> str:
    """A number as the lessons write it: .842."""
    return f"{value:.{digits}f}".removeprefix("0")


def recorded(recipe: str) -> float:
    runs = results.read_table(paths.RESULTS / "sts.csv")
    return runs[(runs.recipe == recipe) & (runs.encoder == scores.MINILM)].sts.mean()


def table(name: str, index: str) -> pd.DataFrame:
    return results.read_table(paths.RESULTS / f"{name}.csv").set_index(index)


@pytest.fixture(scope="module")
def sts() -> dict[str, str]:
    order, frozen = table("sts_order", "loss"), table("sts_frozen", "kind")
    frozen = frozen[(frozen.encoder == scores.MINILM) & (frozen.what == "plain cosine")]
    facts = results.read_table(paths.ROOT / "data/reports/marchini-callon-cussen.csv").set_index("row")
    high = order["Spearman, labels >= 3"]
    return {
        "six layers reach {} before": short(frozen.dev["mean"]),
        "untrained *r* is {} here": short(order.r["untrained"]),
        "better than before training ({} against": short(high["MNRL"]),
        "against {}). But it gains": short(high["untrained"]),
        "see grades ({} and": short(high["squared error"]),
        "and {}). So the report's": short(high["CoSENT"]),
        "the baseline's {} matches": short(recorded("sts-concat"), 2),
        "report prints: {} after one epoch": short(facts.sts["STS baseline after 1 epoch"]),
        "under MNRL ({}), although": short(recorded("sts-concat-mnrl"), 2),
        "ends at {} instead": short(recorded("sts-concat-graded"), 2),
        "of an *r* of .34 is {} and": short((1 - recorded("sts-concat") ** 2) / math.sqrt(863), 2),
        "of an *r* of .87 is {}:": short((1 - recorded("sts-short") ** 2) / math.sqrt(863), 2),
        "single runs that differ by {} cannot": short(recorded("sts-smart") - recorded("sts-short")),
        "rises from {} to": f"{table('sts_retrieval', 'loss')['recall@1']['untrained']:.0%}".removesuffix("%"),
        "to {} percent": f"{table('sts_retrieval', 'loss')['recall@1']['MNRL']:.0%}".removesuffix("%"),
    }


def test_numbers_of_notebook_08_are_those_recorded_or_printed(sts):
    missing = [words.format(value) for words, value in sts.items() if words.format(value) not in PROSE["08"]]
    assert not missing


def test_a_ranking_loss_gains_a_third_of_what_losses_that_see_grades_gain():
    high = table("sts_order", "loss")["Spearman, labels >= 3"]
    high = high - high["untrained"]
    assert "gains a third of what" in PROSE["08"]
    assert high["MNRL"] / high[["squared error", "CoSENT"]].mean() == pytest.approx(1 / 3, abs=0.03)


def test_two_rows_of_yin_are_ahead_in_sentiment_in_every_seed_by_more_than_their_bar():
    rows = ["low-rank-top", "low-rank-top-mean"]
    ahead = scores.measured_differences(load_runs("reports", "small"), "yin", rows, "baseline").sst
    half = scores.twice_standard_error(scores.printed_scores("yin", ["baseline"]).loc["baseline"], 2000)["sst"]
    assert (
        f"in all six pairs they are ahead in sentiment, by {short(ahead.min(), 2)} to {short(ahead.max(), 2)}"
        in (PROSE["07"])
    )
    assert len(ahead) == 6 and ahead.min() > half and f"half a bar, {short(half)}" in PROSE["07"]


def test_the_shipped_model_reaches_what_notebook_07_says_of_it():
    run = open_run("workbook")
    minilm = BertConfig(hidden_size=384, num_hidden_layers=6, intermediate_size=1536)
    with torch.device("meta"):
        whole = sum(parameter.numel() for parameter in Bert(minilm).parameters())
        adapter = build_adapter("houlsby", minilm, AdapterShape(run.recipe.adapter_size))
    share = sum(parameter.numel() for parameter in adapter.parameters()) / whole
    assert f"Each task trained {share:.1%}".replace("%", " %") in PROSE["07"]
    assert f"adapters of width {run.recipe.adapter_size}" in PROSE["07"] and run.recipe.trainable == "adapters"
    assert f"in one run of {run.epochs[-1]['step']:,} steps" in PROSE["07"]
    alone = results.read_table(paths.RESULTS / "single_task.csv").groupby("recipe")[["sst", "cfimdb"]].mean()
    for task, rows in (("sst", 1101), ("cfimdb", 245)):
        full, reached = alone[task][task], run.scores[task]
        assert reached > full - 2 * math.sqrt(full * (1 - full) / rows)
        assert reached > alone[task][f"{task}-last-layer"] + 0.03
