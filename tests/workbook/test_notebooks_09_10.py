"""What the text of notebooks 09 and 10 says of recorded runs, computed again from data/results."""

import re

import pandas as pd
import pytest
from workbook.lessons import output_of, prose, short

import mtbert
from mtbert.data import TASKS
from mtbert.data.sampling import SAMPLERS, SamplerConfig
from mtbert.experiments.metrics import Pair, averages, distances, expected_counts, quadratic_kappa
from mtbert.experiments.recipes import RECIPES
from mtbert.experiments.results import read_table
from mtbert.utils import paths
from mtbert.workbook.counts import recorded_bins, recorded_matrix, threshold_curve
from mtbert.workbook.scores import twice_standard_error
from mtbert.workbook.strategies import (
    differences_by_seed,
    planned_rows,
    recorded_epochs,
    recorded_strategies,
    steps_per_task,
)

PROSE, PROSE_10 = prose("09"), prose("10")
PRINTED, PRINTED_10 = (" ".join(output_of(lesson).split()) for lesson in ("09", "10"))
EDA = [f"{heads}-eda-{share}" for heads in ("baseline-heads", "task-heads", "surgery") for share in (15, 20, 40)]
RUNS = recorded_strategies()
RUNS = RUNS[~RUNS.recipe.str.contains("length-grouped")]  # notebook 09 leaves it out
PLAIN = RUNS[~RUNS.recipe.str.contains("unclipped")]
ROWS = {task: TASKS[task].train_rows for task in ("sst", "quora", "sts")}
READ = {name: planned_rows(mtbert.recipe(f"strategy-{name}"), ROWS) for name in PLAIN.recipe.unique()}
SHARED = ["mixed", "auxiliary", "augmented", "alone-first"]


def of(recipe: str, metric: str) -> list[float]:
    """The score of a strategy with each seed, rounded as the notebook prints it."""
    return RUNS[RUNS.recipe == recipe].sort_values("seed")[metric].round(3).tolist()


def test_ten_of_24_differences_are_large_with_both_seeds():
    table = differences_by_seed(PLAIN, "mixed", list(ROWS))
    points = [(task, run[task]) for run in PLAIN.to_dict("records") for task in ROWS]
    two_errors = twice_standard_error(pd.DataFrame(points).groupby(0)[1].mean(), 2000)
    assert {task: round(value, 3) for task, value in two_errors.items()} == {"sst": 0.041, "quora": 0.027, "sts": 0.03}
    large = table[table.difference.abs() > table.metric.map(two_errors)].groupby(["metric", "recipe"]).difference
    both = large.agg(["size", "min", "max"]).query("size == 2").round(3)
    assert table.groupby(["metric", "recipe"]).ngroups == 24 and len(both) == 10
    assert both.loc["sst"].index.tolist() == ["curriculum", "proportional"]
    assert (both.loc["sst", "min"].min(), both.loc["sst", "max"].max()) == (-0.130, -0.082)
    assert both.loc["sts"].index.tolist() == ["curriculum", "proportional", "sequential"]
    assert both.loc[("quora", "round-robin"), ["min", "max"]].tolist() == [0.072, 0.075]
    assert both.loc[("quora", "temperature"), ["min", "max"]].tolist() == [0.079, 0.079]


def test_what_temperature_trades_is_what_notebook_09_prints():
    number = r" (0\.\d{3})"
    table = re.search(
        "temperature 1" + 4 * number + " 2" + 4 * number + " 5" + 4 * number + " 1000" + 4 * number, PRINTED
    )
    sst, quora, sts, mean = ([float(value) for value in table.groups()[column::4]] for column in range(4))
    trade = f"STS gains {short(sts[3] - sts[0])} and SST {short(sst[3] - sst[0])}, and Quora loses"
    assert f"{trade} {short(quora[0] - quora[3])}; the mean of the three rises" in PROSE
    assert f"rises from {short(mean[0])} to {short(mean[3])}" in PROSE and mean[3] - mean[1] < 0.01


