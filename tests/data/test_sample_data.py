"""The sample data: it can be written again byte for byte, and it has the form that the tasks expect."""

import csv
import importlib.util
import sys
from pathlib import Path

import pytest

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"
ROWS = {
    "ids-sst": {"train": 1500, "dev": 300, "test-student": 300},
    "ids-cfimdb": {"train": 300, "dev": 60, "test-student": 60},
    "quora": {"train": 2000, "dev": 400, "test-student": 400},
    "sts": {"train": 1000, "dev": 200, "test-student": 200},
    "yelp": {"train": 500},
}
FILES = [(task, split) for task, splits in ROWS.items() for split in splits]
LABELLED = [(task, split) for task, split in FILES if split != "test-student"]
CLASSES = {
    "ids-sst": ("sentiment", {"0", "1", "2", "3", "4"}),
    "ids-cfimdb": ("sentiment", {"0", "1"}),
    "quora": ("is_duplicate", {"0.0", "1.0"}),
    "yelp": ("sentiment", {"0", "1", "2", "3", "4"}),
}


@pytest.fixture(scope="module")
def generator():
    """The module generate.py, loaded from its path."""
    sys.path.insert(0, str(SAMPLE))
    try:
        spec = importlib.util.spec_from_file_location("sample_generate", SAMPLE / "generate.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(SAMPLE))
    return module


def read(task, split):
    """The rows of a file as dictionaries."""
    with (SAMPLE / f"{task}-{split}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def texts(row):
    """The texts of a row, in lower case and without punctuation."""
    columns = [row[name] for name in ("sentence", "sentence1", "sentence2") if name in row]
    return tuple(" ".join("".join(c for c in text.casefold() if c.isalnum() or c == " ").split()) for text in columns)


def test_files_are_what_the_generator_writes(generator, tmp_path):
    written = generator.generate(tmp_path)
    assert {path.name for path in written} == {path.name for path in SAMPLE.glob("*.csv")}
    for path in written:
        assert path.read_bytes() == (SAMPLE / path.name).read_bytes(), path.name


@pytest.mark.parametrize(("task", "split"), FILES)
def test_row_counts(task, split):
    assert len(read(task, split)) == ROWS[task][split]


@pytest.mark.parametrize(("task", "split"), FILES)
def test_headers(task, split):
    with (SAMPLE / f"{task}-{split}.csv").open(encoding="utf-8", newline="") as file:
        header = next(csv.reader(file, delimiter="\t"))
    columns = ["sentence1", "sentence2"] if task in ("quora", "sts") else ["sentence"]
    if split != "test-student":
        label = "similarity" if task == "sts" else CLASSES[task][0]
        assert header == ["", "id", *columns, label]
    elif task in ("ids-sst", "ids-cfimdb"):
        assert header == ["0", "", "id", *columns]
    else:
        assert header == ["", "id", *columns]


@pytest.mark.parametrize(("task", "split"), [pair for pair in LABELLED if pair[0] in CLASSES])
def test_every_class_occurs_and_no_other(task, split):
    column, classes = CLASSES[task]
    assert {row[column] for row in read(task, split)} == classes


@pytest.mark.parametrize("split", ["train", "dev"])
def test_similarities_cover_the_scale(split):
    scores = [float(row["similarity"]) for row in read("sts", split)]
    assert min(scores) == 0 and max(scores) == 5
    assert {round(score) for score in scores} == set(range(6))


def test_duplicates_are_a_minority():
    labels = [float(row["is_duplicate"]) for row in read("quora", "train")]
    assert sum(labels) / len(labels) == pytest.approx(0.37, abs=0.01)


@pytest.mark.parametrize("task", ROWS)
def test_no_text_is_shared_between_splits(task):
    found = [{text for row in read(task, split) for text in texts(row)} for split in ROWS[task]]
    assert sum(map(len, found)) == len(set().union(*found))


@pytest.mark.parametrize("task", ROWS)
def test_rows_and_ids_are_unique(task):
    rows = [row for split in ROWS[task] for row in read(task, split)]
    assert len({texts(row) for row in rows}) == len(rows)
    ids = {row["id"] for row in rows}
    assert len(ids) == len(rows)
    assert all(len(one) == 25 and set(one) <= set("0123456789abcdef") for one in ids)


def test_every_text_starts_well_and_has_its_slots_filled():
    for task, split in FILES:
        for row in read(task, split):
            for name in ("sentence", "sentence1", "sentence2"):
                text = row.get(name, "X")
                assert (text[0].isupper() or text[0].isdigit()) and "{" not in text and "  " not in text, text
