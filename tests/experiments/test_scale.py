"""A report's row at a smaller scale: what stays, what changes, and how a scale is recognized."""

import pytest

from mtbert import UserError
from mtbert.experiments.recipes import RECIPES, planned_sampler, scale_of, scaled
from mtbert.experiments.reports import rows_read


@pytest.mark.parametrize("name", [name for name in RECIPES if "/" in name])
def test_every_row_of_a_report_can_be_scaled_down_and_keeps_what_sets_it_apart(name):
    full = RECIPES[name].recipe
    small, demo = scaled(full, "small"), scaled(full, "demo")
    assert scaled(full, "full") == full
    changed = {"encoder", "steps_per_epoch", "train_rows", "dev_rows", "epochs", "lr", "adapter_size"}
    assert set(small.differences(full)) <= changed
    assert (small.train_rows is None) == (full.trainable != "heads")
    assert small.encoder == "minilm" and demo.num_layers == 2 and demo.train_rows == 100
    if len(full.tasks) == 1 or full.trainable == "heads":
        rows_per_step = sum(full.batch_size.values()) / (1 if full.sampler == "mixed" else len(full.tasks))
        assert small.steps_per_epoch * rows_per_step == pytest.approx(4800, abs=rows_per_step / 2)
    assert small.name == demo.name == name
    for scale, recipe in {"full": full, "small": small, "demo": demo}.items():
        assert scale_of(recipe.replace(seed=5, encoder="elsewhere", precision="bfloat16")) == scale == scale_of(recipe)


MULTITASK = [
    name
    for name, entry in RECIPES.items()
    if "/" in name and len(entry.recipe.tasks) > 1 and entry.recipe.trainable != "heads"
]


@pytest.mark.parametrize("report", sorted({name.partition("/")[0] for name in MULTITASK}))
def test_the_rows_of_a_report_take_the_same_share_of_their_full_run(report):
    shares = []
    for name in (name for name in MULTITASK if name.startswith(f"{report}/")):
        full = RECIPES[name].recipe
        small = scaled(full, "small")
        shares.append(small.steps_per_epoch * small.epochs / (planned_sampler(full).steps_per_epoch * full.epochs))
    assert max(shares) == pytest.approx(min(shares), rel=0.02)


@pytest.mark.parametrize(
    ("row", "baseline"),
    [
        ("ahmed-karamardian/iteration-1", "ahmed-karamardian/baseline"),
        ("cambronero-meza/surgery-eda-20", "cambronero-meza/surgery"),
        ("li-tang/mix-0.3", "li-tang/seq"),
        ("yin/low-rank-top-mean-curriculum", "yin/low-rank-top-mean"),
    ],
)
def test_a_row_that_reads_more_of_quora_in_full_also_does_so_when_small(row, baseline):
    ratios = {}
    for scale in ("full", "small"):
        read, control = (rows_read(scaled(RECIPES[name].recipe, scale))["quora"] for name in (row, baseline))
        ratios[scale] = read / control
    assert ratios["small"] == pytest.approx(ratios["full"], rel=0.03)


@pytest.mark.parametrize("changes", [{"lr": 3e-4}, {"dev_rows": 1999}, {"name": "mine"}, {"steps_per_epoch": 5}])
def test_a_changed_row_is_of_no_scale(changes):
    small = scaled(RECIPES["yin/baseline"].recipe, "small")
    assert scale_of(small) == "small" and scale_of(small.replace(**changes)) is None
    with pytest.raises(UserError, match="scale is 'huge': choose from full, small, demo"):
        scaled(small, "huge")
