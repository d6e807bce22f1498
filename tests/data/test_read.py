"""Files to rows: the course's formats are read as they are, and errors name file, row, value and fix."""

import bz2
import gzip
import hashlib
import io
import itertools
import lzma
import re
import string
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtbert import UserError
from mtbert.data import count_overlap, data_folder, get_task, read_rows, read_split
from mtbert.data.checking import check_folder
from mtbert.data.read import Example, Rows, available, course_id, text_key
from mtbert.data.text_keys import LONG

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
    content = PAIR_HEADER + '0\ta\t"""Why"" he asked"\t"one\nline, more"\t2.5\n1\tb\tA 12" record\ty\t1\n'
    rows = read_rows(written(content), STS, "train")
    assert [example.texts for example in rows.examples] == [
        ('"Why" he asked', "one\nline, more"),
        ('A 12" record', "y"),
    ]
    assert rows.notes() == []


STRAY = [  # (task, split, content with two stray quotes that enclose rows, the lines of the row that they make)
    (
        SST,
        "train",
        HEADER + '0\ta\t"Once again, fine\t3\n1\tb\tPoor\t1\n2\tc\tSo"\t2\n3\td\tGood\t4\n',
        "row 1 (lines 2 to 4)",
    ),
    (SST, "test", 'id\tsentence\n1\tGood\n2\t"Once\n3\tPoor"\n', "row 2 (lines 3 to 4)"),
    (SST, "test", 'id\tsentence\r\n1\tGood\r\n2\t"Once\r\n3\tPoor"\r\n', "row 2 (lines 3 to 4)"),
    (STS, "train", PAIR_HEADER + '0\ta\t"x\ty\t1\n1\tb\tz"\ty\t1\n', "row 1 (lines 2 to 3)"),
    (STS, "dev", PAIR_HEADER + '0\ta\tx\t"y\t\n1\tb\tx\ty"\t1\n', "row 1 (lines 2 to 3)"),
    (SST, "train", 'id,sentence,sentiment\na,"Once,3\nb,Poor,1\nc,So",2\n', "row 1 (lines 2 to 4)"),
    (SST, "train", 'sentiment,sentence\n3,"Once\n1,Poor\n2,So"\n', "row 1 (lines 2 to 4)"),
]


@pytest.mark.parametrize(("task", "split", "content", "where"), STRAY)
def test_rows_between_two_stray_quotes_are_not_read_as_one(written, task, split, content, where):
    with pytest.raises(UserError, match="quotes") as error:
        read_rows(written(content), task, split)
    assert where in str(error.value) and "rows.csv" in str(error.value)


@pytest.mark.parametrize(
    ("task", "split", "content", "lines"),
    [
        (SST, "train", 'id,sentence,sentiment\na,"Fine, really.\nBut long, too.",3\n', "lines 2 to 3"),
        (SST, "test", 'id,sentence\na,Fine\nb,"Once\nc,Poor"\n', "lines 3 to 4"),
        (SST, "test", 'sentence\n"Once\nPoor\nSo"\nGood\n', "lines 2 to 4"),
        (SST, "test", 'id,sentence\na,"One\ttab\nand more"\n', "lines 2 to 3"),
    ],
)
def test_a_text_that_could_be_several_rows_is_read_with_a_note_of_its_lines(written, task, split, content, lines):
    rows = read_rows(written(content), task, split)
    assert "\n" in "".join(example.texts[0] for example in rows.examples)
    (note,) = rows.notes()
    assert lines in note and "rows.csv: 1 rows" in note and "quotes" in note


def test_a_note_names_the_first_few_rows_only(written):
    rows = read_rows(written("sentence\n" + '"One\nmore"\n' * 1000), SST, "test")
    (note,) = rows.notes()
    assert "1000 rows" in note and "lines 2 to 3, lines 4 to 5" in note and len(note) < 400


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


TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1).filter(str.strip)
AWKWARD = st.text(st.sampled_from("ab \"',\t\n\r"), min_size=1).filter(str.strip)
SAYS_WHERE = re.compile(r"(row|line|lines) \d")


