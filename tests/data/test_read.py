"""Files to rows: the course's quirks are read as they are, and what is wrong is said in one sentence."""

import hashlib
import itertools
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtbert import UserError
from mtbert.data import data_folder, get_task, overlap, read_rows, read_split
from mtbert.data.check import check
from mtbert.data.read import Example, Rows, available, text_key

SST, CFIMDB, QUORA, STS = (get_task(name) for name in ("sst", "cfimdb", "quora", "sts"))
HEADER = "\tid\tsentence\tsentiment\n"
PAIR_HEADER = "\tid\tsentence1\tsentence2\tsimilarity\n"


@pytest.fixture
def written(tmp_path):
    """Writes a file and returns its path."""

    def write(content: str | bytes, name: str = "rows.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def complaint(path, task=SST, split="train", **options) -> str:
    """What read_rows says is wrong: always one line, always with the file's name."""
    with pytest.raises(UserError) as caught:
        read_rows(path, task, split, **options)
    message = str(caught.value)
    assert "\n" not in message and str(path) in message
    return message


def made(task, *texts):
    """Rows with these texts, labelled 0."""
    examples = [Example(str(i), (each,) if isinstance(each, str) else each, 0.0) for i, each in enumerate(texts)]
    return Rows(task, "train", task.files["train"], "", examples)


# -- the course's format ----------------------------------------------------------------------------------------------


def test_the_unnamed_first_column_is_a_row_number_and_no_field_of_the_example(written):
    rows = read_rows(written(HEADER + "7\tab12\tA fine film .\t3\n9\tcd34\tDull .\t0\n"), SST, "train")
    assert rows.examples == [Example("ab12", ("A fine film .",), 3.0), Example("cd34", ("Dull .",), 0.0)]


def test_the_second_unnamed_column_of_test_files_is_passed_over(written):
    rows = read_rows(written("0\t\tid\tsentence\n1\t0.0\tab12\t Effective but tepid\n"), SST, "test")
    assert rows.examples == [Example("ab12", ("Effective but tepid",), None)]


def test_labels_are_not_read_in_test_files(written):
    rows = read_rows(written(HEADER + "0\ta\tFine .\tnonsense\n"), SST, "test")
    assert rows.examples[0].label is None and rows.unlabelled == 0


def test_doubled_quotes_and_newlines_inside_quotes_are_part_of_the_text(written):
    text = PAIR_HEADER + '0\ta\t"""Why"" he asked"\t"one\nline\tmore"\t2.5\n1\tb\tx\ty\t1\n'
    rows = read_rows(written(text), STS, "train")
    assert rows.examples[0].texts == ('"Why" he asked', "one\nline\tmore")
    assert [example.id for example in rows.examples] == ["a", "b"]


def test_a_quote_inside_a_field_is_text(written):
    assert read_rows(written(HEADER + '0\ta\tA 12" record\t1\n'), SST, "train").examples[0].texts == ('A 12" record',)


def test_rows_without_a_label_are_counted_and_noted(written):
    path = written(HEADER + "0\ta\tFine .\t3\n1\tb\tDull .\t\n2\tc\tSo so .\t  \n")
    rows = read_rows(path, SST, "dev")
    assert (len(rows), rows.unlabelled) == (1, 2)
    assert rows.notes() == ["rows.csv: 2 of 3 rows have no label, left out"]


def test_a_row_without_a_label_may_lack_its_sentence_too(written):
    path = written(PAIR_HEADER + "0\ta\t\t\t\n1\tb\tx\ty\t1\n")
    rows = read_rows(path, STS, "train")
    assert (len(rows), rows.unlabelled) == (1, 1)


def test_complete_files_have_no_notes(written):
    assert read_rows(written(HEADER + "0\ta\tFine .\t3\n"), SST, "dev").notes() == []


# -- other tables with the same columns -------------------------------------------------------------------------------


@given(st.integers(1, 60), st.integers(1, 60))
def test_spread_rows_are_whole_rows_in_order_at_distances_that_differ_by_at_most_one(total, count):
    rows = Rows(SST, "train", Path("t.csv"), "", [Example(str(number), ("a",), 0.0) for number in range(total)])
    kept = [int(example.id) for example in rows.spread(count).examples]
    assert len(kept) == min(total, count) and kept[0] == 0
    distances = {after - before for before, after in itertools.pairwise([*kept, total])}
    assert max(distances) - min(distances) <= 1
    assert rows.spread(None) is rows


@pytest.mark.parametrize("delimiter", [",", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_plain_tables_are_read_whatever_their_line_ends_and_byte_order_mark(written, delimiter, newline, mark):
    lines = (["sentiment", "extra", "sentence"], ["4", "-", "Superb"], ["0", "-", '"Bad, bad"'])
    content = mark + "".join(delimiter.join(line) + newline for line in lines)
    rows = read_rows(written(content), SST, "train")
    assert [(example.texts[0], example.label) for example in rows.examples] == [("Superb", 4.0), ("Bad, bad", 0.0)]


def test_rows_without_an_id_column_are_numbered_from_0(written):
    rows = read_rows(written("sentence,sentiment\nOne,1\nTwo,2\n"), SST, "train")
    assert [example.id for example in rows.examples] == ["0", "1"]


def test_blank_lines_are_no_rows(written):
    path = written("\n\nid\tsentence\tsentiment\na\tOne\t1\n\nb\tTwo\t2\n\n")
    assert [example.id for example in read_rows(path, SST, "train").examples] == ["a", "b"]


def test_a_last_line_without_its_newline_is_a_row(written):
    assert len(read_rows(written("sentence,sentiment\nOne,1\nTwo,2"), SST, "train")) == 2


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), min_size=1).filter(str.strip), min_size=1))
def test_any_texts_come_back_from_a_quoted_file(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("any") / "rows.csv"
    lines = ('1\t"{}"\n'.format(text.replace('"', '""')) for text in texts)
    path.write_bytes(("sentiment\tsentence\n" + "".join(lines)).encode())
    assert [example.texts[0] for example in read_rows(path, SST, "train").examples] == [text.strip() for text in texts]


def test_the_checksum_is_that_of_the_bytes(written):
    path = written(HEADER + "0\ta\tFine .\t3\n")
    assert read_rows(path, SST, "train").sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


# -- what is wrong, said once and where -------------------------------------------------------------------------------


def test_a_missing_file_is_named(tmp_path):
    assert "does not exist" in complaint(tmp_path / "none.csv")


def test_a_folder_in_place_of_a_file_is_named(tmp_path):
    assert "is a folder" in complaint(tmp_path)


@pytest.mark.parametrize("content", [b"", b" \n", b"\r\n\r\n", "\ufeff".encode(), "\ufeff\n".encode()])
def test_an_empty_file_is_an_error(written, content):
    assert "is empty" in complaint(written(content))


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_header_alone_is_an_error(written, split):
    assert "no usable row" in complaint(written(HEADER), split=split)


def test_a_file_with_no_label_at_all_is_an_error_that_counts_them(written):
    assert "2 rows without a label" in complaint(written(HEADER + "0\ta\tx\t\n1\tb\ty\t\n"))


def test_a_wrong_column_is_named_beside_those_that_are_there(written):
    message = complaint(written("id\ttext\tsentiment\na\tFine\t1\n"))
    assert "header" in message and "'sentence'" in message and "'text'" in message


def test_a_missing_label_column_is_an_error_only_where_labels_are_read(written):
    path = written("id\tsentence\na\tFine\n")
    assert "'sentiment'" in complaint(path)
    assert len(read_rows(path, SST, "predict", labels=False)) == 1


@pytest.mark.parametrize("label", ["5", "-1", "1.5", "nan", "inf", "-inf", "good", "1e9", "0x1"])
def test_an_impossible_class_names_row_and_value(written, label):
    message = complaint(written(HEADER + f"0\ta\tFine .\t3\n1\tb\tBad .\t{label}\n"))
    assert "row 2 (line 3)" in message and repr(label) in message and "whole number from 0 to 4" in message


@pytest.mark.parametrize("label", ["2", "0.5", "-1", "nan", "yes"])
def test_a_paraphrase_label_is_0_or_1(written, label):
    message = complaint(written(f"sentence1,sentence2,is_duplicate\na,b,{label}\n"), QUORA)
    assert "row 1 (line 2)" in message and repr(label) in message and "from 0 to 1" in message


@pytest.mark.parametrize("label", ["5.01", "-0.1", "nan", "inf", "five"])
def test_a_similarity_lies_between_0_and_5(written, label):
    message = complaint(written(PAIR_HEADER + f"0\ta\tx\ty\t{label}\n"), STS)
    assert "row 1 (line 2)" in message and repr(label) in message and "a number from 0 to 5" in message


def test_labels_that_are_whole_numbers_may_be_written_as_fractions(written):
    rows = read_rows(written("sentence1,sentence2,is_duplicate\na,b,1.0\nc,d,0.0\n"), QUORA, "train")
    assert rows.labels == [1.0, 0.0]
    assert read_rows(written(PAIR_HEADER + "0\ta\tx\ty\t2.75\n"), STS, "train").labels == [2.75]


@pytest.mark.parametrize(("left", "right", "column"), [("", "y", "sentence1"), ("x", "  ", "sentence2")])
@pytest.mark.parametrize("split", ["train", "test"])
def test_an_empty_sentence_names_its_column(written, left, right, column, split):
    message = complaint(written(PAIR_HEADER + f"0\ta\tx\ty\t1\n1\tb\t{left}\t{right}\t1\n"), STS, split)
    assert "row 2 (line 3)" in message and repr(column) in message


def test_bytes_that_are_not_utf8_name_line_and_byte(written):
    message = complaint(written(HEADER.encode() + b"0\ta\tfine\t3\n1\tb\tcaf\xe9\t3\n"))
    assert "line 3" in message and "0xe9" in message


def test_a_blank_line_in_a_file_of_one_column_is_an_empty_sentence(written):
    assert "row 2 (line 3): column 'sentence' is empty" in complaint(written("sentence\nOne\n\nTwo\n"), split="test")
    assert len(read_rows(written("\nsentence\nOne\nTwo\n\n\n"), SST, "test")) == 2


@pytest.mark.parametrize("name", ["id", "sentence", "sentiment"])
def test_two_columns_of_one_name_are_an_error(written, name):
    said = complaint(written(f"id\tsentence\tsentiment\t{name}\na\tFine\t3\t3\n"))
    assert f"header: 2 columns are called {name!r}: rename all but one" in said


def test_an_empty_id_is_an_error(written):
    assert "row 2 (line 3): column 'id' is empty" in complaint(written(HEADER + "0\ta\tFine\t3\n1\t \tDull\t1\n"))


@pytest.mark.parametrize(("row", "fields"), [("0\ta\tFine\t3\tmore", 5), ("0\ta\tFine", 3)])
def test_a_row_with_too_many_or_too_few_fields_is_counted(written, row, fields):
    message = complaint(written(HEADER + row + "\n"))
    assert "row 1 (line 2)" in message and f"{fields} fields" in message and "names 4" in message


def test_texts_of_several_lines_are_found_at_the_line_where_they_begin(written):
    message = complaint(written(HEADER + '0\ta\t"two\nlines"\t3\n1\tb\t"three\nmore\nlines"\t9\n'))
    assert "row 2 (line 4)" in message


@pytest.mark.parametrize(
    "rows",
    [
        '0\ta\tFine\n1\tb\t"Dull\n2\tc\tSo so\n',  # never closed: it would swallow the last row
        '0\ta\tFine\n1\tb\t"Dull" he said\n2\tc\tSo so\n',
    ],
)
def test_a_stray_quote_is_an_error_at_the_row_where_it_stands(written, rows):
    message = complaint(written("\tid\tsentence\n" + rows), split="test")
    assert "row 2 (line 3)" in message and "quotes" in message


def test_a_split_that_a_task_does_not_have_is_an_error(sample):
    with pytest.raises(UserError, match="'yelp' has no dev split"):
        read_split(sample, get_task("yelp"), "dev")


def test_an_unknown_task_is_answered_with_the_known_ones():
    with pytest.raises(UserError, match="unknown task 'imdb': choose from sst, cfimdb, quora, sts, yelp"):
        get_task("imdb")


# -- overlaps ---------------------------------------------------------------------------------------------------------

WORDS = st.lists(st.text(string.ascii_letters + string.digits, min_size=1), min_size=1, max_size=6)


@given(WORDS, st.data())
def test_case_and_punctuation_do_not_tell_two_texts_apart(words, data):
    between = st.sampled_from([" ", ", ", "; ", " - ", "! ", "_"])
    other = "".join(
        data.draw(between) + data.draw(st.sampled_from([word, word.upper(), word.title()])) for word in words
    )
    assert overlap(made(SST, " ".join(words)), made(SST, "another text 0", other)) == 1


@given(WORDS, WORDS)
def test_a_pair_is_the_same_in_either_order(left, right):
    one, two = (" ".join(left), " ".join(right)), (" ".join(right), " ".join(left))
    assert text_key(Example("", one, None)) == text_key(Example("", two, None))


@given(WORDS, WORDS)
def test_texts_that_differ_in_letters_are_different_rows(left, right):
    same = "".join(left).casefold() == "".join(right).casefold()
    assert overlap(made(SST, " ".join(left)), made(SST, " ".join(right))) == same


@pytest.mark.parametrize(
    ("one", "other"), [("Fine 👍", "Fine 👎"), ("What is C++?", "What is C#?"), ("£5", "$5"), ("x²", "x2")]
)
def test_texts_that_differ_in_a_symbol_are_different_rows(one, other):
    assert overlap(made(SST, one), made(SST, other)) == 0


@pytest.mark.parametrize(
    ("one", "other"), [("Well - “so” …", 'well, "so" ...'), ("cafe\u0301", "Café"), ("It´s", "it's")]
)
def test_quotes_dashes_and_unicode_forms_do_not_tell_two_texts_apart(one, other):
    assert overlap(made(SST, one), made(SST, other)) == 1


def test_a_pair_that_shares_one_sentence_is_another_row():
    assert overlap(made(STS, ("a", "b"), ("c", "d")), made(STS, ("a", "x"), ("d", "c"))) == 1


def test_every_copy_of_a_shared_row_counts():
    assert overlap(made(SST, "A", "a!", "b"), made(SST, "(a)")) == 2


def test_without_leaves_out_exactly_the_shared_rows_in_order():
    rows = made(SST, "one", "two", "three", "four").without([made(SST, "Two."), made(SST, "FOUR", "five")])
    assert [example.texts[0] for example in rows.examples] == ["one", "three"]


# -- folders ----------------------------------------------------------------------------------------------------------


def test_the_sample_has_every_file_and_nothing_to_complain_of(sample):
    report = check(sample)
    assert report.errors == [] and report.overlaps == []
    assert len(report.files) == len(available(sample)) == 13
    assert dict(zip(report.files["file"], report.files["rows"], strict=True))["quora-train.csv"] == 2000


def test_check_reports_every_bad_file_and_goes_on(tmp_path):
    (tmp_path / "ids-sst-train.csv").write_text(HEADER + "0\ta\tFine .\t9\n")
    (tmp_path / "ids-sst-dev.csv").write_text(HEADER + "0\ta\tFine .\t3\n")
    (tmp_path / "sts-dev.csv").write_text("")
    report = check(tmp_path)
    assert len(report.errors) == 2 and list(report.files["file"]) == ["ids-sst-dev.csv"]


def test_check_counts_overlaps_between_splits(tmp_path):
    (tmp_path / "ids-sst-train.csv").write_text(HEADER + "0\ta\tFine .\t3\n1\tb\tDull .\t1\n")
    (tmp_path / "ids-sst-dev.csv").write_text(HEADER + "0\tc\tfine\t3\n")
    assert check(tmp_path).overlaps == ["ids-sst-train.csv: 1 rows also stand in ids-sst-dev.csv"]


def test_check_of_a_folder_without_data_is_an_error(tmp_path):
    assert "none of the course's files" in check(tmp_path).errors[0]


def test_a_given_data_folder_comes_before_the_environment_and_that_before_the_default(tmp_path, sample, monkeypatch):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir(), two.mkdir()
    monkeypatch.setattr("mtbert.utils.paths.FULL", tmp_path / "full")
    assert data_folder() == sample
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "sts-dev.csv").write_text("x")
    assert data_folder() == tmp_path / "full"
    monkeypatch.setenv("MTBERT_DATA", str(one))
    assert data_folder() == one
    assert data_folder(two) == two


