from .entry import Entry as Entry
from .named import RECIPES as RECIPES
from .named import about_report as about_report
from .named import recipe as recipe
from .named import report_names as report_names
from .scale import Scale as Scale
from .scale import scale_of as scale_of
from .scale import scaled as scaled
