"""A report's recipe, scaled down for a small machine."""

from statistics import fmean
from typing import Literal, get_args

from mtbert.data.sampling import SAMPLERS, SamplerConfig
from mtbert.data.tasks import TASKS
from mtbert.experiments.recipes.named import RECIPES
from mtbert.training.compatibility import least_epochs
from mtbert.training.recipe import Recipe
from mtbert.utils.errors import UserError, shorten

Scale = Literal["full", "small", "demo"]
_SMALL_ROWS = 4800
_ANY_SCALE = {"seed", "encoder", "precision"}  # a run may change these without leaving its scale


def scaled(recipe: Recipe, scale: str) -> Recipe:
    """The recipe itself ("full"), or the same experiment with less of everything ("small", "demo").

    Small: The encoder is minilm, and adapters keep their share of its width. An epoch has the number of steps that read
    4,800 rows (of all sets, as the sampler draws them), ten epochs become two, and 2,000 rows of each dev file are
    scored. A learning rate meant for ten epochs would hardly move the model in two, so it is raised to at least 1e-4.
    Heads on a frozen encoder read 4,800 rows of each set, because the vectors of all their rows are computed first.
    Everything else stays, and with it all that distinguishes the recipes of a report.

    Demo: The lowest two layers and a hundred rows of each set, once, to check that a recipe runs.
    """
    if scale not in get_args(Scale):
        raise UserError(f"scale is {shorten(scale)}: choose from {', '.join(get_args(Scale))}")
    if scale == "full":
        return recipe
    size = recipe.adapter_size
    less = recipe.replace(
        encoder="minilm",
        dev_rows=2000,
        epochs=_epochs(recipe, recipe.epochs / 5),
        lr=max(recipe.lr, 1e-4),
        adapter_size=size and _half(size, recipe.adapter_heads or 12),
    )
    if scale == "small":
        rows = _SMALL_ROWS if recipe.trainable == "heads" else None
        return less.replace(steps_per_epoch=round(_SMALL_ROWS / _rows_per_step(recipe)), train_rows=rows)
    return less.replace(num_layers=2, train_rows=100, dev_rows=100, epochs=_epochs(recipe, 1))


def scale_of(recipe: Recipe) -> Scale | None:
    """The scale at which this is the named recipe, apart from seed, encoder and precision; None if there is none."""
    if recipe.name not in RECIPES:
        return None
    for scale in get_args(Scale):
        if not recipe.differences(scaled(RECIPES[recipe.name].recipe, scale)).keys() - _ANY_SCALE:
            return scale
    return None


def _rows_per_step(recipe: Recipe) -> float:
    """The average over a run: alone_first has both steps of one task and steps of all."""
    sizes = recipe.batch_size
    if recipe.sampler == "mixed":
        return sum(sizes.values())
    if recipe.sampler == "alone_first":
        rows = {name: TASKS[name].train_rows for name in recipe.tasks}
        sampler = SAMPLERS[recipe.sampler](rows, sizes, config=SamplerConfig(epochs=recipe.epochs))
        steps = (step for epoch in range(recipe.epochs) for step in sampler.epoch(epoch))
        return fmean(sum(sizes[task] for task in step) for step in steps)
    return fmean(sizes.values())


def _epochs(recipe: Recipe, epochs: float) -> int:
    """``epochs``, rounded, but no fewer than the recipe's sampler needs."""
    return max(least_epochs(recipe.sampler, recipe.tasks), round(epochs))


def _half(size: int, heads: int) -> int:
    """Half an adapter's size (minilm is half as wide as BERT-base), rounded to a multiple of its heads."""
    return max(1, round(size / 2 / heads)) * heads
