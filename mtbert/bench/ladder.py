"""The ladder: a mixed training step as one would first write it, and what each optimisation adds, one after the other.

Every rung is a class that overrides what it changes of the one before it: the code of a rung *is* its optimisation.
All rungs start from the same weights, read the same rows and compute the same losses; only their time differs.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtbert.data.batch import PackedBatch
from mtbert.data.read import read_split
from mtbert.data.sampling import BatchSampler
from mtbert.data.tasks import TASKS
from mtbert.data.tokens import TokenizedDataset
from mtbert.nn import dropout as cheap
from mtbert.nn.attention import AttentionBackend, attention_backend
from mtbert.nn.bert import Layer
from mtbert.nn.flops import training_flops
from mtbert.nn.model import MultitaskModel
from mtbert.nn.pretrained import Encoder, load_encoder
from mtbert.optim import AdamW, FlatParameters
from mtbert.training.cuda_graphs import CUDAGraphRunner
from mtbert.utils import paths
from mtbert.utils.device import autocast, environment_info
from mtbert.utils.files import atomic_write

HEADS = {"sst": "linear", "quora": "linear", "sts": "cosine"}
ENCODING = {"quora": "cross", "sts": "bi"}
MAX_LENGTH = 128
TABLE = paths.RESULTS / "ladder.csv"
_LR, _DECAY = 1e-5, 0.01
Rows = Mapping[str, Tensor]
Attend = Callable[[Tensor, Layer], Tensor]


class Padded:
    """Batches padded to their longest sequence, a pass for each task, torch's dropout and torch's AdamW."""

    def __init__(self, load: Callable[[], Encoder], tables: Mapping[str, TokenizedDataset], device: torch.device):
        tasks = [TASKS[name] for name in tables]
        limits = dict.fromkeys(tables, MAX_LENGTH)
        torch.manual_seed(0)  # of the heads
        self.model = MultitaskModel(load(), tasks, HEADS, ENCODING, limits).to(device).train()
        self.sequences = {name: self.model.sequences(name, table).to(device) for name, table in tables.items()}
        self.labels = {name: table.labels.to(device) for name, table in tables.items()}
        self.prepare()

    def prepare(self) -> None:
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        groups = [
            {"params": [parameter for parameter in trained if parameter.ndim > 1], "weight_decay": _DECAY},
            {"params": [parameter for parameter in trained if parameter.ndim < 2], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=_LR)

    def step(self, rows: Rows) -> dict[str, Tensor]:
        """Train on these rows; each task's mean loss before the step."""
        losses = {name: self.loss(name, of_task) for name, of_task in rows.items()}
        self.update(losses)
        return losses

    def update(self, losses: Mapping[str, Tensor]) -> None:
        for loss in losses.values():
            loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def loss(self, task: str, rows: Tensor) -> Tensor:
        batch = self.sequences[task].batch(rows)
        vectors = self.model.encoder.pool(self.hidden(batch), batch, self.model.pooling)
        return self.model.losses_of({task: vectors}, {task: self.labels[task][rows]})[task]

    def hidden(self, batch: PackedBatch) -> Tensor:
        """(tokens, hidden), by way of (sequences, longest, hidden): every layer works on the padding, too."""
        mask, place = real_cells(batch)
        ids, types = (_padded(of[:, None], mask, place).squeeze(2) for of in (batch.ids, batch.token_types))
        positions = torch.arange(batch.max_seqlen, device=ids.device).expand_as(ids)
        x = self.layers(ids, positions, types, lambda qkv, layer: self.attend(qkv, mask, layer))
        return x[mask]

    def layers(self, ids: Tensor, positions: Tensor, types: Tensor, attend: Attend) -> Tensor:
        """(..., hidden) of the last layer, for (...) tokens; notebook 02 derives it."""
        embeddings = self.model.bert.embeddings
        summed = embeddings.word(ids) + embeddings.position(positions) + embeddings.token_type(types)
        x = self.drop(embeddings.norm(summed), embeddings.p)
        for layer in self.model.bert.layers:
            mixed = layer.attention_output(attend(layer.qkv(x), layer))
            h = layer.attention_norm(x + self.drop(mixed, layer.p))
            narrow = layer.output(F.gelu(layer.intermediate(h)))
            x = layer.output_norm(h + self.drop(narrow, layer.p))
        return x

    def attend(self, qkv: Tensor, mask: Tensor, layer: Layer) -> Tensor:
        """(sequences, longest, hidden) of qkv (sequences, longest, 3 * hidden); mask: true where a token stands."""
        query, key, value = qkv.unflatten(2, (3, layer.heads, -1)).permute(2, 0, 3, 1, 4)  # (n, heads, longest, d)
        scores = query @ key.mT / math.sqrt(query.shape[-1])
        scores = scores.masked_fill(~mask[:, None, None, :], torch.finfo(scores.dtype).min)
        mixed = self.drop(scores.softmax(dim=-1), layer.attention_p) @ value
        return mixed.transpose(1, 2).flatten(2)

    def drop(self, x: Tensor, p: float) -> Tensor:
        return F.dropout(x, p)


