"""What a model is: attention, BERT, pretrained weights, adapters, heads, losses, and the multitask model."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
