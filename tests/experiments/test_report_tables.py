"""The five reports, row by row: what each calls overall, what does not add up, and that recipes stand on these rows."""

import math
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtbert import RECIPES
from mtbert.data.tasks import overall
from mtbert.experiments import report_tables
from mtbert.utils import paths
from mtbert.utils.errors import UserError

SHARES = st.integers(0, 1000).map(lambda thousandths: thousandths / 1000)


@pytest.fixture(scope="module")
def table():
    return report_tables.read_tables()


# -- what is printed --------------------------------------------------------------------------------------------------


def test_every_report_has_its_rows(table):
    counts = table.groupby(["report", "table"]).size().to_dict()
    assert counts == {
        ("ahmed-karamardian", "Table 1"): 8,
        ("ahmed-karamardian", "Table 2"): 4,
        ("ahmed-karamardian", "text"): 1,
        ("cambronero-meza", "Table 1"): 13,
        ("li-tang", "Table 1"): 8,
        ("li-tang", "text"): 3,
        ("marchini-callon-cussen", "Table 1"): 6,
        ("marchini-callon-cussen", "Table 2"): 2,
        ("marchini-callon-cussen", "text"): 3,
        ("yin", "Table 2"): 8,
        ("yin", "Table 3"): 3,
        ("yin", "Table 4"): 3,
        ("yin", "Table 5"): 2,
        ("yin", "Table 6"): 1,
        ("yin", "text"): 4,
    }


def test_each_report_has_one_definition_of_its_overall_score(table):
    used = table[~table.definition.isin(["", "neither"])].groupby("report").definition.unique()
    assert {report: list(kinds) for report, kinds in used.items()} == {
        "ahmed-karamardian": ["plain"],
        "cambronero-meza": ["plain"],
        "li-tang": ["plain"],
        "marchini-callon-cussen": ["plain"],
        "yin": ["normalised"],
    }


def test_the_rows_that_add_up_under_neither_definition(table):
    wrong = table[table.definition == "neither"]
    assert list(zip(wrong.report, wrong.table, wrong.row, wrong.split, wrong.overall, strict=True)) == [
        ("cambronero-meza", "Table 1", "Gradient Surgery, Aug 20%", "dev", 0.73),
        ("marchini-callon-cussen", "Table 2", "Cosine Similarity Model", "test", 0.579),
        ("yin", "Table 2", "Basic PAL, d_s = 256", "dev", 0.639),
        ("yin", "Table 2", "Low rank + PALs on top", "dev", 0.647),
        ("yin", "Table 3", "Low rank + PALs on top, CLS pooling", "dev", 0.647),
        ("yin", "text", "final model", "test", 0.653),
        ("yin", "text", "final model", "test", 0.653),
    ]


def test_a_row_that_does_not_add_up_has_a_note_with_what_its_scores_give(table):
    means = {"yin": "normalised"}
    for row in table[table.definition == "neither"].to_dict("records"):
        if row["table"] == "Table 3":
            assert "Table 2 again" in row["note"]
        else:
            assert f"the three scores give {row[means.get(row['report'], 'plain')]:.3f}" in row["note"]


def test_two_rows_of_yin_print_the_same_four_figures(table):
    same = table[table.report.eq("yin") & table.table.eq("Table 2")].set_index("row")[list(report_tables.SCORES)]
    assert same.loc["Low rank"].equals(same.loc["Multi-layer PALs, 3 projection layers"].rename("Low rank"))


# -- rounding ---------------------------------------------------------------------------------------------------------


@given(SHARES, SHARES, SHARES, st.sampled_from(["plain", "normalised"]), st.sampled_from([2, 3]))
def test_a_rounded_mean_is_recognised(sst, quora, sts, kind, decimals):
    scores = {"sst": sst, "quora": quora, "sts": sts}
    definition = report_tables.matching_definition(scores, round(overall(scores)[kind], decimals), decimals)
    assert definition == kind or sts > 0.9  # near r = 1 the two are one


