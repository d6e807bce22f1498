"""A Recipe holds everything that decides a result; ``train`` takes nothing else but the data."""

import contextlib
import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, Literal, get_args

from mtbert.data.augment import Scores, check_scores
from mtbert.data.sampling import SAMPLERS
from mtbert.data.tasks import TASKS, Task
from mtbert.data.tokens import Encoding
from mtbert.nn.adapters import ADAPTERS, Activation, adapter_parts
from mtbert.nn.heads import HEADS
from mtbert.nn.losses import LOSSES
from mtbert.nn.pooling import Pooling
from mtbert.optim.loss_weighting import LOSS_WEIGHTINGS
from mtbert.optim.schedule import LRSchedule
from mtbert.optim.surgery import GRANULARITIES
from mtbert.training.frozen import Frozen
from mtbert.utils.device import LARGEST_SEED
from mtbert.utils.errors import UserError

Trainable = Literal["all", "heads", "adapters", "adapters_and_norms"]
Overlap = Literal["refuse", "drop", "keep"]
OptimizerState = Literal["shared", "per_task"]
Precision = Literal["float32", "bfloat16"]
SURGERIES = ("none", "sum", "pcgrad", "gradvac")  # or torchjd:NAME
PerTaskValue = Mapping[str, Any]

_CHOICES: dict[str, tuple[str, ...]] = {
    "trainable": get_args(Trainable),
    "adapter_activation": get_args(Activation),
    "pooling": (*get_args(Pooling), "pooler"),
    "sampler": tuple(SAMPLERS),
    "lr_schedule": get_args(LRSchedule),
    "optimizer_state": get_args(OptimizerState),
    "augment_scores": get_args(Scores),
    "overlap": get_args(Overlap),
    "precision": get_args(Precision),
    "granularity": GRANULARITIES,
    "loss_weighting": tuple(LOSS_WEIGHTINGS),
}
# field: (what a task has that a mapping does not name, choices)
_CHOICES_PER_TASK = {
    "encoding": ("cross", get_args(Encoding)),
    "head": ("linear", tuple(HEADS)),
    "loss": ("default", tuple(LOSSES)),
}
# field: (type, smallest, largest); None where there is no bound
_NUMBERS: dict[str, tuple[type, float | None, float | None]] = {
    "epochs": (int, 1, None),
    "seed": (int, 0, LARGEST_SEED),
    "lr": (float, 0, None),
    "weight_decay": (float, 0, None),
    "warmup_ratio": (float, 0, 1),
    "max_grad_norm": (float, 0, None),
    "head_dropout": (float, 0, 0.999),
    "hidden_dropout": (float, 0, 0.999),
    "attention_dropout": (float, 0, 0.999),
    "gradient_accumulation_steps": (int, 1, None),
    "surgery_beta": (float, 0, 1),
    "adapter_projections": (int, 1, None),
    "temperature": (float, 0.1, None),
    "oversample": (float, 1, None),
    "augment_fraction": (float, 0, 1),
}
_OPTIONAL_NUMBERS = dict.fromkeys(
    ("num_layers", "steps_per_epoch", "train_rows", "dev_rows", "adapter_size", "adapter_heads"), (int, 1, None)
)
# field: (what a task has that a mapping does not name, type, smallest, largest)
_NUMBERS_PER_TASK = {
    "batch_size": (32, int, 1, None),
    "max_length": (128, int, 4, None),
    "similarity_scale": (20.0, float, 0, None),
    "triplet_margin": (0.5, float, 0, None),
    "positive_threshold": (3.0, float, 0, None),
    "smart_weight": (0.0, float, 0, None),
}
# field of some tasks only, None or not named for the others: (type, smallest, largest)
_SOME_TASKS = {"tokens_per_batch": (int, 1, None), "augment_copies": (int, 1, None)}
# field: tasks that have something else there
_EXCEPTIONS = {
    "max_length": {"cfimdb": 512, "yelp": 256},  # long texts
    "positive_threshold": {"quora": 1.0},
}


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a result. Unknown or impossible values raise UserError (a ValueError) naming the field.

    Fields marked * take one value for all tasks or a mapping from task to value; they are kept as a mapping that cannot
    be changed.

    name: what to call it. tasks: trained together, in this order (which matters to "sequential").
    encoder, num_layers: what to start from (see ``load_encoder``); num_layers keeps the lowest so many.
    trainable: "all" trains everything; "heads" (the course calls it "pretrain", later "last-linear-layer") freezes the encoder and trains the heads on cached features;
    "adapters" trains adapters and heads, "adapters_and_norms" the encoder's LayerNorms as well.
    adapter: what each task adds to the encoder: "none", or some of ``mtbert.nn.ADAPTERS`` joined by "+";
    adapter_size: its inner width (None: its kind's usual share of the encoder's); adapter_heads: of "pal" (None: as
    the encoder); adapter_projections: how many matrices a projection consists of; adapter_activation: "identity" or
    "gelu" (both for "pal" and "low_rank").
    encoding*: pairs as one sequence ("cross") or two ("bi"). head*: see ``mtbert.nn.HEADS``.
    pooling: "cls", "pooler", "mean" or "max". max_length*: tokens a sequence may have.
    loss*: what to minimise, "default" by the kind of task (see ``mtbert.nn.LOSSES``). similarity_scale*: of cosines in mnrl,
    mnrl_graded and cosent; margin*: of triplet; positive_threshold*: the label from which a pair counts as positive.
    smart*: weight of SMART's smoothness term (0 for none).
    sampler: which task next (see ``mtbert.data.SAMPLERS``); temperature and oversample are those of the samplers of
    that name. batch_size*: rows of a task in its step; tokens_per_batch*: instead, rows of similar length with about
    so many tokens.
    epochs, steps_per_epoch: an epoch is one round of the sampler unless its steps are given.
    lr, weight_decay, warmup, decay, clip: AdamW; warmup is a share of all steps, clip the largest gradient norm
    (0 for none). optimizer_state: "shared", or "per_task": moments and a place in the schedule for each task of its own
    (one task a step). accumulate: in how many parts a step's rows are computed, which saves memory and changes nothing
    else.
    surgery: how the tasks' gradients of shared weights become one: "none" (they are never told apart), "sum"
    (apart, then summed: to see conflicts), "pcgrad", "gradvac" or "torchjd:NAME"; surgery_beta is GradVac's;
    granularity: surgery on the whole "model", each "layer" or each "matrix". loss_weighting: "equal", "uw", "dwa" or
    "famo". head_dropout, hidden_dropout, attention_dropout: probabilities.
    augment*: noisy copies (EDA) of each train row, none unless given; augment_fraction: the share of the words that they
    change; augment_scores: copies that keep a similarity, "refuse" or "keep".
    train_rows, dev_rows: use only so many rows of each train or dev file, at equal distances. overlap: train rows that
    also stand in dev or test: "refuse" to train, "drop" them, or "keep" them. precision: of the encoder's arithmetic.
    seed: of all chance.
    """

    name: str = "custom"
    tasks: tuple[str, ...] = ("sst", "quora", "sts")
    encoder: str = "minilm"
    num_layers: int | None = None
    trainable: Trainable = "all"
    adapter: str = "none"
    adapter_size: int | None = None
    adapter_heads: int | None = None
    adapter_projections: int = 1
    adapter_activation: Activation = "identity"
    encoding: PerTaskValue | str = field(default_factory=lambda: {"quora": "cross", "sts": "bi"})
    head: PerTaskValue | str = field(default_factory=lambda: {"sst": "linear", "quora": "linear", "sts": "cosine"})
    pooling: str = "mean"
    max_length: PerTaskValue | int = field(default_factory=dict)
    loss: PerTaskValue | str = "default"
    similarity_scale: PerTaskValue | float = 20.0
    triplet_margin: PerTaskValue | float = 0.5
    positive_threshold: PerTaskValue | float = field(default_factory=dict)
    smart_weight: PerTaskValue | float = 0.0
    sampler: str = "mixed"
    temperature: float = 5.0
    oversample: float = 5.0
    batch_size: PerTaskValue | int = 32
    tokens_per_batch: PerTaskValue | int = field(default_factory=dict)
    epochs: int = 3
    steps_per_epoch: int | None = None
    lr: float = 5e-5
    weight_decay: float = 0.01
    warmup_ratio: float = 0.1
    lr_schedule: LRSchedule = "linear"
    max_grad_norm: float = 1.0
    optimizer_state: OptimizerState = "shared"
    gradient_accumulation_steps: int = 1
    surgery: str = "none"
    surgery_beta: float = 0.01
    granularity: str = "model"
    loss_weighting: str = "equal"
    head_dropout: float = 0.1
    hidden_dropout: float = 0.1
    attention_dropout: float = 0.1
    augment_copies: PerTaskValue | int = field(default_factory=dict)
    augment_fraction: float = 0.1
    augment_scores: Scores = "refuse"
    train_rows: int | None = None
    dev_rows: int | None = None
    overlap: Overlap = "refuse"
    precision: Precision = "float32"
    seed: int = 0

    def __post_init__(self):
        self._put("tasks", _task_names(self.tasks))
        self._put("name", str(self.name))
        self._put("encoder", str(self.encoder))
        for name, bounds in _NUMBERS.items():
            self._put(name, _number(name, getattr(self, name), *bounds))
        for name, bounds in _OPTIONAL_NUMBERS.items():
            if getattr(self, name) is not None:
                self._put(name, _number(name, getattr(self, name), *bounds))
        for name, choices in _CHOICES.items():
            _choice(name, getattr(self, name), choices)
        if not (isinstance(self.surgery, str) and re.fullmatch(r"torchjd:\w+", self.surgery)):
            _choice("surgery", self.surgery, (*SURGERIES, "torchjd:NAME"))
        if self.surgery != "none" and self.loss_weighting != "equal":
            raise UserError(
                f"loss_weighting is {self.loss_weighting!r} and surgery {self.surgery!r}: use only one of them"
            )
        if self.loss_weighting == "famo" and self.gradient_accumulation_steps > 1:
            raise UserError(
                f"gradient_accumulation_steps is {self.gradient_accumulation_steps}, but famo weighs the losses of whole steps: set it to 1"
            )
        for name, (default, *bounds) in _NUMBERS_PER_TASK.items():
            values = self._by_task(name, default)
            self._put(name, {task: _number(f"{name}.{task}", value, *bounds) for task, value in values.items()})
        for name, bounds in _SOME_TASKS.items():
            values = {task: value for task, value in self._by_task(name, None).items() if value is not None}
            self._put(name, {task: _number(f"{name}.{task}", value, *bounds) for task, value in values.items()})
        for task in self.augment_copies:
            check_scores(TASKS[task], self.augment_scores)
        for name, (default, choices) in _CHOICES_PER_TASK.items():
            values = self._by_task(name, default)
            if name == "encoding":  # a single sentence has but one
                values = {task: value for task, value in values.items() if TASKS[task].is_pair}
            for task, value in values.items():
                _choice(f"{name}.{task}", value, choices)
            self._put(name, values)
        self._check_heads()
        self._check_losses()
        self._check_adapter()
        self._check_sampler()

    def _put(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, Frozen(value) if isinstance(value, Mapping) else value)

    def _by_task(self, name: str, default: Any) -> dict[str, Any]:
        """A field's value for each task of this recipe; ``default`` where a mapping does not name the task."""
        value = getattr(self, name)
        if not isinstance(value, Mapping):
            return dict.fromkeys(self.tasks, value)
        for task in value:
            if task not in TASKS:
                raise UserError(f"{name}: unknown task {task!r}: choose from {', '.join(TASKS)}")
        usual = _EXCEPTIONS.get(name, {})
        return {task: value.get(task, usual.get(task, default)) for task in self.tasks}

    def _check_heads(self) -> None:
        for name in self.tasks:
            task, head = TASKS[name], self.head[name]
            two_vectors = task.is_pair and self.encoding[name] == "bi"
            if HEADS[head].pair and not two_vectors:
                why = "has one sentence a row" if not task.is_pair else "is cross-encoded: set encoding to bi"
                raise UserError(f"head.{name}: {head!r} needs two vectors, but {name} {why}")
            if two_vectors and not HEADS[head].pair:
                pairs = ", ".join(kind for kind, of in HEADS.items() if of.pair)
                raise UserError(f"head.{name}: {head!r} sees one vector, but {name} is bi-encoded: choose from {pairs}")
            if task.kind not in HEADS[head].kinds:
                wanted, found = _kinds(HEADS[head]), _KINDS[task.kind]
                raise UserError(f"head.{name}: {head!r} is for {wanted}, but {name} asks for {found}")
            if HEADS[head].input_kind == "tokens" and self.trainable == "heads":
                raise UserError(
                    f"head.{name}: {head!r} sees every token, but trainable=heads keeps one vector of each sentence: "
                    "set trainable to all"
                )

    def _check_losses(self) -> None:
        for name in self.tasks:
            task, loss = TASKS[name], LOSSES[self.loss[name]]
            what = f"loss.{name}: {self.loss[name]!r}"
            if task.kind not in loss.kinds:
                raise UserError(f"{what} is for {_kinds(loss)}, but {name} asks for {_KINDS[task.kind]}")
            if loss.input_kind == "pair" and self.encoding[name] == "cross":
                raise UserError(f"{what} needs two vectors, but {name} is cross-encoded: set encoding to bi")
            if loss.input_kind == "pair" and self.trainable == "heads":
                raise UserError(f"{what} trains the vectors, but trainable=heads keeps them: set trainable to all")
            if loss.ranks and self.gradient_accumulation_steps > 1:
                raise UserError(
                    f"gradient_accumulation_steps is {self.gradient_accumulation_steps}, but {what} compares the rows of a step: set it to 1"
                )
            if loss.ranks and name in self.tokens_per_batch:
                raise UserError(
                    f"tokens_per_batch.{name} is {self.tokens_per_batch[name]}, but {what} needs its own "
                    "batches: leave it out"
                )
            if loss.ranks and self.batch_size[name] == 1:
                raise UserError(f"batch_size.{name} is 1, but {what} compares rows: set it to 2 or more")
            if loss.rows != "all" and self.positive_threshold[name] > task.max_label:
                bound = self.positive_threshold[name]
                raise UserError(
                    f"positive_threshold.{name} is {bound:g}, but the labels of {name} end at {task.max_label}"
                )
            if self.smart_weight[name] and self.trainable == "heads":
                raise UserError(
                    f"smart_weight.{name} is {self.smart_weight[name]:g}, but SMART changes embeddings, and trainable=heads keeps "
                    "the vectors above them: set trainable to all"
                )

    def _check_adapter(self) -> None:
        parts = adapter_parts(self.adapter)
        if self.trainable == "heads" and parts:
            raise UserError(
                f"adapter is {self.adapter!r}, but trainable=heads trains heads on vectors of the encoder "
                "as it is: set trainable to adapters or all"
            )
        if self.trainable in ("adapters", "adapters_and_norms") and not parts:
            raise UserError(f"trainable is {self.trainable!r}, but there is no adapter: set adapter, such as pal")
        sized = [part for part in parts if ADAPTERS[part].usual_size]
        if self.adapter_size is not None and len(sized) != 1:
            why = f"{' and '.join(sized)} have one each" if sized else f"adapter {self.adapter!r} has none"
            raise UserError(f"adapter_size is {self.adapter_size}, but {why}: leave it out")
        if self.adapter_heads is not None and "pal" not in parts:
            raise UserError(f"adapter_heads is {self.adapter_heads}, but only pal has heads to choose: leave it out")
        changed = self.adapter_projections != 1 or self.adapter_activation != "identity"
        if changed and not any(ADAPTERS[part].projects for part in parts):
            raise UserError(
                f"adapter_projections and adapter_activation mean nothing to adapter {self.adapter!r}: leave them out"
            )

    def _check_sampler(self) -> None:
        if self.sampler == "stages" and self.epochs < len(self.tasks):
            raise UserError(
                f"epochs is {self.epochs}, but sampler 'stages' gives each of {len(self.tasks)} tasks "
                f"one or more: set it to {len(self.tasks)} or more"
            )
        if self.epochs < least_epochs(self.sampler, self.tasks):
            raise UserError(
                f"epochs is {self.epochs}, but sampler {self.sampler!r} changes from one to another: "
                "set it to 2 or more"
            )
        if self.optimizer_state == "per_task" and self.sampler in ("mixed", "alone_first"):
            raise UserError(
                f"optimizer_state is 'per_task', but sampler {self.sampler!r} has steps of all tasks: "
                "choose a sampler with one task a step"
            )

    @property
    def task_list(self) -> list[Task]:
        return [TASKS[name] for name in self.tasks]

    def replace(self, /, **changes: Any) -> "Recipe":
        """A copy with some fields changed. A mapping for a per-task field changes only the tasks it names.

        Raises UserError as ``Recipe`` does, and for a task in such a mapping that the copy does not have.
        """
        tasks = _task_names(changes.get("tasks", self.tasks))
        names = [each.name for each in dataclasses.fields(self)]
        for name, value in changes.items():
            if name not in names:
                raise UserError(f"a recipe has no field {name!r}: choose from {', '.join(names)}")
            old = getattr(self, name)
            if isinstance(value, Mapping) and isinstance(old, Mapping):
                for task in value:
                    if task in TASKS and task not in tasks:
                        raise UserError(
                            f"{name}.{task} is given, but recipe {self.name} has only {', '.join(tasks)}: "
                            "leave it out, or name the task in tasks"
                        )
                changes[name] = {**old, **value}
        return dataclasses.replace(self, **changes)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as they stand in recipe.json."""
        values = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        plain = {name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()}
        return {**plain, "tasks": list(self.tasks)}

    def differences(self, other: "Recipe") -> dict[str, tuple[Any, Any]]:
        """Fields whose values differ, but for the name: field -> (mine, the other's)."""
        mine, theirs = self.as_dict(), other.as_dict()
        return {name: (mine[name], theirs[name]) for name in mine if name != "name" and mine[name] != theirs[name]}


_KINDS = {"multiclass": "a multiclass task", "binary": "a binary task", "regression": "a regression task"}


def _kinds(of: Any) -> str:
    return " or ".join(_KINDS[kind] for kind in of.kinds)


def least_epochs(sampler: str, tasks: Sequence[str]) -> int:
    """How many epochs a run needs for its sampler to show what it does."""
    if sampler == "stages":
        return len(tasks)
    return 2 if sampler in ("curriculum", "oversampled_curriculum", "alone_first") else 1


def _task_names(tasks: Any) -> tuple[str, ...]:
    if not isinstance(tasks, (str, list, tuple)):
        raise UserError(f"tasks is {tasks!r}, but must be names: choose from {', '.join(TASKS)}")
    names = tuple(part.strip() for part in tasks.split(",")) if isinstance(tasks, str) else tuple(tasks)
    for name in names:
        if not isinstance(name, str) or name not in TASKS:
            raise UserError(f"tasks: unknown task {name!r}: choose from {', '.join(TASKS)}")
    if not names or len(set(names)) < len(names):
        raise UserError(f"tasks: {', '.join(names) or 'none'} given: name at least one task, and each once")
    return names


def _number(name: str, value: Any, kind: type, low: float | None, high: float | None) -> int | float:
    """The value as a number of that kind within its bounds; text such as "1e-3" counts as a number."""
    wanted = "a whole number" if kind is int else "a number"
    try:
        number = float(value)
        fits = not isinstance(value, bool) and math.isfinite(number) and (kind is float or number == int(number))
    except (TypeError, ValueError, OverflowError):
        fits = False
    if fits and (low is None or number >= low) and (high is None or number <= high):
        return int(value) if kind is int and isinstance(value, Integral) else kind(number)  # a float loses digits
    bounds = f" from {low:,}" + (f" to {high:,}" if high is not None else " up") if low is not None else ""
    raise UserError(f"{name} is {value!r}, but must be {wanted}{bounds}")


def _choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UserError(f"{name} is {value!r}: choose from {', '.join(choices)}")


def from_dict(values: Mapping[str, Any]) -> Recipe:
    """A recipe from plain values; fields that are not given have their defaults."""
    names = {each.name for each in dataclasses.fields(Recipe)}
    for name in values:
        if name not in names:
            raise UserError(f"a recipe has no field {name!r}: choose from {', '.join(sorted(names))}")
    return Recipe(**values)


def settings(texts: list[str]) -> dict[str, Any]:
    """Changes from ``name=value`` texts; ``name.task=value`` sets a field for one task.

    Values are read as JSON where they are JSON (numbers, true, null, lists) and as text otherwise.
    """
    changes: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"--set {text!r}: write name=value")
        with contextlib.suppress(json.JSONDecodeError):
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
