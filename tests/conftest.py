"""What all tests share: one thread, a token cache of their own, and the two data folders."""

import os
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import pytest  # noqa: E402
import torch  # noqa: E402
from hypothesis import settings  # noqa: E402

from mtbert import paths  # noqa: E402

torch.set_num_threads(1)
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


@pytest.fixture(scope="session")
def sample() -> Path:
    """The folder of the data written for this project."""
    return paths.SAMPLE


@pytest.fixture(scope="session")
def few_rows(sample, tmp_path_factory) -> Path:
    """A folder with the first sixteen rows of each of its files."""
    folder = tmp_path_factory.mktemp("few_rows")
    for path in sample.glob("*.csv"):
        lines = path.read_text(encoding="utf-8").split("\n")
        (folder / path.name).write_text("\n".join(lines[:17]), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real sets, where MTBERT_DATA names one."""
    if not REAL_DATA or not Path(REAL_DATA).is_dir():
        pytest.skip("needs the real data sets: set MTBERT_DATA to their folder")
    return Path(REAL_DATA).resolve()
