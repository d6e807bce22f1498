"""How nbval compares outputs: exact text in cells tagged nbval-check-output; never HTML or progress bars.

Where pytest runs several notebooks at a time (-n), their kernels compute on one thread each.
"""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collectstart(collector):
    if collector.fspath and collector.fspath.ext == ".ipynb":
        collector.skip_compare += (
            "text/html",
            "stderr",
            "image/png",
            "application/vnd.jupyter.widget-view+json",
        )
