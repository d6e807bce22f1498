"""What all tests share: one thread, a token cache of their own, data folders, and figures that are closed again."""

import itertools
import os
import signal
from collections.abc import Callable
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import matplotlib.pyplot as plt  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from helpers import Listener  # noqa: E402
from hypothesis import settings  # noqa: E402

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # its interpreter takes the GPU's place; read as Triton is imported

from mtbert.data import TASKS  # noqa: E402
from mtbert.utils import paths  # noqa: E402
from mtbert.utils.device import seed_everything  # noqa: E402
from mtbert.workbook.checks import engine  # noqa: E402

SEED = int(os.environ.get("MTBERT_TEST_SEED", "0"))
Draw = engine.Draw  # ``fixed_seed`` replaces it in the module

torch.set_num_threads(1)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start with Ctrl-C ignored
settings.register_profile("mtbert", deadline=None, derandomize=True)  # the same examples in every run, however slow
settings.load_profile("mtbert")
REAL_DATA = os.environ.get("MTBERT_DATA")  # as it was before the tests put it aside


@pytest.fixture(scope="session", autouse=True)
def environment(tmp_path_factory):
    """No test reads a user's data folder unasked, or writes into the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MTBERT_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("MTBERT_DATA", raising=False)
        yield


@pytest.fixture(scope="module", autouse=True)
def fixed_seed_of_module():
    """Module-scoped fixtures draw the same numbers in every run."""
    seed_everything(SEED)


@pytest.fixture(autouse=True)
def fixed_seed(monkeypatch):
    """Every test draws the same numbers in every run, including the checks of exercises.

    MTBERT_TEST_SEED=1, 2, ... draws others, to find tests that pass only for some seeds.
    """
    seed_everything(SEED)
    seeds = itertools.count(1_000_000 * SEED)
    monkeypatch.setattr(engine, "Draw", lambda seed: Draw(next(seeds) if seed is None else seed))


@pytest.fixture
def messages():
    """What the package logs during the test, as a list that grows."""
    listener = Listener()
    yield listener.messages
    listener.close()


@pytest.fixture
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def results_dir(monkeypatch, tmp_path) -> Path:
    """An empty folder in place of data/results."""
    monkeypatch.setattr(paths, "RESULTS", tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def sample() -> Path:
    """The folder of the data written for this project."""
    return paths.SAMPLE


@pytest.fixture(scope="session")
def first_rows(sample, tmp_path_factory) -> Callable[..., Path]:
    """Makes a folder with so many first rows of some sample files: ``first_rows("sst", "sts", train=12, dev=7)``."""

    def make(*tasks: str, **rows: int) -> Path:
        folder = tmp_path_factory.mktemp("data")
        for task in tasks:
            for split in rows.keys() & TASKS[task].files.keys():
                name = TASKS[task].files[split]
                lines = (sample / name).read_text(encoding="utf-8").splitlines(keepends=True)
                (folder / name).write_text("".join(lines[: rows[split] + 1]), encoding="utf-8")
        return folder

    return make


@pytest.fixture(scope="session")
def few_rows(first_rows) -> Path:
    """A folder with the first sixteen rows of each sample file."""
    return first_rows(*TASKS, train=16, dev=16, test=16)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real sets, where MTBERT_DATA names one."""
    if not REAL_DATA or not Path(REAL_DATA).is_dir():
        pytest.skip("needs the real data sets: set MTBERT_DATA to their folder")
    return Path(REAL_DATA).resolve()
