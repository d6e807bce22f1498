from .recipe import Recipe as Recipe
from .run import Run as Run
from .trainer import Trainer as Trainer
from .trainer import train as train
