from . import checks as checks
from . import plots as plots
