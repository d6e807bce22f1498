"""Recorded epochs and conflicts as notebook 11 draws them."""

import pytest

from mtbert.experiments import results
from mtbert.workbook.recorded import conflict_shares, recorded_curves


def test_a_curve_has_the_recorded_values_of_its_recipe_and_column():
    recipe = "ahmed-karamardian/iteration-3"
    curves = recorded_curves("curves", {"train": (recipe, "train_score"), "dev": (recipe, "score")})
    epochs = results.histories("curves").query("recipe == @recipe and task == 'sts'")
    assert list(curves) == ["SST", "Quora", "STS"] and list(curves["STS"]) == ["train", "dev"]
    assert curves["STS"]["dev"].tolist() == epochs.score.tolist() and len(epochs) == 10
    assert curves["STS"]["train"].dropna().tolist() == epochs.train_score.dropna().tolist()


def test_the_share_of_conflicts_is_that_of_an_epochs_steps():
    recipe = "marchini-callon-cussen/gradvac"
    shares = conflict_shares("curves", recipe)
    counts = results.conflict_counts("curves").query("recipe == @recipe")
    row = counts[(counts.pair == "sst-sts") & (counts.epoch == 3)].iloc[0]
    assert shares.shape == (10, 3) and shares.loc[3, "SST–STS"] == pytest.approx(row.conflicts / row.steps)
