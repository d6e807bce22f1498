"""CSV tables that grow."""

import math

import numpy as np
import pytest

from mtbert.utils import paths
from mtbert.utils.errors import UserError
from mtbert.utils.tables import read_csv, upsert_csv


def test_a_row_with_a_known_key_replaces_the_older_one_in_place_and_others_are_appended(tmp_path):
    path, key = tmp_path / "table.csv", ["recipe", "seed"]
    upsert_csv(path, [{"recipe": "NA", "seed": 0, "sst": 0.1}, {"recipe": "None", "seed": 0, "sst": 0.2}], key)
    upsert_csv(path, [{"recipe": "NA", "seed": 1, "sts": 1 / 3}, {"recipe": "NA", "seed": 0, "sst": 0.3}], key)
    assert path.read_text() == "recipe,seed,sst,sts\nNA,0,0.3,\nNone,0,0.2,\nNA,1,,0.3333333333333333\n"


def test_missing_numbers_are_empty_and_numpy_numbers_are_plain(tmp_path):
    path = upsert_csv(tmp_path / "t.csv", [{"a": "x", "b": math.nan, "c": None, "d": np.float64(0.1)}], ["a"])
    assert read_csv(path) == [{"a": "x", "b": "", "c": "", "d": "0.1"}]
    assert read_csv(tmp_path / "none.csv") == []


def test_a_key_may_be_computed(tmp_path):
    path = tmp_path / "t.csv"
    for name in ("A", "a", "b"):
        upsert_csv(path, [{"name": name}], key=lambda row: row["name"].lower())
    assert [row["name"] for row in read_csv(path)] == ["a", "b"]


@pytest.mark.parametrize("recorded", sorted(paths.RESULTS.glob("*.csv")), ids=lambda path: path.stem)
def test_recorded_tables_are_written_back_byte_for_byte(recorded, tmp_path):
    path = tmp_path / recorded.name
    path.write_bytes(recorded.read_bytes())
    upsert_csv(path, [], key=lambda row: tuple(row.values()))
    assert path.read_bytes() == recorded.read_bytes()


@pytest.mark.parametrize("text", ["a\rb", "a\nb", "a\r\nb", 'a"b', "a,b", " a\t", "", "None"])
def test_any_text_comes_back_from_a_table(tmp_path, text):
    path = upsert_csv(tmp_path / "t.csv", [{"name": text, "x": 1}, {"name": "other", "x": 2}], ["name"])
    upsert_csv(path, [{"name": text, "x": 3}], ["name"])
    assert read_csv(path) == [{"name": text, "x": "3"}, {"name": "other", "x": "2"}]


def test_a_field_may_be_long(tmp_path):
    path = upsert_csv(tmp_path / "t.csv", [{"name": "x" * 1_000_000}], ["name"])
    assert len(read_csv(path)[0]["name"]) == 1_000_000


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"name,x\na,1\nb,1,2\n", "row 2: 3 fields"),
        (b"name,x\na\n", "row 1: 1 fields"),
        (b"name,x\n\xe4,1\n", "utf-8"),
        (b'name,x\n"a,1\n', "end of data"),
        (b"recipe,x\na,1\n", "'name'"),
    ],
)
def test_a_damaged_or_other_table_is_named_and_left_as_it_is(tmp_path, content, words):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        upsert_csv(path, [{"name": "a", "x": 1}], ["name"])
    assert str(path) in str(error.value) and words in str(error.value)
    assert path.read_bytes() == content
