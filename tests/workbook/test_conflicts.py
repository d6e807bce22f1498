"""What notebook 06 measures with."""

import pandas as pd
import pytest
import torch

import mtbert
from mtbert.training.run import build_model, recipe_encoder
from mtbert.utils import paths
from mtbert.workbook.conflicts import BatchLosses, conflict_rates


def test_rates_are_those_of_a_binomial_proportion():
    table = conflict_rates(pd.DataFrame({"conflicts": [0, 50], "steps": [8, 100]}, index=["a", "b"]))
    assert table.rate.tolist() == [0, 0.5]
    assert table.loc["a", ["from", "to"]].tolist() == pytest.approx([0, 0.369], abs=1e-3)
    assert table.loc["b", ["from", "to"]].tolist() == pytest.approx([0.398, 0.602], abs=1e-3)


def test_a_loss_is_that_of_the_rows_with_their_labels_or_those_of_others():
    recipe = mtbert.recipe("demo").replace(num_layers=1)
    model = build_model(recipe, recipe_encoder(recipe)).eval()
    losses, rows = BatchLosses(model, paths.SAMPLE, ["sts"]), torch.arange(4)
    predicted, labels = model(losses.batch("sts", rows))["sts"][:, 0], losses.labels["sts"]
    assert losses.counts == {"sts": 1000}
    torch.testing.assert_close(losses("sts", rows), (predicted - labels[:4]).square().mean())
    torch.testing.assert_close(losses("sts", rows, rows + 4), (predicted - labels[4:8]).square().mean())
