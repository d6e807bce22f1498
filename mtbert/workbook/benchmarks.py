"""Recorded benchmarks of data/results as tables for notebook 12."""

from pathlib import Path

import pandas as pd
import torch

from mtbert.data.tasks import TASKS
from mtbert.experiments.results import read_table
from mtbert.utils import paths
from mtbert.utils.device import environment_info
from mtbert.utils.files import atomic_write, file_sha256
from mtbert.workbook import padding

_FILLS = "fill.csv"
_SETTING = ["device", "threads", "encoder", "rows"]
_STEP = ["device", "encoder", "batch", "precision"]
_PROFILED = ["device", "threads", "encoder", "batch"]


def record_fills(shares: pd.DataFrame, data: Path, seed: int) -> None:
    """Keep the result of ``padding.fills`` on a data folder in data/results/fill.csv."""
    checksums = [file_sha256(data / TASKS[name].files["train"]) for name in shares.index]
    revision = environment_info(torch.device("cpu"))["revision"]
    record = shares.assign(seed=seed, train_sha256=checksums, revision=revision)
    atomic_write(paths.RESULTS / _FILLS, record.rename_axis("data set").to_csv(float_format="%.4f"))


def fills() -> pd.DataFrame:
    """The fill of batches of 32 real rows: data sets (rows) by way to form batches (columns)."""
    return read_table(paths.RESULTS / _FILLS).set_index("data set")[[*padding.WAYS, "packed"]]


def ladder() -> pd.DataFrame:
    """The rungs of ``bench ladder`` on real rows as recorded last on a CPU, by name."""
    table = read_table(paths.RESULTS / "ladder.csv")
    table = table[(table.data == "real") & table.device.str.startswith("cpu")]
    same = (table[_SETTING] == table[_SETTING].iloc[-1]).all(axis=1)
    return table[same].set_index("rung")


def steps() -> pd.DataFrame:
    """Examples per second of ``bench step`` on real rows as recorded last on a CPU, uncompiled: sides by tasks."""
    table = read_table(paths.RESULTS / "throughput.csv")
    table = table[(table.bench == "step") & table.device.str.startswith("cpu") & ~table["compile"]]
    table = table[(table[_STEP] == table[_STEP].iloc[-1]).all(axis=1)]
    speed = table.pivot(index="side", columns="task", values="examples_per_second")
    return speed.loc[table.side.unique(), table.task.unique()]


def step_profile() -> pd.DataFrame:
    """The parts of a training step on real rows as recorded last, in ms: tasks (rows) by parts (columns)."""
    table = read_table(paths.RESULTS / "step_profile.csv")
    last = table[(table[_PROFILED] == table[_PROFILED].iloc[-1]).all(axis=1)]
    parts = last.pivot(index="task", columns="part", values="ms")
    return parts.loc[last.task.unique(), last.part.unique()]


def setting(table: pd.DataFrame) -> str:
    """What a recorded ladder was measured with, in one line."""
    last = table.iloc[-1]
    threads = f"{last.threads} thread{'s' if last.threads > 1 else ''}"
    return f"{last.encoder}, {last.rows} rows, {last.steps} steps per rung, {threads}, {last.device}."
