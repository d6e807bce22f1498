"""The one exception that a user of mtbert is meant to read."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Something the user gave is wrong. The message is one sentence: what, where, and what to do about it.

    The command line prints it without a traceback and exits with 1.
    """


def did_you_mean(name: str, known: Iterable[str], otherwise: str) -> str:
    """The end of a sentence about an unknown name: the known one that looks most like it, or else ``otherwise``."""
    nearest = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {nearest[0]!r}?" if nearest else otherwise
