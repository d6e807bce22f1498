"""Wrong answers as small edits of right ones."""

import inspect
from collections.abc import Callable


def edited(function: Callable, *edits: str) -> Callable:
    """The function with pieces of its source replaced: ``edited(f, "old => new", ...)``."""
    source = inspect.getsource(function)
    for old, new in (edit.split(" => ") for edit in edits):
        assert old in source, f"{old!r} is not in the source of {function.__name__}"
        source = source.replace(old, new)
    names = dict(function.__globals__)
    exec(source, names)  # noqa: S102
    return names[function.__name__]
