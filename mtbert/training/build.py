"""The model of a recipe, and which of its parameters are trained."""

import torch

from mtbert.nn.adapters import AdapterShape, build_adapter
from mtbert.nn.losses import LOSSES, LossSettings, build_loss
from mtbert.nn.model import MultitaskModel
from mtbert.nn.pretrained import Encoder
from mtbert.training.recipe import Recipe
from mtbert.utils.errors import UserError


def build_model(recipe: Recipe, encoder: Encoder) -> MultitaskModel:
    """The model that a recipe describes; heads and adapters are initialized from the recipe's seed.

    Raises UserError as ``MultitaskModel`` does.
    """
    losses = {}
    for name, task in zip(recipe.tasks, recipe.task_list, strict=True):
        fields = recipe.similarity_scale, recipe.triplet_margin, recipe.positive_threshold, recipe.label_smoothing
        constants = [field[name] for field in fields]
        losses[name] = build_loss(recipe.loss[name], task, LossSettings(*constants))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        reading = recipe.task_list, recipe.head, recipe.encoding, recipe.max_length, recipe.pooling
        smart, rdrop = recipe.smart_weight, recipe.rdrop_weight
        model = MultitaskModel(encoder, *reading, recipe.head_dropout, losses, smart, rdrop_weight=rdrop)
        if recipe.adapter != "none":
            size, activation = recipe.adapter_size or 0, recipe.adapter_activation
            shape = AdapterShape(size, recipe.adapter_heads, recipe.adapter_projections, activation)
            for task in recipe.tasks:
                model.adapters[task] = build_adapter(recipe.adapter, encoder.config, shape)
        return model


def freeze(model: MultitaskModel, recipe: Recipe) -> None:
    """Leave a gradient only to what the recipe trains. Raises UserError if that is nothing."""
    model.bert.requires_grad_(recipe.trainable == "all")
    model.bert.pooler.requires_grad_(recipe.trainable == "all" and recipe.pooling == "pooler")
    if recipe.trainable == "adapters_and_norms":
        for norm in model.layer_norms().values():
            norm.requires_grad_(True)
    for task in recipe.tasks:
        if not LOSSES[recipe.loss[task]].trains_head and not recipe.smart_weight[task]:
            model.heads[task].requires_grad_(False)  # its loss reads vectors: no gradient ever reaches the head
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UserError("nothing to train: the encoder is frozen (trainable=heads) and the heads have no weights")
