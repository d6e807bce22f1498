"""Errors and order of predicted similarities, what a frozen encoder reaches, and runs of the full profile."""

import numpy as np
import pandas as pd
import pytest

import mtbert
from mtbert.experiments import results
from mtbert.training.evaluation import pearson
from mtbert.workbook.full import train_and_record
from mtbert.workbook.scores import MINILM
from mtbert.workbook.similarity import correlations, record_frozen, recorded_frozen, score_errors

LABELS = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_shift_is_an_error_and_a_miscalibration_but_no_loss_of_correlation():
    table = score_errors({"shifted": [label + 1 for label in LABELS]}, LABELS)
    assert table.loc["shifted"].tolist() == pytest.approx([1, 1, 1])
    constant = table.loc["constant: the mean"]
    assert constant.tolist() == pytest.approx([0, np.std(LABELS), 0])  # calibrated, and it knows nothing


def test_order_is_seen_by_spearman_alone_and_among_high_labels_apart():
    squares = [label**2 for label in LABELS]
    swapped = [0.0, 1.0, 2.0, 5.0, 4.0, 3.0]
    table = correlations({"squares": squares, "swapped": swapped}, LABELS)
    assert table.loc["squares"].tolist()[1:3] == pytest.approx([1, 1]) and table.loc["squares", "r"] < 1
    assert table.loc["swapped", "Spearman, labels >= 3"] == pytest.approx(-1)
    assert table.loc["swapped", "error"] == pytest.approx((8 / 6) ** 0.5)


def test_frozen_vectors_are_recorded_once_per_encoder(results_dir, few_rows):
    recipe = mtbert.recipe("sts-short").replace(encoder="minilm", num_layers=1)

    def fit(vectors, labels):
        assert vectors["train"].shape[1:] == (2, 384) and len(vectors["dev"]) == len(labels["dev"])
        return pearson(vectors["dev"][:, 0, 0], labels["dev"])

    for _ in range(2):
        record_frozen(recipe, few_rows, {"first number": fit})
    frozen = recorded_frozen()
    assert frozen["plain cosine"].index.tolist() == ["cls", "max", "mean", "pooler"]
    assert frozen["least squares"].index.tolist() == ["first number"] and frozen["least squares"].shape == (1, 1)
    table = results.read_table(results.table_path("sts_frozen"))
    other = table.assign(encoder="another")
    results.table_path("sts_frozen").write_text(pd.concat([other, table]).to_csv(index=False))
    record_frozen(recipe, few_rows, {"first number": fit})
    assert recorded_frozen()["plain cosine"].columns.tolist() == ["another", MINILM]


def test_runs_of_the_full_profile_are_recorded_one_by_one_and_trained_once(results_dir, few_rows, tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    tiny = mtbert.recipe("sts-short").replace(encoder="minilm", num_layers=1, steps_per_epoch=1, overlap="keep")
    recipes = [tiny.replace(seed=seed) for seed in (0, 1)]
    train_and_record("mine", recipes, runs, few_rows)
    before = results.read_table(results.table_path("mine"))
    assert before.seed.tolist() == [0, 1]
    assert sorted(path.name for path in runs.iterdir()) == ["sts-short-s0", "sts-short-s1"]
    train_and_record("mine", recipes, runs, few_rows)
    assert results.read_table(results.table_path("mine")).equals(before)
