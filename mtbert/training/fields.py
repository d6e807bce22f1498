"""Types of a recipe's fields: what they accept, and one sentence for what they refuse."""

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from numbers import Real
from typing import Annotated, Any, TypeVar, get_args

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, ValidationInfo

from mtbert.data.tasks import TASKS
from mtbert.data.tokens import Encoding
from mtbert.utils.errors import UserError, did_you_mean, shorten

_PHRASES = {
    "Input should": "must",
    "String should": "must",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
}
_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?\s*", re.ASCII | re.IGNORECASE)
LARGEST = 2**63 - 1  # torch's largest whole number
LARGEST_FLOAT = 1e30  # beyond it, products overflow in float32
LONGEST, LONGEST_NAME = 4096, 150  # characters of a path, bytes of a name: files are called after it
# what a mapping stands for where it leaves out a task; max_length and positive_threshold are then the Task's own
_LEFT_OUT = {
    "encoding": "cross",
    "head": "linear",
    "loss": "default",
    "batch_size": 32,
    "similarity_scale": 20.0,
    "triplet_margin": 0.5,
    "smart_weight": 0.0,
    "rdrop_weight": 0.0,
    "label_smoothing": 0.0,
}


def _text(value: Any) -> str:
    """A text, number or path as text; whatever else Python would write out, such as None, is refused."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float, os.PathLike)):
        raise ValueError("must be text")
    text = os.fspath(value) if isinstance(value, os.PathLike) else str(value)
    if not isinstance(text, str) or not text.strip():
        raise ValueError("must not be empty")
    if not text.isprintable() or len(text) > LONGEST:
        raise ValueError(f"must be at most {LONGEST} printable characters")
    return text


def _name(value: Any) -> str:
    """A text that names a folder: REPORT/ROW is allowed, and becomes REPORT-ROW; other paths are not."""
    text = _text(value)
    if "\\" in text or any(not part.strip(" .") for part in text.split("/")):
        raise ValueError("must be a name such as mixed or li-tang/seq, not a path")
    if len(text.encode()) > LONGEST_NAME:
        raise ValueError(f"must have at most {LONGEST_NAME} bytes")
    return text


def to_number(value: Any) -> Any:
    """Read text such as "1e-3" as a number. What Python accepts by accident is refused: True, "1_0", digits of
    other scripts."""
    is_number = _NUMBER.fullmatch(value) if isinstance(value, str) else isinstance(value, Real)
    if not is_number or isinstance(value, bool):
        raise ValueError("must be a number")
    for kind in (int, float) if isinstance(value, str) else ():
        with contextlib.suppress(ValueError):
            return kind(value)
    return value


def to_whole_number(value: Any) -> Any:
    """The same for integers: 1e3 is 1000, however large."""
    value = to_number(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def task_names(tasks: Any) -> tuple[str, ...]:
    """Names of tasks from a list, or from text with commas. UserError unless they exist and each occurs once."""
    if not isinstance(tasks, (str, list, tuple)):
        raise UserError(f"tasks is {shorten(tasks)}, but must be names: choose from {', '.join(TASKS)}")
    names = tuple(part.strip() for part in tasks.split(",")) if isinstance(tasks, str) else tuple(tasks)
    for name in names:
        if not isinstance(name, str) or name not in TASKS:
            raise UserError(f"tasks: unknown task {shorten(name)}: choose from {', '.join(TASKS)}")
    if not names or len(set(names)) < len(names):
        raise UserError(f"tasks: {', '.join(names) or 'none'} given: name at least one task, and each once")
    return names


def _by_task(value: Any, info: ValidationInfo) -> dict[str, Any]:
    """The value of a field for each task of the recipe, from one value for all tasks or from a mapping."""
    field, tasks = str(info.field_name), info.data.get("tasks", ())
    for task in value if isinstance(value, Mapping) else ():
        if task not in TASKS:
            raise UserError(f"{field}: unknown task {shorten(task)}: choose from {', '.join(TASKS)}")
    values = {}
    for task in tasks:
        default = _LEFT_OUT.get(field, getattr(TASKS[task], field, None))
        values[task] = value.get(task, default) if isinstance(value, Mapping) else value
        unused = field == "encoding" and not TASKS[task].is_pair
        if unused and values[task] not in get_args(Encoding):  # what means nothing is kept, to be refused
            unused = not isinstance(value, Mapping) and any(TASKS[name].is_pair for name in tasks)
        if unused or (default is None and values[task] is None):
            del values[task]
    return values


def one_of(choices: Iterable[str]) -> Any:
    """The constraint that a text is one of ``choices``, which may be known at run time only."""
    return Field(pattern=rf"^({'|'.join(choices)})$")


class Frozen(Mapping[str, Any]):
    """A hashable, read-only copy of a mapping; it equals every mapping of the same items."""

    def __init__(self, items: Mapping[str, Any]):
        self._items = dict(items)

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return repr(self._items)


default_for_all: Callable[[Any], Any] = Field  # the default of a PerTask field, as one value for all tasks
T = TypeVar("T")
PerTaskValue = Annotated[Mapping[str, T], BeforeValidator(_by_task), AfterValidator(Frozen)]
Text = Annotated[str, BeforeValidator(_text)]
Name = Annotated[str, BeforeValidator(_name)]
Count = Annotated[int, Field(ge=1, le=LARGEST), BeforeValidator(to_whole_number)]
Repeats = Annotated[int, Field(ge=1, le=100_000), BeforeValidator(to_whole_number)]  # of what takes memory or time
NonNegative = Annotated[float, Field(ge=0, le=LARGEST_FLOAT), BeforeValidator(to_number)]
Fraction = Annotated[float, Field(ge=0, le=1), BeforeValidator(to_number)]
Dropout = Annotated[float, Field(ge=0, le=0.999), BeforeValidator(to_number)]


def error_message(error: ValidationError, fields: Mapping[str, Any], known: Iterable[str]) -> str:
    """One sentence for the first error that pydantic found in the given ``fields``, of those that are ``known``."""
    first = error.errors(include_url=False)[0]
    kind, context = first["type"], first.get("ctx", {})
    reason = str(context["error"]) if kind == "value_error" else first["msg"]
    for pydantics, ours in _PHRASES.items():
        reason = reason.replace(pydantics, ours)
    if isinstance(context.get("error"), UserError):
        return reason
    name, *task = map(str, first["loc"])
    if kind == "extra_forbidden":
        return f"a recipe has no field {shorten(name)}: {did_you_mean(name, known, 'choose from ' + ', '.join(known))}"
    value = fields[name]
    if task and isinstance(value, Mapping):
        value = value[task[0]]
    if kind == "string_pattern_mismatch":
        reason = f"must be one of {context['pattern'][2:-2].replace('|', ', ')}"
    return f"{'.'.join((name, *task))} is {shorten(value)}, but {reason}"
