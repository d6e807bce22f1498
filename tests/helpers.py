"""What several test modules share and no fixture can give."""

import logging
from collections.abc import Sequence

import torch
from torch import nn

from mtbert.data.batch import PackedBatch, pack_sequences
from mtbert.nn.bert import BertConfig
from mtbert.utils.logging import logger

NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def small_config(**changes) -> BertConfig:
    """A BERT of two narrow layers, without dropout."""
    sizes = {"vocab_size": 40, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
    return BertConfig(**{**sizes, "intermediate_size": 16, "max_position_embeddings": 24, **NO_DROPOUT, **changes})


def random_batch(lengths: Sequence[int], seed: int = 0, vocab: int = 40, types: int = 2) -> PackedBatch:
    """Sequences of these lengths with random ids and token types."""
    generator = torch.Generator().manual_seed(seed)
    ids, kinds = ([torch.randint(high, (n,), generator=generator).tolist() for n in lengths] for high in (vocab, types))
    return pack_sequences(ids, kinds)


def owner(name: str) -> str:
    """The owner of a parameter: its task, or "encoder" for what tasks share."""
    return name.split(".")[1] if name.startswith(("heads.", "adapters.")) else "encoder"


@torch.no_grad()
def away_from_zero(module: nn.Module) -> nn.Module:
    """The module with some noise on every parameter, so that none is zero or one and no gradient is tiny."""
    for parameter in module.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    return module


class Listener(logging.Handler):
    """Keeps what the package logs from now on."""

    def __init__(self):
        super().__init__()
        self.messages: list[str] = []
        logger.addHandler(self)

    def emit(self, record):
        self.messages.append(record.getMessage())

    def close(self):
        logger.removeHandler(self)
        super().close()


def listen() -> list[str]:
    """A list that grows with what the package logs, until the process ends."""
    return Listener().messages
