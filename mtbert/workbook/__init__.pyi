from . import checks as checks
from . import plots as plots
from .parameters import check_parameters as check_parameters
from .parameters import settings as settings
