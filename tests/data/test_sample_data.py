"""The sample data: it can be written again byte for byte, and it has the form that the tasks expect."""

import csv
import importlib.util
import sys

import pytest

from mtbert.utils.paths import SAMPLE

TASKS = {  # rows per split, and what the label column holds
    "ids-sst": ({"train": 1500, "dev": 300, "test-student": 300}, "sentiment", set("01234")),
    "ids-cfimdb": ({"train": 300, "dev": 60, "test-student": 60}, "sentiment", set("01")),
    "quora": ({"train": 2000, "dev": 400, "test-student": 400}, "is_duplicate", {"0.0", "1.0"}),
    "sts": ({"train": 1000, "dev": 200, "test-student": 200}, "similarity", None),
    "yelp": ({"train": 500}, "sentiment", set("01234")),
}


def read(task, split):
    """The rows of a file as dictionaries."""
    with (SAMPLE / f"{task}-{split}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def raw_texts(row):
    return [row[name] for name in ("sentence", "sentence1", "sentence2") if name in row]


def texts(row):
    """The texts of a row, in lower case and without punctuation."""
    kept = ("".join(c for c in text.casefold() if c.isalnum() or c == " ") for text in raw_texts(row))
    return tuple(" ".join(text.split()) for text in kept)


def test_files_are_what_the_generator_writes(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(SAMPLE))
    spec = importlib.util.spec_from_file_location("sample_generate", SAMPLE / "generate.py")
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    written = generator.generate(tmp_path)
    assert {path.name for path in written} == {path.name for path in SAMPLE.glob("*.csv")}
    for path in written:
        assert path.read_bytes() == (SAMPLE / path.name).read_bytes(), path.name
    for name in [name for name in sys.modules if name.partition(".")[0] == "writers"]:
        del sys.modules[name]


@pytest.mark.parametrize("task", TASKS)
def test_rows_headers_and_labels(task):
    rows_per_split, label, classes = TASKS[task]
    columns = ["sentence1", "sentence2"] if task in ("quora", "sts") else ["sentence"]
    for split, count in rows_per_split.items():
        rows = read(task, split)
        assert len(rows) == count
        header = (SAMPLE / f"{task}-{split}.csv").read_text(encoding="utf-8").split("\n", 1)[0].split("\t")
        if split != "test-student":
            assert header == ["", "id", *columns, label]
            assert classes is None or {row[label] for row in rows} == classes
        else:
            assert header == [*(["0"] if task.startswith("ids-") else []), "", "id", *columns]


@pytest.mark.parametrize("task", TASKS)
def test_rows_and_ids_are_unique_and_no_text_is_in_two_splits(task):
    splits = [read(task, split) for split in TASKS[task][0]]
    rows = [row for split in splits for row in split]
    assert len({texts(row) for row in rows}) == len({row["id"] for row in rows}) == len(rows)
    assert all(len(row["id"]) == 25 and set(row["id"]) <= set("0123456789abcdef") for row in rows)
    texts_by_split = [{text for row in split for text in texts(row)} for split in splits]
    assert sum(map(len, texts_by_split)) == len(set().union(*texts_by_split))
    for text in (text for row in rows for text in raw_texts(row)):
        assert (text[0].isupper() or text[0].isdigit()) and "{" not in text and "  " not in text, text


def test_similarities_cover_the_scale_and_duplicates_are_a_minority():
    for split in ("train", "dev"):
        scores = [float(row["similarity"]) for row in read("sts", split)]
        assert min(scores) == 0 and max(scores) == 5 and {round(score) for score in scores} == set(range(6))
    labels = [float(row["is_duplicate"]) for row in read("quora", "train")]
    assert sum(labels) / len(labels) == pytest.approx(0.37, abs=0.01)
