"""What a run reads: rows in train and dev alike, augmented copies, batches by label."""

import shutil

import pytest

from mtbert.data import TASKS, read_split
from mtbert.utils.errors import UserError


@pytest.fixture
def overlapping(data, tmp_path):
    """Three train rows of sst are in dev as well, in capitals."""
    folder = shutil.copytree(data, tmp_path / "overlapping")
    train = (folder / "ids-sst-train.csv").read_text().splitlines()
    with open(folder / "ids-sst-dev.csv", "a") as dev:
        dev.writelines(line.upper() + "\n" for line in train[1:4])
    return folder


@pytest.fixture(scope="module")
def short(recipe):
    return recipe.replace(tasks=("sst",), train_rows=None, epochs=1, steps_per_epoch=1)


def test_dev_rows_limits_what_is_scored(short, train, tmp_path):
    run = train(short.replace(dev_rows=7), tmp_path)
    assert run.record["data"]["ids-sst-dev.csv"]["rows"] == 7
    assert len((tmp_path / "predictions" / "sst-dev.csv").read_text().splitlines()) == 8


def test_train_rows_that_are_in_dev_are_refused(short, train, overlapping, tmp_path):
    with pytest.raises(UserError, match="ids-sst-train.csv: 3 rows .* ids-sst-dev.csv: set overlap"):
        train(short, tmp_path / "run", overlapping)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("overlap", "end", "rows"), [("drop", "left out", 21), ("keep", "kept", 24)])
def test_train_rows_that_are_in_dev_are_left_out_or_kept(
    short, train, overlapping, tmp_path, messages, overlap, end, rows
):
    run = train(short.replace(overlap=overlap), tmp_path / "run", overlapping)
    assert any(line.startswith("ids-sst-train.csv: 3 rows") and line.endswith(end) for line in messages)
    record = run.record["data"]["ids-sst-train.csv"]
    assert record["rows"] == rows and record["overlaps"] == {"ids-sst-dev.csv": 3}


def test_dropping_every_train_row_is_refused(short, train, overlapping, tmp_path):
    shutil.copy(overlapping / "ids-sst-train.csv", overlapping / "ids-sst-dev.csv")
    with pytest.raises(UserError, match=r"ids-sst-train.csv: overlap is drop, which leaves no row"):
        train(short.replace(overlap="drop"), tmp_path / "run", overlapping)


def test_copies_are_made_of_the_train_rows_that_the_overlap_rule_left(short, train, overlapping, tmp_path, messages):
    run = train(short.replace(overlap="drop", augment_copies={"sst": 2}), tmp_path / "run", overlapping)
    assert "ids-sst-train.csv: 42 augmented copies of 21 rows" in messages
    counts = {name: (file["rows"], file["copies"]) for name, file in run.record["data"].items()}
    assert counts == {"ids-sst-train.csv": (63, 42), "ids-sst-dev.csv": (19, 0)}


def test_positives_are_counted(recipe, train, data, tmp_path, messages):
    changes = {"tasks": ("sts",), "encoding": "bi", "head": "cosine", "loss": "mnrl"}
    train(recipe.replace(**changes, train_rows=None, epochs=1), tmp_path / "run")
    positives = sum(row.label >= 3 for row in read_split(data, TASKS["sts"], "train").examples)
    start = f"sts-train.csv: {positives} of 24 rows are positive (similarity at least 3)"
    assert any(line.startswith(start) for line in messages)
