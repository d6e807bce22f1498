"""Side-by-side timings: this package against a peer, alternating in one run, as ratios.

Absolute times on a shared machine say little; two programs that take turns on the same batches are slowed alike.
"""

import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mtbert.data.batch import on_device
from mtbert.data.read import read_split
from mtbert.data.sampling import BatchSampler
from mtbert.data.tasks import Task, get_task
from mtbert.data.tokens import TokenizedDataset
from mtbert.nn.adapters import build_adapter
from mtbert.nn.bert import Bert, BertConfig
from mtbert.nn.flops import device_mfu, training_flops
from mtbert.nn.heads import build_head
from mtbert.nn.losses import task_loss
from mtbert.nn.model import MultitaskModel
from mtbert.nn.pretrained import Encoder, encoder_folder, load_encoder
from mtbert.optim import AdamW, FlatParameters
from mtbert.training.cuda_graphs import CUDAGraphRunner, Execution
from mtbert.utils.device import autocast, peak_memory_mb
from mtbert.utils.errors import UserError

MAX_LENGTH = 128
SHAPES = {"bert-base": BertConfig()}
_LR, _DECAY = 1e-5, 0.01
_TURN = {"cuda": 10}  # steps that a side takes in a turn, else 1: to wait for a GPU after each would time the wait


@dataclass(frozen=True)
class Timing:
    """A task's training steps by side, "mtbert" among them: examples a second (by the median turn), MFU (None where the
    device's peak is not known), and on a GPU the peak of memory in MB."""

    task: str
    rates: dict[str, float]
    mfu: dict[str, float | None]
    memory_mb: dict[str, float | None]

    def ratio(self, side: str) -> float:
        """How many times faster mtbert is than this side."""
        return self.rates["mtbert"] / self.rates[side]


class Ours:
    """A training step of mtbert: packed batch, flat parameters, our AdamW. adapter: of that name, in every layer."""

    def __init__(
        self,
        encoder: str,
        task: Task,
        table: TokenizedDataset,
        device: torch.device,
        adapter: str = "none",
        precision: str = "float32",
        execution: Execution | None = None,
    ):
        model = MultitaskModel(
            load_encoder(encoder), [task], {task.name: "linear"}, {task.name: "cross"}, {task.name: MAX_LENGTH}, "cls"
        )
        if adapter != "none":
            model.adapters[task.name] = build_adapter(adapter, model.encoder.config)
        self.model, self.task, self.labels = model.to(device).train(), task.name, table.labels.to(device)
        self.sequences = model.sequences(task.name, table).to(device)
        self.flat = FlatParameters(model, owner=lambda name: name.split(".")[0])
        self.optimizer = AdamW(self.flat.groups(_DECAY), lr=_LR)
        self.device, self.precision, execution = device, precision, execution or Execution()
        if execution.compile:
            model.bert.compile_layers(dynamic=None if execution.cuda_graphs else True)
        self.fixed = (
            CUDAGraphRunner({self.task: self.sequences}, {self.task: self.labels}) if execution.cuda_graphs else None
        )

    def step(self, rows: Tensor) -> None:
        if self.fixed is not None:
            self.fixed({self.task: rows}, None, self._update, self.optimizer.advance)
            return
        batch = self.sequences.batch(rows)
        batch.slices = {self.task: slice(0, len(batch))}
        self._update(batch, {self.task: self.labels[on_device(rows, self.device)]}, False)

    def _update(self, batch, labels: dict[str, Tensor], recording: bool) -> list[nn.Parameter]:
        with autocast(self.device, self.precision):
            loss = self.model.losses(batch, labels)[self.task]
        reached = self.flat.backward(loss)
        if not recording:
            self.optimizer.advance(reached)
        self.optimizer.apply(reached)
        return reached


