"""Named recipes: our own, and one module per report.

To add a report, write a module like ``li_tang.py``: its docstring says what the report leaves open and what we chose,
its ``ROWS`` map the name of each row to an ``Entry``. Add it to ``_REPORTS`` in ``named.py``, and its
printed figures as a file of that name in data/reports, whose README describes the columns. The commands ``recipes``,
``train`` and ``sweep`` then know it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