def test_where_quora_gets_less_than_half_of_the_steps():
    config = SamplerConfig(epochs=6, steps_per_epoch=100)
    counts = {name: steps_per_task(name, ROWS, dict.fromkeys(ROWS, 24), config) for name in SAMPLERS}
    shares = {name: table.quora / table.sum(axis=1) for name, table in counts.items() if name != "mixed"}
    less = {name: list(share[share < 0.5].index) for name, share in shares.items() if (share < 0.5).any()}
    assert {name for name, epochs in less.items() if len(epochs) == 6} >= {"round_robin", "temperature"}
    assert "in the last epoch of *annealed*, and in the first epoch of *alone first*" in PROSE
    assert set(less) == {"round_robin", "temperature", "stages", "annealed", "alone_first"}
    assert less["annealed"] == [5] and less["alone_first"][0] == 0


def test_differences_that_reports_print():
    printed = {
        name: RECIPES[f"li-tang/{name}"].printed for name in ("mix-0.3", "mix-aux-0.3", "mix-0.5", "mix-aux-0.5")
    }
    loss = {
        (metric, dropout): short(printed[f"mix-{dropout}"][metric] - printed[f"mix-aux-{dropout}"][metric])
        for metric in ("overall", "sst")
        for dropout in ("0.3", "0.5")
    }
    assert f"costs {loss['overall', '0.3']} with dropout .3 and {loss['overall', '0.5']} with dropout .5" in PROSE
    assert f"it was meant to help, falls by {loss['sst', '0.3']} and {loss['sst', '0.5']}." in PROSE


def test_starved_sst_learns_little():
    starved = PLAIN.recipe.map(lambda name: READ[name]["sst"] <= 648)
    best, worst = PLAIN.sst[starved].max(), PLAIN.sst[~starved].min()
    assert f"fewer scores {short(best)}, and the worst of the others {short(worst)}." in PROSE and best < worst
    assert (READ["curriculum"]["sst"], READ["proportional"]["sst"], READ["mixed"]["sst"]) == (456, 648, 2400)


def test_quora_gains_from_steps_of_its_own():
    shared = PLAIN.recipe.isin(SHARED)
    best, worst = PLAIN.quora[shared].max(), PLAIN.quora[~shared].min()
    assert f"shared steps scores {short(best)} on Quora, and the worst of the others {short(worst)}." in PROSE
    assert best < worst
    assert READ["round-robin"]["quora"] == READ["mixed"]["quora"]


def test_blocks_are_undecided():
    assert READ["sequential"] == READ["proportional"]
    first, second = (a - b for a, b in zip(of("sequential", "plain"), of("proportional", "plain"), strict=True))
    assert (round(first, 3), round(second, 3)) == (-0.028, 0.013)


def test_without_clipping_round_robin_loses_its_lead():
    assert of("round-robin", "quora") == [0.786, 0.763] and of("mixed", "quora") == [0.712, 0.692]
    assert of("round-robin-unclipped", "quora") == [0.701, 0.705]


def test_forgetting_on_real_rows():
    falls, control = (
        recorded_epochs(name, "sst").score.round(3).tolist() for name in ("forgetting", "forgetting-control")
    )
    assert (falls[1], falls[3], control[3]) == (0.427, 0.337, 0.427)
    error = (sum(p * (1 - p) for p in (falls[1], falls[3])) / 1101) ** 0.5
    assert (falls[1] - falls[3]) / error > 4


def test_copies_do_not_lift_the_dev_score():
    best = [recorded_epochs(name, "sst").score.max() for name in ("few-rows", "few-rows-augmented")]
    passes = recorded_epochs("few-rows", "sst")
    assert "at its best after the second pass, and the other six add nothing" in PROSE
    assert passes.score.argmax() == 1 and len(passes) == 8 and passes.loss.is_monotonic_decreasing
    assert round(best[0] - best[1], 3) == 0.014 < (2 * 0.42 * 0.58 / 1101) ** 0.5
    printed = {name: RECIPES[f"cambronero-meza/{name}"].printed for name in EDA}
    plain = {name: RECIPES[f"cambronero-meza/{name.partition('-eda')[0]}"].printed for name in EDA}
    higher = [printed[name]["overall"] - plain[name]["overall"] for name in EDA]
    assert sum(gain < 0 for gain in higher) == 6 and not any(gain > 0 for gain in higher)
    again = [sum(printed[name][task] - plain[name][task] for task in ROWS) / 3 for name in EDA]
    assert sum(gain < 0 for gain in again) == 7 and 0 < max(again) < 0.004


