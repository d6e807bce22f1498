"""The smallest multi-task model: one linear layer on frozen vectors that all tasks share, and a head for each."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtbert.training.evaluation import pearson

Loss = Callable[[Tensor, Tensor], Tensor]


class SharedLayer(nn.Module):
    """A shared linear layer, a linear head for "sst", and a scaled cosine for "quora" and "sts".

    Args:
        width: The width of the texts' vectors.
        inner: The width of the shared layer.
    """

    def __init__(self, width: int = 384, inner: int = 64):
        super().__init__()
        self.shared, self.sentiment = nn.Linear(width, inner), nn.Linear(inner, 5)
        lines = {"quora": torch.tensor([10.0, -5.0]), "sts": torch.tensor([5.0, 0.0])}  # slope and offset of the cosine
        self.lines = nn.ParameterDict(lines)

    def logits(self, task: str, texts: Tensor) -> Tensor:
        """texts (rows, texts of a row, width) -> (rows, 5) for "sst", and (rows,) for the others."""
        hidden = self.shared(texts)
        if task == "sst":
            return self.sentiment(hidden[:, 0].tanh())
        slope, offset = self.lines[task]
        return slope * torch.cosine_similarity(hidden[:, 0], hidden[:, 1]) + offset

    def loss(self, task: str, texts: Tensor, labels: Tensor) -> Tensor:
        """The mean loss of a batch: cross-entropy, or the squared error for "sts"; labels (rows,)."""
        logits = self.logits(task, texts)
        if task == "sst":
            return F.cross_entropy(logits, labels.long())
        losses: dict[str, Loss] = {"quora": F.binary_cross_entropy_with_logits, "sts": F.mse_loss}
        return losses[task](logits, labels)

    @torch.no_grad()
    def score(self, task: str, texts: Tensor, labels: Tensor) -> float:
        """Accuracy, or Pearson's r for "sts"."""
        logits = self.logits(task, texts)
        if task == "sts":
            return pearson(logits.tolist(), labels.tolist())
        predicted = logits.argmax(1) if task == "sst" else logits > 0
        return (predicted == labels).double().mean().item()
