"""mtbert: a workbook on BERT and multi-task fine-tuning, and the small package behind it."""

from mtbert import data, nn, optim
from mtbert.errors import UserError
from mtbert.evaluate import evaluate
from mtbert.execution import Execution
from mtbert.interrupt import Interrupted
from mtbert.machine import pick_device, reproducible
from mtbert.nn.pooling import pool
from mtbert.nn.pretrained import Encoder, load_encoder
from mtbert.recipes import RECIPES, Recipe, recipe
from mtbert.run import Run, join_runs, load_model, open_run
from mtbert.train import train

__version__ = "0.1.0"
__all__ = [
    "RECIPES", "Encoder", "Execution", "Interrupted", "Recipe", "Run", "UserError", "data", "evaluate", "join_runs",
    "load_encoder", "load_model", "nn", "open_run", "optim", "pick_device", "pool", "recipe", "reproducible", "train",
]  # fmt: skip