class Packed(Padded):
    """Tokens end to end; only attention still sees a padded block."""

    def hidden(self, batch: PackedBatch) -> Tensor:
        mask, place = real_cells(batch)

        def attend(qkv: Tensor, layer: Layer) -> Tensor:
            return self.attend(_padded(qkv, mask, place), mask, layer)[mask]

        return self.layers(batch.ids, batch.positions, batch.token_types, attend)


class CheapDropout(Packed):
    """Sixteen random bits a value instead of a float (on a CPU; elsewhere the rung is the one before)."""

    def drop(self, x: Tensor, p: float) -> Tensor:
        return cheap.dropout(x, p)


class Grouped(CheapDropout):
    """Attention over groups of similar length with its gradient by hand: the package's own forward pass."""

    attention: AttentionBackend = "groups"

    def hidden(self, batch: PackedBatch) -> Tensor:
        with attention_backend(self.attention):
            return self.model.bert(batch)


class Flat(Grouped):
    """All parameters in one vector, and AdamW over pieces of it that fit into the processor's cache."""

    fused = False

    def prepare(self) -> None:
        self.flat = FlatParameters(self.model, owner=lambda name: name.split(".")[0])
        for module in self.model.modules():
            if isinstance(module, nn.Embedding):
                module.sparse = False  # the next rung's gain
        self.optimizer = AdamW(self.flat.groups(_DECAY), lr=_LR, fused=self.fused)

    def update(self, losses: Mapping[str, Tensor]) -> None:
        self.flat.backward(*losses.values())
        self.optimizer.step()


class FewRows(Flat):
    """The embedding's gradient as the few rows that the batch has read (on a CPU)."""

    def prepare(self) -> None:
        self.flat = FlatParameters(self.model, owner=lambda name: name.split(".")[0])
        self.optimizer = AdamW(self.flat.groups(_DECAY), lr=_LR, fused=self.fused)


class Together(FewRows):
    """One forward and one backward pass for the sequences of all tasks: on a CPU, a step of ``mtbert.train``."""

    def step(self, rows: Rows) -> dict[str, Tensor]:
        batch = PackedBatch.join({name: self.sequences[name].batch(of_task) for name, of_task in rows.items()})
        return self.train_on(batch, {name: self.labels[name][of_task] for name, of_task in rows.items()})

    def train_on(self, batch: PackedBatch, labels: Mapping[str, Tensor]) -> dict[str, Tensor]:
        with attention_backend(self.attention):
            losses = self.model.losses(batch, labels)
        self.update({"all": torch.stack(list(losses.values())).sum()})
        return losses


class OneKernel(Together):
    """On a GPU, attention as one kernel call over sequences of any lengths, end to end."""

    attention = "varlen"