class Peer:
    """The same step with transformers: BertModel with SDPA, batches padded to their longest, torch's fused AdamW.

    compiled: the model goes through torch.compile, for any lengths.
    """

    def __init__(
        self,
        encoder: str,
        task: Task,
        table: TokenizedDataset,
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
        self.bert = transformers.BertModel.from_pretrained(
            encoder_folder(encoder), attn_implementation="sdpa", add_pooling_layer=False, dtype=torch.float32
        ).to(device)
        self.head = build_head("linear", task, ours.config.hidden_size).to(device)
        self.bert.train()
        self.run = torch.compile(self.bert, dynamic=True) if compiled else self.bert
        self.task, self.labels, self.device, self.precision = task, table.labels.to(device), device, precision
        sequences = table.sequences("cross", MAX_LENGTH, ours.tokenizer)
        self.ids = sequences.ids.long().split(sequences.lengths.tolist())
        self.types = sequences.token_types.long().split(sequences.lengths.tolist())
        parameters = [*self.bert.parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.AdamW(parameters, lr=_LR, weight_decay=_DECAY, fused=True)

    def step(self, rows: Tensor) -> None:
        ids, types = self._padded(self.ids, rows), self._padded(self.types, rows)
        mask = (ids != self.bert.config.pad_token_id).long()
        with autocast(self.device, self.precision):
            hidden = self.run(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state
            loss = task_loss(self.task, self.head(hidden[:, 0]), self.labels[on_device(rows, self.device)])
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def _padded(self, sequences: tuple[Tensor, ...], rows: Tensor) -> Tensor:
        chosen = [sequences[row] for row in rows.tolist()]
        return on_device(nn.utils.rnn.pad_sequence(chosen, batch_first=True), self.device)


def random_encoder(shape: str, folder: Path) -> Path:
    """Write an encoder of that shape with random weights, for all sides to read: what it knows does not matter here."""
    config, like = SHAPES[shape], load_encoder("tiny")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        Encoder(Bert(config), like.tokenizer, shape).save(folder)
    return folder


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
    """Time ``steps`` training steps of each side on the same random batches of each task's train file.

    compiled_peer: the peer stands there a second time, under torch.compile. peak: of the device, operations a second.
    """
    for name in tasks:
        task, table, order = _inputs(folder, encoder, name, batch_size)
        makers: dict[str, Callable[[], Any]] = {
            "mtbert": lambda: Ours(encoder, task, table, device, "none", precision, execution),  # noqa: B023
            "transformers": lambda: Peer(encoder, task, table, device, precision),  # noqa: B023
        }
        if compiled_peer:
            makers["transformers compiled"] = lambda: Peer(encoder, task, table, device, precision, True)  # noqa: B023
        sides = {side: MemoryTracker(make, device) for side, make in makers.items()}
        batches = [order.batch(number) for number in range(warm_up + steps)]
        seconds = interleave(sides, batches, warm_up, device)
        lengths = sides["mtbert"].trainer.sequences.spans
        flops = (
            sum(
                training_flops(sides["mtbert"].trainer.model.encoder.config, lengths(rows)[1].tolist())
                for rows in batches[warm_up:]
            )
            / steps
        )
        yield Timing(
            name,
            {side: batch_size / spent for side, spent in seconds.items()},
            {side: device_mfu(flops, spent, device, peak) for side, spent in seconds.items()},
            {side: watched.memory_mb for side, watched in sides.items()},
        )


class MemoryTracker:
    """A side, with the most memory that it held on a GPU so far, in MB; None on a CPU, where sides cannot be told
    apart (see ``bench_memory``)."""

    def __init__(self, make: Callable[[], Any], device: torch.device):
        self.device, self.memory_mb, self._held = device, None, 0
        with self._watching():
            self.trainer = make()

    def step(self, rows: Any) -> None:
        with self._watching():
            self.trainer.step(rows)

    @contextmanager
    def _watching(self) -> Iterator[None]:
        if self.device.type != "cuda":
            yield
            return
        others = torch.cuda.memory_allocated(self.device) - self._held
        torch.cuda.reset_peak_memory_stats(self.device)
        yield
        self._held = torch.cuda.memory_allocated(self.device) - others
        peak = (torch.cuda.max_memory_allocated(self.device) - others) / 2**20
        self.memory_mb = max(self.memory_mb or 0.0, peak)


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
    """Of each task: seconds of a training step with each adapter and, as "none", without, taking turns on the same
    batches."""
    for name in tasks:
        task, table, order = _inputs(folder, encoder, name, batch_size)
        sides = {adapter: Ours(encoder, task, table, device, adapter) for adapter in ("none", *adapters)}
        seconds = interleave(sides, [order.batch(number) for number in range(warm_up + steps)], warm_up, device)
        yield name, seconds


def interleave(
    sides: Mapping[str, Any], batches: Sequence[Any], warm_up: int, device: torch.device
) -> dict[str, float]:
    """Seconds a step of each side: the median over its turns, on the same batches, the first of which do not count."""
    for rows in batches[:warm_up]:
        for side in sides.values():
            side.step(rows)
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    length = _TURN.get(device.type, 1)
    for turn, first in enumerate(range(warm_up, len(batches), length)):
        rows = batches[first : first + length]
        for side in list(sides) if turn % 2 else list(reversed(sides)):
            spent = timed(lambda rows, step=sides[side].step: _each(step, rows), rows, device)
            seconds[side].append(spent / len(rows))
    return {side: statistics.median(spent) for side, spent in seconds.items()}


def _each(step: Callable[[Any], None], batches: list[Any]) -> None:
    for rows in batches:
        step(rows)


def bench_memory(folder: Path, encoder: str, task: str, batch_size: int, steps: int, device: str) -> dict[str, float]:
    """Peak memory in MB of each side on a CPU, each in a process of its own that trains ``steps`` steps."""
    peaks = {}
    for side in ("mtbert", "transformers"):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            peaks[side] = pool.submit(_peak, side, folder, encoder, task, batch_size, steps, device).result()
    return peaks


def _peak(side: str, folder: Path, encoder: str, name: str, batch_size: int, steps: int, device: str) -> float:
    task, table, order = _inputs(folder, encoder, name, batch_size)
    trainer = (Ours if side == "mtbert" else Peer)(encoder, task, table, torch.device(device))
    for number in range(steps):
        trainer.step(order.batch(number))
    return peak_memory_mb(torch.device(device)) or float("nan")


def _inputs(folder: Path, encoder: str, name: str, batch_size: int) -> tuple[Task, TokenizedDataset, BatchSampler]:
    task = get_task(name)
    table = TokenizedDataset.of_rows(read_split(folder, task, "train"), load_encoder(encoder).tokenizer)
    return task, table, BatchSampler(name, len(table), batch_size, seed=0)


def timed(step: Callable[[Any], None], rows: Any, device: torch.device) -> float:
    """Seconds of ``step(rows)``, with all that it queued on the device."""
    _wait(device)
    start = time.perf_counter()
    step(rows)
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
