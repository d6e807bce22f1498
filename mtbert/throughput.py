"""How much of a device training uses, and what benches keep of it."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from mtbert import flops, paths
from mtbert.files import write_whole
from mtbert.machine import describe

TABLE = paths.RESULTS / "throughput.csv"


def utilisation(operations: float, seconds: float, device: torch.device, peak: float | None = None) -> float | None:
    """MFU of so many operations in so many seconds. peak: what the device could do, operations a second; by default in
    bfloat16, from its datasheet. None where that is not known, as on a CPU."""
    if peak is None and device.type == "cuda":
        ceiling = flops.datasheet(torch.cuda.get_device_name(device))
        peak = ceiling and ceiling.operations
    return flops.utilisation(operations, seconds, peak) if peak and seconds else None


def record(rows: Iterable[Mapping[str, Any]]) -> Path:
    """Put rows of a bench into data/results/throughput.csv; one of the same bench, device, encoder, task, batch,
    precision and side replaces the older."""
    about = describe(torch.device("cpu"))
    known = {"torch": about["versions"]["torch"], "revision": about["revision"]}
    table = pd.DataFrame([{**row, **known} for row in rows])
    if TABLE.exists():
        table = pd.concat([pd.read_csv(TABLE), table], ignore_index=True)
    same = ["bench", "device", "encoder", "task", "batch", "precision", "side"]
    table["batch"] = table["batch"].astype(str)
    write_whole(TABLE, table.drop_duplicates(same, keep="last").to_csv(index=False))
    return TABLE
