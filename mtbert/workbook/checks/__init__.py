"""Automatic checks of the exercises, one module per notebook: ``checks.attention`` and so on.

``checks.attention.weights(my_weights)`` tries the learner's function on fresh inputs and names the first property that
fails. It returns a Result and never raises, so a notebook with open exercises still runs to its end.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
