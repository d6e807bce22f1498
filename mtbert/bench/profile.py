"""Where the time of a training step goes, by part of the model."""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from mtbert.bench.sides import Job, Ours
from mtbert.bench.workload import optimizer_step, task_inputs
from mtbert.utils import paths
from mtbert.utils.device import environment_info
from mtbert.utils.tables import upsert_csv

# A part, and the names of operators and of autograd's nodes that stand for it. The first part that fits counts.
_PARTS = {
    "AdamW": {"AdamW"},
    "attention": {"_GroupedAttention", "_GroupedAttentionBackward"},
    "GELU": {"aten::gelu", "aten::gelu_backward"},
    "linear": {"_Linear", "_LinearBackward", "aten::linear", "AddmmBackward0"},
    "LayerNorm": {"aten::layer_norm", "NativeLayerNormBackward0"},
    "embedding": {"aten::embedding", "EmbeddingBackward0"},
    "dropout": {"aten::random_", "aten::ge", "aten::mul", "aten::mul_", "MulBackward0"},
}


def profile_step(
    folder: Path, encoder: str, task: str, batch_size: int, steps: int, device: torch.device, warm_up: int = 3
) -> dict[str, float]:
    """Milliseconds of mtbert's training step, by part: the operators' own time, and as "rest" all that has no part."""
    described, dataset, batches = task_inputs(folder, encoder, task, batch_size, warm_up + steps)
    side = Ours(Job(encoder, described, dataset, device))
    for rows in batches[:warm_up]:
        side.step(rows)
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for rows in batches[warm_up:]:
            with record_function("forward"):
                loss = side.losses(side.micro_batch({task: rows}))[task]
            with record_function("backward"):
                parameters = side.flat.backward(loss)
            with record_function("AdamW"):
                optimizer_step(side.optimizer, parameters)
    spent = dict.fromkeys(("linear, forward", "linear, backward", *_PARTS, "rest"), 0.0)
    del spent["linear"]
    for event in profiler.events():
        spent[part_of(_names(event))] += event.self_cpu_time_total / 1000 / steps
    return spent


def part_of(names: Iterable[str]) -> str:
    """The part that an operator belongs to, from its name and those of all that it runs in."""
    within = {name.removeprefix("autograd::engine::evaluate_function: ") for name in names}
    part = next((part for part, marks in _PARTS.items() if marks & within), "rest")
    return f"linear, {'backward' if 'backward' in within else 'forward'}" if part == "linear" else part


def _names(event) -> Iterable[str]:
    while event is not None:
        yield event.name
        event = event.cpu_parent


def record_profile(spent: dict[str, float], encoder: str, task: str, batch_size: int, steps: int) -> Path:
    """Add a profile to data/results/step_profile.csv, in place of one of the same device, encoder, task and batch."""
    about = environment_info(torch.device("cpu"))
    common = {
        "device": about["device"],
        "threads": about["threads"],
        "encoder": encoder,
        "task": task,
        "batch": batch_size,
        "steps": steps,
    }
    total, versions = sum(spent.values()), {"torch": about["versions"]["torch"], "revision": about["revision"]}
    rows = [
        {**common, "part": part, "ms": round(ms, 2), "share": round(ms / total, 4), **versions}
        for part, ms in spent.items()
    ]
    return upsert_csv(paths.RESULTS / "step_profile.csv", rows, ["device", "encoder", "task", "batch", "part"])
