"""A report's row at a smaller scale: what stays, what changes, and how a scale is recognized."""

import pytest

from mtbert import UserError
from mtbert.data.sampling import SAMPLERS, SamplerConfig
from mtbert.experiments.recipes import RECIPES, scale_of, scaled


@pytest.mark.parametrize("name", [name for name in RECIPES if "/" in name])
def test_every_row_of_a_report_can_be_scaled_down_and_keeps_what_sets_it_apart(name):
    full = RECIPES[name].recipe
    small, demo = scaled(full, "small"), scaled(full, "demo")
    assert scaled(full, "full") == full
    changed = {"encoder", "steps_per_epoch", "train_rows", "dev_rows", "epochs", "lr", "adapter_size"}
    assert set(small.differences(full)) <= changed
    assert (small.train_rows is None) == (full.trainable != "heads")
    assert small.encoder == "minilm" and demo.num_layers == 2 and demo.train_rows == 100
    a_step = rows_of_a_step(full)
    assert small.steps_per_epoch * a_step == pytest.approx(4800, abs=a_step / 2)
    assert small.name == demo.name == name
    for scale, recipe in {"full": full, "small": small, "demo": demo}.items():
        assert scale_of(recipe.replace(seed=5, encoder="elsewhere", precision="bfloat16")) == scale == scale_of(recipe)


def rows_of_a_step(recipe):
    """The mean over all steps that the recipe's sampler plans on the course's sets."""
    rows = {"sst": 8538, "cfimdb": 1701, "quora": 75_842, "sts": 5996, "yelp": 50_000}
    sampler = SAMPLERS[recipe.sampler](
        {task: rows[task] for task in recipe.tasks}, recipe.batch_size, 0, SamplerConfig(epochs=recipe.epochs)
    )
    steps = [step for epoch in range(recipe.epochs) for step in sampler.epoch(epoch)]
    return sum(recipe.batch_size[task] for step in steps for task in step) / len(steps)


@pytest.mark.parametrize("changes", [{"lr": 3e-4}, {"dev_rows": 1999}, {"name": "mine"}, {"steps_per_epoch": 5}])
def test_a_changed_row_is_of_no_scale(changes):
    small = scaled(RECIPES["yin/baseline"].recipe, "small")
    assert scale_of(small) == "small" and scale_of(small.replace(**changes)) is None
    with pytest.raises(UserError, match="scale is 'huge': choose from full, small, demo"):
        scaled(small, "huge")
