"""Which of torch's operators a piece of work calls, and how often: on a GPU each of them is a launch, or several."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

_NO_WORK = {"_unsafe_view", "empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided"}


class _Calls(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        name = operator.overloadpacket.__name__
        if not operator.is_view and name not in _NO_WORK:  # looking at numbers, or making room for them, is no work
            self.counts[name] += 1
        return operator(*args, **(kwargs or {}))


def operator_calls(work: Callable[[], Any]) -> Counter[str]:
    """How often ``work()`` calls each operator, in its backward passes and its optimiser as well; views and allocations
    are left out."""
    with _Calls() as calls:
        work()
    return calls.counts
