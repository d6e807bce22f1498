"""The five reports, row by row: what each calls overall, what does not add up, and that recipes stand on these rows."""

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


def test_every_report_has_its_rows_and_one_definition_of_its_overall_score(table):
    rows = {"ahmed-karamardian": 13, "cambronero-meza": 13, "li-tang": 11, "marchini-callon-cussen": 11, "yin": 21}
    assert table.groupby("report").size().to_dict() == rows
    for report, own in table[~table.definition.isin(["", "neither"])].groupby("report"):
        assert own.definition.unique() == ["normalised" if report == "yin" else "plain"]
        assert report_tables.overall_definition(report) == own.definition.iloc[0]
    with pytest.raises(UserError, match="no overall score of 'mine' in data/reports"):
        report_tables.overall_definition("mine")


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
    for row in table[(table.definition == "neither") & (table.table != "Table 3")].to_dict("records"):
        mean = row["normalised" if row["report"] == "yin" else "plain"]
        assert f"the three scores give {mean:.3f}" in row["note"]


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


# described without figures (data/reports/facts.csv), or with one on train rows
NOT_PRINTED = {"li-tang/mix-aux-surgery", "li-tang/mix-aux-surgery-groups", "li-tang/cosine-pretrain"}


@pytest.mark.parametrize("name", [name for name in RECIPES if "/" in name and name not in NOT_PRINTED])
def test_a_recipes_printed_figures_are_those_of_its_row(name, table):
    assert set(table.recipe) - {""} <= set(RECIPES)
    rows = table[(table.recipe == name) & (table.split == "dev")]
    assert len(rows), f"data/reports/{name.split('/')[0]}.csv has no dev row of {name}"
    for metric, figure in RECIPES[name].printed.items():
        assert (rows[metric].dropna() == figure).all() and rows[metric].notna().any()
    printed = rows[[*report_tables.SCORES, "overall"]].notna().any()
    assert set(RECIPES[name].printed) == set(printed.index[printed])


def test_trials_without_figures_have_none():
    assert {name for name, entry in RECIPES.items() if "/" in name and not entry.printed} == NOT_PRINTED


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


def test_facts_of_the_texts_belong_to_reports_and_are_no_table(table):
    facts = report_tables.read_facts()
    assert set(facts.report) <= set(table.report) and not facts.fact.duplicated().any()
    values = facts.set_index("fact").value
    altered, possible = (
        values[f"gradient updates that Vaccine {what} in the first epoch"] for what in ("altered", "could alter")
    )
    assert (altered, possible, values["share of gradient updates altered in each later epoch"]) == (2000, 54000, 0.005)
    assert possible == 3 * values["batches in an epoch"]
    assert values[facts.fact[facts.section.str.startswith("5.5")]].isna().all()
    minutes = facts[facts.unit == "minutes an epoch"].value
    assert minutes.tolist() == [47, 120]
    saved = facts[facts.section.str.startswith("6.1")].iloc[0]
    assert saved.value == 0.5 and saved.note.startswith("almost") and "combined model" in saved.fact