class OnePass(OneKernel):
    """On a GPU, AdamW as one kernel that reads and writes each number once."""

    fused = True


class HalfPrecision(OnePass):
    """Matrix products in bfloat16; weights, norms and losses stay in float32. Its losses agree to two digits."""

    def train_on(self, batch: PackedBatch, labels: Mapping[str, Tensor]) -> dict[str, Tensor]:
        with autocast(self.model.device, "bfloat16"):
            return super().train_on(batch, labels)


class Recorded(HalfPrecision):
    """Steps of fixed shapes; on a GPU each shape is recorded once as a CUDA graph, whose thousand kernels then start at
    a time."""

    def prepare(self) -> None:
        super().prepare()
        self.fixed = CUDAGraphRunner(self.sequences, self.labels)

    def step(self, rows: Rows) -> dict[str, Tensor]:
        losses, _ = self.fixed(rows, "step", self.compute, lambda found: self.optimizer.advance(found[1]))
        return losses

    def compute(
        self, batch: PackedBatch, labels: Mapping[str, Tensor], recording: bool
    ) -> tuple[dict[str, Tensor], list[nn.Parameter]]:
        self.recording = recording
        return self.train_on(batch, labels), self.reached

    def update(self, losses: Mapping[str, Tensor]) -> None:
        self.reached = self.flat.backward(*losses.values())
        if not self.recording:  # the host's part is done ahead of each replay
            self.optimizer.advance(self.reached)
        self.optimizer.apply(self.reached)


class CompiledLayers(Recorded):
    """Each layer through torch.compile: neighbouring elementwise operations become one kernel."""

    def prepare(self) -> None:
        super().prepare()
        self.model.bert.compile_layers()


# name -> what builds it, lowest first
RUNGS: dict[str, type[Padded]] = {
    "padded": Padded,
    "packed": Packed,
    "cheap dropout": CheapDropout,
    "length groups": Grouped,
    "flat AdamW": Flat,
    "rows of the embedding": FewRows,
    "one pass for all tasks": Together,
}
CUDA_RUNGS: dict[str, type[Padded]] = {
    **RUNGS,
    "one attention kernel": OneKernel,
    "AdamW in one pass": OnePass,
    "bfloat16": HalfPrecision,
    "recorded steps": Recorded,
    "compiled layers": CompiledLayers,
}


def rungs(device: torch.device) -> dict[str, type[Padded]]:
    """The rungs that a device has, lowest first."""
    return CUDA_RUNGS if device.type == "cuda" else RUNGS


def real_cells(batch: PackedBatch) -> tuple[Tensor, Tensor]:
    """Of a batch padded to its longest sequence: (sequences, longest) bool, true where a token stands; and (sequences,
    longest) int64, which token, or 0."""
    column = torch.arange(batch.max_seqlen, device=batch.ids.device)
    mask = column < batch.seqlens[:, None]
    return mask, (batch.cu_seqlens[:-1, None] + column) * mask


def _padded(x: Tensor, mask: Tensor, place: Tensor) -> Tensor:
    """(tokens, width) as (sequences, longest, width), zeros where no token stands."""
    return x[place] * mask[:, :, None]