@pytest.mark.parametrize(("temperature", "steps", "quora"), [(1, 37_700, 9.98), (100, 7_600, 0.81)])
def test_steps_to_read_sts_ten_times(temperature, steps, quora):
    shares = {task: count ** (1 / temperature) for task, count in ROWS.items()}
    needed = 10 * ROWS["sts"] / 24 * sum(shares.values()) / shares["sts"]
    assert needed == pytest.approx(steps, abs=50)
    assert needed * 24 * shares["quora"] / sum(shares.values()) / ROWS["quora"] == pytest.approx(quora, abs=0.03)


def test_mistakes_on_quora_of_the_run_beside_the_report():
    counts = read_table(paths.RESULTS / "confusion.csv")
    counts = counts[(counts.recipe == "yin/low-rank-top-mean") & (counts.seed == 0)]
    matrices = {
        task: rows.pivot(index="true", columns="predicted", values="rows") for task, rows in counts.groupby("task")
    }
    assert (matrices["quora"].loc[1, 0], matrices["quora"].loc[0, 1]) == (436, 118)
    sst = matrices["sst"]
    assert sst[[0, 2]].sum().tolist() == [0, 0]
    assert (sst.loc[3, 4], sst.loc[2, 1], sst.loc[0, 4], sst.loc[4, 0]) == (123, 75, 6, 0)


def test_six_of_seven_comparisons_survive_a_correction_for_seven():
    table = read_table(paths.RESULTS / "confusion_pairs.csv")
    p = sorted(Pair(*row).mcnemar() for row in table[["both", "only_first", "only_second", "neither"]].to_numpy())
    assert len(p) == 7 and round(7 * p[5], 3) == 0.013 and p[6] > 0.05


def test_mistakes_and_accuracy_at_the_thresholds_of_the_explorer():
    curve = threshold_curve(recorded_bins("mixed-plain-dropout-0.3", "quora"))
    curve.index = curve.threshold.round(2)
    assert (curve.fn[0.5], curve.fp[0.5], round(curve.accuracy[0.46], 3)) == (6176, 588, 0.685)
    assert curve.accuracy.idxmax() == 0.46 and (curve.fp - curve.fn).abs().idxmin() == 0.44
    matrix = recorded_matrix("mixed-pcgrad-dropout-0.3", "quora")
    assert round(averages(matrix)["accuracy"], 3) == 0.681 and round(matrix[0].sum() / matrix.sum(), 3) == 0.625


def test_near_misses_hardly_differ_and_distant_mistakes_do():
    matrices = [recorded_matrix(recipe, "sst") for recipe in ("mixed-plain-dropout-0.3", "sst-last-layer", "sst")]
    one_off = [distances(matrix)[1] / matrix.sum() for matrix in matrices]
    assert min(one_off) > 0.405 and max(one_off) < 0.425
    weak, _, strong = matrices
    assert [round(averages(matrix)["accuracy"], 2) for matrix in (weak, strong)] == [0.35, 0.49]
    assert 2 < quadratic_kappa(strong) / quadratic_kappa(weak) < 2.1
    assert (strong[0, 4] + strong[4, 0], round(expected_counts(strong)[[0, 4], [4, 0]].sum())) == (1, 36)


def test_confidence_that_the_text_quotes():
    sst, quora = recorded_bins("sst", "sst", 10), recorded_bins("mixed-plain-dropout-0.3", "quora")
    claimed, right = ((sst.rows * sst[name]).sum() / sst.rows.sum() for name in ("confidence", "true"))
    assert f"on average it claims {short(claimed, 2)} and is right in {short(right, 2)} of the cases" in PROSE_10
    near = quora[quora.confidence.between(0.52, 0.54)]
    assert (near.rows * near.true).sum() / near.rows.sum() == pytest.approx(0.7, abs=0.04)
    assert 0.25 < quora.confidence.min() < quora.confidence.max() < 0.65
    assert "too high on average" in PROSE_10 and (quora.rows * (quora.confidence - quora.true)).sum() > 0


@pytest.mark.parametrize(("recipe", "r"), [("sts-cosine", 0.88), ("sts-cross", 0.87)])
def test_correlations_beside_the_matrices_of_similarity(recipe, r):
    runs = read_table(paths.RESULTS / "sts.csv")
    assert (runs[(runs.recipe == recipe) & runs.encoder.str.contains("MiniLM")].sts.round(2) == r).all()


