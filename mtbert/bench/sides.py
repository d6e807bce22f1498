"""The implementations of a training step that ``bench step`` compares."""

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
    """The same step with transformers: BertModel with SDPA and torch's fused AdamW.

    Batches are padded to their longest sequence. If ``packed``, all sequences of a batch stand end to end in one row
    instead, and a mask keeps each from attending to the others. If ``compiled``, the model goes through torch.compile,
    for any lengths.
    """

    def __init__(
        self,
        encoder: str,
        task: Task,
        dataset: TokenizedDataset,
        device: torch.device,
        precision: str = "float32",
        compiled: bool = False,
        packed: bool = False,
    ):
        try:
            import transformers
        except ImportError:
            raise missing_extra("the peer of this bench, transformers,", "notebooks") from None

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
        self.sequences, self.packed = dataset.encode("cross", MAX_LENGTH, ours.tokenizer), packed
        self.ids = self.sequences.ids.long().split(self.sequences.lengths.tolist())
        self.types = self.sequences.token_types.long().split(self.sequences.lengths.tolist())
        parameters = [*self.bert.parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.AdamW(parameters, lr=LR, weight_decay=WEIGHT_DECAY, fused=True)

    def step(self, rows: Tensor) -> None:
        with autocast(self.device, self.precision):
            loss = task_loss(self.task, self.logits(rows), self.labels[on_device(rows, self.device)])
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def logits(self, rows: Tensor) -> Tensor:
        """(rows, outputs), from the first token of each sequence."""
        if self.packed:
            batch = self.sequences.batch(rows).to(self.device)
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
        return on_device(nn.utils.rnn.pad_sequence(selected, batch_first=True), self.device)


class MatrixProducts:
    """The matrix products of one layer's training step and nothing else: how fast the device multiplies such matrices.

    Products have the step's own shapes: (tokens, rows) times (rows, columns), forward, and the two of the backward
    pass. ``flops`` counts those of the last step.
    """

    def __init__(self, config: BertConfig, device: torch.device, dtype: torch.dtype):
        h, f = config.hidden_size, config.intermediate_size
        self.shapes = [(h, 3 * h), (h, h), (h, f), (f, h)]
        self.weights = [torch.randn(shape, device=device, dtype=dtype) for shape in self.shapes]
        self.gradients = [torch.empty_like(weight) for weight in self.weights]

    def step(self, tokens: int) -> None:
        for weight, gradient in zip(self.weights, self.gradients, strict=True):
            x = weight.new_ones(tokens, len(weight))
            torch.mm(torch.mm(x, weight), weight.T, out=x)  # forward, and the gradient of x
            torch.mm(x.T, torch.mm(x, weight), out=gradient)

    def flops(self, tokens: int) -> int:
        """FLOPs of a step."""
        return sum(4 * 2 * tokens * rows * columns for rows, columns in self.shapes)
