"""What the text of notebook 11 says of reports and of recorded runs, beside its numbers."""

import pytest
from workbook.lessons import LESSONS, cells_of, prose

from mtbert.experiments.claim_tests import verdicts
from mtbert.experiments.claims import MARGIN, load_claims
from mtbert.experiments.comparisons import recorded_comparisons
from mtbert.experiments.recipes import RECIPES, scaled
from mtbert.experiments.reports import load_runs, rows_read

PROSE = prose("11")


@pytest.fixture(scope="module")
def runs():
    return load_runs("reports", "small")


@pytest.fixture(scope="module")
def judged(runs):
    return verdicts(runs, recorded_comparisons(runs)).set_index(["report", "claim"])


def test_what_the_text_says_of_verdicts(judged):
    def of(report: str, claim: str):
        return judged.loc[report, claim]

    heads = of("Cambronero & Meza", "task-specific heads help")
    assert "ahead by more than in print, and still undecided" in PROSE
    assert heads.difference > heads.printed and heads.verdict == "undecided"
    frozen = of("Li & Tang", "training every layer beats a frozen encoder")
    assert "after the correction, that is not quite enough for a verdict" in PROSE
    assert (
        "so an interval inside may still be *undecided*" in PROSE and frozen.verdict == "undecided" and frozen.low > 0
    )
    assert "Training all tasks at once is ahead of one after the other in both pair tasks, and still undecided" in PROSE
    at_once = [
        of("Ahmed & Karamardian", f"training all tasks at once helps {task}") for task in ("paraphrase", "similarity")
    ]
    assert all(claim.verdict == "undecided" and claim.difference > 0 for claim in at_once)
    surgery = [of("Ahmed & Karamardian", f"PCGrad helps {task}") for task in ("paraphrase", "similarity")]
    assert "PCGrad acts in the mixed steps and hardly moves our scores" in PROSE
    assert all(abs(claim.difference) < MARGIN for claim in surgery)
    cosine = [
        "a cosine head improves similarity",
        "a cosine head improves the overall score",
        "a cosine head helps more than PALs",
    ]
    assert "the cosine head improves similarity, and with it the overall score, and it gains more than PALs" in PROSE
    assert "The triplet loss ruins similarity here as well" in PROSE
    held = [*cosine, "the triplet loss ruins similarity"]
    assert all(of("Marchini et al.", claim).verdict == "holds" for claim in held)
    ranking = of("Marchini et al.", "their MNRL ruins similarity")
    assert "by less than they print, and stays undecided after the correction" in PROSE
    assert ranking.printed < ranking.difference < 0 and ranking.verdict == "undecided"
    yin = judged.loc["Yin"]
    assert "All other claims of this report are underpowered, even where an interval excludes 0" in PROSE
    others = yin[yin.index.map(lambda claim: not claim.startswith("MNRL ruins"))]
    assert (others.verdict == "underpowered").all() and (others.low > 0).any()
    assert "Most of these intervals come from one seed" in PROSE and (others.test == "dev rows, 1 seed").mean() > 0.5
    final = of("Ahmed & Karamardian", "the final model is worse at sentiment")
    assert (
        "Some intervals of underpowered claims lie wholly on the other side, such as the final model at sentiment"
        in PROSE
    )
    assert final.verdict == "underpowered" and final.low > 0
    none = judged[judged.test.str.startswith("none")]
    assert "Where a claim's test says *none*" in PROSE and len(none)
    assert none.low.isna().all() and not none.difference.isna().any()


def test_half_of_the_tested_claims_hold_and_those_are_large_ones_of_heads_and_losses(judged):
    counts = judged[judged.p.notna()].verdict.value_counts()
    assert "Half of the tested claims hold, and none is contradicted" in PROSE
    assert counts["holds"] == counts.sum() / 2 and "contradicted" not in counts
    assert "cosine heads, the triplet loss, MNRL's paraphrase" in PROSE
    held = judged[judged.verdict == "holds"]
    names = held.index.get_level_values("claim")
    assert all("cosine head" in name or "triplet" in name or name == "MNRL ruins paraphrase" for name in names)
    assert held.printed.abs().min() > 0.1
    assert "four of them are about a cosine head, and three of these share a row" in PROSE
    assert len(held) == 6 and sum("cosine head" in name for name in names) == 4
    assert sum("cosine head" in claim for report, claim in held.index if report == "Marchini et al.") == 3


def test_what_the_text_says_of_single_seeds(runs):
    def by_seed(recipe: str, metric: str):
        return runs[runs.recipe == recipe].set_index("seed")[metric]

    every, frozen = (by_seed(f"li-tang/{row}", "plain") for row in ("seq", "pretrain"))
    assert "here as in print, in each of three seeds" in PROSE and len(every) == 3 and (every > frozen).all()
    ranked, concat = (by_seed(f"marchini-callon-cussen/{row}", "sts") for row in ("sts-mnrl", "sts-concat"))
    assert "their MNRL is behind in each of three seeds" in PROSE and len(ranked) == 3 and (ranked < concat).all()
    assert "± .01, which a seed alone exceeds several times" in PROSE
    assert by_seed("cambronero-meza/baseline-heads", "plain").std() > 3 * MARGIN


def test_what_the_text_says_of_rows_and_of_printed_differences():
    for scale in ("full", "small"):
        mix, seq = (rows_read(scaled(RECIPES[f"li-tang/{row}"].recipe, scale)) for row in ("mix-0.3", "seq"))
        assert "in `mix` Quora and STS more often" in PROSE
        assert all(mix[task] > 1.3 * seq[task] for task in ("quora", "sts")) and mix["sst"] <= seq["sst"]
        mixed, baseline = (
            rows_read(scaled(RECIPES[f"ahmed-karamardian/{row}"].recipe, scale)) for row in ("iteration-1", "baseline")
        )
        assert "reads a dozen times as many rows of similarity as `baseline`" in PROSE
        assert 12 < mixed["sts"] / baseline["sts"] < 13
    contradicted = [abs(claim.printed) for claim in load_claims() if claim.supported_by_report == "no"]
    assert "Some of these are off by .003 or less, some by .01 or more." in PROSE
    assert all(value <= 0.003 or value >= MARGIN for value in contradicted)


def test_the_notebook_is_short_enough_to_teach_and_describes_its_figures():
    cells = cells_of(LESSONS["11"])
    assert len(cells) <= 80
    outputs = [output for cell in cells for output in cell.get("outputs", []) if "image/png" in output.get("data", {})]
    assert len(outputs) >= 9 and all(len(output.metadata["image/png"]["alt"]) > 40 for output in outputs)
