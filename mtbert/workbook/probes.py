"""What the linear probes of notebook 02 reach on real rows, as data/results/probes.csv keeps it."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from mtbert.data.tasks import TASKS
from mtbert.experiments.results import read_table
from mtbert.utils import paths
from mtbert.utils.device import environment_info
from mtbert.utils.files import file_sha256
from mtbert.utils.tables import upsert_csv

_TABLE = "probes.csv"
_KEY = ("vectors", "rows", "seed", "train_sha256", "dev_sha256")
_DECIMALS = {"accuracy": 3, "points behind": 1, "standard error": 1}


def record_probes(right: Mapping[str, Tensor], data: Path, rows: int, seed: int) -> None:
    """Keep what probes on MiniLM's vectors reach on the SST rows of a data folder, in place of their older rows.

    Args:
        right: Kind of vectors -> whether the probe is right, (dev rows,) bool. The others are compared with the first:
            how many points of accuracy they are behind it, and the standard error of that.
        data: The data folder.
        rows: Number of training rows.
        seed: Seed of the choice of training rows, and of the random weights.
    """
    machine = environment_info(torch.device("cpu"))
    origin = {
        "rows": rows,
        "seed": seed,
        **{f"{split}_sha256": file_sha256(data / TASKS["sst"].files[split]) for split in ("train", "dev")},
        **{name: machine[name] for name in ("device", "threads")},
        "torch": machine["versions"]["torch"],
        "revision": machine["revision"],
    }
    first = next(iter(right.values())).double()
    table = []
    for name, of_row in right.items():
        points = 100 * (first - of_row.double())
        values = (of_row.double().mean(), points.mean(), points.std() / len(points) ** 0.5)
        scores = {column: value.item() for column, value in zip(_DECIMALS, values, strict=True)}
        table.append({"vectors": name} | scores | origin)
    upsert_csv(paths.RESULTS / _TABLE, table, _KEY)


def recorded_probes(rows: int = 1500, seed: int = 0) -> pd.DataFrame:
    """The scores that ``record_probes`` kept for so many training rows and that seed: a row per kind of vectors."""
    table = read_table(paths.RESULTS / _TABLE)
    table = table[(table.rows == rows) & (table.seed == seed)]
    return table.set_index("vectors")[[*_DECIMALS]].round(_DECIMALS)
