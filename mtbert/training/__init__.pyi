from .recipe import Recipe as Recipe
from .recipe import recipe_schema as recipe_schema
from .run import Run as Run
from .trainer import Trainer as Trainer
from .trainer import train as train
