from . import checks as checks
from . import plots as plots
from .inside import attention_maps as attention_maps
from .inside import hidden_states as hidden_states
from .notebook import agree as agree
from .notebook import setup as setup
from .parameters import check_parameters as check_parameters
from .parameters import settings as settings
