"""The ladder: a mixed training step as one would first write it, then one optimization after the other.

Every rung is a class that overrides what it changes of the rung before it: its code *is* the optimization. All rungs
start from the same weights, read the same rows and compute the same losses; only their time differs.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import cast

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtbert.bench.timing import interleave, read_records
from mtbert.bench.workload import (
    LR,
    WEIGHT_DECAY,
    Datasets,
    LoadEncoder,
    Rows,
    Workload,
    optimizer_step,
    owner_of,
    random_batches,
    read_datasets,
)
from mtbert.data.batch import PackedBatch
from mtbert.nn import dropout as cheap
from mtbert.nn.bert import Layer
from mtbert.nn.compile import compile_layers
from mtbert.nn.flops import training_flops
from mtbert.nn.pretrained import load_encoder
from mtbert.nn.varlen import AttentionBackend, attention_backend
from mtbert.optim import FlatParameters, FusedAdamW
from mtbert.training.cuda_graphs import CUDAGraphRunner
from mtbert.training.dataset import MicroBatch
from mtbert.utils import paths
from mtbert.utils.device import autocast, environment_info
from mtbert.utils.tables import upsert_csv

Attend = Callable[[Tensor, Layer], Tensor]


class Padded(Workload):
    """Batches padded to their longest sequence, a pass for each task, torch's dropout and torch's AdamW."""

    optimizer: torch.optim.Optimizer

    def __init__(self, load: LoadEncoder, datasets: Datasets, device: torch.device):
        super().__init__(load, datasets, device)
        self.prepare()

    def prepare(self) -> None:
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        groups = [
            {"params": [parameter for parameter in trained if parameter.ndim > 1], "weight_decay": WEIGHT_DECAY},
            {"params": [parameter for parameter in trained if parameter.ndim < 2], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=LR)

    def step(self, rows: Rows) -> dict[str, Tensor]:
        """Train on these rows; returns each task's mean loss before the step."""
        losses = {task: self.loss(task, task_rows) for task, task_rows in rows.items()}
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
        return self.model.losses_from_vectors({task: vectors}, {task: self.labels[task][rows]})[task]

    def hidden(self, batch: PackedBatch) -> Tensor:
        """(tokens, hidden), by way of (sequences, max_seqlen, hidden): every layer processes the padding, too."""
        mask, index = padded_layout(batch)
        ids, types = (_pad(values[:, None], mask, index).squeeze(2) for values in (batch.ids, batch.token_types))
        positions = torch.arange(batch.max_seqlen, device=ids.device).expand_as(ids)
        x = self.layers(ids, positions, types, lambda qkv, layer: self.attend(qkv, mask, layer))
        return x[mask]

    def layers(self, ids: Tensor, positions: Tensor, types: Tensor, attend: Attend) -> Tensor:
        """(..., hidden): the last layer's output for tokens of any shape (...); notebook 02 derives it."""
        embeddings = self.model.bert.embeddings
        summed = embeddings.word(ids) + embeddings.position(positions) + embeddings.token_type(types)
        x = self.drop(embeddings.norm(summed), embeddings.p)
        for layer in cast(Iterable[Layer], self.model.bert.layers):
            mixed = layer.attention_output(attend(layer.qkv(x), layer))
            h = layer.attention_norm(x + self.drop(mixed, layer.p))
            narrow = layer.output(F.gelu(layer.intermediate(h)))
            x = layer.output_norm(h + self.drop(narrow, layer.p))
        return x

    def attend(self, qkv: Tensor, mask: Tensor, layer: Layer) -> Tensor:
        """(sequences, max_seqlen, hidden) from qkv, (sequences, max_seqlen, 3 * hidden); mask: true for tokens."""
        query, key, value = qkv.unflatten(2, (3, layer.heads, -1)).permute(2, 0, 3, 1, 4)  # (n, heads, max_seqlen, d)
        scores = query @ key.mT / math.sqrt(query.shape[-1])
        scores = scores.masked_fill(~mask[:, None, None, :], torch.finfo(scores.dtype).min)
        mixed = self.drop(scores.softmax(dim=-1), layer.attention_p) @ value
        return mixed.transpose(1, 2).flatten(2)

    def drop(self, x: Tensor, p: float) -> Tensor:
        return F.dropout(x, p)


