"""The package's logger, "mtbert", which writes to standard output."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger("mtbert")
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class _StdoutHandler(logging.StreamHandler):
    """Writes to the current ``sys.stdout``: a notebook cell, a captured stream, or a terminal."""

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
    """Show messages from this level up within the block."""
    before = logger.level
    set_verbosity(level)
    try:
        yield
    finally:
        logger.setLevel(before)
