"""What notebook 09 counts and compares: steps per task, and the recorded runs of the data strategies."""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import torch

from mtbert.data import TASKS, PackedBatch, TokenizedDataset, read_split
from mtbert.data.sampling import SAMPLERS, SamplerConfig
from mtbert.experiments import results
from mtbert.experiments.recipes import RECIPES
from mtbert.training.recipe import Recipe
from mtbert.training.run import build_model, recipe_encoder
from mtbert.utils import paths

_PREFIX = "strategy-"
_SEEDS = ("strategies", "strategies_more_seeds")  # the tables of the first and of further seeds


def steps_per_task(
    name: str, rows: Mapping[str, int], batch_size: Mapping[str, int], config: SamplerConfig, seed: int = 0
) -> pd.DataFrame:
    """Count the steps of each task under a sampler; a mixed step counts for every task in it.

    Args:
        name: The sampler's name in ``SAMPLERS``.
        rows: Task -> rows in its training set.
        batch_size: Task -> rows in a batch.
        config: How many epochs, of how many steps; without ``steps_per_epoch``, of the sampler's own length.
        seed: The sampler's seed.

    Returns:
        A row per epoch, a column per task.
    """
    sampler = SAMPLERS[name](rows, batch_size, seed, config)
    steps = itertools.chain.from_iterable(sampler.epoch(epoch) for epoch in itertools.count())
    length = config.steps_per_epoch or sampler.steps_per_epoch
    epochs = [
        Counter(task for tasks in itertools.islice(steps, length) for task in tasks) for _ in range(config.epochs)
    ]
    return pd.DataFrame([{task: count[task] for task in rows} for count in epochs])


