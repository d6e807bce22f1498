"""Files to rows: the course's formats are read as they are, and errors name file, row, value and fix."""

import hashlib
import itertools
import re
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtbert import UserError
from mtbert.data import count_overlap, data_folder, get_task, read_rows, read_split
from mtbert.data.checking import check_folder
from mtbert.data.read import Example, Rows, available, text_key

SST, QUORA, STS = (get_task(name) for name in ("sst", "quora", "sts"))
HEADER = "\tid\tsentence\tsentiment\n"
PAIR_HEADER = "\tid\tsentence1\tsentence2\tsimilarity\n"


@pytest.fixture
def written(tmp_path):
    """Writes a file and returns its path."""

    def write(content: str | bytes):
        path = tmp_path / "rows.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def rows_of(task, *texts):
    """Rows with these texts, labeled 0."""
    examples = [Example(str(i), (text,) if isinstance(text, str) else text, 0.0) for i, text in enumerate(texts)]
    return Rows(task, "train", Path("rows.csv"), "", examples)


def test_a_train_file_of_the_course_is_read_without_its_row_numbers(written):
    path = written(HEADER + "7\tab12\tA fine film .\t3\n9\tcd34\tDull .\t0\n")
    rows = read_rows(path, SST, "train")
    assert rows.examples == [Example("ab12", ("A fine film .",), 3.0), Example("cd34", ("Dull .",), 0.0)]
    assert rows.notes() == [] and rows.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_test_file_may_have_a_second_unnamed_column_and_its_labels_are_not_read(written):
    rows = read_rows(written("0\t\tid\tsentence\n1\t0.0\tab12\t Effective but tepid\n"), SST, "test")
    assert rows.examples == [Example("ab12", ("Effective but tepid",), None)]
    rows = read_rows(written(HEADER + "0\ta\tFine .\tnonsense\n"), SST, "test")
    assert rows.examples[0].label is None and rows.unlabeled == 0


def test_quotes_and_newlines_inside_fields_are_part_of_the_text(written):
    content = PAIR_HEADER + '0\ta\t"""Why"" he asked"\t"one\nline\tmore"\t2.5\n1\tb\tA 12" record\ty\t1\n'
    rows = read_rows(written(content), STS, "train")
    assert [example.texts for example in rows.examples] == [
        ('"Why" he asked', "one\nline\tmore"),
        ('A 12" record', "y"),
    ]


def test_rows_without_a_label_are_left_out_and_counted_even_if_they_lack_a_sentence(written):
    path = written(HEADER + "0\ta\tFine .\t3\n1\tb\tDull .\t\n2\tc\t\t  \n")
    rows = read_rows(path, SST, "dev")
    assert (len(rows), rows.unlabeled) == (1, 2)
    (note,) = rows.notes()
    assert "rows.csv: 2 of 3 rows" in note


@pytest.mark.parametrize("delimiter", [",", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_plain_tables_are_read_whatever_their_line_ends_and_byte_order_mark(written, delimiter, newline, mark):
    lines = (["sentiment", "extra", "sentence"], ["4", "-", "Superb"], ["0", "-", '"Bad, bad"'])
    rows = read_rows(written(mark + newline.join(delimiter.join(line) for line in lines)), SST, "train")
    assert rows.examples == [Example("0", ("Superb",), 4.0), Example("1", ("Bad, bad",), 0.0)]


def test_blank_lines_are_no_rows_except_within_a_single_column(written):
    path = written("\n\nid\tsentence\tsentiment\na\tOne\t1\n\nb\tTwo\t2\n\n")
    assert [example.id for example in read_rows(path, SST, "train").examples] == ["a", "b"]
    assert len(read_rows(written("\nsentence\nOne\nTwo\n\n\n"), SST, "test")) == 2
    with pytest.raises(UserError, match=r"row 2 \(line 3\): column 'sentence' is empty"):
        read_rows(written("sentence\nOne\n\nTwo\n"), SST, "test")


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), min_size=1).filter(str.strip), min_size=1))
def test_any_texts_come_back_from_a_quoted_file(tmp_path_factory, texts):
    path = tmp_path_factory.getbasetemp() / "rows.csv"
    lines = ('1\t"{}"\n'.format(text.replace('"', '""')) for text in texts)
    path.write_bytes(("sentiment\tsentence\n" + "".join(lines)).encode())
    assert [example.texts[0] for example in read_rows(path, SST, "train").examples] == [text.strip() for text in texts]


def test_whole_numbers_may_be_written_as_decimals(written):
    rows = read_rows(written("sentence1,sentence2,is_duplicate\na,b,1.0\nc,d,0.0\n"), QUORA, "train")
    assert rows.labels == [1.0, 0.0]
    assert read_rows(written(PAIR_HEADER + "0\ta\tx\ty\t2.75\n"), STS, "train").labels == [2.75]


