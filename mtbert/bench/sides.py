"""The implementations of a training step that ``bench step`` compares."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from mtbert.bench.workload import LR, MAX_LENGTH, WEIGHT_DECAY, PackedStep
from mtbert.data.batch import on_device
from mtbert.data.tasks import Task
from mtbert.data.tokens import TokenizedDataset
from mtbert.nn.adapters import build_adapter
from mtbert.nn.bert import BertConfig
from mtbert.nn.heads import build_head
from mtbert.nn.losses import task_loss
from mtbert.nn.pretrained import load_encoder
from mtbert.training.cuda_graphs import Execution
from mtbert.utils.device import autocast
from mtbert.utils.extras import missing_extra
from mtbert.utils.onednn import linear, transposed_product


@dataclass(frozen=True)
class Job:
    """What all sides train: an encoder on the rows of a task."""

    encoder: str
    task: Task
    dataset: TokenizedDataset
    device: torch.device
    precision: str = "float32"


class Ours(PackedStep):
    """A training step of mtbert on one task, perhaps with an adapter (see ``mtbert.nn.ADAPTERS``) in every layer."""

    def __init__(self, job: Job, adapter: str = "none", execution: Execution | None = None):
        self.task, self.adapter = job.task.name, adapter
        super().__init__(
            lambda: load_encoder(job.encoder),
            {self.task: job.dataset},
            job.device,
            job.precision,
            execution=execution,
            heads={self.task: "linear"},
            encoding={self.task: "cross"},
            pooling="cls",
        )

    def prepare(self) -> None:
        if self.adapter != "none":
            adapter = build_adapter(self.adapter, self.model.encoder.config)
            self.model.adapters[self.task] = adapter.to(self.device).train()
        super().prepare()

    def step(self, rows: Tensor) -> None:  # type: ignore[override]  # one task: no mapping
        super().step({self.task: rows})


class Peer:
    """The same step with transformers: BertModel with SDPA and torch's fused AdamW.

    Batches are padded to their longest sequence. If ``packed``, all sequences of a batch stand end to end in one row
    instead, and a mask keeps each from attending to the others. If ``compiled``, the model goes through torch.compile,
    for any lengths.
    """

    def __init__(self, job: Job, compiled: bool = False, packed: bool = False):
        try:
            import transformers
        except ImportError:
            raise missing_extra("the peer of this bench, transformers,", "notebooks") from None

        transformers.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        ours = load_encoder(job.encoder)
        with TemporaryDirectory() as folder:
            ours.save(Path(folder))  # so that random weights are the same, too
            self.bert = transformers.BertModel.from_pretrained(
                folder, attn_implementation="sdpa", add_pooling_layer=False, dtype=torch.float32
            ).to(job.device)
        self.head = build_head("linear", job.task, ours.config.hidden_size).to(job.device)
        self.bert.train()
        self.forward = torch.compile(self.bert, dynamic=True) if compiled else self.bert
        self.job, self.packed, self.labels = job, packed, job.dataset.labels.to(job.device)
        self.sequences = job.dataset.encode("cross", MAX_LENGTH, ours.tokenizer)
        self.ids = self.sequences.ids.long().split(self.sequences.lengths.tolist())
        self.types = self.sequences.token_types.long().split(self.sequences.lengths.tolist())
        parameters = [*self.bert.parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.AdamW(parameters, lr=LR, weight_decay=WEIGHT_DECAY, fused=True)

    def step(self, rows: Tensor) -> None:
        with autocast(self.job.device, self.job.precision):
            loss = task_loss(self.job.task, self.logits(rows), self.labels[on_device(rows, self.job.device)])
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def logits(self, rows: Tensor) -> Tensor:
        """(rows, outputs), from the first token of each sequence."""
        if self.packed:
            batch = self.sequences.batch(rows).to(self.job.device)
            inputs = {"input_ids": batch.ids, "token_type_ids": batch.token_types, "position_ids": batch.positions}
            mask = batch.seq_ids[:, None] == batch.seq_ids  # (tokens, tokens)
            hidden = self.forward(**{name: ids[None] for name, ids in inputs.items()}, attention_mask=mask[None, None])
            return self.head(hidden.last_hidden_state[0, batch.first_tokens])
        ids, types = self._padded(self.ids, rows), self._padded(self.types, rows)
        mask = (ids != self.bert.config.pad_token_id).long()
        hidden = self.forward(input_ids=ids, attention_mask=mask, token_type_ids=types)
        return self.head(hidden.last_hidden_state[:, 0])

    def _padded(self, sequences: tuple[Tensor, ...], rows: Tensor) -> Tensor:
        selected = [sequences[row] for row in rows.tolist()]
        return on_device(nn.utils.rnn.pad_sequence(selected, batch_first=True), self.job.device)


class MatrixProducts:
    """The matrix products of one layer's training step and nothing else: how fast the device multiplies such matrices.

    Products have the step's own shapes: (tokens, inputs) times (inputs, outputs), forward, and the two of the backward
    pass, each by whichever of torch's libraries this processor prefers. ``flops`` counts those of a step.
    """

    def __init__(self, config: BertConfig, device: torch.device, dtype: torch.dtype):
        h, f = config.hidden_size, config.intermediate_size
        self.shapes = [(3 * h, h), (h, h), (f, h), (h, f)]  # (outputs, inputs)
        self.weights = [torch.randn(shape, device=device, dtype=dtype) for shape in self.shapes]

    def step(self, tokens: int) -> None:
        for weight in self.weights:
            x = weight.new_ones(tokens, weight.shape[1])
            y = linear(x, weight)
            linear(y, weight.T)  # the gradient of x
            transposed_product(y, x)  # and of the weight

    def flops(self, tokens: int) -> int:
        """FLOPs of a step."""
        return sum(3 * 2 * tokens * rows * columns for rows, columns in self.shapes)
