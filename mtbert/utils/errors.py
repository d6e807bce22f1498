"""The one exception that a user of mtbert is meant to read."""

import difflib
import reprlib
from collections.abc import Iterable
from typing import Any

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_LONGEST = 1500  # characters of a message


class UserError(ValueError):
    """Something the user gave is wrong. The message is one sentence: what, where, and what to do about it.

    The command line prints it without a traceback and exits with 1; a notebook shows it without one as well. A message
    that is still too long, because of a path, for example, loses its middle.
    """

    def __str__(self) -> str:
        return clip(super().__str__())

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback."""
        return [f"Error: {self}"]


def did_you_mean(name: str, known: Iterable[str], otherwise: str) -> str:
    """The end of a sentence about an unknown name: the known one that looks most like it, or else ``otherwise``."""
    nearest = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {nearest[0]!r}?" if nearest else otherwise


def clip(message: str) -> str:
    """A message of at most some lines: a longer one loses its middle."""
    if len(message) <= _LONGEST:
        return message
    return f"{message[: _LONGEST // 2]} ... {message[-_LONGEST // 2 :]}"


def shorten(value: Any) -> str:
    """A value as Python writes it, for messages: long texts, long lists and large numbers lose their middle."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # Python refuses to write numbers of more than 4,300 digits
        return f"a {type(value).__name__} of many digits"
