"""A Recipe holds everything that decides a result; ``train`` takes nothing else but the data."""

import contextlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

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
from mtbert.training.frozen import Frozen
from mtbert.utils.device import MAX_SEED
from mtbert.utils.errors import UserError, did_you_mean

SURGERIES = ("none", *WEIGHTINGS)  # or torchjd:NAME
_LARGEST = 2**63 - 1  # torch's largest whole number
_PHRASES = {"Input should": "must", "greater than or equal to": "at least", "less than or equal to": "at most"}
# what a mapping stands for where it leaves out a task; max_length and positive_threshold are then the Task's own
_LEFT_OUT = {
    "encoding": "cross",
    "head": "linear",
    "loss": "default",
    "batch_size": 32,
    "similarity_scale": 20.0,
    "triplet_margin": 0.5,
    "smart_weight": 0.0,
}


def _text(value: Any) -> str:
    text = str(value)
    if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", text):
        raise ValueError("must not contain control characters or lone surrogates")
    return text


def _number(value: Any) -> Any:
    """Text such as "1e-3" as a number. What Python counts as one by accident is refused: True, "1_0"."""
    if isinstance(value, bool) or (isinstance(value, str) and "_" in value):
        raise ValueError("must be a number")
    for kind in (int, float) if isinstance(value, str) else ():
        with contextlib.suppress(ValueError):
            return kind(value)
    return value


