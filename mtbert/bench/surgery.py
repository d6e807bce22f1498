"""What a step with gradient surgery costs, beside a plain step, TorchJD's and a textbook one, in one run."""

import copy
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from mtbert.bench.step import interleave
from mtbert.data.batch import PackedBatch, on_device
from mtbert.data.read import read_split
from mtbert.data.sampling import BatchSampler
from mtbert.data.tasks import TASKS
from mtbert.data.tokens import TokenizedDataset
from mtbert.nn.model import MultitaskModel
from mtbert.nn.pretrained import load_encoder
from mtbert.optim import AdamW, FlatParameters, Surgery, TaskPermutations, pcgrad
from mtbert.training.cuda_graphs import CUDAGraphRunner, Execution
from mtbert.utils.device import autocast
from mtbert.utils.errors import UserError

HEADS = {"sst": "linear", "quora": "linear", "sts": "cosine"}
ENCODING = {"quora": "cross", "sts": "bi"}
MAX_LENGTH = 128
_LR, _DECAY = 1e-5, 0.01
Rows = Mapping[str, Tensor]


@dataclass(frozen=True)
class Cost:
    """Seconds a step, and memory at its peak beyond what stood before it (None where it cannot be told)."""

    side: str
    seconds: float
    step_memory_mb: float | None


