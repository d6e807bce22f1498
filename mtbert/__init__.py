"""mtbert: a workbook on BERT and multi-task fine-tuning, and the small package behind it."""

import os

import lazy_loader

# Read when torch is loaded: threads sleep while they wait for each other. By default they spin, and where other
# programs share the cores, a training step then takes several times the processor time.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__version__ = "1.0.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # names load when they are first used
