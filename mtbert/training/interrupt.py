"""Stopping a run between two steps: by Ctrl-C, or at a given time."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STOP_AT = "MTBERT_STOP_AT"  # seconds since 1970; from then on a run stops as if by Ctrl-C


class Interrupted(Exception):
    """A run was stopped between two steps; its checkpoint is written."""

    exit_code = 130


@contextmanager
def graceful_interrupt() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C into a flag that is read between steps; a second Ctrl-C stops at once.

    Yields a function that tells whether to stop: after Ctrl-C, or once the time in ``$MTBERT_STOP_AT`` has come.
    """
    requested = threading.Event()
    stop_at = float(os.environ.get(STOP_AT, "inf"))

    def is_requested() -> bool:
        return requested.is_set() or time.time() >= stop_at

    if threading.current_thread() is not threading.main_thread():
        yield is_requested  # signals only reach the main thread
        return

    def handle(signum, frame):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        requested.set()

    previous = signal.signal(signal.SIGINT, handle)
    try:
        yield is_requested
    finally:
        signal.signal(signal.SIGINT, previous)
