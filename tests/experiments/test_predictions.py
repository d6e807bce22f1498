"""What data/results keeps of a run's mistakes: counts that agree with its scores, and nothing of the rows."""

import shutil

import numpy as np
import pandas as pd
import pytest

import mtbert
from mtbert.experiments.metrics import Pair
from mtbert.experiments.predictions import load_predictions, record_calibration, record_confusion
from mtbert.utils.errors import UserError


def test_counts_add_up_to_the_runs_scores(tiny_runs, results_dir, sample):
    record_confusion([tiny_runs / "one", tiny_runs / "few"], sample)
    table = pd.read_csv(results_dir / "confusion.csv")
    for name, seed in (("one", 0), ("few", 2)):
        run = mtbert.open_run(tiny_runs / name)
        for task in ("sst", "quora"):
            counts = table[(table.seed == seed) & (table.task == task)]
            assert counts.rows[counts.true == counts.predicted].sum() / counts.rows.sum() == pytest.approx(
                run.scores[task]
            )
    assert set(table[table.seed == 2].groupby("task").rows.sum()) == {40}
    assert (table.groupby(["seed", "task"]).size().unstack() == {"quora": 4, "sst": 25, "sts": 36}).all(axis=None)
    assert set(table.steps) == {2} and table.dev_sha256.nunique() == 3


def test_a_pair_holds_the_accuracies_of_both(tiny_runs, results_dir, sample, messages):
    record_confusion([tiny_runs / "one", tiny_runs / "two", tiny_runs / "few"], sample)
    table = pd.read_csv(results_dir / "confusion_pairs.csv")
    assert list(zip(table["first"], table.second, table.task, strict=True)) == [
        ("tiny s0", "tiny s1", "sst"),
        ("tiny s0", "tiny s1", "quora"),
    ]  # no scores, and not the run that was scored on other rows
    dev = mtbert.open_run(tiny_runs / "one").record["data"]["ids-sst-dev.csv"]["rows"]
    assert f"not compared on sst: one was scored on {dev} dev rows, the other on 40" in messages[0]
    one, two = mtbert.open_run(tiny_runs / "one").scores, mtbert.open_run(tiny_runs / "two").scores
    for row in table.to_dict("records"):
        pair = Pair(*(row[name] for name in ("both", "only_first", "only_second", "neither")))
        assert (pair.both + pair.only_first) / pair.rows == pytest.approx(one[row["task"]])
        assert pair.difference == pytest.approx(two[row["task"]] - one[row["task"]])


def test_neither_texts_nor_ids_nor_folders_are_recorded(tiny_runs, results_dir, sample):
    record_confusion([tiny_runs / "one", tiny_runs / "two"], sample)
    record_calibration(tiny_runs / "one", sample, "sst")
    ids = {line.split(",")[0] for line in (tiny_runs / "one/predictions/sst-dev.csv").read_text().splitlines()[1:]}
    for path in results_dir.iterdir():
        assert not ids & set(np.ravel(pd.read_csv(path, dtype=str).to_numpy()).astype(str)) - {"0", "1", "2", "3"}
        assert "sentence" not in path.read_text().replace("sentence-transformers", "")
        assert str(tiny_runs) not in path.read_text() and str(sample) not in path.read_text()


def test_calibration_holds_every_dev_row_once_and_the_accuracy(tiny_runs, results_dir, sample):
    path = record_calibration(tiny_runs / "one", sample, "sst")
    table, run = pd.read_csv(path), mtbert.open_run(tiny_runs / "one")
    assert table.rows.sum() == run.record["data"]["ids-sst-dev.csv"]["rows"]
    assert np.average(table.true, weights=table.rows) == pytest.approx(run.scores["sst"])
    with pytest.raises(UserError, match="'sts' predicts scores"):
        record_calibration(tiny_runs / "one", sample, "sts")


def test_predictions_of_other_rows_are_refused(tiny_runs, tmp_path, sample):
    data, copy = tmp_path / "data", tmp_path / "run"
    shutil.copytree(sample, data)
    shutil.copytree(tiny_runs / "one", copy)
    run = mtbert.open_run(copy)
    lines = (copy / "predictions/sst-dev.csv").read_text().splitlines()
    (copy / "predictions/sst-dev.csv").write_text("\n".join([lines[0], *lines[:0:-1]]))
    with pytest.raises(UserError, match="predictions of other rows than ids-sst-dev.csv"):
        load_predictions(run, data)
    (copy / "predictions/sst-dev.csv").write_text("\n".join([lines[0], lines[1] + "9", *lines[2:]]))
    with pytest.raises(UserError, match="sst-dev.csv, line 2: the value of id .* must be a class from 0 to 4"):
        load_predictions(run, data)
    (copy / "predictions/sst-dev.csv").unlink()
    with pytest.raises(UserError, match="sst-dev.csv does not exist"):
        load_predictions(run, data)
    with open(data / "ids-sst-dev.csv", "a") as file:
        file.write("\n")
    with pytest.raises(UserError, match="ids-sst-dev.csv is not the file"):
        load_predictions(run, data)
