"""Notebook 11: every measured or printed figure in its prose is computed again from data/results and data/reports."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from mtbert.data.tasks import TASKS
from mtbert.experiments import report_tables
from mtbert.experiments.claim_tests import Records, verdicts
from mtbert.experiments.claims import MARGIN, load_claims
from mtbert.experiments.comparisons import recorded_comparisons
from mtbert.experiments.recipes import RECIPES, scaled
from mtbert.experiments.reports import load_runs, rows_read
from mtbert.utils import paths

NOTEBOOK = json.loads((paths.ROOT / "notebooks" / "11_reports.ipynb").read_text(encoding="utf-8"))
PROSE = [
    text
    for text in ("".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "markdown")
    if not re.search(r"### Exercise [1-46]|<details>|## Try it yourself|arxiv", text)  # made-up examples
]
RULES = {".01", ".005", ".02", "1.96"}  # margins, and bounds that the text compares with


def ratio(row: str, baseline: str, scale: str) -> float:
    row, baseline = (rows_read(scaled(RECIPES[name].recipe, scale))["quora"] for name in (row, baseline))
    return row / baseline


def off_by() -> set[str]:
    table = report_tables.read_tables()
    table = table[table.definition == "neither"]
    mean = table.plain.where(table.report != "yin", table.normalised)
    return {f"{abs(value):.3f}".lstrip("0") for value in table.overall - mean}


@pytest.fixture(scope="module")
def figures() -> dict[str, str]:
    """Figures by what they are, as the text prints them."""
    runs = load_runs("reports", "small")
    comparisons, claims = recorded_comparisons(runs), load_claims()
    judged = verdicts(runs, comparisons).set_index("claim")
    printed = {name: RECIPES[name].printed for name in RECIPES if "/" in name}
    on_both = {row["sts"] for name, row in printed.items() if name.startswith("yin/") and "mnrl" not in name}
    on_both |= {printed[f"marchini-callon-cussen/{row}"]["sts"] for row in ("naive-multitask", "sts-concat")}
    std = runs.groupby("recipe").sts.std()
    counts = pd.read_csv(paths.RESULTS / "confusion.csv")
    counts = counts[counts.recipe == "yin/low-rank-top-mean"].groupby(["task", "true"]).rows.sum()
    facts = report_tables.read_facts().set_index("fact").value
    contradicted = [claim.printed for claim in claims if claim.supported_by_report == "no"]
    noise = Records(runs, comparisons).noise(claims)["plain"]
    example = scaled(RECIPES["yin/pal-256"].recipe, "small")
    texts = report_tables.read_tables()
    tried = texts[texts.section.str.startswith("4.2") & (texts.report == "li-tang")].quora.item()
    values = {
        "Yin's best": printed["yin/low-rank-top-mean-curriculum"]["overall"],
        "Li & Tang's best": printed["li-tang/mix-0.3"]["overall"],
        "Cambronero & Meza's plain heads": printed["cambronero-meza/baseline-heads"]["sts"],
        "ours": runs[runs.recipe == "cambronero-meza/baseline-heads"].sts.mean(),
        "gain of their heads": judged.printed["task-specific heads help"],
        "our gain": judged.difference["task-specific heads help"],
        "mixed against sequential": judged.printed["mixed steps beat one task after the other"],
        "largest difference called alike": max(np.abs(contradicted)),
        "std of the baseline": std["ahmed-karamardian/baseline"],
        "std of iteration-2": std["ahmed-karamardian/iteration-2"],
        "error of shared dev rows": noise.rows.shared**0.5,
    }
    shares = {
        "curriculum": ratio("yin/low-rank-top-mean-curriculum", "yin/low-rank-top-mean", "small"),
        "curriculum in full": ratio("yin/low-rank-top-mean-curriculum", "yin/low-rank-top-mean", "full"),
        "constant sentiment": counts["sst"].max() / counts["sst"].sum(),
        "constant paraphrase": counts["quora"].max() / counts["quora"].sum(),
        "first try of a cosine": tried,
        "lowest of linear heads": min(on_both),
        "highest of linear heads": max(on_both),
    }
    rows = {
        "our Quora rows": TASKS["quora"].train_rows,
        "theirs": int(facts["Quora train rows"]),
        "an epoch": example.steps_per_epoch * example.batch_size["quora"],
    }
    return (
        {name: f"{value:.3f}".lstrip("0") for name, value in values.items()}
        | {name: f"{value:.2f}".lstrip("0") for name, value in shares.items()}
        | {name: f"{value:,}" for name, value in rows.items()}
    )


def test_each_computed_figure_is_in_the_text(figures):
    numbers = set(re.findall(r"(?<![\w./])\d*[.,]?\d+\b", "\n".join(PROSE)))
    missing = {name: figure for name, figure in figures.items() if figure not in numbers}
    assert not missing


def test_each_decimal_of_the_text_is_computed_here(figures):
    decimals = {number for text in PROSE for number in re.findall(r"(?<![\w./-])(?:\.\d+|\d\.\d\d+|\d+,\d{3})\b", text)}
    assert decimals <= {*figures.values(), *RULES, *off_by()}


def test_sentences_that_count_are_true():
    runs = load_runs("reports", "small")
    judged = verdicts(runs, recorded_comparisons(runs))
    assert (judged.printed.abs() <= 0.02).sum() > len(judged) / 2  # "most lie within .02 of 0"
    assert ((judged.verdict == "undecided") & (judged.claim == "task-specific heads help")).any()
    frozen = judged[judged.claim == "training every layer beats a frozen encoder"].iloc[0]
    seeds = [runs[runs.recipe == f"li-tang/{row}"].set_index("seed").plain for row in ("seq", "pretrain")]
    assert (seeds[0] > seeds[1]).all() and len(seeds[0]) == 3  # "in each of three seeds"
    assert frozen.verdict == "undecided" and frozen.low > 0  # "after the correction, not quite enough"
    at_once = judged[judged.claim.str.startswith("training all tasks at once")]
    assert (at_once.verdict == "undecided").all() and (at_once.difference > 0).all()  # "ahead, and still undecided"
    curriculum = judged[judged.claim.str.startswith("curriculum")]
    assert curriculum.low.isna().all() and not curriculum.difference.isna().any()  # "no interval"
    for scale in ("full", "small"):
        assert ratio("li-tang/mix-0.3", "li-tang/seq", scale) > 1.3  # "in mix Quora more often"
    counts = pd.read_csv(paths.RESULTS / "confusion.csv")
    sst = counts[(counts.recipe == "yin/low-rank-top-mean") & (counts.task == "sst")].groupby("predicted").rows.sum()
    assert list(sst[sst == 0].index) == [0, 2]  # "never predicts the classes 0 and 2"
    contradicted = [abs(claim.printed) for claim in load_claims() if claim.supported_by_report == "no"]
    assert all(value <= 0.003 or value >= MARGIN for value in contradicted)


def test_the_notebook_is_short_enough_to_teach_and_reads_no_typed_figures():
    assert len(NOTEBOOK["cells"]) <= 80
    pictures = [
        output["metadata"]["image/png"]["alt"]
        for cell in NOTEBOOK["cells"]
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) >= 9 and all(len(alt) > 40 for alt in pictures)