@given(SHARES, SHARES, st.floats(-1, 1), st.floats(0.003, 0.5))
def test_a_figure_above_both_means_is_neither(sst, quora, sts, more):
    scores = {"sst": sst, "quora": quora, "sts": sts}
    assert report_tables.matching_definition(scores, max(overall(scores).values()) + more, 3) == "neither"


def test_what_lacks_a_score_or_the_overall_is_not_judged(table):
    lacking = table[["sst", "quora", "sts", "overall"]].isna().any(axis=1)
    assert (table.definition[lacking] == "").all() and (table.definition[~lacking] != "").all()
    assert table.plain[table[["sst", "quora", "sts"]].isna().any(axis=1)].isna().all()


def test_the_definition_that_a_report_uses_is_that_of_most_of_its_rows(table):
    used = {report: report_tables.overall_definition(report) for report in table.report.unique()}
    assert used.pop("yin") == "normalised" and set(used.values()) == {"plain"}
    with pytest.raises(UserError, match="no overall score of 'mine' in data/reports"):
        report_tables.overall_definition("mine")


# -- recipes stand on these rows --------------------------------------------------------------------------------------

REPORT_RECIPES = [name for name in RECIPES if "/" in name]


@pytest.mark.parametrize("name", REPORT_RECIPES)
def test_a_recipes_printed_figures_are_those_of_its_row(name, table):
    rows = table[(table.recipe == name) & (table.split == "dev")]
    assert len(rows), f"data/reports/{name.split('/')[0]}.csv has no dev row of {name}"
    for metric, figure in RECIPES[name].printed.items():
        assert (rows[metric].dropna() == figure).all() and rows[metric].notna().any()
    printed = rows[[*report_tables.SCORES, "overall"]].notna().any()
    assert set(RECIPES[name].printed) == set(printed.index[printed])


def test_every_recipe_of_a_row_exists_and_our_own_recipes_print_nothing(table):
    assert set(table.recipe) - {""} <= set(RECIPES)
    assert all(not entry.printed for name, entry in RECIPES.items() if "/" not in name)


# -- what cannot be printed so ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("0.390", "1.390", "li-tang.csv, row 1: sst is '1.390', but must be a number from 0 to 1, or empty"),
        ("0.390", "nan", "row 1: sst is 'nan'"),
        ("0.702", "a lot", "row 1: quora is 'a lot'"),
        ("dev,li-tang/pretrain", "devel,li-tang/pretrain", "row 1: split is 'devel': choose from train, dev, test"),
        ("li-tang/pretrain", "pretrain", "row 1: recipe is 'pretrain', but must begin with li-tang/"),
        ("li-tang/mix-0.5", "li-tang/mix-0.3", "the rows of li-tang/mix-0.3 on dev print two values of sst"),
        ("split,", "part,", "header: no column 'split'"),
        ("sts,", "stsb,", "header: unknown column 'stsb'"),
    ],
)
def test_a_damaged_file_is_named_with_row_and_value(tmp_path, old, new, words):
    text = (paths.REPORTS / "li-tang.csv").read_text()
    (tmp_path / "li-tang.csv").write_text(text.replace(old, new, 1))
    with pytest.raises(UserError) as caught:
        report_tables.read_tables(tmp_path)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_correlation_may_be_negative_and_an_accuracy_may_not(tmp_path):
    shutil.copy(paths.REPORTS / "li-tang.csv", tmp_path)
    text = (tmp_path / "li-tang.csv").read_text()
    (tmp_path / "li-tang.csv").write_text(text.replace("0.457", "-0.457", 1))
    assert report_tables.read_tables(tmp_path).sts[0] == -0.457


def test_printed_scores_are_finite_and_none_without_files(table, tmp_path):
    printed = report_tables.printed_scores()
    assert set(printed) == set(table[(table.split == "dev") & (table.recipe != "")].recipe)
    assert all(math.isfinite(value) for scores in printed.values() for value in scores.values())
    assert report_tables.printed_scores(tmp_path) == {} and report_tables.read_tables(tmp_path).empty
