"""What a step is: AdamW, its schedule, gradient surgery, loss weighting, and parameters as one vector."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
