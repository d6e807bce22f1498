"""How long a call takes, for the lessons that time two ways of computing the same."""

import time
from collections.abc import Callable


def fastest(function: Callable[[], object], calls: int = 5) -> float:
    """The seconds of the fastest of several calls, after one that does not count.

    The fastest call is the one that other work on the machine has slowed down the least.

    Args:
        function: What to call.
        calls: How many calls are timed.
    """
    function()
    seconds = []
    for _ in range(calls):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
