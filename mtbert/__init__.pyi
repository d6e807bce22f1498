from . import bench as bench
from . import data as data
from . import experiments as experiments
from . import nn as nn
from . import optim as optim
from . import training as training
from . import utils as utils
from . import workbook as workbook
from .experiments.answers import ask as ask
from .experiments.recipes.named import RECIPES as RECIPES
from .experiments.recipes.named import recipe as recipe
from .nn.pooling import pool as pool
from .nn.pretrained import Encoder as Encoder
from .nn.pretrained import load_encoder as load_encoder
from .training.cuda_graphs import Execution as Execution
from .training.evaluation import evaluate as evaluate
from .training.interrupt import Interrupted as Interrupted
from .training.recipe import Recipe as Recipe
from .training.run import Run as Run
from .training.run import load_model as load_model
from .training.run import merge_runs as merge_runs
from .training.run import open_run as open_run
from .training.trainer import train as train
from .utils.device import get_device as get_device
from .utils.device import seed_everything as seed_everything
from .utils.errors import UserError as UserError

__version__: str
