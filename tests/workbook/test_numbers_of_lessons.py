"""Measured numbers in the prose of notebooks 07 to 10 and 12: printed by the lesson, or computed here from the records.

Measured are numbers that begin with a point (.842) or have a comma (20,212). Exercises, folded answers, the quiz and
"Try it yourself" may use made-up ones.
"""

import html
import re

import numpy as np
import pytest
from workbook.exercises import NOTEBOOKS, cells_of

import mtbert
from mtbert.data import TASKS
from mtbert.experiments.recipes import RECIPES
from mtbert.experiments.report_tables import read_facts, read_tables
from mtbert.experiments.reports import load_runs
from mtbert.experiments.results import read_table
from mtbert.training.run import open_run
from mtbert.utils import paths
from mtbert.workbook import scores
from mtbert.workbook.counts import best_constant, recorded_bins, recorded_matrix, recorded_pairs, threshold_curve
from mtbert.workbook.strategies import planned_rows, recorded_epochs, recorded_strategies

LESSONS = {path.stem[:2]: path for path in NOTEBOOKS if path.stem[:2] in ("07", "08", "09", "10", "12")}
MEASURED = re.compile(r"(?<![\w.,])(?:\.\d+|\d{1,3}(?:,\d{3})+)(?!\w)")
MADE_UP = re.compile(r"^(?:### Exercise|## Try it yourself|## Quiz).*?(?=^##|\Z)|<details>.*?</details>", re.M | re.S)
CODE = re.compile(r"```.*?```|`[^`]*`|\]\([^)]*\)|\$\$.*?\$\$", re.DOTALL)
# settings, and bounds that a sentence sets ("by less than .01"); the tests of the lessons hold the bounds
SET_BY_THE_TEXT = {
    "07": {".0002", ".01", "4,800", "2,000"},
    "08": {".1", "19,900"},
    "09": {".01", ".004", "1,000", "2,000"},
    "10": {".02"},
    "12": set(),
}
MARCHINI, YIN = "marchini-callon-cussen", "yin"
OURS, QUORA_RUN = "yin/low-rank-top-mean", "mixed-plain-dropout-0.3"


def written(value: float, digits: int) -> str:
    """A number as the lessons write it: .842 or 20,212, without a sign."""
    return f"{abs(value):,.{digits}f}".removeprefix("0")


def prose(lesson: str) -> str:
    cells = [cell.source for cell in cells_of(LESSONS[lesson]) if cell.cell_type == "markdown"]
    return CODE.sub(" ", "\n\n".join(MADE_UP.sub(" ", source) for source in cells))


def numbers_printed(lesson: str) -> set[str]:
    """Every number in the outputs of a lesson, without leading zeros and commas."""
    outputs = [output for cell in cells_of(LESSONS[lesson]) for output in cell.get("outputs", [])]
    shown = [output.get("data", {}) for output in outputs]
    pages = [re.sub(r"<style.*?</style>|<[^>]+>", " ", page.get("text/html", ""), flags=re.DOTALL) for page in shown]
    texts = [*(output.get("text", "") for output in outputs), *(page.get("text/plain", "") for page in shown)]
    found = re.findall(r"(?<![\w.])\d[\d,]*(?:\.\d+)?", html.unescape(" ".join(texts + pages)))
    return {number.replace(",", "").lstrip("0") for number in found}


def printed(report: str, row: str, metric: str) -> float:
    return RECIPES[f"{report}/{row}"].printed[metric]


def numbers_07() -> dict[str, tuple[float, int]]:
    rows = ["low-rank-top", "low-rank-top-mean"]
    ahead = scores.measured_differences(load_runs("reports", "small"), YIN, rows, "baseline").sst
    ahmed = read_tables().query("report == 'ahmed-karamardian'").set_index("row").sst
    full = read_table(paths.RESULTS / "single_task.csv").query("recipe == 'sst'").sst.mean()
    sst_rows = best_constant("sst", "sst")[1]
    return {
        "Quora's dev rows": (best_constant(QUORA_RUN, "quora")[1], 0),
        "SST's dev rows": (sst_rows, 0),
        "two standard errors on SST": (2 * (full * (1 - full) / sst_rows) ** 0.5, 2),
        "smallest lead on SST": (ahead.min(), 2),
        "largest lead on SST": (ahead.max(), 2),
        "one frozen encoder": (printed("li-tang", "pretrain", "sst"), 3),
        "another": (printed("ahmed-karamardian", "sst-pretrain", "sst"), 3),
        "the course's reference": (ahmed["SST, Finetuning, baseline"], 3),
        "STS without a cosine": (printed(MARCHINI, "naive-multitask", "sts"), 2),
        "STS with a cosine": (printed(MARCHINI, "cosine", "sts"), 2),
        "lead of the cosine": (printed(MARCHINI, "cosine", "overall") - printed(MARCHINI, "combined", "overall"), 3),
        "steps of the shipped model": (open_run("workbook").epochs[-1]["step"], 0),
        "STS from 128 to 256": (printed(YIN, "pal-256", "sts") - printed(YIN, "pal-128", "sts"), 3),
        "SST with more epochs": (printed(YIN, "pal-256-epochs-20", "sst") - printed(YIN, "pal-256", "sst"), 3),
    }


