"""Which values of a recipe do not fit together, although each of them is valid."""

from collections.abc import Iterator, Sequence
from typing import Any

from mtbert.data.augment import check_augment_scores
from mtbert.data.tasks import TASKS
from mtbert.nn.adapters import ADAPTERS, adapter_parts
from mtbert.nn.heads import HEADS
from mtbert.nn.losses import LOSSES

SMOOTHED = ("default", "cross_entropy")  # losses whose targets label smoothing changes
Recipe = Any  # a Recipe: its module imports this one


def conflicts(recipe: Recipe) -> Iterator[str]:
    """A sentence for each conflict: the fields, their values and what to do.

    Raises UserError for an adapter that does not exist, and for copies of rows whose scores may not be copied.
    """
    for task in recipe.tasks:
        yield from _head_conflicts(recipe, task)
        yield from _loss_conflicts(recipe, task)
    for task in recipe.augment_copies:
        check_augment_scores(TASKS[task], recipe.augment_scores)
    yield from _adapter_conflicts(recipe)
    yield from _step_conflicts(recipe)


def least_epochs(sampler: str, tasks: Sequence[str]) -> int:
    """How many epochs a run needs for its sampler to show what it does."""
    if sampler == "stages":
        return len(tasks)
    return 2 if sampler in ("curriculum", "oversampled_curriculum", "alone_first") else 1


def _head_conflicts(recipe: Recipe, name: str) -> Iterator[str]:
    task, head, given = TASKS[name], HEADS[recipe.head[name]], f"head.{name}: {recipe.head[name]!r}"
    encoding = recipe.encoding.get(name, "cross")  # a single sentence has none
    if head.encoding != "cross" and not task.is_pair:
        yield f"{given} reads a pair's vectors, but {name} has one sentence a row: choose another head"
    elif head.encoding != encoding:
        fitting = [kind for kind, spec in HEADS.items() if spec.encoding == encoding and task.kind in spec.kinds]
        remedy = f"set it to {head.encoding}, or choose from {', '.join(fitting)}"
        yield f"{given} is for encoding {head.encoding}, but encoding.{name} is {encoding}: {remedy}"
    if task.kind not in head.kinds:
        yield f"{given} is for {' or '.join(head.kinds)} tasks, but {name} is a {task.kind} task"
    if head.input_kind == "tokens" and recipe.trainable == "heads":
        yield f"{given} reads every token, but trainable=heads caches one vector per sentence: set trainable to all"


def _loss_conflicts(recipe: Recipe, name: str) -> Iterator[str]:
    task, loss, given = TASKS[name], LOSSES[recipe.loss[name]], f"loss.{name}: {recipe.loss[name]!r}"
    if task.kind not in loss.kinds:
        yield f"{given} is for {' or '.join(loss.kinds)} tasks, but {name} is a {task.kind} task"
    if loss.input_kind == "pair" and (encoding := recipe.encoding[name]) != "bi":
        yield f"{given} compares two vectors, but encoding.{name} is {encoding}: set it to bi"
    if loss.input_kind == "vector" and HEADS[recipe.head[name]].input_kind == "tokens":
        yield f"{given} reads one vector, but head {recipe.head[name]!r} reads every token: choose another head"
    if not loss.trains_head and recipe.trainable == "heads":
        yield f"{given} trains the vectors, but trainable=heads freezes them: set trainable to all"
    if loss.ranks and (parts := recipe.gradient_accumulation_steps) > 1:
        yield f"gradient_accumulation_steps is {parts}, but {given} compares the rows of a step: set it to 1"
    if loss.ranks and (tokens := recipe.tokens_per_batch.get(name)):
        yield f"tokens_per_batch.{name} is {tokens}, but {given} needs its own batches: leave it out"
    if loss.ranks and recipe.batch_size[name] == 1:
        yield f"batch_size.{name} is 1, but {given} compares rows: set it to 2 or more"
    if loss.batch_kind != "all" and (threshold := recipe.positive_threshold[name]) > task.max_label:
        yield f"positive_threshold.{name} is {threshold:g}, but the labels of {name} end at {task.max_label}"
    if (smoothing := recipe.label_smoothing[name]) and (task.kind == "regression" or recipe.loss[name] not in SMOOTHED):
        why = f"loss {recipe.loss[name]!r} of the {task.kind} task {name} has no classes to smooth"
        yield f"label_smoothing.{name} is {smoothing:g}, but {why}: set it to 0"
    yield from _rdrop_conflicts(recipe, name)
    if (weight := recipe.smart_weight[name]) and recipe.trainable == "heads":
        why = "SMART changes embeddings, and trainable=heads caches the vectors above them"
        yield f"smart_weight.{name} is {weight:g}, but {why}: set trainable to all"


