"""Notebook 05: a short training of one encoder with the losses and the step that a learner wrote."""

from collections.abc import Callable, Mapping

import pandas as pd
import torch
from torch import Tensor, nn

import mtbert
from mtbert.data import SAMPLERS, TokenizedDataset
from mtbert.training.recipe import Recipe
from mtbert.training.run import build_model

Losses = Callable[[Mapping[str, Tensor], nn.ModuleDict, Mapping[str, Tensor]], Mapping[str, Tensor]]
Step = Callable[[Callable[[], Mapping[str, Tensor]], torch.optim.Optimizer, list[nn.Parameter], float], dict]


def train_own_step(
    recipe: Recipe, tables: Mapping[str, TokenizedDataset], task_losses: Losses, multitask_step: Step, steps: int = 30
) -> pd.DataFrame:
    """Train the lowest two layers and new heads, on 16 rows of each task in a step.

    Args:
        recipe: Its encoder, its seed, and how it encodes the texts.
        tables: Task -> tokenized train rows, for "sst", "quora" and "sts".
        task_losses: The answer to exercise 3.
        multitask_step: The answer to exercise 4.
        steps: At least 10.

    Returns:
        A row per task: its mean loss over the first ten and over the last ten steps.
    """
    model = build_model(recipe.replace(num_layers=2), mtbert.load_encoder(recipe.encoder, num_layers=2))
    width = model.encoder.config.hidden_size
    heads = nn.ModuleDict({"sst": nn.Linear(width, 5), "quora": nn.Linear(3 * width, 1)})
    parameters = [*model.bert.parameters(), *heads.parameters()]
    optimizer = mtbert.optim.AdamW(parameters, lr=3e-4)
    sequences = {name: model.encode_dataset(name, table) for name, table in tables.items()}
    counts = {name: len(table) for name, table in tables.items()}
    sampler = SAMPLERS["mixed"](counts, dict.fromkeys(tables, 16), recipe.seed)
    history = []
    for step, _ in zip(sampler.steps(), range(steps), strict=False):
        labels = {name: tables[name].labels[rows] for name, rows in step.rows.items()}

        def losses(rows_of=step.rows, labels=labels):
            vectors = {name: model.vectors(sequences[name].batch(rows)) for name, rows in rows_of.items()}
            return task_losses(vectors, heads, labels)

        history.append(multitask_step(losses, optimizer, parameters, 1.0))
    table = pd.DataFrame(history)
    return pd.DataFrame({"first ten": table[:10].mean(), "last ten": table[-10:].mean()}).round(2)
