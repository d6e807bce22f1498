"""Figures in one style. The drawings of a lesson are in the module named after it: ``plots.attention`` and so on."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
