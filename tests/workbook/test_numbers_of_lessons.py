"""Measured numbers in the prose of the lessons: shown by the lesson, or computed here from the records.

Measured are numbers with a point (.842, 1.5) or a comma (20,212). The code or an output must have shown them by the end
of the section that quotes them, unless they are computed here or set by the text. Exercises, folded answers, the quiz
and "Try it yourself" may make numbers up.
"""

import math
import re
from collections.abc import Callable, Collection, Iterable
from functools import cache
from itertools import chain
from typing import NamedTuple

import nbformat
import numpy as np
import pytest
from scipy import stats
from workbook.lessons import LESSONS, cells_of, output_of, short, shown_by

import mtbert
from mtbert.data import TASKS
from mtbert.experiments.claims import load_claims
from mtbert.experiments.recipes import RECIPES, scaled
from mtbert.experiments.report_tables import read_facts, read_tables
from mtbert.experiments.reports import load_runs, rows_read
from mtbert.experiments.results import read_table
from mtbert.nn import flops
from mtbert.nn.bert import BertConfig
from mtbert.training.run import open_run
from mtbert.utils import paths
from mtbert.workbook import scores
from mtbert.workbook.counts import best_constant, recorded_bins, recorded_matrix, recorded_pairs, threshold_curve
from mtbert.workbook.strategies import planned_rows, recorded_epochs, recorded_strategies

NUMBER = re.compile(r"(?<![\w.])(?:\d[\d,_]*(?:\.\d+)?|\.\d+)")
MEASURED = re.compile(r"(?<![\w.,/:])(?:\d{1,3}(?:,\d{3})+|\d*\.\d+)(?![\w.]*\d)")
MADE_UP = re.compile(
    r"^(?:### Exercise|## Try it yourself|## Quiz|\*Papers).*?(?=^##|\Z)|<details>.*?</details>",
    re.MULTILINE | re.DOTALL,
)
CODE = re.compile(r"```.*?```|`[^`]*`|\]\([^)]*\)|\$\$.*?\$\$|\d{4}\.\d{5}|section \d\.\d", re.DOTALL)
Numbers = dict[str, tuple[float, int]]  # what it is -> its value, and the decimals that the text prints

UNTRACED, UNQUOTED = "neither shown by then nor computed", "computed or allowed, but not in the text"
SET_BY_THE_TEXT = {  # neither shown nor measured, and why not
    "02": {
        ".02": "the standard deviation of BERT's initial weights",
        "8,544": "rows of a file; tests/data/test_read counts them",
        ".9": "the table's .92",
        ".7": "a bound below the .74 that is printed",
    },
    "03": {".001": "a loss to fall below, and the scale of a group", ".9": "the usual momentum"},
    "04": dict.fromkeys([".026", ".037"], "test_notebooks_04_05 computes it"),
    "05": dict.fromkeys([".005", ".011", ".015", ".025", ".499", "1.2", "3.5"], "test_notebooks_04_05 computes it"),
    "07": {
        ".0002": "a learning rate",
        ".01": "a bound; test_notebooks_07_08 holds it",
        **dict.fromkeys(["4,800", "2,000"], "a setting; test_notebooks_07_08 holds it"),
        **dict.fromkeys(["7.5", "7.1", "1.8"], "millions of parameters; test_notebooks_07_08 computes them"),
        **dict.fromkeys(["1.13", ".04"], "a factor of sizes, and an error; test_notebooks_07_08 computes them"),
    },
    "08": {
        ".1": "a cosine of an example",
        "19,900": "a product; test_notebooks_07_08 computes it",
        **dict.fromkeys([".46", ".17"], "in Sentence-BERT's table 1"),
    },
    "09": {
        **dict.fromkeys([".01", ".004"], "a bound; test_notebooks_09_10 holds it"),
        **dict.fromkeys(["1,000", "2,000"], "rows of a setting"),
    },
    "10": {".02": "the width of a bin", "2.5": "a number to round"},
    "12": {".04": "of a sign test; test_notebook_12 computes it"},
    "11": {
        ".01": "the margin of the rule",
        ".005": "the margin over 1.96",
        ".02": "a bound; test_notebook_11 holds it",
    },
}
BERT = BertConfig()
MARCHINI, YIN = "marchini-callon-cussen", "yin"
OURS, QUORA_RUN = "yin/low-rank-top-mean", "mixed-plain-dropout-0.3"


def in_report(report: str, row: str, metric: str) -> float:
    return RECIPES[f"{report}/{row}"].printed[metric]


