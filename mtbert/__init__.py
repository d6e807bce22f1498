"""mtbert: a workbook on BERT and multi-task fine-tuning, and the small package behind it."""

import lazy_loader

__version__ = "1.0.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # names load when they are first used
