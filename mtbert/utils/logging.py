"""The package's messages: one logger, "mtbert", whose lines go to standard output unless an application takes them."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger("mtbert")
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class _StdoutHandler(logging.StreamHandler):
    """Writes to whatever ``sys.stdout`` is at the time: a notebook cell, a captured stream, a terminal."""

    def __init__(self):
        logging.Handler.__init__(self)

    @property
    def stream(self):
        return sys.stdout


logger.addHandler(_StdoutHandler())
logger.setLevel(logging.INFO)


def set_verbosity(level: str) -> None:
    """Show messages from this level up.

    Args:
        level: "debug", "info" (the default: a line an epoch), "warning" or "error".
    """
    logger.setLevel(LEVELS[level])


@contextmanager
def verbosity(level: str) -> Iterator[None]:
    """Show messages from this level up for as long as the block runs."""
    before = logger.level
    set_verbosity(level)
    try:
        yield
    finally:
        logger.setLevel(before)