class Packed(Padded):
    """Sequences end to end; only attention still sees a padded block."""

    def hidden(self, batch: PackedBatch) -> Tensor:
        mask, index = padded_layout(batch)

        def attend(qkv: Tensor, layer: Layer) -> Tensor:
            return self.attend(_pad(qkv, mask, index), mask, layer)[mask]

        return self.layers(batch.ids, batch.positions, batch.token_types, attend)


class CheapDropout(Packed):
    """Dropout with sixteen random bits a value instead of a float (on a CPU; elsewhere nothing changes)."""

    def drop(self, x: Tensor, p: float) -> Tensor:
        return cheap.dropout(x, p)


class LengthGrouped(CheapDropout):
    """Attention over groups of similar length with a hand-written gradient: the package's own forward pass."""

    attention: AttentionBackend = "groups"

    def hidden(self, batch: PackedBatch) -> Tensor:
        with attention_backend(self.attention):
            return self.model.bert(batch)


class FlatAdamW(LengthGrouped):
    """All parameters in one vector, and AdamW over chunks of it that fit into the processor's cache."""

    optimizer: FusedAdamW
    use_kernel = sparse_embedding = False

    def prepare(self) -> None:
        self.flat = FlatParameters(self.model, owner_of)
        for module in self.model.modules():
            if isinstance(module, nn.Embedding):
                module.sparse &= self.sparse_embedding
        self.optimizer = FusedAdamW(self.flat.groups(WEIGHT_DECAY), lr=LR, use_kernel=self.use_kernel)

    def update(self, losses: Mapping[str, Tensor]) -> None:
        self.flat.backward(*losses.values())
        self.optimizer.step()


class SparseEmbedding(FlatAdamW):
    """The embedding's gradient as the few rows that the batch reads (on a CPU)."""

    sparse_embedding = True


class OnePass(SparseEmbedding):
    """One forward and one backward pass for the sequences of all tasks: on a CPU, a step of ``mtbert.train``."""

    def step(self, rows: Rows) -> dict[str, Tensor]:
        return self.train_on(self.micro_batch(rows))

    def train_on(self, micro_batch: MicroBatch) -> dict[str, Tensor]:
        assert isinstance(micro_batch.inputs, PackedBatch)
        with attention_backend(self.attention):
            losses = self.model.losses(micro_batch.inputs, micro_batch.labels)
        self.update({"all": torch.stack(list(losses.values())).sum()})
        return losses


class VarlenAttention(OnePass):
    """On a GPU, attention as one kernel call over packed sequences of any lengths."""

    attention = "varlen"


class AdamWKernel(VarlenAttention):
    """On a GPU, AdamW as one kernel that reads and writes each number once."""

    use_kernel = True


class HalfPrecision(AdamWKernel):
    """Matrix products in bfloat16; weights, norms and losses stay in float32. Its losses agree to two digits."""

    def train_on(self, micro_batch: MicroBatch) -> dict[str, Tensor]:
        with autocast(self.device, "bfloat16"):
            return super().train_on(micro_batch)


class CUDAGraphs(HalfPrecision):
    """Steps of static shapes; on a GPU each shape is captured as a CUDA graph, which launches its kernels at once."""

    def prepare(self) -> None:
        super().prepare()
        self.runner = CUDAGraphRunner(self.sequences, self.labels)

    def step(self, rows: Rows) -> dict[str, Tensor]:
        losses, _ = self.runner(rows, self.compute, before_replay=lambda result: self.optimizer.advance(result[1]))
        return losses

    def compute(self, micro_batches: Iterable[MicroBatch]) -> tuple[dict[str, Tensor], list[nn.Parameter]]:
        (micro_batch,) = micro_batches
        return self.train_on(micro_batch), self.updated

    def update(self, losses: Mapping[str, Tensor]) -> None:
        self.updated = self.flat.backward(*losses.values())
        optimizer_step(self.optimizer, self.updated)


class CompiledLayers(CUDAGraphs):
    """Each layer through torch.compile: neighboring elementwise operations become one kernel."""

    def prepare(self) -> None:
        super().prepare()
        compile_layers(self.model.bert)


# name -> class, lowest rung first
RUNGS: dict[str, type[Padded]] = {
    "padded": Padded,
    "packed": Packed,
    "cheap dropout": CheapDropout,
    "length groups": LengthGrouped,
    "flat AdamW": FlatAdamW,
    "rows of the embedding": SparseEmbedding,
    "one pass for all tasks": OnePass,
}
CUDA_RUNGS: dict[str, type[Padded]] = {
    **RUNGS,
    "one attention kernel": VarlenAttention,
    "AdamW in one pass": AdamWKernel,
    "bfloat16": HalfPrecision,
    "CUDA graphs": CUDAGraphs,
    "compiled layers": CompiledLayers,
}


