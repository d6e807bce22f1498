"""How nbval compares outputs: exact text in cells tagged nbval-check-output; never HTML or progress bars."""


def pytest_collectstart(collector):
    if collector.fspath and collector.fspath.ext == ".ipynb":
        collector.skip_compare += ("text/html", "stderr", "image/png", "application/vnd.jupyter.widget-view+json")
