"""Stopping a run between two of its steps, whoever asks for it."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STOP_AT = "MTBERT_STOP_AT"  # a time, in seconds since 1970, from which on a run stops as if by Ctrl-C


class Interrupted(Exception):
    """Ctrl-C stopped a run between two steps; its checkpoint is written."""

    exit_code = 130


@contextmanager
def graceful_interrupt() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C into a question asked between steps; a second Ctrl-C stops at once. ``$MTBERT_STOP_AT`` asks too."""
    asked = threading.Event()
    stop_at = float(os.environ.get(STOP_AT, "inf"))

    def is_asked() -> bool:
        return asked.is_set() or time.time() >= stop_at

    if threading.current_thread() is not threading.main_thread():
        yield is_asked  # signals only reach the main thread
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(number, frame):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        asked.set()

    signal.signal(signal.SIGINT, ask)
    try:
        yield is_asked
    finally:
        signal.signal(signal.SIGINT, before)
