"""Steps per task, and recorded strategies compared within each seed."""

import pandas as pd
import pytest
import torch

import mtbert
from mtbert.data import TASKS, PackedBatch, TokenizedDataset, read_split
from mtbert.data.sampling import SAMPLERS, SamplerConfig
from mtbert.training.run import build_model, recipe_encoder
from mtbert.utils import paths
from mtbert.workbook.strategies import (
    differences_by_seed,
    gradient_norms,
    passes_per_epoch,
    planned_rows,
    recorded_strategies,
    rows_and_scores,
    score_table,
    steps_per_task,
)

ROWS = {"sst": 8538, "quora": 75842, "sts": 5996}
RUNS = pd.DataFrame(
    [("base", 0, 0.5), ("base", 1, 0.6), ("two", 0, 0.7), ("two", 1, 0.7), ("one", 0, 0.9)],
    columns=["recipe", "seed", "sst"],
)


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_step_counts_for_the_tasks_in_it(name):
    counts = steps_per_task(name, ROWS, dict.fromkeys(ROWS, 24), SamplerConfig(epochs=2, steps_per_epoch=12))
    assert counts.shape == (2, 3) and list(counts) == list(ROWS)
    mixed = name in ("mixed", "alone_first")
    assert all(12 <= total <= 36 if mixed else total == 12 for total in counts.sum(axis=1))


@pytest.mark.parametrize(("name", "rows"), [("mixed", 2400), ("round-robin", 2400), ("proportional", 648)])
def test_recipes_of_equal_work_read_what_their_sampler_gives(name, rows):
    assert planned_rows(mtbert.recipe(f"strategy-{name}"), ROWS)["sst"] == rows


def test_only_recipes_with_two_seeds_are_compared_each_with_the_baseline_of_its_seed():
    table = differences_by_seed(RUNS, "base", ["sst"])
    assert table[["recipe", "seed", "metric"]].to_numpy().tolist() == [["two", 0, "sst"], ["two", 1, "sst"]]
    assert table.difference.tolist() == pytest.approx([0.2, 0.1])


def test_a_table_of_scores_has_a_column_per_seed_and_is_empty_where_none_was_run():
    table = score_table(RUNS, {"one": "first", "two": "second"}, {"sst": "SST"})
    assert table.index.tolist() == ["first", "second"]
    assert table.to_numpy().tolist() == [["0.900", ""], ["0.700", "0.700"]]


def test_no_run_is_recorded_twice():
    runs = recorded_strategies()
    assert not runs.duplicated(["recipe", "seed"]).any() and {0, 1} <= {*runs.seed}


def test_a_pass_reads_every_batch_of_a_set_once():
    passes = passes_per_epoch(ROWS, dict.fromkeys(ROWS, 24), 2)
    assert passes.loc["sequential"].tolist() == [1, 1, 1, 356 + 3161 + 250]
    assert passes.loc["mixed"].round(1).tolist() == [8.9, 1.0, 12.6, 3161]
    assert list(passes.index) == list(SAMPLERS)


def test_runs_become_points_at_the_rows_that_they_read():
    runs = pd.DataFrame(
        [("mixed", 0, 0.4, 0.7), ("round-robin", 1, 0.5, 0.8), ("other", 0, 0.1, 0.1)],
        columns=["recipe", "seed", "sst", "quora"],
    )
    points = rows_and_scores(runs, {"mixed": {"sst": 24, "quora": 48}, "round-robin": {"sst": 12}})
    assert points.to_numpy().tolist() == [
        ["sst", 24, 0.4, 0, True],
        ["quora", 48, 0.7, 0, True],
        ["sst", 12, 0.5, 1, False],
    ]


def test_a_gradient_norm_is_that_of_a_tasks_own_loss_on_the_encoder():
    recipe = mtbert.recipe("demo").replace(encoder="tiny", seed=3)
    norms = gradient_norms(recipe, paths.SAMPLE, batches=2, rows=4)
    assert list(norms.index) == list(recipe.tasks) and list(norms) == [1, 2]
    model = build_model(recipe, recipe_encoder(recipe)).eval()
    dataset = TokenizedDataset.from_rows(read_split(paths.SAMPLE, TASKS["sts"], "train"), model.encoder.tokenizer)
    indices = torch.arange(4, 8)
    batch = PackedBatch.join({"sts": model.encode_dataset("sts", dataset).batch(indices)})
    loss = model.losses(batch, {"sts": dataset.labels[indices]})["sts"]
    weights = [weight for weight in model.bert.parameters() if weight.requires_grad]
    gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    squares = sum(gradient.square().sum() for gradient in gradients if gradient is not None)
    assert norms.loc["sts", 2] == pytest.approx(float(squares) ** 0.5, rel=1e-4)