def passes_per_epoch(rows: Mapping[str, int], batch_size: Mapping[str, int], epochs: int) -> pd.DataFrame:
    """How often each sampler of the package reads a row in an epoch of its own length, in the mean of some epochs.

    Returns:
        A row per sampler, a column per task, and the steps of its first epoch.
    """
    config = SamplerConfig(epochs=epochs)
    batches = pd.Series({task: -(-count // batch_size[task]) for task, count in rows.items()})
    passes = {name: steps_per_task(name, rows, batch_size, config).mean() / batches for name in SAMPLERS}
    steps = {name: SAMPLERS[name](rows, batch_size, config=config).steps_per_epoch for name in SAMPLERS}
    return pd.DataFrame(passes).T.assign(steps=pd.Series(steps))


def recorded_strategies() -> pd.DataFrame:
    """The recorded runs of the recipes "strategy-...", with all their seeds.

    Returns:
        A row per run. Columns: recipe (without "strategy-"), seed, sst, quora, sts and plain, their mean.
    """
    tables = pd.concat([results.read_table(paths.RESULTS / f"{name}.csv") for name in reversed(_SEEDS)])
    tables = tables[tables.recipe.str.startswith(_PREFIX)]
    tables = tables.assign(recipe=tables.recipe.str.removeprefix(_PREFIX))
    tables = tables.drop_duplicates(["recipe", "seed"], keep="last").sort_values(["recipe", "seed"])
    return tables[["recipe", "seed", "sst", "quora", "sts", "plain"]].reset_index(drop=True)


def planned_rows(recipe: Recipe, rows: Mapping[str, int]) -> dict[str, int]:
    """How many rows of each task a recipe reads in its run, repetitions included.

    Args:
        recipe: A recipe with ``steps_per_epoch``.
        rows: Task -> rows in its training set; other tasks of the recipe do not count.
    """
    config = SamplerConfig(recipe.epochs, recipe.steps_per_epoch, recipe.temperature, recipe.max_oversampling)
    steps = steps_per_task(recipe.sampler, rows, recipe.batch_size, config, recipe.seed).sum()
    return {task: int(steps[task]) * recipe.batch_size[task] for task in rows}


def score_table(runs: pd.DataFrame, recipes: Mapping[str, str], metrics: Mapping[str, str]) -> pd.DataFrame:
    """The scores of recorded strategies: a row per recipe, and for each score a column per seed.

    Args:
        runs: See ``recorded_strategies``.
        recipes: Recipe -> the name of its row.
        metrics: Column of ``runs`` -> the name of the score.

    Returns:
        Three decimals, or "" where a seed has not been run.
    """
    scores = runs.pivot(index="recipe", columns="seed", values=list(metrics)).reindex(list(recipes))
    scores = scores.rename(index=dict(recipes), columns=dict(metrics)).rename_axis(columns=["", "seed"])
    return scores.rename_axis(None).map(lambda score: "" if pd.isna(score) else f"{score:.3f}")


def rows_and_scores(runs: pd.DataFrame, read: Mapping[str, Mapping[str, int]]) -> pd.DataFrame:
    """What each recorded run reads of each task and scores on it, as ``draw.rows_read`` draws it.

    Args:
        runs: See ``recorded_strategies``.
        read: Recipe (without "strategy-") -> task -> rows that it reads; other runs are left out.

    Returns:
        A row per run and task. Columns: task, rows, score, seed, and shared, whether steps train several tasks.
    """
    shared = {name: RECIPES[f"{_PREFIX}{name}"].recipe.sampler in ("mixed", "alone_first") for name in read}
    points = [
        (task, count, run[task], run["seed"], shared[run["recipe"]])
        for run in runs.to_dict("records")
        for task, count in read.get(run["recipe"], {}).items()
    ]
    return pd.DataFrame(points, columns=["task", "rows", "score", "seed", "shared"])


def differences_by_seed(runs: pd.DataFrame, baseline: str, metrics: Sequence[str]) -> pd.DataFrame:
    """The scores of each strategy minus those of the baseline's run with the same seed.

    Returns:
        A row per recipe, seed and score of recipes that have a run for two or more seeds of the baseline. Columns:
        recipe, seed, metric, difference.
    """
    scores = runs.set_index(["recipe", "seed"])[list(metrics)]
    differences = (
        (scores - scores.xs(baseline).reindex(scores.index, level="seed")).drop(baseline, level="recipe").dropna()
    )
    several = differences.groupby("recipe").transform("size") > 1
    table = differences[several].rename_axis(columns="metric").stack().rename("difference")
    return table.reset_index()


def recorded_epochs(recipe: str, task: str) -> pd.DataFrame:
    """The epochs of a recorded recipe of notebook 09: a row per run and epoch, with the task's loss and dev score."""
    table = results.histories(_SEEDS[0])
    return table[(table.recipe == recipe) & (table.task == task)].dropna(subset="score")


def gradient_norms(recipe: Recipe, data: Path, batches: int = 6, rows: int = 8) -> pd.DataFrame:
    """The norm of each task's gradient on the encoder before any training, without dropout.

    Args:
        recipe: The model, and the tasks.
        data: The data folder; its first train rows are taken as they come.
        batches: How many batches.
        rows: Rows in a batch.

    Returns:
        A row per task, a column per batch.
    """
    model = build_model(recipe, recipe_encoder(recipe)).eval()
    norms: dict[str, list[float]] = {task: [] for task in recipe.tasks}
    for task in recipe.tasks:
        dataset = TokenizedDataset.from_rows(read_split(data, TASKS[task], "train"), model.encoder.tokenizer)
        sequences = model.encode_dataset(task, dataset)
        for indices in torch.arange(batches * rows).split(rows):
            batch = PackedBatch.join({task: sequences.batch(indices)})
            model.zero_grad()
            model.losses(batch, {task: dataset.labels[indices]})[task].backward()
            gradients = [weight.grad.flatten() for weight in model.bert.parameters() if weight.grad is not None]
            norms[task].append(torch.cat(gradients).norm().item())
    return pd.DataFrame(norms, index=pd.RangeIndex(1, batches + 1, name=f"batch of {rows} rows")).T
