"""Files of sentences and pairs as people write them."""

import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtbert.data.text_files import read_texts
from mtbert.utils.errors import UserError

PAIR = [("One, two.", "Three.")]


@pytest.mark.parametrize(
    ("name", "content", "texts"),
    [
        ("lines.txt", "One, two.\n\n  Three. \r\n", [("One, two.",), ("Three.",)]),
        ("quotes.txt", 'A "good" film, they say.\n', [('A "good" film, they say.',)]),
        ("pairs.txt", "One, two.\tThree.\n", PAIR),
        ("one.csv", '"One, two."\nThree.\n', [("One, two.",), ("Three.",)]),
        ("two.csv", '"One, two.",Three.\n', PAIR),
        ("two.tsv", '"One, two."\tThree.\n', PAIR),
        ("header.csv", 'text\n"One, two."\n', [("One, two.",)]),
        ("course.csv", '\tid\tsentence1\tsentence2\tsimilarity\n0\tx\t"One, two."\tThree.\t2.5\n', PAIR),
        ("course.txt", "id,sentence\nx,One\n", [("One",)]),
        ("no-end.csv", "left,right\n\n'One',Two", [("'One'", "Two")]),
    ],
)
def test_rows_are_read_whatever_their_form(tmp_path, name, content, texts):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    assert read_texts(path) == texts


def test_a_dash_reads_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("Füße\nZwei\n".encode())))
    assert read_texts("-") == [("Füße",), ("Zwei",)]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.txt", b" \n", "no text"),
        ("header.csv", b"sentence\n", "no text"),
        ("three.csv", b"a,b,c\n", "line 1: 3 columns"),
        ("comma.csv", b"a,b\nc\n", "line 2: 1 columns"),
        ("empty.csv", b"a,b\n\n,d\n", "line 3: a text is empty"),
        ("quote.csv", b'a\n"b\nc\n', "line 2"),
        ("latin.txt", b"ok\n\xe9\n", "line 2: byte 0xe9"),
        ("nul.txt", b"ok\na\0b\n", "line 2: a NUL"),
        ("packed.csv", b"\x1f\x8b\x08", "gzip"),
        ("stray.tsv", b'"a\tb\nc"\td\n', "lines 1 to 2.*quotes"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name}.*{words}"):
        read_texts(tmp_path / name)


def test_a_text_that_could_be_several_rows_is_noted(tmp_path, messages):
    (tmp_path / "two.csv").write_text('One,Two\n"Three,\nthree",Four\n')
    assert read_texts(tmp_path / "two.csv") == [("One", "Two"), ("Three,\nthree", "Four")]
    assert any("two.csv" in line and "lines 2 to 3" in line for line in messages)


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0\r\n\t"), min_size=1)))
def test_a_file_of_lines_has_a_text_a_line(tmp_path_factory, texts):
    path = tmp_path_factory.getbasetemp() / "lines.txt"
    texts = ["sentences:", *filter(str.strip, texts)]
    path.write_bytes("\n".join(texts).encode())
    assert read_texts(path) == [(text.strip(),) for text in texts]


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(UserError, match=str(path)):
            read_texts(path)
