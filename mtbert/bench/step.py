"""A training step of mtbert beside one of transformers: examples per second, MFU, and memory."""

import math
import multiprocessing
import statistics
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from mtbert.bench.timing import MemoryTracker, Side, interleave, steps_per_turn
from mtbert.bench.workload import LR, MAX_LENGTH, WEIGHT_DECAY, PackedStep, random_batches, read_datasets
from mtbert.data.batch import on_device
from mtbert.data.tasks import Task, get_task
from mtbert.data.tokens import TokenizedDataset
from mtbert.nn.adapters import build_adapter
from mtbert.nn.flops import device_mfu, training_flops
from mtbert.nn.heads import build_head
from mtbert.nn.losses import task_loss
from mtbert.nn.pretrained import load_encoder
from mtbert.training.cuda_graphs import Execution
from mtbert.utils.device import autocast, peak_memory_mb
from mtbert.utils.errors import UserError


@dataclass(frozen=True)
class Timing:
    """A task's training steps, by side; "mtbert" is one of them."""

    task: str
    rates: dict[str, float]  # examples per second, by the median turn
    mfu: dict[str, float | None]  # model FLOPs utilization; None if the device's peak is not known
    memory_mb: dict[str, float | None]  # peak on a GPU; None on a CPU (see ``bench_memory``)

    def ratio(self, side: str) -> float:
        """How many times faster mtbert is than a side."""
        return self.rates["mtbert"] / self.rates[side]


class Ours(PackedStep):
    """A training step of mtbert on one task, perhaps with an adapter (see ``mtbert.nn.ADAPTERS``) in every layer."""

    def __init__(
        self,
        encoder: str,
        task: Task,
        dataset: TokenizedDataset,
        device: torch.device,
        adapter: str = "none",
        precision: str = "float32",
        execution: Execution | None = None,
    ):
        self.task, self.adapter = task.name, adapter
        model = {"heads": {task.name: "linear"}, "encoding": {task.name: "cross"}, "pooling": "cls"}
        super().__init__(
            lambda: load_encoder(encoder), {task.name: dataset}, device, precision, execution=execution, **model
        )

    def prepare(self) -> None:
        if self.adapter != "none":
            adapter = build_adapter(self.adapter, self.model.encoder.config)
            self.model.adapters[self.task] = adapter.to(self.device).train()
        super().prepare()

    def step(self, rows: Tensor) -> None:  # type: ignore[override]  # one task: no mapping
        super().step({self.task: rows})