def rows_or_reason(content: str, path: Path) -> tuple[list[str] | None, str]:
    """The first text of each row of a labeled file and its notes, or None and the error."""
    path.write_bytes(content.encode())
    try:
        rows = read_rows(path, SST, "train")
    except UserError as error:
        assert "\n" not in str(error)
        return None, str(error)
    return [example.texts[0] for example in rows.examples], " ".join(rows.notes())


@given(st.lists(TEXTS | AWKWARD, min_size=1), st.sampled_from("\t,"), st.sampled_from(["\n", "\r\n"]))
def test_any_texts_come_back_from_a_quoted_file_or_the_error_says_where(tmp_path_factory, texts, delimiter, line_end):
    lines = ['{}{}"{}"'.format(1, delimiter, text.replace('"', '""')) for text in texts]
    content = line_end.join([f"sentiment{delimiter}sentence", *lines]) + line_end
    found, said = rows_or_reason(content, tmp_path_factory.getbasetemp() / "rows.csv")
    if found is None:
        assert SAYS_WHERE.search(said) and any(re.search("[\r\n]", text) and delimiter in text for text in texts)
    else:
        assert found == [text.strip() for text in texts]


@given(st.lists(AWKWARD.map(lambda text: re.sub("[\r\n]", " ", text)).filter(str.strip), min_size=1), st.data())
def test_an_unquoted_file_has_a_row_a_line_or_the_error_or_note_says_where(tmp_path_factory, texts, data):
    columns = data.draw(st.permutations(["id", "sentence", "sentiment"]))
    delimiter = data.draw(st.sampled_from("\t,"))
    values = [{"id": f"x{i}", "sentence": text, "sentiment": "3"} for i, text in enumerate(texts)]
    lines = [delimiter.join(row[column] for column in columns) for row in values]
    content = "\n".join([delimiter.join(columns), *lines, ""])
    found, said = rows_or_reason(content, tmp_path_factory.getbasetemp() / "rows.csv")
    assert (found is not None and len(found) == len(texts)) or SAYS_WHERE.search(said)


@given(
    st.binary() | TEXTS.map(str.encode),
    st.sampled_from([b"", b"sentence\n", b"sentiment\tsentence\n", b"\x1f\x8b", b"PK\x03\x04"]),
)
def test_any_bytes_are_rows_or_one_line_of_reason(tmp_path_factory, content, start):
    path = tmp_path_factory.getbasetemp() / "rows.csv"
    path.write_bytes(start + content)
    for split in ("train", "test"):
        try:
            rows = read_rows(path, SST, split)
        except UserError as error:
            assert str(path) in str(error) and "\n" not in str(error) and len(str(error)) < 1000 + len(str(path))
        else:
            assert len(rows) >= 1


PACKED = [  # (bytes of a file, what it is and what to do)
    (gzip.compress(b"id\tsentence\n"), ["gzip", "gunzip"]),
    (bz2.compress(b"id\tsentence\n"), ["bzip2", "bunzip2"]),
    (lzma.compress(b"id\tsentence\n"), ["xz", "unxz"]),
    (b"\x28\xb5\x2f\xfd$", ["zstd", "unzstd"]),
    (b"PAR1\x15\x04", ["Parquet", "CSV"]),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0", ["Excel", "CSV"]),
    (b"\n<!DOCTYPE html><html><body>Sign in</body></html>", ["web page"]),
]