def computed_00() -> Numbers:
    model = mtbert.load_model("workbook")
    shares = model.predict_proba("sst", ["The plot is thin, but the two leads are superb."])[0]
    return {"positive": (shares[3].item(), 2), "neutral": (shares[2].item(), 2), "vocabulary": (BERT.vocab_size, 0)}


def computed_01() -> Numbers:
    return {"weight of one word of 32": (1 / 32, 3)}


def computed_02() -> Numbers:
    leads = re.findall(r"over .*: +\+([\d.]+) points, standard error ([\d.]+)", output_of("02"))
    in_errors = [float(gap) / float(error) for gap, error in leads]
    assert len(in_errors) == 3
    [kept] = re.findall(r"GELU keeps ([\d.]+)", output_of("02"))
    factor = round(1 / float(kept), 1)
    pooler = BERT.hidden_size * (BERT.hidden_size + 1)
    return {
        "weights of BERT-base": (flops.parameters(BERT) + pooler, 0),
        "vocabulary": (BERT.vocab_size, 0),
        "SST's dev rows": (best_constant("sst", "sst")[1], 0),
        "factor that makes up for a GELU": (factor, 1),
        "with a width of 128": (factor / math.sqrt(128), 2),
        "standard deviation for a width of 768": (1 / math.sqrt(768), 3),
        "smallest lead in standard errors": (min(in_errors), 1),
        "largest lead": (max(in_errors), 1),
    }


def computed_03() -> Numbers:
    return {"0.999 after 1000 steps": (0.999**1000, 2), "32 layers in place of two": (1 / math.sqrt(16), 2)}


def computed_04() -> Numbers:
    return {
        "loss of a guess, five classes": (math.log(5), 3),
        "SST's train rows": (round(TASKS["sst"].train_rows, -2), 0),
    }


def computed_05() -> Numbers:
    fill = read_table(paths.RESULTS / "fill.csv").set_index("data set").random
    return {
        "SST's dev rows": (best_constant("sst", "sst")[1], 0),
        **{f"share of {task} that is tokens": (fill[task], 2) for task in ("sst", "quora", "sts")},
    }


def computed_06() -> Numbers:
    parameters = mtbert.load_encoder("minilm", num_layers=2).bert.parameters()
    weights, rows = sum(parameter.numel() for parameter in parameters), best_constant("sst", "sst")[1]
    facts = read_facts().set_index("fact").value
    return {
        "cosine of random directions": (1 / math.sqrt(weights), 4),
        "SST's dev rows": (round(rows, -2), 0),
        "error of an accuracy on them": (math.sqrt(0.25 / rows), 3),
        "updates that Vaccine altered": (facts["gradient updates that Vaccine altered in the first epoch"], 0),
        "of": (facts["gradient updates that Vaccine could alter in the first epoch"], 0),
        "percent later": (100 * facts["share of gradient updates altered in each later epoch"], 1),
    }


def computed_07() -> Numbers:
    rows = ["low-rank-top", "low-rank-top-mean"]
    ahead = scores.measured_differences(load_runs("reports", "small"), YIN, rows, "baseline").sst
    ahmed = read_tables().query("report == 'ahmed-karamardian'").set_index("row").sst
    alone = read_table(paths.RESULTS / "single_task.csv").groupby("recipe").sst.mean()
    full = alone["sst"]
    sst_rows = best_constant("sst", "sst")[1]
    return {
        "Quora's dev rows": (best_constant(QUORA_RUN, "quora")[1], 0),
        "SST's dev rows": (sst_rows, 0),
        "two standard errors on SST": (2 * (full * (1 - full) / sst_rows) ** 0.5, 2),
        "smallest lead on SST": (ahead.min(), 2),
        "largest lead on SST": (ahead.max(), 2),
        "one frozen encoder": (in_report("li-tang", "pretrain", "sst"), 3),
        "ours": (alone["sst-last-layer"], 3),
        "another": (in_report("ahmed-karamardian", "sst-pretrain", "sst"), 3),
        "the course's reference": (ahmed["SST, Finetuning, baseline"], 3),
        "STS without a cosine": (in_report(MARCHINI, "naive-multitask", "sts"), 2),
        "STS with a cosine": (in_report(MARCHINI, "cosine", "sts"), 2),
        "lead of the cosine": (
            in_report(MARCHINI, "cosine", "overall") - in_report(MARCHINI, "combined", "overall"),
            3,
        ),
        "steps of the shipped model": (open_run("workbook").epochs[-1]["step"], 0),
        "STS from 128 to 256": (in_report(YIN, "pal-256", "sts") - in_report(YIN, "pal-128", "sts"), 3),
        "SST with more epochs": (in_report(YIN, "pal-256-epochs-20", "sst") - in_report(YIN, "pal-256", "sst"), 3),
    }