ERRORS = [  # (task, split, content, what the message must contain)
    (SST, "train", HEADER, ["no usable row"]),
    (SST, "test", HEADER, ["no usable row"]),
    (SST, "train", HEADER + "0\ta\tx\t\n1\tb\ty\t\n", ["2 rows without a label"]),
    (SST, "train", "id\ttext\tsentiment\na\tFine\t1\n", ["header", "'sentence'", "'text'"]),
    (SST, "train", "id\tsentence\na\tFine\n", ["'sentiment'"]),
    (SST, "train", HEADER.encode() + b"0\ta\tfine\t3\n1\tb\tcaf\xe9\t3\n", ["line 3", "0xe9"]),
    (SST, "train", HEADER + "0\ta\tFine\t3\n1\t \tDull\t1\n", ["row 2 (line 3)", "'id' is empty"]),
    (SST, "train", HEADER + "0\ta\tFine\t3\tmore\n", ["row 1 (line 2)", "5 fields", "names 4"]),
    (SST, "train", HEADER + "0\ta\tFine\n", ["row 1 (line 2)", "3 fields", "names 4"]),
    (SST, "train", HEADER + '0\ta\t"two\nlines"\t3\n1\tb\t"three\nmore\nlines"\t9\n', ["row 2 (line 4)"]),
    # a quote that is never closed must not swallow the rows after it
    (SST, "test", 'id\tsentence\na\tFine\nb\t"Dull\nc\tSo so\n', ["row 2 (line 3)", "quotes"]),
    (SST, "test", 'id\tsentence\na\tFine\nb\t"Dull" he said\nc\tSo so\n', ["row 2 (line 3)", "quotes"]),
]
for content in (b"", b" \n", b"\r\n\r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"):
    ERRORS.append((SST, "train", content, ["is empty"]))
for label in ("5", "-1", "1.5", "nan", "inf", "-inf", "good", "1e9", "0x1"):
    expected = ["row 2 (line 3)", repr(label), "whole number from 0 to 4"]
    ERRORS.append((SST, "train", HEADER + f"0\ta\tx\t3\n1\tb\ty\t{label}\n", expected))
for label in ("2", "0.5", "-1", "nan", "yes"):
    content = f"sentence1,sentence2,is_duplicate\na,b,{label}\n"
    ERRORS.append((QUORA, "train", content, ["row 1 (line 2)", repr(label), "from 0 to 1"]))
for label in ("5.01", "-0.1", "nan", "inf", "five"):
    expected = ["row 1 (line 2)", repr(label), "a number from 0 to 5"]
    ERRORS.append((STS, "train", PAIR_HEADER + f"0\ta\tx\ty\t{label}\n", expected))
for name in ("id", "sentence", "sentiment"):
    content = f"id\tsentence\tsentiment\t{name}\na\tFine\t3\t3\n"
    ERRORS.append((SST, "train", content, ["header", f"2 columns are called {name!r}"]))
for split in ("train", "test"):
    for texts, name in (("\ty", "sentence1"), ("x\t ", "sentence2")):
        content = PAIR_HEADER + f"0\ta\tx\ty\t1\n1\tb\t{texts}\t1\n"
        ERRORS.append((STS, split, content, ["row 2 (line 3)", repr(name)]))


@pytest.mark.parametrize(("task", "split", "content", "expected"), ERRORS)
def test_an_error_is_one_line_that_names_file_row_and_value(written, task, split, content, expected):
    path = written(content)
    with pytest.raises(UserError) as error:
        read_rows(path, task, split)
    assert "\n" not in str(error.value) and all(part in str(error.value) for part in [str(path), *expected])


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    for path, message in ((tmp_path / "none.csv", "does not exist"), (tmp_path, "is a folder")):
        with pytest.raises(UserError, match=f"{re.escape(str(path))} {message}"):
            read_rows(path, SST, "train")


def test_a_label_column_is_not_needed_where_labels_are_not_read(written):
    assert len(read_rows(written("id\tsentence\na\tFine\n"), SST, "predict", labels=False)) == 1


def test_an_unknown_split_or_task_is_refused(sample):
    with pytest.raises(UserError, match="'yelp' has no dev split"):
        read_split(sample, get_task("yelp"), "dev")
    with pytest.raises(UserError, match="'imdb'.*sst, cfimdb, quora, sts, yelp"):
        get_task("imdb")


@given(st.integers(1, 60), st.integers(1, 60))
def test_subsampled_rows_are_evenly_spaced(total, count):
    rows = rows_of(SST, *["a"] * total)
    ids = [int(example.id) for example in rows.subsample(count).examples]
    assert len(ids) == min(total, count) and ids[0] == 0
    distances = {after - before for before, after in itertools.pairwise([*ids, total])}
    assert max(distances) - min(distances) <= 1
    assert rows.subsample(None) is rows


WORDS = st.lists(st.text(string.ascii_letters + string.digits, min_size=1), min_size=1, max_size=6)


@given(WORDS, st.data())
def test_texts_that_differ_in_case_and_punctuation_are_the_same(words, data):
    between = st.sampled_from([" ", ", ", "; ", " - ", "! ", "_"])
    varied = (data.draw(between) + data.draw(st.sampled_from([word, word.upper(), word.title()])) for word in words)
    assert count_overlap(rows_of(SST, " ".join(words)), rows_of(SST, "another text 0", "".join(varied))) == 1


