"""The encoder's layers through torch.compile, in training only."""

import torch
from torch import Tensor, nn

from mtbert.data.batch import PackedBatch
from mtbert.nn.bert import AdapterHook, Bert, Layer, identity


def compile_layers(bert: Bert, **options) -> None:
    """Compile a BERT's layers in place: neighboring elementwise operations become one kernel.

    Evaluation and layers with adapters stay uncompiled. All layers share what is compiled for one. The options are
    torch.compile's, such as ``dynamic``: True for batches of any number of tokens; None where most batches have the
    same number, which then get kernels of their own.
    """
    # kernels of their own: there is nothing to compile
    attend, attend_first = torch.compiler.disable(Layer.attend), torch.compiler.disable(Layer.attend_first)
    for layer in bert.layers:
        layer.attend, layer.attend_first = attend, attend_first
        layer.forward = _compile_in_training(layer, options)


def _compile_in_training(layer: nn.Module, options: dict):
    eager, compiled = layer.forward, torch.compile(layer.forward, **options)

    def forward(x: Tensor, batch: PackedBatch, hook: AdapterHook = identity, first_only: bool = False) -> Tensor:
        return (compiled if layer.training and hook is identity else eager)(x, batch, hook, first_only)

    return forward
