"""Automatic checks of the exercises, one module per notebook: ``checks.attention`` and so on.

``checks.attention.weights(my_weights)`` tries the learner's function on new random inputs and names the first property
that fails. It returns a Result and does not raise, so that a notebook with open exercises still runs to its end. With
``strict=True`` it raises AssertionError instead, and with ``seed=0`` it repeats the same inputs.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