def zipped(name: str) -> bytes:
    """A zip archive with one member."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, "id\tsentence\n")
    return packed.getvalue()


PACKED += [(zipped("rows.csv"), ["zip", "unpack"]), (zipped("xl/workbook.xml"), ["spreadsheet", "CSV"])]


@pytest.mark.parametrize(("content", "expected"), PACKED, ids=[" ".join(expected) for _, expected in PACKED])
def test_a_file_of_another_format_is_named_with_what_to_do(written, content, expected):
    with pytest.raises(UserError) as error:
        read_rows(written(content), SST, "test")
    assert all(part in str(error.value) for part in ["rows.csv", *expected])


@pytest.mark.parametrize("suffix", [".csv.gz", ".zip", ".xlsx", ".csv.zip"])
def test_a_packed_file_in_place_of_a_missing_one_is_named(tmp_path, suffix):
    content = gzip.compress(b"x") if suffix.endswith(".gz") else zipped("xl/workbook.xml" if "x" in suffix else "a.csv")
    (tmp_path / f"ids-sst-dev{suffix}").write_bytes(content)
    with pytest.raises(UserError, match="unpack|export") as error:
        read_split(tmp_path, SST, "dev")
    assert f"ids-sst-dev{suffix}" in str(error.value)
    assert [f"ids-sst-dev{suffix}" in line for line in check_folder(tmp_path).errors] == [True]
    with pytest.raises(UserError, match="unpack"):
        data_folder(tmp_path / f"ids-sst-dev{suffix}")


def test_standard_input_is_read_and_named(monkeypatch):
    for content, expected in ((b"id,sentence\na,Fine\n", None), (b"id,sentence\na\n", "standard input, row 1")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        if expected is None:
            assert [example.id for example in read_rows(Path("-"), SST, "predict", labels=False).examples] == ["a"]
        else:
            with pytest.raises(UserError, match=expected):
                read_rows(Path("-"), SST, "predict", labels=False)


def test_ids_lose_the_space_around_them_and_course_ids_are_in_lower_case(written):
    rows = read_rows(written("id,sentence\n Ab1 ,Fine\n"), SST, "test")
    assert rows.examples[0].id == "Ab1" and course_id(" Ab1 ") == "ab1"


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
for number in ("9" * 5000, "1e" + "9" * 5000, "x" * 100_000):
    ERRORS.append((SST, "train", HEADER + f"0\ta\tx\t{number}\n", ["row 1 (line 2)", "from 0 to 4"]))
ERRORS.append((SST, "train", "\t".join(["x" * 1000] * 1000) + "\n", ["header", "'sentence'"]))
ERRORS.append((SST, "test", "id\tsentence\na\tFine\nb\tDu\0ll\n", ["line 3", "NUL"]))
ERRORS.append((SST, "test", b"id\tsentence\na\tFine\nb\t\xed\xa0\x80\n", ["line 3", "0xed"]))
for content in (b"", b" \n", b"\r\n\r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"):
    ERRORS.append((SST, "train", content, ["is empty"]))
for label in ("5", "-1", "1.5", "nan", "inf", "-inf", "good", "1e9", "0x1", "0_1", "٣"):
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
    assert len(str(error.value)) < 1500


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
def test_texts_that_differ_in_words_are_different_and_a_pair_is_the_same_in_either_order(left, right):
    one, two = " ".join(left), " ".join(right)
    if len(one) < LONG and len(two) < LONG:
        assert count_overlap(rows_of(SST, one), rows_of(SST, two)) == (one.lower() == two.lower())
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
        ("Fine :)", "Fine :(", False),
        (":-)", ":-(", False),
        ("(:", "):", False),
        ("Fine ))", "Fine ((", False),
        ("?", "!", False),
        ("1.5", "15", False),
        ("1,5", "15", False),
        ("1/2", "12", False),
        ("3:1", "31", False),
        (".5", "5", False),
        ("-5", "5", False),
        ("2^3", "23", False),
        ("<3", "3", False),
        ("5 < 6", "5 > 6", False),
        ("A therapist", "A the rapist", False),
        ("(See: 10-year-old.)", "see 10 year old", True),
        ("No.5, COVID-19.", "no. 5: covid 19", True),
        ("£ 5 in C ++", "£5 in C++", True),
        ("U.S. <.SPX>", "US SPX", True),
        ("How can onesee or find other dimensions?", "How can one see or find other dimensions?", True),
        ("From 1 to 15 it is about the same, I think", "From 1 to 1 5 it is about the same, I think", False),
    ],
)
def test_symbols_numbers_and_emoticons_tell_texts_apart_but_quotes_dashes_and_unicode_forms_do_not(one, other, same):
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
    (tmp_path / "quora-train.csv").write_text('sentence1,sentence2,is_duplicate\na,"b, c\nd, e",1\nf,g,\n')
    report = check_folder(tmp_path)
    assert len(report.notes) == 2 and all("quora-train.csv" in note for note in report.notes)
    assert all(note in report.text() for note in report.notes)
    (tmp_path / "quora-train.csv").unlink()
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
