"""The optimizers of a run, and the learning rate of each step."""

import itertools
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from mtbert.data.sampling import Sampler, Step
from mtbert.optim import FlatParameters, FusedAdamW, learning_rate_factor
from mtbert.training.recipe import Recipe

ALL_TASKS = "all"


def parameter_owner(name: str) -> str:
    """The owner of a parameter: a task, for its head, adapter or loss weight; "encoder" for what all tasks share."""
    module, *rest = name.split(".")
    return {"heads": rest[0], "adapters": rest[0], "loss_weighting": rest[-1]}.get(module, "encoder")


def lr_scale(decay: float, num_layers: int, head_factor: float) -> Callable[[str], float]:
    """The factor on each parameter's learning rate, by its name (Howard & Ruder 2018, sec. 3.2; Clark et al. 2020).

    Heads have ``head_factor``, adapters and the pooler 1, the top layer ``decay``, each layer below it ``decay`` times
    its upper neighbor's factor, and the embeddings come below the lowest layer.
    """

    def scale(name: str) -> float:
        if name.startswith("heads."):
            return head_factor
        if name.startswith("bert.embeddings."):
            return decay ** (num_layers + 1)
        layer = re.match(r"bert\.layers\.(\d+)\.", name)
        return decay ** (num_layers - int(layer[1])) if layer else 1.0

    return scale


class ScheduledOptimizers:
    """One AdamW for all tasks or, with ``optimizer_state="per_task"``, one for each, on a schedule of its own steps.

    The sampler tells how many of the run's ``total_steps`` each task takes.
    """

    def __init__(self, recipe: Recipe, flat: FlatParameters, sampler: Sampler, total_steps: int):
        self.recipe = recipe
        self.total_steps: Mapping[str, int]
        if recipe.optimizer_state == "per_task":
            plan = itertools.chain.from_iterable(sampler.epoch(epoch) for epoch in itertools.count())
            self.total_steps = Counter(task for tasks in itertools.islice(plan, total_steps) for task in tasks)
        else:
            self.total_steps = {ALL_TASKS: total_steps}
        owners = (ALL_TASKS,) if ALL_TASKS in self.total_steps else recipe.tasks
        self.by_owner = {owner: FusedAdamW(flat.groups(recipe.weight_decay), lr=recipe.lr) for owner in owners}

    def for_step(self, step: Step) -> tuple[str, FusedAdamW]:
        """The owner of the optimizer that takes a step ("all", or a task), and the optimizer at its learning rate."""
        owner, number = ALL_TASKS, step.number
        if owner not in self.by_owner:
            (owner,) = step.rows
            number = step.batch_indices[owner]
        recipe, total = self.recipe, self.total_steps[owner]
        factor = learning_rate_factor(number, total, recipe.warmup_ratio, recipe.lr_schedule)
        for group in self.by_owner[owner].param_groups:
            group["lr"] = recipe.lr * factor * group["lr_scale"]
        return owner, self.by_owner[owner]

    def state_dict(self) -> dict[str, Any]:
        return {owner: optimizer.state_dict() for owner, optimizer in self.by_owner.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for owner, optimizer in self.by_owner.items():
            optimizer.load_state_dict(state[owner])
