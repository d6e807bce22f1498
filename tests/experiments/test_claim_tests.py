"""The rule of verdicts: pairing by seed, its errors, what is tested, and what this project recorded."""

import math

import numpy as np
import pandas as pd
import pytest

from mtbert.experiments import comparisons as comparing
from mtbert.experiments.claim_tests import estimate_effect, plan, verdicts
from mtbert.experiments.claims import Claim, load_claims
from mtbert.experiments.comparisons import recorded_comparisons
from mtbert.experiments.reports import load_runs
from mtbert.experiments.statistics import POWER, EffectEstimate, RowVariance
from mtbert.utils import paths
from mtbert.utils.errors import UserError

REPORT = "marchini-callon-cussen"
CLAIM = Claim(
    REPORT, "heads", "a cosine head improves similarity", "cosine", "naive-multitask", "sts", "better"
)  # +.39
SMALL = Claim(REPORT, "adapters", "PALs help similarity", "pals", "naive-multitask", "sts", "better")  # -.001 in print
SETTING = {"scale": "small", "encoder": "x", "precision": "float32"}


def table_of(**scores) -> pd.DataFrame:
    """Runs as ``load_runs`` gives them: row -> sts of seed 0, 1, ..."""
    return pd.DataFrame(
        {"recipe": f"{REPORT}/{row.replace('_', '-')}", "seed": seed, "sts": score, **SETTING}
        for row, values in scores.items()
        for seed, score in enumerate(values)
    )


def compared(runs: pd.DataFrame, claim: Claim = CLAIM, error: float = 0.02, control: float = math.nan) -> pd.DataFrame:
    """Comparisons of a claim's rows, seed by seed, and of the seeds of each row if ``control`` is their error."""
    row, baseline = (runs[runs.recipe == name].set_index("seed").sts for name in claim.recipes)
    pairs = [
        (claim.recipes[0], seed, claim.recipes[1], seed, "sts", difference, error * (seed + 1))
        for seed, difference in (row - baseline).dropna().items()
    ]
    if not math.isnan(control):
        pairs += [(name, 1, name, 0, "sts", 0.1, control) for name in claim.recipes]
    columns = [*comparing._PAIR, "metric", "difference", "error"]
    return pd.DataFrame(pairs, columns=columns).assign(**SETTING).reindex(columns=comparing._COLUMNS)


THREE = table_of(cosine=[0.7, 0.72, 0.71], naive_multitask=[0.3, 0.36, 0.31, 0.34])


def test_only_seeds_of_both_count_and_the_error_knows_of_seeds_and_dev_rows():
    comparisons = compared(THREE, control=0.01)
    effect = estimate_effect(CLAIM, THREE, comparisons)
    paired = (0.02**2 + 0.04**2 + 0.06**2) / 3
    expected = EffectEstimate.from_seeds_and_rows([0.4, 0.36, 0.4], RowVariance.split(paired, 0.01**2))
    assert (effect.difference, effect.error, effect.df) == pytest.approx(
        (expected.difference, expected.error, expected.df)
    )
    line = verdicts(THREE, comparisons, [CLAIM]).iloc[0]
    assert line.test == "seeds and dev rows, 3 seeds" and line.verdict == "holds" and line.power > POWER
    assert (line.low, line.high) == pytest.approx(effect.interval()) and line.p == line.holm == effect.p(CLAIM.region)


def test_a_seed_that_was_not_compared_leaves_the_error_unknown():
    line = verdicts(THREE, compared(THREE).iloc[:2], [CLAIM]).iloc[0]
    assert math.isnan(line.p) and line.test == "none (3 seeds)" and line.verdict in ("too few seeds", "underpowered")


def test_a_run_that_was_never_compared_leaves_the_plan_of_other_claims_alone():
    runs = load_runs("reports", "small")
    comparisons = recorded_comparisons(runs)
    row, baseline = CLAIM.recipes
    one = (comparisons.row == row) & (comparisons.baseline == baseline) & (comparisons.row_seed == 2)
    before, after = verdicts(runs, comparisons), verdicts(runs, comparisons[~one])
    assert one.any() and after.test.str.startswith("none").sum() > before.test.str.startswith("none").sum()
    assert ((before.verdict == "underpowered") == (after.verdict == "underpowered")).all()


