"""What a step with gradient surgery costs, beside a plain step, TorchJD's, and a textbook implementation."""

import copy
import random
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from mtbert.bench.timing import Side, interleave, step_memory_mb, steps_per_turn
from mtbert.bench.workload import LR, WEIGHT_DECAY, PackedStep, Rows, Workload, random_batches, read_datasets
from mtbert.data.batch import PackedBatch
from mtbert.nn.pretrained import load_encoder
from mtbert.optim import Surgery, TaskPermutations, pcgrad
from mtbert.training.cuda_graphs import Execution
from mtbert.training.dataset import MicroBatch
from mtbert.utils.extras import missing_extra


@dataclass(frozen=True)
class Cost:
    """What a step of one side costs."""

    side: str
    seconds: float
    step_memory_mb: float | None  # allocated at the peak beyond what is held before; None if it cannot be measured


class PlainSum(PackedStep):
    """mtbert without surgery: one forward pass, and one backward pass of the summed losses."""


class PCGrad(PlainSum):
    """mtbert with PCGrad: one forward pass, one backward pass into each task's row of J, T x T arithmetic."""

    def prepare(self) -> None:
        super().prepare()
        self.permutations = TaskPermutations()
        self.surgery = Surgery(self.flat, list(self.sequences), lambda gramian: pcgrad(gramian, self.permutations))

    def gradient(self, micro_batch: MicroBatch) -> list[nn.Parameter]:
        self.surgery.zero_grad()
        assert isinstance(micro_batch.inputs, PackedBatch)
        with self.surgery.per_task_gradients(micro_batch.inputs):
            losses = self.losses(micro_batch)
        self.surgery.backward(losses)
        return self.surgery.aggregate()

    def before_replay(self, parameters: list[nn.Parameter]) -> None:
        super().before_replay(parameters)
        self.permutations.redraw(len(self.sequences), self.device)


class _Peer(Workload):
    """A step with torch's AdamW on separate parameters."""

    def __init__(self, *workload, execution: Execution | None = None):
        super().__init__(*workload)
        self.parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=LR, weight_decay=WEIGHT_DECAY, fused=True)


class TorchJDPCGrad(_Peer):
    """The same model with TorchJD: Jacobians of the losses in ``.jac``, aggregated by its PCGrad."""

    def __init__(self, *workload, execution: Execution | None = None):
        try:
            from torchjd import aggregation, autojac
        except ImportError:
            raise missing_extra("a peer of this bench, TorchJD,", "notebooks") from None
        super().__init__(*workload)
        self.autojac, self.aggregator = autojac, aggregation.PCGrad()

    def step(self, rows: Rows) -> None:
        losses = self.losses(self.micro_batch(rows))
        # one row at a time: vmap does not support the custom gradient of our attention
        self.autojac.backward(list(losses.values()), inputs=self.parameters, parallel_chunk_size=1)
        self.autojac.jac_to_grad(self.parameters, self.aggregator)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


class TextbookPCGrad(_Peer):
    """PCGrad as its algorithm is written: every gradient is flattened, copied, and projected as a whole vector."""

    def step(self, rows: Rows) -> None:
        losses = self.losses(self.micro_batch(rows))
        gradients = []
        for loss in losses.values():
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward(retain_graph=True)
            gradients.append(self._flat_gradient())
        projected = copy.deepcopy(gradients)
        for i, gradient in enumerate(projected):
            others = [j for j in range(len(gradients)) if j != i]
            random.shuffle(others)
            for other in (gradients[j] for j in others):
                product = torch.dot(gradient, other)
                if product < 0:
                    gradient -= product / other.norm() ** 2 * other
        parts = torch.stack(projected).sum(0).split([p.numel() for p in self.parameters])
        for parameter, gradient in zip(self.parameters, parts, strict=True):
            parameter.grad = gradient.view_as(parameter).clone()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def _flat_gradient(self) -> Tensor:
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
        return torch.cat([part.flatten() for part in parts])


SIDES: dict[str, Callable[..., Side]] = {
    "plain sum": PlainSum,
    "surgery": PCGrad,
    "TorchJD": TorchJDPCGrad,
    "textbook": TextbookPCGrad,
}


def bench_surgery(
    folder: Path,
    encoder: str,
    batch_size: Mapping[str, int],
    steps: int,
    device: torch.device,
    warm_up: int = 2,
    precision: str = "float32",
    execution: Execution | None = None,
    peers: bool = True,
) -> Iterator[Cost]:
    """Time steps of each side on the same random batches of three tasks.

    Args:
        batch_size, steps, warm_up: rows per step by task, timed steps per side, and steps before these.
        execution: of mtbert's steps; if it compiles, the plain sum is timed a second time, with compiled layers.
        peers: also time TorchJD's and the textbook's steps.
    """
    execution = execution or Execution()
    datasets = read_datasets(folder, load_encoder(encoder).tokenizer, batch_size)
    workload = (lambda: load_encoder(encoder), datasets, device, precision)
    uncompiled = replace(execution, compile=False)  # surgery does not support compiled layers
    names = SIDES if peers else ("plain sum", "surgery")
    sides = {name: SIDES[name](*workload, execution=uncompiled) for name in names}
    if execution.compile:
        sides["plain sum, compiled"] = PlainSum(*workload, execution=execution)
    batches = random_batches(datasets, batch_size, warm_up + steps)
    functions = {name: side.step for name, side in sides.items()}
    seconds = interleave(functions, batches, device, warm_up, steps_per_turn(device))
    holds_graphs = execution.cuda_graphs and device.type == "cuda"  # they keep a step's memory between steps
    for name, step in functions.items():
        memory = None if holds_graphs else step_memory_mb(partial(step, batches[0]), device)
        yield Cost(name, statistics.median(seconds[name]), memory)