def rungs(device: torch.device) -> dict[str, type[Padded]]:
    """The rungs that make sense on a device, lowest first."""
    return CUDA_RUNGS if device.type == "cuda" else RUNGS


def padded_layout(batch: PackedBatch) -> tuple[Tensor, Tensor]:
    """The layout of a padded batch, (sequences, max_seqlen): a mask, true for tokens; and the index of each, or 0."""
    column = torch.arange(batch.max_seqlen, device=batch.ids.device)
    mask = column < batch.seqlens[:, None]
    return mask, (batch.cu_seqlens[:-1, None] + column) * mask


def _pad(x: Tensor, mask: Tensor, index: Tensor) -> Tensor:
    """(tokens, width) -> (sequences, max_seqlen, width), with zeros for padding."""
    return x[index] * mask[:, :, None]


def speedups(seconds: Mapping[str, list[float]]) -> pd.DataFrame:
    """What each rung gains, from the timings of ``interleave``, lowest rung first.

    Ratios are taken within a batch, where both sides worked on the same rows at about the same time; then the median.

    Returns:
        One line per rung. Columns: seconds (median), gain (how many times faster than the rung before), its quartiles
        low and high, and speedup (how many times faster than the first rung).
    """
    table = pd.DataFrame(seconds)
    before = table.shift(1, axis=1).fillna({table.columns[0]: table[table.columns[0]]})
    ratios = before / table
    columns = {
        "seconds": table.median(),
        "gain": ratios.median(),
        "low": ratios.quantile(0.25),
        "high": ratios.quantile(0.75),
        "speedup": table.rdiv(table.iloc[:, 0], axis=0).median(),
    }
    return pd.DataFrame(columns).rename_axis("rung")


def build(
    classes: Mapping[str, type[Padded]], load: LoadEncoder, datasets: Datasets, device: torch.device
) -> dict[str, Padded]:
    """The rungs, each with its own model on the same weights."""
    return {name: rung(load, datasets, device) for name, rung in classes.items()}


def bench_ladder(
    folder: Path, encoder: str, rows: Mapping[str, int], steps: int, device: torch.device, warm_up: int = 2
) -> pd.DataFrame:
    """``speedups`` from ``steps`` mixed steps of all rungs on the same random batches, with so many rows of each task.

    The column flops has the floating-point operations per second on real tokens.
    """
    datasets = read_datasets(folder, load_encoder(encoder).tokenizer, rows)
    batches = random_batches(datasets, rows, warm_up + steps)
    ladder = build(rungs(device), lambda: load_encoder(encoder), datasets, device)
    table = speedups(interleave({name: rung.step for name, rung in ladder.items()}, batches, device, warm_up))
    top = list(ladder.values())[-1]
    lengths = [
        top.sequences[task].batch(indices).lengths for batch in batches[warm_up:] for task, indices in batch.items()
    ]
    flops = sum(training_flops(top.model.encoder.config, batch_lengths) for batch_lengths in lengths)
    return table.assign(flops=flops / steps / table.seconds)


def recorded() -> pd.DataFrame:
    """The records in data/results/ladder.csv; an empty table if there are none."""
    return read_records(paths.RESULTS / "ladder.csv")


def record(
    table: pd.DataFrame, folder: Path, encoder: str, rows: Mapping[str, int], steps: int, device: torch.device
) -> Path:
    """Add the table of ``bench_ladder`` to data/results/ladder.csv, in place of older rungs of the same setting."""
    about = environment_info(device)
    table = (
        table.map("{:.6g}".format)
        .reset_index()
        .assign(
            device=about["device"],
            threads=about["threads"],
            encoder=encoder,
            data="sample" if folder == paths.SAMPLE else "real",
            rows="+".join(f"{size} {task}" for task, size in rows.items()),
            steps=steps,
            torch=about["versions"]["torch"],
            revision=about["revision"],
        )
    )
    key = ["rung", "device", "threads", "encoder", "data", "rows"]
    return upsert_csv(paths.RESULTS / "ladder.csv", table.to_dict("records"), key)