def computed_08() -> Numbers:
    runs = read_table(paths.RESULTS / "sts.csv")
    runs = (
        runs[(runs.encoder == scores.MINILM) | (runs.recipe == "quora-mnrl")].groupby("recipe")[["sts", "quora"]].mean()
    )
    frozen = read_table(paths.RESULTS / "sts_frozen.csv")
    frozen = frozen[(frozen.encoder == scores.MINILM) & (frozen.what == "plain cosine") & (frozen.kind == "mean")]
    r, dev = runs.sts, recorded_matrix("sts-cosine", "sts").sum()
    report = read_tables().query("report == @MARCHINI and split == 'dev'").set_index("row").sts
    return {
        "six layers before fine-tuning": (frozen.dev.item(), 3),
        "their error": (read_table(paths.RESULTS / "sts_order.csv").set_index("loss").error["before fine-tuning"], 3),
        "the classifier": (runs.quora["quora-mnrl"], 2),
        "always different": (best_constant(QUORA_RUN, "quora")[0], 2),
        "the report's sigmoid": (in_report(MARCHINI, "naive-multitask", "sts"), 2),
        "the report's cosine": (in_report(MARCHINI, "cosine", "sts"), 2),
        "the report after one epoch": (report["STS baseline after 1 epoch"], 3),
        "the report's MNRL": (in_report(MARCHINI, "sts-mnrl", "sts"), 3),
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


def computed_09() -> Numbers:
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
    turns = (by_seed.quora["round-robin"] - by_seed.quora["mixed"]).dropna()
    warm = (by_seed.quora["temperature"] - by_seed.quora["mixed"]).dropna()
    falls = recorded_epochs("forgetting", "sst").score.tolist()
    copies = [recorded_epochs(name, "sst").score.max() for name in ("few-rows", "few-rows-augmented")]
    constant, dev = best_constant("sst", "sst")
    sst = in_report("li-tang", "mix-0.3", "sst")

    def cost(dropout: str, metric: str) -> float:
        return in_report("li-tang", f"mix-{dropout}", metric) - in_report("li-tang", f"mix-aux-{dropout}", metric)

    alone_first, mixed = (
        sum(planned_rows(mtbert.recipe(f"strategy-{name}"), rows).values()) for name in ("alone-first", "mixed")
    )
    return {
        "rows of alone-first": (alone_first, 0),
        "rows of mixed": (mixed, 0),
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
        "smallest lead of round robin on Quora": (turns.min(), 3),
        "largest lead": (turns.max(), 3),
        "lead of temperature": (warm.mean(), 3),
        "blocks with seed 0": (blocks[0], 3),
        "blocks with seed 1": (blocks[1], 3),
        **_trade(),
    }


def _trade() -> Numbers:
    """How the scores change from temperature 1 to 1000, in what notebook 09 prints."""
    text = output_of("09", "c8436a2a")
    first, last = (np.array(re.search(rf"^{t} +(.*)$", text, re.M)[1].split(), float) for t in ("1", "1000"))
    return {
        f"{task} by temperature": (change, 3)
        for task, change in zip(("SST", "Quora", "STS"), (last - first)[:3], strict=True)
    }


def computed_10() -> Numbers:
    quora, ours = recorded_matrix(QUORA_RUN, "quora"), recorded_matrix(OURS, "quora")
    weak, strong = (recorded_matrix(name, "sst") for name in (QUORA_RUN, "sst"))
    table6 = read_tables().query("report == @YIN and table == 'Table 6'").iloc[0]
    constant, rows = best_constant(QUORA_RUN, "quora")
    surgery = recorded_matrix(QUORA_RUN.replace("plain", "pcgrad"), "quora")
    matrices = {"ours": ours, "quora": quora, "surgery": surgery}
    accuracy = {name: np.trace(matrix) / matrix.sum() for name, matrix in matrices.items()}
    bins, tenths = recorded_bins(QUORA_RUN, "quora"), recorded_bins(QUORA_RUN, "quora", 10)
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
        "lead of PCGrad in points": (100 * (accuracy["surgery"] - accuracy["quora"]), 1),
        "weakest": (np.trace(weak) / weak.sum(), 2),
        "strongest": (np.trace(strong) / strong.sum(), 2),
        "least confident": (bins.low.min(), 2),
        "most confident": (bins.high.max(), 2),
        "confidence in the fifties": (tenths.confidence[tenths.low.round(1) == 0.5].item(), 2),
        "bi-encoder": (sts["sts-cosine"], 2),
        "cross-encoder": (sts["sts-cross"], 2),
        "largest of six p": (sorted(7 * pairs.p)[5], 3),
    }


