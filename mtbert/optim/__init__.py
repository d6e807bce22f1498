"""What a step is: parameters as one vector, AdamW, its schedule, and how the gradients of several tasks meet."""

from mtbert.optim.adamw import AdamW
from mtbert.optim.flat import FlatParameters, GradientVector, Segment
from mtbert.optim.loss_weighting import LOSS_WEIGHTINGS, build_loss_weighting
from mtbert.optim.schedule import learning_rate_factor
from mtbert.optim.surgery import Conflicts, Surgery
from mtbert.optim.weightings import GradVac, Orders, TorchJD, build_weighting, cosines, pcgrad

__all__ = [
    "LOSS_WEIGHTINGS", "AdamW", "Conflicts", "FlatParameters", "GradVac", "GradientVector", "Orders", "Segment",
    "Surgery", "TorchJD", "build_loss_weighting", "build_weighting", "cosines", "learning_rate_factor", "pcgrad",
]  # fmt: skip