class _Side:
    """A three-task model on the same weights and data as every other side."""

    def __init__(
        self,
        encoder: str,
        tables: Mapping[str, TokenizedDataset],
        device: torch.device,
        precision: str = "float32",
        execution: Execution | None = None,
    ):
        tasks = [TASKS[name] for name in tables]
        limits = dict.fromkeys(tables, MAX_LENGTH)
        self.device, self.precision, self.execution = device, precision, execution or Execution()
        self.model = MultitaskModel(load_encoder(encoder), tasks, HEADS, ENCODING, limits).to(device).train()
        self.model.bert.pooler.requires_grad_(False)
        self.sequences = {name: self.model.sequences(name, table).to(device) for name, table in tables.items()}
        self.labels = {name: table.labels.to(device) for name, table in tables.items()}
        self.prepare()

    def prepare(self) -> None:
        self.parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=_LR, weight_decay=_DECAY, fused=True)

    def inputs(self, rows: Rows) -> tuple[PackedBatch, dict[str, Tensor]]:
        """The batch of all ``rows``, and each task's labels."""
        batch = PackedBatch.join({name: self.sequences[name].batch(of_task) for name, of_task in rows.items()})
        return batch, {name: self.labels[name][on_device(of_task, self.device)] for name, of_task in rows.items()}

    def losses(self, batch: PackedBatch, labels: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Each task's mean loss, in one forward for all of them."""
        with autocast(self.device, self.precision):
            return self.model.losses(batch, labels)

    def step(self, rows: Rows) -> None:
        raise NotImplementedError


class Summed(_Side):
    """mtbert without surgery: one forward, one backward of the sum."""

    def prepare(self) -> None:
        self.flat = FlatParameters(self.model, _owner)
        self.optimizer = AdamW(self.flat.groups(_DECAY), lr=_LR)
        self.fixed = CUDAGraphRunner(self.sequences, self.labels) if self.execution.cuda_graphs else None

    def step(self, rows: Rows) -> None:
        if self.fixed is None:
            self.update(*self.inputs(rows), False)
        else:
            self.fixed(rows, None, self.update, self.before)

    def update(self, batch: PackedBatch, labels: dict[str, Tensor], recording: bool) -> list[nn.Parameter]:
        reached = self.gradient(batch, labels)
        if not recording:
            self.optimizer.advance(reached)
        self.optimizer.apply(reached)
        return reached

    def gradient(self, batch: PackedBatch, labels: dict[str, Tensor]) -> list[nn.Parameter]:
        return self.flat.backward(torch.stack(list(self.losses(batch, labels).values())).sum())

    def before(self, reached: list[nn.Parameter]) -> None:
        self.optimizer.advance(reached)


class Compiled(Summed):
    """The plain step with its layers compiled, which surgery cannot have."""

    def prepare(self) -> None:
        super().prepare()
        self.model.bert.compile_layers(dynamic=None if self.execution.cuda_graphs else True)


class Operated(Summed):
    """mtbert with PCGrad: one forward, one backward that leaves each task's gradient in its row, T x T arithmetic."""

    def prepare(self) -> None:
        super().prepare()
        self.orders = TaskPermutations()
        self.surgery = Surgery(self.flat, list(self.sequences), lambda gramian: pcgrad(gramian, self.orders))

    def gradient(self, batch: PackedBatch, labels: dict[str, Tensor]) -> list[nn.Parameter]:
        self.surgery.start()
        with self.surgery.per_task_gradients(batch):
            losses = self.losses(batch, labels)
        self.surgery.backward(losses)
        return self.surgery.finish()

    def before(self, reached: list[nn.Parameter]) -> None:
        super().before(reached)
        self.orders.redraw(len(self.sequences), self.device)


class WithTorchJD(_Side):
    """The same model with TorchJD: Jacobians of the losses in ``.jac``, aggregated by its PCGrad."""

    def prepare(self) -> None:
        try:
            from torchjd import aggregation, autojac
        except ImportError:
            raise UserError("a peer of this bench is not installed: pip install 'torchjd[full]'") from None
        super().prepare()
        self.autojac, self.aggregator = autojac, aggregation.PCGrad()

    def step(self, rows: Rows) -> None:
        losses = self.losses(*self.inputs(rows))
        # one row at a time: our attention's own gradient cannot be mapped over
        self.autojac.backward(list(losses.values()), inputs=self.parameters, parallel_chunk_size=1)
        self.autojac.jac_to_grad(self.parameters, self.aggregator)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


class Textbook(_Side):
    """PCGrad as the algorithm is written: every gradient flattened, copied, and projected as a whole vector."""

    def step(self, rows: Rows) -> None:
        losses = self.losses(*self.inputs(rows))
        gradients = []
        for loss in losses.values():
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward(retain_graph=True)
            gradients.append(self._flattened())
        changed = copy.deepcopy(gradients)
        for i, mine in enumerate(changed):
            others = [j for j in range(len(gradients)) if j != i]
            random.shuffle(others)
            for other in (gradients[j] for j in others):
                product = torch.dot(mine, other)
                if product < 0:
                    mine -= product / other.norm() ** 2 * other
        self._hand_out(torch.stack(changed).sum(0))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def _flattened(self) -> Tensor:
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
        return torch.cat([part.flatten() for part in parts])

    def _hand_out(self, whole: Tensor) -> None:
        start = 0
        for parameter in self.parameters:
            parameter.grad = whole[start : start + parameter.numel()].view_as(parameter).clone()
            start += parameter.numel()


def _owner(name: str) -> str:
    return name.split(".")[1] if name.startswith("heads.") else "encoder"


SIDES: dict[str, type[_Side]] = {"plain sum": Summed, "surgery": Operated, "TorchJD": WithTorchJD, "textbook": Textbook}


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
    """Time ``steps`` steps of each side on the same random batches of the three tasks; the sides take turns.

    peers: with TorchJD and the textbook's steps. execution: of mtbert's steps; if it compiles, the plain sum stands
    there a second time, with its layers compiled.
    """
    execution = execution or Execution()
    tokenizer = load_encoder(encoder).tokenizer
    tables = {
        name: TokenizedDataset.of_rows(read_split(folder, TASKS[name], "train"), tokenizer) for name in batch_size
    }
    orders = {name: BatchSampler(name, len(table), batch_size[name], seed=0) for name, table in tables.items()}
    chosen = {name: side for name, side in SIDES.items() if peers or side in (Summed, Operated)}
    if execution.compile:
        chosen["plain sum, compiled"] = Compiled
    sides = {name: side(encoder, tables, device, precision, execution) for name, side in chosen.items()}
    batches = [{name: order.batch(number) for name, order in orders.items()} for number in range(warm_up + steps)]
    seconds = interleave(sides, batches, warm_up, device)
    for name, side in sides.items():
        memory = None if execution.cuda_graphs and device.type == "cuda" else step_memory_mb(side, batches[0], device)
        yield Cost(name, seconds[name], memory)  # a recording holds its memory between steps, too


def step_memory_mb(side: _Side, rows: Rows, device: torch.device) -> float | None:
    """MB that one step allocates at its peak beyond what is held between steps: activations and passing gradients."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        side.step(rows)
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        side.step(rows)
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak / 2**20 if events else None
