"""How a run is made: the recipe, the trainer, checkpoints, evaluation, and the record of a run."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
