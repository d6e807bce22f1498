"""Automatic checks of the workbook's exercises, one module per notebook: ``checks.attention`` and so on.

``checks.attention.weights(my_weights)`` tries the learner's function on fresh inputs and names the first property that
fails. It returns a Result and never raises, so that a notebook with open exercises runs to its end.
"""

import importlib
from types import ModuleType


def __getattr__(topic: str) -> ModuleType:
    try:
        return importlib.import_module(f"mtbert.checks.{topic}")
    except ModuleNotFoundError:
        raise AttributeError(f"there are no checks for {topic!r}") from None