def computed_11() -> Numbers:
    runs, claims = load_runs("reports", "small"), load_claims()
    differences = {claim.statement: claim.printed for claim in claims}
    reported = {name: RECIPES[name].printed for name in RECIPES if "/" in name}
    linear = {row["sts"] for name, row in reported.items() if name.startswith("yin/") and "mnrl" not in name}
    linear |= {in_report(MARCHINI, row, "sts") for row in ("naive-multitask", "sts-concat")}
    tables = read_tables()
    tried = tables[tables.section.str.startswith("4.2") & (tables.report == "li-tang")].quora.item()
    example = scaled(RECIPES["yin/pal-256"].recipe, "small")
    by_seed = runs[runs.recipe == "cambronero-meza/task-heads"].set_index("seed").plain
    return {
        "Student's quantile for three seeds": (stats.t.ppf(0.975, 2), 1),
        "Yin's best": (in_report(YIN, "low-rank-top-mean-curriculum", "overall"), 3),
        "Li & Tang's best": (in_report("li-tang", "mix-0.3", "overall"), 3),
        "an epoch": (example.steps_per_epoch * example.batch_size["quora"], 0),
        "our Quora rows": (TASKS["quora"].train_rows, 0),
        "theirs": (read_facts().set_index("fact").value["Quora train rows"], 0),
        **{
            f"curriculum, {scale}": (quora_ratio("yin/low-rank-top-mean-curriculum", "yin/low-rank-top-mean", scale), 2)
            for scale in ("full", "small")
        },
        "constant sentiment": (best_constant(OURS, "sst")[0], 2),
        "constant paraphrase": (best_constant(OURS, "quora")[0], 2),
        "first try of a cosine": (tried, 2),
        "Cambronero & Meza's plain heads": (in_report("cambronero-meza", "baseline-heads", "sts"), 3),
        "ours": (runs[runs.recipe == "cambronero-meza/baseline-heads"].sts.mean(), 3),
        "how far seed 0 is behind the others": (by_seed[[1, 2]].mean() - by_seed[0], 2),
        "lowest of linear heads": (min(linear), 2),
        "highest of linear heads": (max(linear), 2),
        "gain of their heads": (differences["task-specific heads help"], 3),
        "mixed against sequential": (differences["mixed steps beat one task after the other"], 3),
        "largest difference called alike": (
            max(abs(claim.printed) for claim in claims if claim.supported_by_report == "no"),
            3,
        ),
    }


def quora_ratio(row: str, baseline: str, scale: str) -> float:
    """How often a row of a report reads Quora, for each time that another does."""
    read = [rows_read(scaled(RECIPES[name].recipe, scale))["quora"] for name in (row, baseline)]
    return read[0] / read[1]


def computed_12() -> Numbers:
    return {"the reports' Quora rows": (read_facts().set_index("fact").value["Quora train rows"], 0)}


COMPUTED: dict[str, Callable[[], Numbers]] = {
    **{"00": computed_00, "01": computed_01, "02": computed_02, "03": computed_03, "04": computed_04},
    **{"05": computed_05, "06": computed_06, "07": computed_07, "08": computed_08, "09": computed_09},
    **{"10": computed_10, "11": computed_11, "12": computed_12},
}


@cache
def computed(lesson: str) -> dict[str, str]:
    """The numbers that are computed for a lesson, as it writes them, without a sign."""
    return {name: plain(short(abs(value), digits)) for name, (value, digits) in COMPUTED[lesson]().items()}


class Section(NamedTuple):
    quoted: list[str]  # the measured numbers of its prose
    shown: set[str]  # all numbers that the lesson has shown by its end


def plain(number: str) -> str:
    """20,212, 20_212 and 20212 are one number, and so are 0.5 and .5."""
    return re.sub("[,_]", "", number).lstrip("0")


