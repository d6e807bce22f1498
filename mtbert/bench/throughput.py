"""What the benches record."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from mtbert.utils import paths
from mtbert.utils.device import environment_info
from mtbert.utils.files import atomic_write

TABLE = paths.RESULTS / "throughput.csv"


def record(rows: Iterable[Mapping[str, Any]]) -> Path:
    """Put rows of a bench into data/results/throughput.csv; one of the same bench, device, encoder, task, batch,
    precision and side replaces the older."""
    about = environment_info(torch.device("cpu"))
    known = {"torch": about["versions"]["torch"], "revision": about["revision"]}
    table = pd.DataFrame([{**row, **known} for row in rows])
    if TABLE.exists():
        table = pd.concat([pd.read_csv(TABLE), table], ignore_index=True)
    same = ["bench", "device", "encoder", "task", "batch", "precision", "side"]
    table["batch"] = table["batch"].astype(str)
    atomic_write(TABLE, table.drop_duplicates(same, keep="last").to_csv(index=False))
    return TABLE
