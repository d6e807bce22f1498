"""CSV tables that grow."""

import math

import numpy as np
import pytest

from mtbert.utils import paths
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