def rounded(numbers: Iterable[str]) -> set[str]:
    """The numbers, and those with more decimals as a text may round them, to at least two digits."""
    numbers = set(numbers)
    longer = {number for number in numbers if len(number.partition(".")[2]) > 1}
    return numbers | {
        plain(short(float(number), digits))
        for number in longer
        for digits in (1, 2, 3)
        if digits < len(number.partition(".")[2]) and (digits > 1 or float(number) >= 1)
    }


def sections(cells: Iterable) -> list[Section]:
    """A lesson's cells by their headings of the second level."""
    found, texts, shown = [], [], set()

    def close() -> None:
        quoted = MEASURED.findall(CODE.sub(" ", MADE_UP.sub(" ", "\n\n".join(texts))))
        found.append(Section([plain(number) for number in quoted], set(shown)))
        texts.clear()

    for cell in cells:
        if cell.cell_type == "code":
            shown |= rounded(map(plain, NUMBER.findall(f"{cell.source}\n{shown_by(cell)}")))
            continue
        first, *others = re.split(r"^(?=## )", cell.source, flags=re.MULTILINE)
        texts.append(MADE_UP.sub(" ", first))
        for block in others:
            close()
            texts.append(MADE_UP.sub(" ", block))
    close()
    return found


@cache
def sections_of(lesson: str) -> list[Section]:
    return sections(cells_of(LESSONS[lesson]))


def complaints(found: list[Section], computed: Collection[str] = (), allowed: Collection[str] = ()) -> dict[str, str]:
    """What is wrong with the numbers of a lesson's sections."""
    known = {*computed, *map(plain, allowed)}
    quoted = set(chain.from_iterable(section.quoted for section in found))
    untraced = set(chain.from_iterable({*section.quoted} - section.shown for section in found)) - known
    return dict.fromkeys(untraced, UNTRACED) | dict.fromkeys(known - quoted, UNQUOTED)


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_measured_number_is_shown_or_computed(lesson):
    assert not complaints(sections_of(lesson), computed(lesson).values(), SET_BY_THE_TEXT.get(lesson, ()))


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_wrong_digit_is_found(lesson):
    """Each number in turn gets another last digit; few of the results are numbers that the lesson shows anyway."""
    whole, found, tried = sections_of(lesson), 0, 0
    for at, section in enumerate(whole):
        for place, number in enumerate(section.quoted):
            wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
            quoted = [*section.quoted[:place], wrong, *section.quoted[place + 1 :]]
            copy = [*whole[:at], section._replace(quoted=quoted), *whole[at + 1 :]]
            found += bool(complaints(copy, computed(lesson).values(), SET_BY_THE_TEXT.get(lesson, ())))
            tried += 1
    assert found > tried / 2


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("## A\n\n.84 and .844 of 20,212 rows at a rate of .125", {}),
        ("## A\n\n.84 and .85", {".85": UNTRACED}),
        ("## A\n\n.8, .8438, 1.8437 and 20,213", dict.fromkeys([".8", ".8438", "1.8437", "20213"], UNTRACED)),
        ("## A\n\n`9.9` is code.\n\n### Exercise 1\n\n7.7\n\n## Quiz\n\n6.6<details>5.5</details>", {}),
        ("## A\n\n.84\n\n## B", {".84": UNTRACED}),  # section A ends before the cell
    ],
)
def test_numbers_are_traced_to_what_was_shown_by_the_end_of_their_section(text, wrong):
    output = nbformat.v4.new_output("stream", text="20212 rows: 0.8437")
    cell = nbformat.v4.new_code_cell("rate = 0.125", outputs=[output])
    found = sections([nbformat.v4.new_markdown_cell(text), cell])
    assert complaints(found) == wrong
    assert complaints(found, computed=wrong) == {}
    assert complaints(found, computed=["3.3"], allowed=["4,444"]) == wrong | dict.fromkeys(["3.3", "4444"], UNQUOTED)


@pytest.mark.parametrize("lesson", [lesson for lesson in LESSONS if lesson != "00"])
def test_the_minutes_of_the_exercises_add_up(lesson):
    cells = [cell.source for cell in cells_of(LESSONS[lesson]) if cell.cell_type == "markdown"]
    total = sum(int(minutes) for minutes in re.findall(r"### Exercise .*\(\w+, (\d+) minutes\)", "\n".join(cells)))
    header = next(line for line in cells[0].splitlines() if line.startswith("*Time:*"))
    assert re.search(rf"\b{total} minutes of exercises|exercises {total} minutes", header), header