def _rdrop_conflicts(recipe: Recipe, name: str) -> Iterator[str]:
    if not (weight := recipe.rdrop_weight[name]):
        return
    given = f"rdrop_weight.{name} is {weight:g}, but"
    if recipe.trainable == "heads":
        yield f"{given} R-Drop varies the encoder's dropout, and trainable=heads caches vectors: set trainable to all"
    if not LOSSES[recipe.loss[name]].trains_head:
        yield f"{given} R-Drop compares predictions, and loss {recipe.loss[name]!r} trains vectors: set it to 0"
    if not (recipe.hidden_dropout or recipe.attention_dropout or recipe.head_dropout):
        yield f"{given} two passes without dropout are the same: set hidden_dropout, for one"


def _adapter_conflicts(recipe: Recipe) -> Iterator[str]:
    adapter, parts = recipe.adapter, adapter_parts(recipe.adapter)
    if recipe.trainable == "heads" and parts:
        why = "trainable=heads trains heads on vectors of the unchanged encoder"
        yield f"adapter is {adapter!r}, but {why}: set trainable to adapters or all"
    if recipe.trainable in ("adapters", "adapters_and_norms") and not parts:
        yield f"trainable is {recipe.trainable!r}, but there is no adapter: set adapter, such as pal"
    sized = [part for part in parts if ADAPTERS[part].default_size]
    if recipe.adapter_size is not None and len(sized) != 1:
        why = f"{' and '.join(sized)} have one each" if sized else f"adapter {adapter!r} has none"
        yield f"adapter_size is {recipe.adapter_size}, but {why}: leave it out"
    if recipe.adapter_heads is not None and "pal" not in parts:
        yield f"adapter_heads is {recipe.adapter_heads}, but only pal has attention heads: leave it out"
    projections_set = recipe.adapter_projections != 1 or recipe.adapter_activation != "identity"
    if projections_set and not any(ADAPTERS[part].has_projections for part in parts):
        yield f"adapter_projections and adapter_activation mean nothing to adapter {adapter!r}: leave them out"


def _step_conflicts(recipe: Recipe) -> Iterator[str]:
    sampler, least = recipe.sampler, least_epochs(recipe.sampler, recipe.tasks)
    if recipe.epochs < least:
        why = f"gives each of {least} tasks one or more" if sampler == "stages" else "changes from epoch to epoch"
        yield f"epochs is {recipe.epochs}, but sampler {sampler!r} {why}: set it to {least} or more"
    if recipe.optimizer_state == "per_task" and sampler in ("mixed", "alone_first"):
        why = f"sampler {sampler!r} has steps of all tasks"
        yield f"optimizer_state is 'per_task', but {why}: choose a sampler with one task a step"
    if recipe.layerwise_lr_decay != 1 and recipe.trainable in ("heads", "adapters"):
        why = f"trainable={recipe.trainable} trains no layer"
        yield f"layerwise_lr_decay is {recipe.layerwise_lr_decay:g}, but {why}: set it to 1"
    if recipe.head_lr_factor != 1 and recipe.trainable == "heads":
        yield f"head_lr_factor is {recipe.head_lr_factor:g}, but trainable=heads trains nothing else: set lr instead"
    if recipe.surgery_groups != "tasks":
        yield from _group_conflicts(recipe)
    if recipe.surgery != "none" and recipe.loss_weighting != "equal":
        yield f"loss_weighting is {recipe.loss_weighting!r} and surgery {recipe.surgery!r}: use only one of them"


def _group_conflicts(recipe: Recipe) -> Iterator[str]:
    given = f"surgery_groups is {recipe.surgery_groups!r}, but"
    if recipe.surgery == "none":
        yield f"{given} surgery is 'none': set surgery, such as pcgrad"
    if all(TASKS[name].in_overall for name in recipe.tasks):
        yield f"{given} none of the tasks is auxiliary: add one, such as yelp"
    if recipe.sampler != "mixed":
        yield f"{given} sampler {recipe.sampler!r} has steps without some tasks: set it to mixed"