def test_what_notebook_10_says_of_its_calibrated_model_is_what_it_prints():
    number = r" (\d\.\d{3})"
    names = ("our model", "our model, calibrated", "4 times the logits", "4 times the logits, calibrated")
    found = [re.search(name + 4 * number, PRINTED_10).groups() for name in names]
    (_, accuracy, _, before), (one, _, _, after), (_, _, claimed, _), (four, _, honest, _) = found
    assert len({row[1] for row in found}) == 1
    claim = f"claimed {float(claimed):.2f} on average and was right in {float(accuracy):.2f} of the cases"
    assert claim.replace("0.", ".") in PROSE_10
    assert f"calibrated, it claims {short(float(honest), 2)}" in PROSE_10
    assert f"The temperatures are {float(one):.1f} and {float(four):.1f}, one about four times the other" in PROSE_10
    assert f"cross-entropy falls from {before} to {after}" in PROSE_10


def test_what_notebook_10_says_of_its_two_models_is_what_it_prints():
    only_a, only_b = map(int, re.search(r"only A (\d+), only B (\d+)", PRINTED_10).groups())
    assert f"Of {only_a + only_b} discordant rows, {only_b} went to B and {only_a} to A" in PROSE_10
    bounds = r" -?0\.\d+ (-0\.\d+) (0\.\d+)"
    paired, separate = (re.search(name + bounds, PRINTED_10) for name in ("the package", "rows drawn separately"))
    wide, wider = (float(high) - float(low) for low, high in (paired.groups(), separate.groups()))
    assert "the interval is a fifth wider" in PROSE_10 and wider / wide == pytest.approx(1.2, abs=0.05)
    p = re.search(r"the package" + 3 * r" -?0\.\d+" + r" (0\.\d+)", PRINTED_10)[1]
    assert f"p is {short(float(p), 2)}" in PROSE_10


def test_what_notebook_10_says_of_two_ways_to_combine_gradients():
    plain, surgery = (recorded_matrix(f"mixed-{name}-dropout-0.3", "quora") for name in ("plain", "pcgrad"))
    accuracy = [averages(matrix)["accuracy"] for matrix in (plain, surgery)]
    constant = plain[0].sum() / plain.sum()
    assert f"would have an accuracy of {short(constant)}." in PROSE_10
    assert "The plain sum is only .04 above that" in PROSE_10 and accuracy[0] - constant == pytest.approx(
        0.04, abs=2e-3
    )
    assert "less than a fifth of the duplicates" in PROSE_10 and plain[1, 1] / plain[1].sum() < 0.2
    assert "ahead by 1.5 points" in PROSE_10 and accuracy[1] - accuracy[0] == pytest.approx(0.015, abs=1e-3)
    assert surgery[:, 1].sum() > plain[:, 1].sum()
    off = recorded_matrix("mixed-plain-dropout-0.3", "sst")
    assert off[:, [1, 3]].sum() / off.sum() > 0.95  # "− or + and hardly anything else"


def test_a_shape_of_a_report_follows_from_its_three_figures():
    accuracy, recall, share = 0.713, 0.694, recorded_matrix("mixed-plain-dropout-0.3", "quora")[1].sum() / 20_212
    first = (accuracy - 2 * share * recall) / (1 - 2 * share)
    assert f"it finds {first:.0%} of the different pairs and {2 * recall - first:.0%} of" in PROSE_10
    assert f"2 · .306 · .375 = {1 - 2 * 0.306 * share:.2f}".replace("0.", ".") in PROSE_10


def test_what_notebook_10_says_of_dropout():
    pairs = read_table(paths.RESULTS / "confusion_pairs.csv")
    names = pairs["first"].str.contains("plain-dropout-0.3") & pairs.second.str.contains("plain-dropout-0.5")
    row = pairs[names & (pairs.task == "sst")].iloc[0]
    discordant = row.only_first + row.only_second
    assert f"only {discordant} rows are discordant, but {row.only_first} of them went one way" in PROSE_10
    total = row.both + row.neither + discordant
    assert "behind on SST by a point and a half" in PROSE_10
    assert (row.only_first - row.only_second) / total == pytest.approx(0.015, abs=1e-3)
