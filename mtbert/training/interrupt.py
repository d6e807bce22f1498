"""Stopping a run between two steps: by Ctrl-C, by ``kill``, when its terminal closes, or at a given time."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from mtbert.utils.environment import env_number

STOP_AT = "MTBERT_STOP_AT"  # seconds since 1970; from then on a run stops as if by Ctrl-C
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interrupted(Exception):
    """A run was stopped between two steps; its checkpoint is written. ``exit_code`` is that of the signal."""

    def __init__(self, message: str, exit_code: int = 128 + signal.SIGINT):
        super().__init__(message)
        self.exit_code = exit_code

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows in place of a traceback."""
        return [str(self)]


class StopRequest:
    """Called, it tells whether to stop: after a signal, or once the time in ``$MTBERT_STOP_AT`` has come."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self.stop_at = env_number(STOP_AT, float("inf"))

    def __call__(self) -> bool:
        return self.signal is not None or time.time() >= self.stop_at

    @property
    def exit_code(self) -> int:
        """What a shell expects of a process that a signal ended."""
        return 128 + (self.signal or signal.SIGINT)


@contextmanager
def graceful_interrupt() -> Iterator[StopRequest]:
    """Turn Ctrl-C, SIGTERM and SIGHUP into a flag that is read between steps; a second signal stops at once."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request  # signals only reach the main thread
        return

    def handle(signum, frame):
        if request.signal is not None:
            raise KeyboardInterrupt
        request.signal = signum

    ignored = [number for number in SIGNALS if signal.getsignal(number) is signal.SIG_IGN]  # as under nohup
    previous = {number: signal.signal(number, handle) for number in SIGNALS if number not in ignored}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
