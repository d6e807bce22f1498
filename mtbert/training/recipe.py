"""A ``Recipe`` holds every choice that affects a result; the only other input of ``train`` is the data."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from mtbert.data.augment import AugmentScores
from mtbert.data.sampling import SAMPLERS
from mtbert.data.tasks import TASKS, Task
from mtbert.data.tokens import Encoding
from mtbert.nn.adapters import Activation
from mtbert.nn.heads import HEADS
from mtbert.nn.losses import LOSSES
from mtbert.nn.pooling import Pooling
from mtbert.optim.loss_weighting import LOSS_WEIGHTINGS
from mtbert.optim.schedule import LRSchedule
from mtbert.optim.surgery import GRANULARITIES
from mtbert.optim.weightings.build import WEIGHTINGS
from mtbert.optim.weightings.torchjd import TORCHJD_METHODS
from mtbert.training.compatibility import conflicts
from mtbert.training.fields import (
    LARGEST,
    Count,
    Dropout,
    Fraction,
    Name,
    NonNegative,
    PerTaskValue,
    Repeats,
    Text,
    default_for_all,
    error_message,
    one_of,
    task_names,
    to_number,
    to_whole_number,
)
from mtbert.utils.device import MAX_SEED
from mtbert.utils.errors import UserError, shorten


class Recipe(BaseModel):
    """Every choice that affects a result. A recipe is frozen and hashable.

    Fields marked * take one value for all tasks or a mapping from task to value; they become a read-only mapping.

    Attributes:
        tasks: Trained together, in this order (which matters to the sampler "sequential").
        encoder: The pretrained encoder to start from (see ``load_encoder``).
        num_layers: Keep only this many of the encoder's layers, the lowest ones; None for all.
        trainable: "all"; "heads" on cached features of the frozen encoder ("pretrain" or "last-linear-layer" in the
            course); "adapters" and heads; "adapters_and_norms", the encoder's LayerNorms as well.
        adapter: What each task adds to the encoder: "none", or one or more of ``mtbert.nn.ADAPTERS``, joined by "+".
        adapter_size: The adapter's inner width; None for the default of its kind.
        adapter_heads: Attention heads of "pal"; None for as many as the encoder has.
        adapter_projections: Number of matrices in each projection of "pal" or "low_rank".
        adapter_activation: "identity" or "gelu", for "pal" and "low_rank".
        encoding*: Pairs as one sequence ("cross"), as two ("bi"), or as those three ("both").
        head*: See ``mtbert.nn.HEADS``.
        pooling: "cls", "pooler", "mean" or "max".
        max_length*: Maximum number of tokens in a sequence.
        loss*: See ``mtbert.nn.LOSSES``; "default" depends on the kind of task.
        label_smoothing*: Share of a uniform distribution in the targets of classification; 0 for none.
        similarity_scale*: Factor on the cosines in "mnrl", "mnrl_graded" and "cosent".
        positive_threshold*: The label from which a pair counts as positive.
        smart_weight*: Weight of SMART's smoothness term; 0 for none (Jiang et al. 2020).
        rdrop_weight*: Weight of R-Drop's term, which wants two passes with other dropout to agree; 0 for none (Wu et
            al. 2021).
        sampler: How the next task is chosen (see ``mtbert.data.SAMPLERS``).
        max_oversampling: How many times, at most, the "oversampled" samplers repeat a small set in an epoch.
        batch_size*: Rows of a task in one of its steps.
        tokens_per_batch*: In place of batch_size: rows of similar length with about this many tokens.
        steps_per_epoch: Steps in an epoch; None for the sampler's own number.
        lr: The peak learning rate of AdamW.
        layerwise_lr_decay: Factor on the learning rate from a layer to the one below it; 1 for none (Howard & Ruder
            2018). Heads keep ``lr`` (see ``head_lr_factor``); the embeddings come last.
        head_lr_factor: Factor on the learning rate of the heads, which start from random weights and so have further to
            go than a pretrained encoder; 1 for none.
        warmup_ratio: Share of the steps over which the learning rate rises linearly to ``lr``.
        lr_schedule: After the warmup, "linear" decay to 0, or "constant".
        max_grad_norm: The gradient's norm is clipped to this; 0 for no clipping.
        optimizer_state: "shared", or "per_task" for moments and a schedule of each task's own.
        ema_decay: Decay of a moving average of the weights (see ``mtbert.optim.WeightAverage``); 0 for none. Weights
            and average are both scored on dev after each epoch, and the better ones count.
        gradient_accumulation_steps: Number of micro-batches that a step's rows are split into, to save memory.
        surgery: How the tasks' gradients of shared weights are combined: "none" (the losses are summed), "sum"
            (the same from separate gradients, to record conflicts), "pcgrad", "gradvac" or "torchjd:NAME".
        surgery_groups: "tasks", a gradient for each; or "main_and_auxiliary", where the tasks that count in the overall
            score are summed to one (Li & Tang).
        surgery_beta: Rate of GradVac's moving averages (its beta).
        granularity: Surgery on the whole "model", on each "layer" or on each "matrix".
        loss_weighting: "equal", or "uw", learned uncertainty (see ``mtbert.optim.loss_weighting``).
        head_dropout, hidden_dropout, attention_dropout: Probabilities before the heads and in the encoder.
        augment_copies*: Augmented copies (EDA) of each train row; None or left out for none.
        augment_fraction: Share of the words that EDA changes.
        augment_scores: Whether copies may keep a similarity that their new words may contradict: "refuse" or "keep".
        train_rows, dev_rows: Use only this many rows of each train or dev file, evenly spaced; None for all.
        overlap: What to do with train rows that are also in dev or test: "refuse" to train, "drop" or "keep" them.
        precision: Floating-point type of the forward pass; bfloat16 uses autocast. "auto" is bfloat16 on devices that
            are fast in it, else float32; run.json says which.

    Raises UserError, a ValueError, for unknown fields and for values that are invalid or do not fit together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    name: Name = "custom"
    tasks: Annotated[tuple[str, ...], BeforeValidator(task_names)] = ("sst", "quora", "sts")
    encoder: Text = "minilm"
    num_layers: Count | None = None
    trainable: Literal["all", "heads", "adapters", "adapters_and_norms"] = "all"
    adapter: Annotated[str, Field(max_length=100)] = "none"
    adapter_size: Repeats | None = None
    adapter_heads: Repeats | None = None
    adapter_projections: Repeats = 1
    adapter_activation: Activation = "identity"
    encoding: PerTaskValue[Encoding] = Field({"quora": "cross", "sts": "bi"})
    head: PerTaskValue[Annotated[str, one_of(HEADS)]] = Field({"sst": "linear", "quora": "linear", "sts": "cosine"})
    pooling: Annotated[str, one_of((*get_args(Pooling), "pooler"))] = "mean"
    max_length: PerTaskValue[Annotated[int, Field(ge=4, le=LARGEST), BeforeValidator(to_whole_number)]] = Field({})
    loss: PerTaskValue[Annotated[str, one_of(LOSSES)]] = default_for_all("default")
    label_smoothing: PerTaskValue[Dropout] = default_for_all(0.0)
    similarity_scale: PerTaskValue[NonNegative] = default_for_all(20.0)
    triplet_margin: PerTaskValue[NonNegative] = default_for_all(0.5)
    positive_threshold: PerTaskValue[NonNegative] = Field({})
    smart_weight: PerTaskValue[NonNegative] = default_for_all(0.0)
    rdrop_weight: PerTaskValue[NonNegative] = default_for_all(0.0)
    sampler: Annotated[str, one_of(SAMPLERS)] = "mixed"
    temperature: Annotated[float, Field(ge=0.1, le=1e6), BeforeValidator(to_number)] = 5.0
    max_oversampling: Annotated[float, Field(ge=1, le=1e6), BeforeValidator(to_number)] = 5.0
    batch_size: PerTaskValue[Count] = default_for_all(32)
    tokens_per_batch: PerTaskValue[Count] = Field({})
    epochs: Annotated[int, Field(ge=1, le=1_000_000), BeforeValidator(to_whole_number)] = 3
    steps_per_epoch: Count | None = None
    lr: NonNegative = 5e-5
    weight_decay: NonNegative = 0.01
    layerwise_lr_decay: Annotated[float, Field(ge=0.01, le=1), BeforeValidator(to_number)] = 1.0
    head_lr_factor: Annotated[float, Field(ge=0.01, le=1e4), BeforeValidator(to_number)] = 1.0
    warmup_ratio: Fraction = 0.1
    lr_schedule: LRSchedule = "linear"
    max_grad_norm: NonNegative = 1.0
    optimizer_state: Literal["shared", "per_task"] = "shared"
    ema_decay: Annotated[float, Field(ge=0, le=0.99999), BeforeValidator(to_number)] = 0.0
    gradient_accumulation_steps: Repeats = 1
    surgery: Annotated[str, one_of(("none", *WEIGHTINGS, *(f"torchjd:{name}" for name in TORCHJD_METHODS)))] = "none"
    surgery_groups: Literal["tasks", "main_and_auxiliary"] = "tasks"
    surgery_beta: Fraction = 0.01
    granularity: Annotated[str, one_of(GRANULARITIES)] = "model"
    loss_weighting: Annotated[str, one_of(LOSS_WEIGHTINGS)] = "equal"
    head_dropout: Dropout = 0.1
    hidden_dropout: Dropout = 0.1
    attention_dropout: Dropout = 0.1
    augment_copies: PerTaskValue[Repeats] = Field({})
    augment_fraction: Fraction = 0.1
    augment_scores: AugmentScores = "refuse"
    train_rows: Count | None = None
    dev_rows: Count | None = None
    overlap: Literal["refuse", "drop", "keep"] = "refuse"
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    seed: Annotated[int, Field(ge=0, le=MAX_SEED), BeforeValidator(to_whole_number)] = 0

    def __init__(self, /, **fields: Any):
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise UserError(error_message(error, fields, type(self).model_fields)) from None

    @model_validator(mode="after")
    def _check(self) -> "Recipe":
        for conflict in conflicts(self):
            raise UserError(conflict)
        return self

    @property
    def task_list(self) -> list[Task]:
        return [TASKS[name] for name in self.tasks]

    def replace(self, /, **changes: Any) -> "Recipe":
        """A copy with some fields changed. A mapping for a per-task field changes only the tasks it names.

        Raises UserError as ``Recipe`` does, and for a task in such a mapping that the copy does not have.
        """
        fields = dict(self) | changes
        tasks = task_names(fields["tasks"])
        for name, value in changes.items():
            old = getattr(self, name, None)
            if isinstance(value, Mapping) and isinstance(old, Mapping):
                for task in value:
                    if task in TASKS and task not in tasks:
                        reason = f"{name}.{task} is given, but recipe {self.name} has only {', '.join(tasks)}"
                        raise UserError(f"{reason}: leave it out, or name the task in tasks")
                fields[name] = {**old, **value}
        return Recipe(**fields)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as recipe.json holds them."""
        plain = {name: dict(value) if isinstance(value, Mapping) else value for name, value in self}
        return {**plain, "tasks": list(self.tasks)}

    def differences(self, other: "Recipe") -> dict[str, tuple[Any, Any]]:
        """Fields other than the name whose values differ: field -> (this recipe's value, the other's)."""
        values, others = self.as_dict(), other.as_dict()
        changed = [name for name in values if name != "name" and values[name] != others[name]]
        return {name: (values[name], others[name]) for name in changed}


def from_dict(fields: Mapping[str, Any]) -> Recipe:
    """A recipe from plain values; omitted fields take their defaults."""
    return Recipe(**fields)


def check_same_recipe(recipe: Recipe, other: Recipe, folder: Path) -> None:
    """Raise UserError naming the fields in which the recipe of a folder's run, ``other``, differs from ``recipe``."""
    differences = recipe.differences(other)
    if differences:
        named = "; ".join(
            f"{name} is {shorten(here)}, there {shorten(there)}" for name, (here, there) in differences.items()
        )
        raise UserError(f"{folder} holds a run of another recipe ({named}): choose another folder")


def recipe_schema() -> dict[str, Any]:
    """The JSON schema of recipe.json. Rules that involve several fields are checked by ``Recipe`` alone."""
    schema = Recipe.model_json_schema()
    del schema["description"]  # it describes the Python class
    for field in schema["properties"].values():
        if field.get("type") == "object":  # one value for all tasks, or a mapping
            by_task = {"type": field.pop("type"), "propertyNames": {"enum": list(TASKS)}}
            for_all = field.pop("additionalProperties")
            field["anyOf"] = [for_all, {**by_task, "additionalProperties": for_all}]
    return schema


def settings(texts: Sequence[str]) -> dict[str, Any]:
    """Parse ``name=value`` and ``name.task=value`` texts as changes for ``Recipe.replace``; values are JSON or text."""
    changes: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"--set {shorten(text)}: write name=value")
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(value)
        name, dot, task = name.strip().partition(".")
        if name in changes and isinstance(changes[name], dict) != bool(dot):
            tasks = "all tasks" if dot else ", ".join(changes[name])
            raise UserError(f"--set {shorten(text)}: {name} is set for {tasks} already: set it once, or for each task")
        if dot:
            changes.setdefault(name, {})[task] = value
        else:
            changes[name] = value
    return changes
