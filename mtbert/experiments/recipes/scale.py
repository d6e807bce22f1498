"""A report's recipe, scaled down for a small machine."""

from statistics import fmean
from typing import Literal, get_args

from mtbert.data.sampling import SAMPLERS, Sampler, SamplerConfig
from mtbert.data.tasks import TASKS
from mtbert.experiments.recipes.named import RECIPES
from mtbert.training.compatibility import least_epochs
from mtbert.training.recipe import Recipe
from mtbert.utils.errors import UserError, shorten

Scale = Literal["full", "small", "demo"]
_SMALL_ROWS = 4800
# of each report, the row whose small epoch reads 4,800 rows; its other rows on several tasks are scaled by as much
_REFERENCE = {
    "ahmed-karamardian": "baseline",
    "cambronero-meza": "task-heads",
    "li-tang": "mix-0.3",
    "marchini-callon-cussen": "naive-multitask",
    "yin": "baseline",
}
_ANY_SCALE = {"seed", "encoder", "precision"}  # a run may change these without leaving its scale


def scaled(recipe: Recipe, scale: str) -> Recipe:
    """The recipe itself ("full"), or the same experiment with less of everything ("small", "demo").

    Small: The encoder is minilm, and adapters keep their share of its width. Ten epochs become two, and 2,000 rows of
    each dev file are scored. One row of each report reads 4,800 rows an epoch (of all sets, as its sampler draws them).
    The report's other rows on several tasks take the same share of the steps of their full run, so that one which reads
    Quora more often in full also does so here. A row on a single task, or with a frozen encoder, reads 4,800 rows an
    epoch. A learning rate meant for ten epochs would hardly move the model in two, so it is raised to at least 1e-4.
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
        return less.replace(steps_per_epoch=round(_share(recipe) * _steps(recipe) / less.epochs), train_rows=rows)
    return less.replace(num_layers=2, train_rows=100, dev_rows=100, epochs=_epochs(recipe, 1))


def scale_of(recipe: Recipe) -> Scale | None:
    """The scale at which this is the named recipe, apart from seed, encoder and precision; None if there is none."""
    if recipe.name not in RECIPES:
        return None
    for scale in get_args(Scale):
        if not recipe.differences(scaled(RECIPES[recipe.name].recipe, scale)).keys() - _ANY_SCALE:
            return scale
    return None


def planned_sampler(recipe: Recipe) -> Sampler:
    """A recipe's sampler for the course's sets, whose rows are counted but not read.

    Where a loss ranks rows and so needs batches of its own, the sampler counts plain ones.
    """
    available = {task: TASKS[task].train_rows * (1 + recipe.augment_copies.get(task, 0)) for task in recipe.tasks}
    rows = {task: min(count, recipe.train_rows or count) for task, count in available.items()}
    config = SamplerConfig(recipe.epochs, recipe.steps_per_epoch, recipe.temperature, recipe.max_oversampling)
    return SAMPLERS[recipe.sampler](rows, recipe.batch_size, recipe.seed, config)


def _share(recipe: Recipe) -> float:
    """The part of a full run's steps that a small run takes."""
    report, _, _ = recipe.name.partition("/")
    if report in _REFERENCE and len(recipe.tasks) > 1 and recipe.trainable != "heads":
        recipe = RECIPES[f"{report}/{_REFERENCE[report]}"].recipe
    return _SMALL_ROWS * _epochs(recipe, recipe.epochs / 5) / (_rows_per_step(recipe) * _steps(recipe))


def _steps(recipe: Recipe) -> int:
    return planned_sampler(recipe).steps_per_epoch * recipe.epochs


def _rows_per_step(recipe: Recipe) -> float:
    """The average over a run: alone_first has both steps of one task and steps of all."""
    sizes = recipe.batch_size
    if recipe.sampler == "mixed":
        return sum(sizes.values())
    if recipe.sampler == "alone_first":
        sampler = planned_sampler(recipe)
        steps = (step for epoch in range(recipe.epochs) for step in sampler.epoch(epoch))
        return fmean(sum(sizes[task] for task in step) for step in steps)
    return fmean(sizes.values())


def _epochs(recipe: Recipe, epochs: float) -> int:
    """``epochs``, rounded, but no fewer than the recipe's sampler needs."""
    return max(least_epochs(recipe.sampler, recipe.tasks), round(epochs))


def _half(size: int, heads: int) -> int:
    """Half an adapter's size (minilm is half as wide as BERT-base), rounded to a multiple of its heads."""
    return max(1, round(size / 2 / heads)) * heads
