"""What a model is: attention, BERT, pretrained weights, heads, losses, and the multitask model."""

from mtbert.nn.adapters import ADAPTERS, TaskAdapters, build_adapter
from mtbert.nn.bert import Bert, BertConfig
from mtbert.nn.heads import HEADS, build_head
from mtbert.nn.losses import LOSSES, build_loss, task_loss
from mtbert.nn.model import MultitaskModel
from mtbert.nn.pooling import pool
from mtbert.nn.pretrained import Encoder, load_encoder

__all__ = [
    "ADAPTERS",
    "HEADS",
    "LOSSES",
    "Bert",
    "BertConfig",
    "Encoder",
    "MultitaskModel",
    "TaskAdapters",
    "build_adapter",
    "build_head",
    "build_loss",
    "load_encoder",
    "pool",
    "task_loss",
]