class Peer:
    """The same step with transformers: BertModel with SDPA, batches padded to their longest, torch's fused AdamW.

    If ``compiled``, the model goes through torch.compile, for any lengths.
    """

    def __init__(
        self,
        encoder: str,
        task: Task,
        dataset: TokenizedDataset,
        device: torch.device,
        precision: str = "float32",
        compiled: bool = False,
    ):
        try:
            import transformers
        except ImportError:
            raise UserError("the peer of this bench is not installed: pip install transformers") from None

        transformers.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        ours = load_encoder(encoder)
        with TemporaryDirectory() as folder:
            ours.save(Path(folder))  # so that random weights are the same, too
            self.bert = transformers.BertModel.from_pretrained(
                folder, attn_implementation="sdpa", add_pooling_layer=False, dtype=torch.float32
            ).to(device)
        self.head = build_head("linear", task, ours.config.hidden_size).to(device)
        self.bert.train()
        self.forward = torch.compile(self.bert, dynamic=True) if compiled else self.bert
        self.task, self.labels, self.device, self.precision = task, dataset.labels.to(device), device, precision
        sequences = dataset.encode("cross", MAX_LENGTH, ours.tokenizer)
        self.ids = sequences.ids.long().split(sequences.lengths.tolist())
        self.types = sequences.token_types.long().split(sequences.lengths.tolist())
        parameters = [*self.bert.parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.AdamW(parameters, lr=LR, weight_decay=WEIGHT_DECAY, fused=True)

    def step(self, rows: Tensor) -> None:
        ids, types = self._padded(self.ids, rows), self._padded(self.types, rows)
        mask = (ids != self.bert.config.pad_token_id).long()
        with autocast(self.device, self.precision):
            hidden = self.forward(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state
            loss = task_loss(self.task, self.head(hidden[:, 0]), self.labels[on_device(rows, self.device)])
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def _padded(self, sequences: tuple[Tensor, ...], rows: Tensor) -> Tensor:
        selected = [sequences[row] for row in rows.tolist()]
        return on_device(nn.utils.rnn.pad_sequence(selected, batch_first=True), self.device)


def bench_step(
    folder: Path,
    encoder: str,
    tasks: list[str],
    batch_size: int,
    steps: int,
    device: torch.device,
    warm_up: int = 3,
    precision: str = "float32",
    execution: Execution | None = None,
    compiled_peer: bool = False,
    peak: float | None = None,
) -> Iterator[Timing]:
    """Time training steps of mtbert and transformers on the same random batches of each task.

    Args:
        batch_size, steps, warm_up: rows per step, timed steps per side, and steps before these.
        execution: compiled layers and CUDA graphs of mtbert's side.
        compiled_peer: add a third side, transformers under torch.compile.
        peak: the device's peak in FLOP/s; by default that of its datasheet.
    """
    for name in tasks:
        task, dataset, batches = _inputs(folder, encoder, name, batch_size, warm_up + steps)
        builders: dict[str, Callable[[], Side]] = {
            "mtbert": lambda: Ours(encoder, task, dataset, device, "none", precision, execution),  # noqa: B023
            "transformers": lambda: Peer(encoder, task, dataset, device, precision),  # noqa: B023
        }
        if compiled_peer:
            builders["transformers compiled"] = lambda: Peer(encoder, task, dataset, device, precision, True)  # noqa: B023
        sides = {side: MemoryTracker(build, device) for side, build in builders.items()}
        seconds = _median_seconds(sides, batches, warm_up, device)
        ours = sides["mtbert"].side
        assert isinstance(ours, Ours)
        lengths = [ours.sequences[name].spans(rows)[1].tolist() for rows in batches[warm_up:]]
        flops = sum(training_flops(ours.model.encoder.config, batch_lengths) for batch_lengths in lengths) / steps
        yield Timing(
            name,
            {side: batch_size / spent for side, spent in seconds.items()},
            {side: device_mfu(flops, spent, device, peak) for side, spent in seconds.items()},
            {side: tracker.memory_mb for side, tracker in sides.items()},
        )


def bench_adapters(
    folder: Path,
    encoder: str,
    tasks: list[str],
    adapters: list[str],
    batch_size: int,
    steps: int,
    device: torch.device,
    warm_up: int = 3,
) -> Iterator[tuple[str, dict[str, float]]]:
    """Each task, and the seconds of a training step with each adapter and, as "none", without one."""
    for name in tasks:
        task, dataset, batches = _inputs(folder, encoder, name, batch_size, warm_up + steps)
        sides = {adapter: Ours(encoder, task, dataset, device, adapter) for adapter in ("none", *adapters)}
        yield name, _median_seconds(sides, batches, warm_up, device)


def bench_memory(folder: Path, encoder: str, task: str, batch_size: int, steps: int, device: str) -> dict[str, float]:
    """Peak memory in MB of each side on a CPU, each in a process of its own that trains ``steps`` steps."""
    peaks = {}
    for side in ("mtbert", "transformers"):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            peaks[side] = pool.submit(_peak_memory, side, folder, encoder, task, batch_size, steps, device).result()
    return peaks


def _peak_memory(side: str, folder: Path, encoder: str, name: str, batch_size: int, steps: int, device: str) -> float:
    task, dataset, batches = _inputs(folder, encoder, name, batch_size, steps)
    trainer = (Ours if side == "mtbert" else Peer)(encoder, task, dataset, torch.device(device))
    for rows in batches:
        trainer.step(rows)
    return peak_memory_mb(torch.device(device)) or math.nan


def _median_seconds(sides: dict, batches: list[Tensor], warm_up: int, device: torch.device) -> dict[str, float]:
    functions = {name: side.step for name, side in sides.items()}
    seconds = interleave(functions, batches, device, warm_up, steps_per_turn(device))
    return {name: statistics.median(turns) for name, turns in seconds.items()}


def _inputs(
    folder: Path, encoder: str, name: str, batch_size: int, steps: int
) -> tuple[Task, TokenizedDataset, list[Tensor]]:
    datasets = read_datasets(folder, load_encoder(encoder).tokenizer, [name])
    batches = random_batches(datasets, {name: batch_size}, steps)
    return get_task(name), datasets[name], [rows[name] for rows in batches]
