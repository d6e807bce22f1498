"""What a step is: parameters as one vector, AdamW, and the learning-rate schedule."""

from mtbert.optim.adamw import AdamW
from mtbert.optim.flat import FlatParameters, Segment
from mtbert.optim.schedule import learning_rate_factor

__all__ = ["AdamW", "FlatParameters", "Segment", "learning_rate_factor"]
