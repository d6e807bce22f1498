"""How much of a device a training step uses: floating-point operations, counted, over what the device could do."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from mtbert import paths
from mtbert.files import write_whole
from mtbert.machine import describe
from mtbert.nn.bert import BertConfig

TABLE = paths.RESULTS / "throughput.csv"

# dense bfloat16 operations a second by the vendors' data sheets, under the names that the driver gives
_PEAKS = {
    "NVIDIA H200": 989e12,
    "NVIDIA H100 PCIe": 756e12,
    "NVIDIA H100": 989e12,
    "NVIDIA A100": 312e12,
    "NVIDIA L40S": 362e12,
    "NVIDIA L4": 121e12,
}


def training_flops(config: BertConfig, lengths: Tensor) -> float:
    """Operations that training the encoder on sequences of these lengths, (n,), asks for: forward and twice as many
    backward, two for each multiplication of the matrix products; padding is no part of them.

    6 * weights of the layers' matrices * tokens, and 12 * layers * hidden * length^2 a sequence for attention
    (Chowdhery et al. 2022, appendix B).
    """
    hidden, layers = config.hidden_size, config.num_hidden_layers
    weights = layers * (4 * hidden**2 + 2 * hidden * config.intermediate_size)
    lengths = lengths.double()
    return float(6 * weights * lengths.sum() + 12 * layers * hidden * lengths.square().sum())


def peak_flops(device: torch.device) -> float | None:
    """What a GPU could do in bfloat16, operations a second; None where that is not known here."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for known, peak in _PEAKS.items() if name.startswith(known)), None)


def utilisation(flops: float, seconds: float, peak: float | None) -> float | None:
    """MFU, model FLOPs utilisation: the share of ``peak`` that operations in so many seconds make; None without one."""
    return flops / seconds / peak if peak and seconds else None


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
