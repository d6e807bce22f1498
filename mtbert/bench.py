"""Side-by-side timings: this package against a peer, alternating in one run, as ratios.

Absolute times on a shared machine say little; two programs that take turns on the same batches are slowed alike.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mtbert.data.read import read_split
from mtbert.data.sampling import RowOrder
from mtbert.data.tasks import Task, get_task
from mtbert.data.tokens import TokenTable
from mtbert.errors import UserError
from mtbert.machine import peak_memory_mb
from mtbert.nn.adapters import build_adapter
from mtbert.nn.heads import build_head
from mtbert.nn.losses import task_loss
from mtbert.nn.model import MultitaskModel
from mtbert.nn.pretrained import encoder_folder, load_encoder
from mtbert.optim import AdamW, FlatParameters

MAX_LENGTH = 128
_LR, _DECAY = 1e-5, 0.01


@dataclass(frozen=True)
class Timing:
    """Examples a second of both sides on one task, and how many times faster ours is."""

    task: str
    ours: float
    peer: float

    @property
    def ratio(self) -> float:
        return self.ours / self.peer


class Ours:
    """A training step of mtbert: packed batch, flat parameters, our AdamW. adapter: of that name, in every layer."""

    def __init__(self, encoder: str, task: Task, table: TokenTable, device: torch.device, adapter: str = "none"):
        model = MultitaskModel(
            load_encoder(encoder), [task], {task.name: "linear"}, {task.name: "cross"}, {task.name: MAX_LENGTH}, "cls"
        )
        if adapter != "none":
            model.adapters[task.name] = build_adapter(adapter, model.encoder.config)
        self.model, self.task, self.labels = model.to(device).train(), task.name, table.labels.to(device)
        self.sequences = model.sequences(task.name, table).to(device)
        self.flat = FlatParameters(model, owner=lambda name: name.split(".")[0])
        self.optimizer = AdamW(self.flat.groups(_DECAY), lr=_LR)

    def step(self, rows: Tensor) -> None:
        batch = self.sequences.batch(rows)
        batch.slices = {self.task: slice(0, len(batch))}
        loss = self.model.losses(batch, {self.task: self.labels[rows]})[self.task]
        self.flat.backward(loss)
        self.optimizer.step()


class Peer:
    """The same step with transformers: BertModel with SDPA, batches padded to their longest, torch's fused AdamW."""

    def __init__(self, encoder: str, task: Task, table: TokenTable, device: torch.device):
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
        self.task, self.labels, self.device = task, table.labels.to(device), device
        sequences = table.sequences("cross", MAX_LENGTH, ours.word_pieces)
        self.ids = sequences.ids.long().split(sequences.lengths.tolist())
        self.types = sequences.token_types.long().split(sequences.lengths.tolist())
        parameters = [*self.bert.parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.AdamW(parameters, lr=_LR, weight_decay=_DECAY, fused=True)

    def step(self, rows: Tensor) -> None:
        ids, types = self._padded(self.ids, rows), self._padded(self.types, rows)
        mask = (ids != self.bert.config.pad_token_id).long()
        hidden = self.bert(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state
        loss = task_loss(self.task, self.head(hidden[:, 0]), self.labels[rows])
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def _padded(self, sequences: tuple[Tensor, ...], rows: Tensor) -> Tensor:
        chosen = [sequences[row] for row in rows.tolist()]
        return nn.utils.rnn.pad_sequence(chosen, batch_first=True).to(self.device)


def bench_step(
    folder: Path, encoder: str, tasks: list[str], batch_size: int, steps: int, device: torch.device, warm_up: int = 3
) -> Iterator[Timing]:
    """Time ``steps`` training steps of each side on the same random batches of each task's train file."""
    for name in tasks:
        task, table, order = _inputs(folder, encoder, name, batch_size)
        sides = {"ours": Ours(encoder, task, table, device), "peer": Peer(encoder, task, table, device)}
        seconds = _alternate(sides, order, steps, device, warm_up)
        examples = steps * batch_size
        yield Timing(name, examples / seconds["ours"], examples / seconds["peer"])


def bench_adapters(
    folder: Path, encoder: str, tasks: list[str], adapters: list[str], batch_size: int, steps: int,
    device: torch.device, warm_up: int = 3,
) -> Iterator[tuple[str, dict[str, float]]]:  # fmt: skip
    """Of each task: seconds of a training step with each adapter and, as "none", without, taking turns on the same
    batches."""
    for name in tasks:
        task, table, order = _inputs(folder, encoder, name, batch_size)
        sides = {adapter: Ours(encoder, task, table, device, adapter) for adapter in ("none", *adapters)}
        seconds = _alternate(sides, order, steps, device, warm_up)
        yield name, {adapter: spent / steps for adapter, spent in seconds.items()}


def _alternate(sides: Mapping[str, Any], order: RowOrder, steps: int, device: torch.device, warm_up: int):
    """Seconds that each side needed for the same ``steps`` batches, after some that do not count."""
    seconds = dict.fromkeys(sides, 0.0)
    for number in range(warm_up + steps):
        for side in list(sides) if number % 2 else list(reversed(sides)):
            spent = timed(sides[side].step, order.batch(number), device)
            seconds[side] += spent if number >= warm_up else 0.0
    return seconds


def bench_memory(folder: Path, encoder: str, task: str, batch_size: int, steps: int, device: str) -> dict[str, float]:
    """Peak memory in MB of each side, each in a process of its own that trains ``steps`` steps."""
    peaks = {}
    for side in ("ours", "peer"):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            peaks[side] = pool.submit(_peak, side, folder, encoder, task, batch_size, steps, device).result()
    return peaks


def _peak(side: str, folder: Path, encoder: str, name: str, batch_size: int, steps: int, device: str) -> float:
    task, table, order = _inputs(folder, encoder, name, batch_size)
    trainer = (Ours if side == "ours" else Peer)(encoder, task, table, torch.device(device))
    for number in range(steps):
        trainer.step(order.batch(number))
    return peak_memory_mb(torch.device(device)) or float("nan")


def _inputs(folder: Path, encoder: str, name: str, batch_size: int) -> tuple[Task, TokenTable, RowOrder]:
    task = get_task(name)
    table = TokenTable.of_rows(read_split(folder, task, "train"), load_encoder(encoder).word_pieces)
    return task, table, RowOrder(name, len(table), batch_size, seed=0)


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