def test_what_three_seeds_cannot_decide_is_no_part_of_the_family_that_is_corrected_for():
    runs = pd.concat([THREE, table_of(pals=[0.9, 0.92, 0.97])])
    comparisons = pd.concat([compared(runs, control=0.01), compared(runs, SMALL)], ignore_index=True)
    judged = verdicts(runs, comparisons, [CLAIM, SMALL])
    assert list(judged.verdict) == ["holds", "underpowered"] and judged.holm[0] == judged.p[0] < 0.05
    assert math.isnan(judged.p[1]) and judged.low[1] > 0  # its interval is shown all the same
    plans = plan(runs, comparisons, [CLAIM, SMALL])
    assert list(plans.power) == list(judged.power) and list(plans.seeds) == [3, math.inf]


def test_a_single_seed_compares_two_models_and_other_runs_are_refused():
    runs = pd.concat([table_of(cosine=[0.7]), THREE[THREE.recipe.str.endswith("naive-multitask")]])
    effect = estimate_effect(CLAIM, runs, compared(runs))
    assert effect == EffectEstimate.from_bootstrap(effect.difference, 0.02)
    line = verdicts(runs, compared(runs), [CLAIM]).iloc[0]
    assert line.test == "dev rows, 1 seed" and line.verdict in ("too few seeds", "underpowered") and math.isnan(line.p)
    other = compared(runs).assign(difference=0.41)
    with pytest.raises(UserError, match="naive-multitask, seed 0, sts: the recorded comparison is one of other runs"):
        estimate_effect(CLAIM, runs, other)


def test_without_several_seeds_of_any_row_there_is_no_plan_and_no_verdict():
    runs = table_of(cosine=[0.7], naive_multitask=[0.3])
    assert np.isnan(plan(runs, compared(runs), [CLAIM])[["power", "seeds"]].to_numpy(dtype=float)).all()
    assert verdicts(runs, compared(runs), [CLAIM]).verdict[0] == "underpowered"


def test_what_this_project_has_recorded_fits_together():
    runs = load_runs("reports", "small")
    comparisons = recorded_comparisons(runs)
    judged = verdicts(runs, comparisons)
    both = [set(claim.recipes) <= set(runs.recipe) for claim in load_claims()]
    assert list(judged.verdict != "not measured") == both
    assert judged.p.notna().equals(judged.verdict.isin(["holds", "contradicted", "undecided"]))
    assert (judged.power[judged.p.notna()] >= POWER).all()


def test_the_readme_of_results_shows_all_tested_claims():
    runs = load_runs("reports", "small")
    judged = verdicts(runs, recorded_comparisons(runs))
    text = (paths.RESULTS / "README.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.endswith(("| holds |", "| contradicted |", "| undecided |"))]
    tested = judged[judged.p.notna()].sort_values("p")
    assert len(lines) == len(tested)
    for line, row in zip(lines, tested.itertuples(), strict=True):
        interval = f"| {row.printed:+.3f} | {row.difference:+.3f} ({row.low:+.3f} to {row.high:+.3f}) |"
        assert (
            line.startswith(f"| {row.report}: {row.claim}") and interval in line and line.endswith(f"| {row.verdict} |")
        )
        assert ("never trained" in line) == row.claim.startswith("MNRL")
    counts = judged.verdict.value_counts()
    assert "Twelve were tested on our own runs: six hold, six stay undecided, and none is contradicted" in " ".join(
        text.split()
    )
    assert (counts["holds"], counts["undecided"], len(tested)) == (6, 6, 12)
    for start, name in (("underpowered: ", "underpowered"), ("decidable by three seeds", "too few seeds")):
        count = [line.split("|")[-2].strip() for line in text.splitlines() if line.startswith(f"| {start}")]
        assert count == ([str(counts[name])] if name in counts else [])
    assert ("not measured" in counts) == ("| not measured |" in text.split("| of the 62 claims |")[1].split("## ")[0])
