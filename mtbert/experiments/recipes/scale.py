"""A report's row as a small machine can run it."""

from statistics import fmean
from typing import Literal, get_args

from mtbert.data.sampling import SAMPLERS, SamplerConfig
from mtbert.experiments.recipes.named import RECIPES
from mtbert.training.recipe import Recipe, least_epochs
from mtbert.utils.errors import UserError

Scale = Literal["full", "small", "demo"]
_SMALL_ROWS = 4800
_SETS = {"sst": 8_538, "quora": 75_842, "sts": 5_996}  # train rows: they decide how many steps of alone_first are mixed
_ANY_SCALE = {"seed", "encoder", "precision"}  # what a run may have changed without leaving its scale


def scaled(recipe: Recipe, scale: Scale) -> Recipe:
    """The recipe itself ("full"), or the same experiment on less ("small", "demo").

    Small: the encoder is minilm, an epoch has the steps that read 4,800 rows (of all sets, as the sampler draws them),
    two epochs stand for ten, and 2,000 rows of each dev file are scored. Adapters keep their share of the encoder's
    width. A rate meant for ten passes would not move the model much in two: it is at least 1e-4. Heads on a frozen
    encoder read 4,800 rows of each set, since the vectors of all their rows are taken first. Everything else, and so
    everything that sets the rows of a report apart, stays. Demo: the lowest two layers, a hundred rows of each set,
    once: to see that a row runs; its scores mean nothing. Raises UserError for another scale.
    """
    if scale not in get_args(Scale):
        raise UserError(f"scale is {scale!r}: choose from {', '.join(get_args(Scale))}")
    if scale == "full":
        return recipe
    size = recipe.adapter_size
    less = recipe.replace(
        encoder="minilm",
        dev_rows=2000,
        epochs=_passes(recipe, recipe.epochs / 5),
        lr=max(recipe.lr, 1e-4),
        adapter_size=size and _half(size, recipe.adapter_heads or 12),
    )
    if scale == "small":
        rows = _SMALL_ROWS if recipe.trainable == "heads" else None
        return less.replace(steps_per_epoch=round(_SMALL_ROWS / _rows_of_a_step(recipe)), train_rows=rows)
    return less.replace(num_layers=2, train_rows=100, dev_rows=100, epochs=_passes(recipe, 1))


def scale_of(recipe: Recipe) -> Scale | None:
    """The scale at which this is the named recipe, whatever its seed, encoder and precision; None for anything else."""
    if recipe.name not in RECIPES:
        return None
    for scale in get_args(Scale):
        if not recipe.differences(scaled(RECIPES[recipe.name].recipe, scale)).keys() - _ANY_SCALE:
            return scale
    return None


def _rows_of_a_step(recipe: Recipe) -> float:
    """On average over a run: only alone_first has steps of one task and steps of all."""
    sizes = recipe.batch_size
    if recipe.sampler == "mixed":
        return sum(sizes.values())
    if recipe.sampler == "alone_first":
        planned = SAMPLERS[recipe.sampler](_SETS, sizes, pace=SamplerConfig(epochs=recipe.epochs))
        return fmean(
            sum(sizes[task] for task in step) for epoch in range(recipe.epochs) for step in planned.epoch(epoch)
        )
    return fmean(sizes.values())


def _passes(recipe: Recipe, epochs: float) -> int:
    """So many epochs, but no fewer than the recipe's sampler needs."""
    return max(least_epochs(recipe.sampler, recipe.tasks), round(epochs))


def _half(size: int, heads: int) -> int:
    """Half an adapter's size (minilm is half as wide as BERT-base), to a multiple of its heads."""
    return max(1, round(size / 2 / heads)) * heads