def numbers_08() -> dict[str, tuple[float, int]]:
    runs = read_table(paths.RESULTS / "sts.csv")
    runs = (
        runs[(runs.encoder == scores.MINILM) | (runs.recipe == "quora-mnrl")].groupby("recipe")[["sts", "quora"]].mean()
    )
    r, dev = runs.sts, recorded_matrix("sts-cosine", "sts").sum()
    report = read_tables().query("report == @MARCHINI and split == 'dev'").set_index("row").sts
    return {
        "probability at a cosine of -1": (1 / (1 + np.e), 2),
        "probability at a cosine of 1": (np.e / (1 + np.e), 2),
        "the classifier": (runs.quora["quora-mnrl"], 2),
        "always different": (best_constant(QUORA_RUN, "quora")[0], 2),
        "the report's sigmoid": (printed(MARCHINI, "naive-multitask", "sts"), 2),
        "the report's cosine": (printed(MARCHINI, "cosine", "sts"), 2),
        "the report after one epoch": (report["STS baseline after 1 epoch"], 3),
        "the report's MNRL": (printed(MARCHINI, "sts-mnrl", "sts"), 3),
        "our baseline": (r["sts-concat"], 2),
        "our cosine": (r["sts-short"], 2),
        "our baseline with MNRL": (r["sts-concat-mnrl"], 2),
        "our baseline with one positive": (r["sts-concat-graded"], 2),
        "error of the baseline": ((1 - r["sts-concat"] ** 2) / dev**0.5, 2),
        "error of the cosine": ((1 - r["sts-short"] ** 2) / dev**0.5, 2),
        "SMART": (r["sts-smart"] - r["sts-short"], 3),
        "dimensions of a pair": (round(24 * 384, -2), 0),
        "STS pairs": (round(TASKS["sts"].train_rows, -3), 0),
    }


def numbers_09() -> dict[str, tuple[float, int]]:
    rows = {task: TASKS[task].train_rows for task in ("sst", "quora", "sts")}
    shares = {heat: {task: count ** (1 / heat) for task, count in rows.items()} for heat in (1, 100)}
    steps = {heat: 10 * rows["sts"] / 24 * sum(of.values()) / of["sts"] for heat, of in shares.items()}
    runs = recorded_strategies()
    runs = runs[~runs.recipe.str.contains("unclipped|length-grouped")]
    by_seed = runs.set_index(["recipe", "seed"])
    read = {name: planned_rows(mtbert.recipe(f"strategy-{name}"), rows)["sst"] for name in runs.recipe.unique()}
    few = runs.recipe.map(read) <= 648
    behind = [(by_seed.sst["mixed"] - by_seed.sst[name]).dropna() for name in ("curriculum", "proportional")]
    blocks = by_seed.plain["sequential"] - by_seed.plain["proportional"]
    falls = recorded_epochs("forgetting", "sst").score.tolist()
    copies = [recorded_epochs(name, "sst").score.max() for name in ("few-rows", "few-rows-augmented")]
    constant, dev = best_constant("sst", "sst")
    sst = printed("li-tang", "mix-0.3", "sst")

    def cost(dropout: str, metric: str) -> float:
        return printed("li-tang", f"mix-{dropout}", metric) - printed("li-tang", f"mix-aux-{dropout}", metric)

    return {
        "steps at temperature 1": (round(steps[1], -2), 0),
        "steps at temperature 100": (round(steps[100], -2), 0),
        "best constant": (constant, 3),
        "what is forgotten": (falls[1] - falls[3], 3),
        "copies": (copies[0] - copies[1], 3),
        "Yelp's rows": (TASKS["yelp"].train_rows, 0),
        **{
            f"Yelp at dropout {d}, {metric}": (cost(d, metric), 3)
            for d in ("0.3", "0.5")
            for metric in ("overall", "sst")
        },
        "standard error of SST": ((sst * (1 - sst) / dev) ** 0.5, 3),
        "smallest lag of a starved task": (min(map(min, behind)), 2),
        "largest lag": (max(map(max, behind)), 2),
        "best of the starved": (runs.sst[few].max(), 3),
        "worst of the others": (runs.sst[~few].min(), 3),
        "blocks with seed 0": (blocks[0], 3),
        "blocks with seed 1": (blocks[1], 3),
        **_trade(),
    }