@pytest.mark.parametrize("origin", ["--data", "MTBERT_DATA"])
def test_a_data_folder_that_does_not_exist_is_named_with_its_origin(tmp_path, monkeypatch, origin):
    missing = tmp_path / "none"
    monkeypatch.setenv("MTBERT_DATA", str(missing))
    with pytest.raises(UserError, match=f"{missing}.*{origin}"):
        data_folder(missing if origin == "--data" else None)


# -- the real sets ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "split", "count"),
    [
        ("sst", "train", 8544),
        ("sst", "dev", 1101),
        ("sst", "test", 2210),
        ("cfimdb", "train", 1707),
        ("cfimdb", "dev", 245),
        ("cfimdb", "test", 488),
        ("sts", "train", 6040),
        ("sts", "dev", 863),
        ("sts", "test", 1725),
    ],
)
def test_real_row_counts(real_data, task, split, count):
    rows = read_split(real_data, get_task(task), split)
    assert (len(rows), rows.unlabelled) == (count, 0)


def test_two_rows_of_the_real_quora_dev_set_have_no_label(real_data):
    rows = read_split(real_data, QUORA, "dev")
    assert (len(rows), rows.unlabelled) == (20_212, 2)


def test_the_real_quora_train_set_is_the_courses_or_a_subset_of_it(real_data):
    rows = read_split(real_data, QUORA, "train")
    assert len(rows) in (75_844, 141_498)


@pytest.mark.parametrize(("task", "rows", "texts"), [("sst", 3, 2), ("sts", 19, 17)])
def test_real_train_and_dev_sets_share_some_rows(real_data, task, rows, texts):
    train, dev = (read_split(real_data, get_task(task), split) for split in ("train", "dev"))
    assert overlap(train, dev) == rows
    assert len(set(train.keys) & set(dev.keys)) == texts
    assert overlap(train.without([dev]), dev) == 0
