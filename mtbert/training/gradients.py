"""How the losses of a step become one gradient: two strategies with the same method, ``compute``.

Both leave the gradient in the flat parameters, whose shards the optimizer updates.
"""

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mtbert.data.batch import PackedBatch
from mtbert.data.sampling import Step
from mtbert.optim import (
    AggregationInfo,
    FlatParameters,
    Grouped,
    Surgery,
    TaskPermutations,
    build_loss_weighting,
    build_weighting,
)
from mtbert.training.dataset import MicroBatch
from mtbert.training.distributed import Exchange
from mtbert.training.recipe import Recipe

Losses = Callable[[MicroBatch], dict[str, Tensor]]  # each task's mean loss over a micro-batch


class Gradient(NamedTuple):
    """The shards of the flat parameters that have a gradient, and how surgery combined the tasks' gradients."""

    parameters: list[nn.Parameter]
    aggregation: AggregationInfo | None = None


class SummedLoss:
    """One forward pass for all tasks, and one backward pass of the weighted sum of their losses."""

    def __init__(self, losses: Losses, flat: FlatParameters, exchange: Exchange, weighting: nn.Module):
        self.losses, self.flat, self.exchange, self.weighting = losses, flat, exchange, weighting

    def compute(self, step: Step, micro_batches: Iterable[MicroBatch]) -> Gradient:
        """The gradient of a step, from this process's part of its rows; those of all processes are summed."""
        self.flat.vector.zero_grad()
        for micro_batch in micro_batches:
            weighted = self.weighting(self.losses(micro_batch))
            shares = [micro_batch.shares[task] * loss for task, loss in weighted.items()]
            self.flat.add(torch.stack(shares).sum(), self.flat.vector)
        self.exchange.all_reduce_gradients({tuple(step.rows): self.flat.vector})
        return Gradient(self.flat.assign_grads())


class SurgeryGradient:
    """One forward pass, and one backward pass that keeps the tasks' gradients apart; surgery combines them."""

    def __init__(self, losses: Losses, surgery: Surgery, exchange: Exchange, seed: int):
        self.losses, self.surgery, self.exchange, self.seed = losses, surgery, exchange, seed

    def compute(self, step: Step, micro_batches: Iterable[MicroBatch]) -> Gradient:
        """As ``SummedLoss.compute``. Raises FloatingPointError naming a task whose gradient is not finite."""
        self.surgery.zero_grad()
        for micro_batch in micro_batches:
            inputs = micro_batch.inputs  # vectors of a frozen encoder share no parameter
            with self.surgery.per_task_gradients(inputs) if isinstance(inputs, PackedBatch) else nullcontext():
                losses = self.losses(micro_batch)
            self.surgery.backward({task: micro_batch.shares[task] * loss for task, loss in losses.items()})
        self.exchange.all_reduce_gradients({(task,): self.surgery.rows[task] for task in step.rows})
        self.exchange.world.seed_shared(self.seed, step.number)  # a weighting must draw the same in all processes
        return Gradient(self.surgery.aggregate(), self.surgery.last)


def recipe_loss_weighting(recipe: Recipe) -> nn.Module:
    """The loss weighting of a recipe; its parameters are trained with the model's."""
    regressions = [task.name for task in recipe.task_list if task.kind == "regression"]
    squared = [name for name in regressions if recipe.loss[name] in ("default", "mse")]
    return build_loss_weighting(recipe.loss_weighting, recipe.tasks, squared)


def recipe_surgery(recipe: Recipe, flat: FlatParameters, permutations: TaskPermutations) -> Surgery | None:
    """The gradient surgery of a recipe, if it has one."""
    if recipe.surgery == "none":
        return None
    tasks = list(recipe.tasks)
    if recipe.surgery_groups == "tasks":
        weighting = build_weighting(recipe.surgery, len(tasks), recipe.surgery_beta, permutations)
    else:  # all main tasks, then each auxiliary one
        auxiliary = [task.name for task in recipe.task_list if not task.in_overall]
        groups = [auxiliary.index(name) + 1 if name in auxiliary else 0 for name in tasks]
        each = build_weighting(recipe.surgery, len(auxiliary) + 1, recipe.surgery_beta, permutations)
        weighting = Grouped(each, groups)
    return Surgery(flat, tasks, weighting, recipe.granularity)