def take_turns(
    sides: Mapping[str, Callable[[Any], Any]], batches: Iterable[Any], device: torch.device, warm_up: int = 1
) -> dict[str, list[float]]:
    """Seconds that each side needs for each batch, with all that it queues on the device.

    The sides take turns on every batch, in one order and then in the other, so that whatever else the machine does
    slows them alike. The first ``warm_up`` batches do not count.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number, batch in enumerate(batches):
        for name in list(sides) if number % 2 else list(reversed(sides)):
            spent = _timed(sides[name], batch, device)
            if number >= warm_up:
                seconds[name].append(spent)
    return seconds


def _timed(work: Callable[[Any], Any], batch: Any, device: torch.device) -> float:
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    work(batch)
    wait()
    return time.perf_counter() - start


def speedups(seconds: Mapping[str, list[float]]) -> pd.DataFrame:
    """Of each side: its median seconds, how many times faster than the one before (``gain``, with its quartiles
    ``low`` and ``high``), and than the first (``speedup``).

    Ratios are taken within a batch, where both sides worked on the same rows side by side; then comes the median.
    """
    table = pd.DataFrame(seconds)
    before = table.shift(1, axis=1).fillna({table.columns[0]: table[table.columns[0]]})
    ratios = before / table
    return pd.DataFrame(
        {
            "seconds": table.median(),
            "gain": ratios.median(),
            "low": ratios.quantile(0.25),
            "high": ratios.quantile(0.75),
            "speedup": table.rdiv(table.iloc[:, 0], axis=0).median(),
        }
    ).rename_axis("rung")


def build(
    of: Mapping[str, type[Padded]],
    load: Callable[[], Encoder],
    tables: Mapping[str, TokenizedDataset],
    device: torch.device,
) -> dict[str, Padded]:
    """The rungs, each with a model of its own on the same weights."""
    return {name: rung(load, tables, device) for name, rung in of.items()}


def read_tables(folder: Path, encoder: Encoder) -> dict[str, TokenizedDataset]:
    """The train files of the three tasks."""
    return {
        name: TokenizedDataset.of_rows(read_split(folder, TASKS[name], "train"), encoder.tokenizer) for name in HEADS
    }


def batches(tables: Mapping[str, TokenizedDataset], rows: Mapping[str, int], steps: int) -> list[dict[str, Tensor]]:
    """The random rows of each task in each of so many mixed steps."""
    orders = {name: BatchSampler(name, len(tables[name]), size, seed=0) for name, size in rows.items()}
    return [{name: order.batch(number) for name, order in orders.items()} for number in range(steps)]


def bench_ladder(
    folder: Path, encoder: str, rows: Mapping[str, int], steps: int, device: torch.device, warm_up: int = 2
) -> pd.DataFrame:
    """``speedups`` of all rungs over ``steps`` mixed steps of so many rows of each task; with the operations a second
    that a rung reaches on real tokens (``flops``)."""
    tables = read_tables(folder, load_encoder(encoder))
    of_steps = batches(tables, rows, warm_up + steps)
    ladder = build(rungs(device), lambda: load_encoder(encoder), tables, device)
    found = speedups(take_turns({name: rung.step for name, rung in ladder.items()}, of_steps, device, warm_up))
    (last,) = list(ladder.values())[-1:]
    lengths = [
        last.sequences[name].batch(chosen).lengths for step in of_steps[warm_up:] for name, chosen in step.items()
    ]
    config = last.model.encoder.config
    found["flops"] = sum(training_flops(config, each) for each in lengths) / steps / found.seconds
    return found


def recorded() -> pd.DataFrame:
    """The records in data/results/ladder.csv; an empty table if there are none."""
    return pd.read_csv(TABLE) if TABLE.exists() else pd.DataFrame()


def record(found: pd.DataFrame, folder: Path, encoder: str, rows: Mapping[str, int], steps: int, device: torch.device):
    """Put the rungs into data/results/ladder.csv, in place of older ones of the same device, threads, encoder and
    rows."""
    about = environment_info(device)
    new = found.reset_index().assign(
        device=about["device"],
        threads=about["threads"],
        encoder=encoder,
        data="sample" if folder == paths.SAMPLE else "real",
        rows="+".join(f"{size} {name}" for name, size in rows.items()),
        steps=steps,
        torch=about["versions"]["torch"],
        revision=about["revision"],
    )
    same = ["device", "threads", "encoder", "data", "rows"]
    old = recorded()
    if len(old):
        old = old[~old[same].astype(str).agg("|".join, axis=1).isin(new[same].astype(str).agg("|".join, axis=1))]
    atomic_write(TABLE, pd.concat([old, new]).to_csv(index=False, float_format="%.6g"))