@given(WORDS, WORDS)
def test_texts_that_differ_in_letters_are_different_and_a_pair_is_the_same_in_either_order(left, right):
    one, two = " ".join(left), " ".join(right)
    assert count_overlap(rows_of(SST, one), rows_of(SST, two)) == ("".join(left).lower() == "".join(right).lower())
    assert text_key(Example("", (one, two), None)) == text_key(Example("", (two, one), None))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Fine 👍", "Fine 👎", False),
        ("What is C++?", "What is C#?", False),
        ("£5", "$5", False),
        ("x²", "x2", False),
        ("Well - “so” …", 'well, "so" ...', True),
        ("cafe\u0301", "Café", True),
        ("It´s", "it's", True),
    ],
)
def test_symbols_tell_texts_apart_but_quotes_dashes_and_unicode_forms_do_not(one, other, same):
    assert count_overlap(rows_of(SST, one), rows_of(SST, other)) == same


def test_overlap_counts_whole_rows_with_repetitions_and_can_be_left_out():
    assert count_overlap(rows_of(STS, ("a", "b"), ("c", "d")), rows_of(STS, ("a", "x"), ("d", "c"))) == 1
    assert count_overlap(rows_of(SST, "A", "a!", "b"), rows_of(SST, "(a)")) == 2
    rows = rows_of(SST, "one", "two", "three", "four")
    rows = rows.without_overlap([rows_of(SST, "Two."), rows_of(SST, "FOUR", "five")])
    assert [example.texts[0] for example in rows.examples] == ["one", "three"]


def test_check_finds_nothing_wrong_with_the_sample(sample):
    report = check_folder(sample)
    assert report.errors == [] and report.overlaps == []
    assert len(report.files) == len(available(sample)) == 13
    assert report.files.set_index("file").rows["quora-train.csv"] == 2000


def test_check_reports_every_bad_file_and_every_overlap(tmp_path):
    assert "none of the course's files" in check_folder(tmp_path).errors[0]
    (tmp_path / "ids-sst-train.csv").write_text(HEADER + "0\ta\tFine .\t3\n1\tb\tDull .\t1\n")
    (tmp_path / "ids-sst-dev.csv").write_text(HEADER + "0\tc\tfine\t3\n")
    (tmp_path / "ids-cfimdb-dev.csv").write_text(HEADER + "0\ta\tFine .\t9\n")
    (tmp_path / "sts-dev.csv").write_text("")
    report = check_folder(tmp_path)
    assert len(report.errors) == 2 and list(report.files.file) == ["ids-sst-train.csv", "ids-sst-dev.csv"]
    (overlap,) = report.overlaps
    assert "ids-sst-train.csv: 1 rows" in overlap and "ids-sst-dev.csv" in overlap


def test_the_data_folder_is_the_given_one_then_the_environments_then_full_then_sample(tmp_path, sample, monkeypatch):
    one, two, full, missing = (tmp_path / name for name in ("one", "two", "full", "missing"))
    monkeypatch.setattr("mtbert.utils.paths.FULL", full)
    assert data_folder() == sample
    for folder in (one, two, full):
        folder.mkdir()
    (full / "sts-dev.csv").write_text("x")
    assert data_folder() == full
    monkeypatch.setenv("MTBERT_DATA", str(one))
    assert data_folder() == one and data_folder(two) == two
    monkeypatch.setenv("MTBERT_DATA", str(missing))
    for given_folder, origin in ((missing, "--data"), (None, "MTBERT_DATA")):
        with pytest.raises(UserError, match=f"{missing}.*{origin}"):
            data_folder(given_folder)


REAL_ROWS = {"sst": (8544, 1101, 2210), "cfimdb": (1707, 245, 488), "sts": (6040, 863, 1725)}


@pytest.mark.parametrize("task", REAL_ROWS)
def test_real_row_counts(real_data, task):
    splits = [read_split(real_data, get_task(task), split) for split in ("train", "dev", "test")]
    assert tuple(map(len, splits)) == REAL_ROWS[task] and not any(rows.unlabeled for rows in splits)


def test_two_rows_of_the_real_quora_dev_set_have_no_label_and_its_train_set_may_be_a_subset(real_data):
    train, dev = (read_split(real_data, QUORA, split) for split in ("train", "dev"))
    assert (len(dev), dev.unlabeled) == (20_212, 2) and len(train) in (75_844, 141_498)


@pytest.mark.parametrize(("task", "rows", "texts"), [("sst", 3, 2), ("sts", 19, 17)])
def test_real_train_and_dev_sets_share_some_rows(real_data, task, rows, texts):
    train, dev = (read_split(real_data, get_task(task), split) for split in ("train", "dev"))
    assert count_overlap(train, dev) == rows
    assert len(set(train.text_keys) & set(dev.text_keys)) == texts
    assert count_overlap(train.without_overlap([dev]), dev) == 0