def _whole_number(value: Any) -> Any:
    value = _number(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _task_names(tasks: Any) -> tuple[str, ...]:
    if not isinstance(tasks, (str, list, tuple)):
        raise UserError(f"tasks is {_shown(tasks)}, but must be names: choose from {', '.join(TASKS)}")
    names = tuple(part.strip() for part in tasks.split(",")) if isinstance(tasks, str) else tuple(tasks)
    for name in names:
        if not isinstance(name, str) or name not in TASKS:
            raise UserError(f"tasks: unknown task {_shown(name)}: choose from {', '.join(TASKS)}")
    if not names or len(set(names)) < len(names):
        raise UserError(f"tasks: {', '.join(names) or 'none'} given: name at least one task, and each once")
    return names


def _by_task(value: Any, info: ValidationInfo) -> dict[str, Any]:
    """The value of a field for each task of the recipe, given one for all of them or a mapping."""
    field, tasks = str(info.field_name), info.data.get("tasks", ())
    for task in value if isinstance(value, Mapping) else ():
        if task not in TASKS:
            raise UserError(f"{field}: unknown task {_shown(task)}: choose from {', '.join(TASKS)}")
    values = {}
    for task in tasks:
        default = _LEFT_OUT.get(field, getattr(TASKS[task], field, None))
        values[task] = value.get(task, default) if isinstance(value, Mapping) else value
        if (default is None and values[task] is None) or (field == "encoding" and not TASKS[task].is_pair):
            del values[task]
    return values


def _one_of(choices: Iterable[str]) -> Any:
    return Field(pattern=rf"^({'|'.join(choices)})$")


T = TypeVar("T")
PerTask = Annotated[Mapping[str, T], BeforeValidator(_by_task), AfterValidator(Frozen)]
Text = Annotated[str, BeforeValidator(_text)]
Count = Annotated[int, Field(ge=1, le=_LARGEST), BeforeValidator(_whole_number)]
NonNegative = Annotated[float, Field(ge=0), BeforeValidator(_number)]
Fraction = Annotated[float, Field(ge=0, le=1), BeforeValidator(_number)]
Dropout = Annotated[float, Field(ge=0, le=0.999), BeforeValidator(_number)]


class Recipe(BaseModel):
    """Everything that decides a result. It is frozen and hashable.

    Fields marked * take one value for all tasks, or a mapping from task to value. They are kept as a mapping that
    cannot be changed.

    Attributes:
        name: What to call it.
        tasks: Trained together, in this order (which matters to the sampler "sequential").
        encoder: What to start from (see ``load_encoder``).
        num_layers: How many of the encoder's layers to keep, from the lowest; None for all.
        trainable: "all" trains everything. "heads" freezes the encoder and trains the heads on cached features; the
            course calls this "pretrain", and later "last-linear-layer". "adapters" trains adapters and heads,
            "adapters_and_norms" the encoder's LayerNorms as well.
        adapter: What each task adds to the encoder: "none", or some of ``mtbert.nn.ADAPTERS`` joined by "+".
        adapter_size: The adapter's inner width; None for its kind's usual share of the encoder's.
        adapter_heads: Attention heads of "pal"; None for as many as the encoder has.
        adapter_projections: How many matrices each projection of "pal" or "low_rank" consists of.
        adapter_activation: "identity" or "gelu", for "pal" and "low_rank".
        encoding*: Pairs as one sequence ("cross") or as two ("bi").
        head*: See ``mtbert.nn.HEADS``.
        pooling: "cls", "pooler", "mean" or "max".
        max_length*: The most tokens a sequence may have.
        loss*: See ``mtbert.nn.LOSSES``; "default" depends on the kind of task.
        similarity_scale*: Factor on the cosines in "mnrl", "mnrl_graded" and "cosent".
        triplet_margin*: Margin of "triplet".
        positive_threshold*: The label from which a pair counts as positive.
        smart_weight*: Weight of SMART's smoothness term; 0 for none.
        sampler: How the next task is chosen (see ``mtbert.data.SAMPLERS``).
        temperature: Of the sampler "temperature".
        max_oversampling: How often the "oversampled" samplers repeat a small set in an epoch, at most.
        batch_size*: Rows of a task in one of its steps.
        tokens_per_batch*: In place of batch_size: rows of similar length with about this many tokens; None for tasks
            that use batch_size.
        epochs: How many epochs to train.
        steps_per_epoch: Steps in an epoch; None for one round of the sampler.
        lr: The peak learning rate of AdamW.
        weight_decay: The weight decay of AdamW.
        warmup_ratio: Share of all steps in which the learning rate rises.
        lr_schedule: What follows the warmup.
        max_grad_norm: The gradient's norm is clipped to this; 0 for no clipping.
        optimizer_state: "shared", or "per_task": moments and a position in the schedule for each task (needs a sampler
            with one task a step).
        gradient_accumulation_steps: In how many parts a step's rows are computed. This saves memory and changes nothing
            else.
        surgery: How the tasks' gradients of shared weights are combined: "none" (the losses are summed), "sum"
            (gradients are taken per task, then summed, which shows conflicts), "pcgrad", "gradvac" or "torchjd:NAME"
            (see ``mtbert.optim.TorchJD``).
        surgery_beta: GradVac's decay rate.
        granularity: Surgery on the whole "model", on each "layer" or on each "matrix".
        loss_weighting: "equal", or "uw", learned uncertainty (see ``mtbert.optim.loss_weighting``).
        head_dropout: Dropout probability before the heads.
        hidden_dropout: Dropout probability of the encoder's hidden states.
        attention_dropout: Dropout probability of the attention weights.
        augment_copies*: Augmented copies (EDA) of each train row; None or left out for none.
        augment_fraction: Share of the words that EDA changes.
        augment_scores: Whether copies may keep a similarity that their new words may contradict: "refuse" or "keep".
        train_rows: Use only this many rows of each train file, evenly spaced; None for all.
        dev_rows: The same for dev files.
        overlap: What to do about train rows that are in dev or test as well: "refuse" to train, "drop" or "keep" them.
        precision: Of the encoder's arithmetic.
        seed: Of everything random.

    Raises:
        UserError: (a ValueError) for unknown fields and for values that are invalid or do not fit together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    name: Text = "custom"
    tasks: Annotated[tuple[str, ...], BeforeValidator(_task_names)] = ("sst", "quora", "sts")
    encoder: Text = "minilm"
    num_layers: Count | None = None
    trainable: Literal["all", "heads", "adapters", "adapters_and_norms"] = "all"
    adapter: str = "none"
    adapter_size: Count | None = None
    adapter_heads: Count | None = None
    adapter_projections: Count = 1
    adapter_activation: Activation = "identity"
    encoding: PerTask[Encoding] = Field({"quora": "cross", "sts": "bi"})
    head: PerTask[Annotated[str, _one_of(HEADS)]] = Field({"sst": "linear", "quora": "linear", "sts": "cosine"})
    pooling: Annotated[str, _one_of((*get_args(Pooling), "pooler"))] = "mean"
    max_length: PerTask[Annotated[int, Field(ge=4, le=_LARGEST), BeforeValidator(_whole_number)]] = Field({})
    loss: PerTask[Annotated[str, _one_of(LOSSES)]] = Field("default")
    similarity_scale: PerTask[NonNegative] = Field(20.0)
    triplet_margin: PerTask[NonNegative] = Field(0.5)
    positive_threshold: PerTask[NonNegative] = Field({})
    smart_weight: PerTask[NonNegative] = Field(0.0)
    sampler: Annotated[str, _one_of(SAMPLERS)] = "mixed"
    temperature: Annotated[float, Field(ge=0.1), BeforeValidator(_number)] = 5.0
    max_oversampling: Annotated[float, Field(ge=1), BeforeValidator(_number)] = 5.0
    batch_size: PerTask[Count] = Field(32)
    tokens_per_batch: PerTask[Count] = Field({})
    epochs: Annotated[int, Field(ge=1, le=1_000_000), BeforeValidator(_whole_number)] = 3
    steps_per_epoch: Count | None = None
    lr: NonNegative = 5e-5
    weight_decay: NonNegative = 0.01
    warmup_ratio: Fraction = 0.1
    lr_schedule: LRSchedule = "linear"
    max_grad_norm: NonNegative = 1.0
    optimizer_state: Literal["shared", "per_task"] = "shared"
    gradient_accumulation_steps: Count = 1
    surgery: Annotated[str, _one_of((*SURGERIES, *(f"torchjd:{name}" for name in TORCHJD_METHODS)))] = "none"
    surgery_beta: Fraction = 0.01
    granularity: Annotated[str, _one_of(GRANULARITIES)] = "model"
    loss_weighting: Annotated[str, _one_of(LOSS_WEIGHTINGS)] = "equal"
    head_dropout: Dropout = 0.1
    hidden_dropout: Dropout = 0.1
    attention_dropout: Dropout = 0.1
    augment_copies: PerTask[Count] = Field({})
    augment_fraction: Fraction = 0.1
    augment_scores: AugmentScores = "refuse"
    train_rows: Count | None = None
    dev_rows: Count | None = None
    overlap: Literal["refuse", "drop", "keep"] = "refuse"
    precision: Literal["float32", "bfloat16"] = "float32"
    seed: Annotated[int, Field(ge=0, le=MAX_SEED), BeforeValidator(_whole_number)] = 0

    def __init__(self, /, **fields: Any):
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise UserError(_message(error, fields)) from None

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

        Raises:
            UserError: as ``Recipe`` does, and for a task in such a mapping that the copy does not have.
        """
        fields = dict(self) | changes
        tasks = _task_names(fields["tasks"])
        for name, value in changes.items():
            old = getattr(self, name, None)
            if isinstance(value, Mapping) and isinstance(old, Mapping):
                for task in value:
                    if task in TASKS and task not in tasks:
                        raise UserError(
                            f"{name}.{task} is given, but recipe {self.name} has only {', '.join(tasks)}: "
                            "leave it out, or name the task in tasks"
                        )
                fields[name] = {**old, **value}
        return Recipe(**fields)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as recipe.json holds them."""
        plain = {name: dict(value) if isinstance(value, Mapping) else value for name, value in self}
        return {**plain, "tasks": list(self.tasks)}

    def differences(self, other: "Recipe") -> dict[str, tuple[Any, Any]]:
        """Fields other than the name whose values differ: field -> (this recipe's value, the other's)."""
        values, others = self.as_dict(), other.as_dict()
        return {
            name: (values[name], others[name]) for name in values if name != "name" and values[name] != others[name]
        }


def from_dict(fields: Mapping[str, Any]) -> Recipe:
    """A recipe from plain values; fields that are not given have their defaults."""
    return Recipe(**fields)


def recipe_schema() -> dict[str, Any]:
    """The JSON schema of recipe.json. What depends on several fields, such as a head's encoding, only Recipe checks."""
    schema = Recipe.model_json_schema()
    del schema["description"]  # it is written for Python
    for field in schema["properties"].values():
        if field.get("type") == "object":  # one value for all tasks, or a mapping
            by_task = {"type": field.pop("type"), "propertyNames": {"enum": list(TASKS)}}
            for_all = field.pop("additionalProperties")
            field["anyOf"] = [for_all, {**by_task, "additionalProperties": for_all}]
    return schema


def settings(texts: Sequence[str]) -> dict[str, Any]:
    """Changes from ``name=value`` texts; ``name.task=value`` sets a field for one task.

    Values are read as JSON where they are JSON (numbers, true, null, lists) and as text otherwise.
    """
    changes: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"--set {text!r}: write name=value")
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(value)
        name, dot, task = name.strip().partition(".")
        if dot:
            if not isinstance(changes.setdefault(name, {}), dict):
                raise UserError(f"--set {text!r}: {name} is set for all tasks already: set it for all or for each")
            changes[name][task] = value
        elif isinstance(changes.get(name), dict):
            tasks = ", ".join(changes[name])
            raise UserError(f"--set {text!r}: {name} is set for {tasks} already: set it for all or for each")
        else:
            changes[name] = value
    return changes


def _message(error: ValidationError, fields: Mapping[str, Any]) -> str:
    """One sentence for the first thing that pydantic found wrong with these fields."""
    first = error.errors(include_url=False)[0]
    kind, context = first["type"], first.get("ctx", {})
    reason = str(context["error"]) if kind == "value_error" else first["msg"]
    for pydantics, ours in _PHRASES.items():
        reason = reason.replace(pydantics, ours)
    if isinstance(context.get("error"), UserError):
        return reason
    name, *task = map(str, first["loc"])
    if kind == "extra_forbidden":
        known = Recipe.model_fields
        return f"a recipe has no field {name!r}: {did_you_mean(name, known, 'choose from ' + ', '.join(known))}"
    value = fields[name]
    if task and isinstance(value, Mapping):
        value = value[task[0]]
    if kind == "string_pattern_mismatch":
        reason = f"must be one of {context['pattern'][2:-2].replace('|', ', ')}"
    return f"{'.'.join((name, *task))} is {_shown(value)}, but {reason}"


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python prints no number of more than 4,300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= 80 else f"{text[:77]}..."