def _trade() -> dict[str, tuple[float, int]]:
    """How the scores change from temperature 1 to 1000, in what notebook 09 prints."""
    [cell] = [cell for cell in cells_of(LESSONS["09"]) if "draw.by_temperature" in cell.source]
    text = next(output.data["text/plain"] for output in cell.outputs if output.output_type == "execute_result")
    first, last = (np.array(re.search(rf"^{t} +(.*)$", text, re.M)[1].split(), float) for t in ("1", "1000"))
    return {
        f"{task} by temperature": (change, 3)
        for task, change in zip(("SST", "Quora", "STS"), (last - first)[:3], strict=True)
    }


def numbers_10() -> dict[str, tuple[float, int]]:
    quora, ours = recorded_matrix(QUORA_RUN, "quora"), recorded_matrix(OURS, "quora")
    weak, strong = (recorded_matrix(name, "sst") for name in (QUORA_RUN, "sst"))
    table6 = read_tables().query("report == @YIN and table == 'Table 6'").iloc[0]
    constant, rows = best_constant(QUORA_RUN, "quora")
    accuracy = {name: np.trace(matrix) / matrix.sum() for name, matrix in (("ours", ours), ("quora", quora))}
    bins, sst = recorded_bins(QUORA_RUN, "quora"), recorded_bins("sst", "sst", 10)
    sixties = sst[sst.low.round(1) == 0.6].iloc[0]
    curve, pairs = threshold_curve(bins), recorded_pairs()
    sts = read_table(paths.RESULTS / "sts.csv").query("encoder == @scores.MINILM").groupby("recipe").sts.mean()
    return {
        "Quora's dev rows": (rows, 0),
        "missed at one half": (curve.fn[(curve.threshold - 0.5).abs().idxmin()], 0),
        "equal mistakes": (curve.threshold[(curve.fp - curve.fn).abs().idxmin()], 2),
        "highest accuracy": (curve.threshold[curve.accuracy.idxmax()], 2),
        "precision of duplicates": (table6.quora_precision, 2),
        "mistakes if it were theirs": (1 - round(table6.quora_recall, 3), 3),
        "share of duplicates": (1 - constant, 3),
        "accuracy if it were theirs": (1 - 2 * (1 - table6.quora_recall) * (1 - constant), 2),
        "error of ours": ((accuracy["ours"] * (1 - accuracy["ours"]) / ours.sum()) ** 0.5, 2),
        "constant": (constant, 3),
        "lead over the constant": (accuracy["quora"] - constant, 2),
        "weakest": (np.trace(weak) / weak.sum(), 2),
        "strongest": (np.trace(strong) / strong.sum(), 2),
        "least confident": (bins.low.min(), 2),
        "most confident": (bins.high.max(), 2),
        "confidence in the sixties": (sixties.confidence, 2),
        "right there": (sixties.true, 2),
        "bi-encoder": (sts["sts-cosine"], 2),
        "cross-encoder": (sts["sts-cross"], 2),
        "largest of six p": (sorted(7 * pairs.p)[5], 3),
    }


def numbers_12() -> dict[str, tuple[float, int]]:
    facts = read_facts().set_index("fact").value
    return {"the reports' Quora rows": (facts["Quora train rows"], 0)}


NUMBERS = {"07": numbers_07, "08": numbers_08, "09": numbers_09, "10": numbers_10, "12": numbers_12}


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_measured_number_is_printed_or_follows_from_the_records(lesson):
    computed = {name: written(*number) for name, number in NUMBERS[lesson]().items()}
    found = set(MEASURED.findall(prose(lesson)))
    missing = {name: number for name, number in computed.items() if number not in found}
    assert not missing, "computed, but not in the text"
    open_ones = found - set(computed.values()) - SET_BY_THE_TEXT[lesson]
    untraced = {number for number in open_ones if number.replace(",", "") not in _shortened(numbers_printed(lesson))}
    assert not untraced
    assert SET_BY_THE_TEXT[lesson] <= found


def _shortened(numbers: set[str]) -> set[str]:
    """The numbers, and those with more than two decimals rounded to two and three, as a text may quote them."""
    decimals = [number for number in numbers if re.fullmatch(r"\.\d{3,}", number)]
    return numbers | {written(float(number), digits) for number in decimals for digits in (2, 3)}


@pytest.mark.parametrize("lesson", LESSONS)
def test_the_minutes_of_the_exercises_add_up(lesson):
    cells = [cell.source for cell in cells_of(LESSONS[lesson]) if cell.cell_type == "markdown"]
    total = sum(int(minutes) for minutes in re.findall(r"### Exercise .*\(\w+, (\d+) minutes\)", "\n".join(cells)))
    assert f"exercises {total} minutes" in cells[0]
