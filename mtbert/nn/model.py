"""The multitask model: one encoder, one head per task."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mtbert.data.batch import PackedBatch
from mtbert.data.tasks import Task
from mtbert.data.tokens import Encoding, SequenceTable, TokenTable
from mtbert.errors import UserError
from mtbert.nn.adapters import Adapter, TaskAdapters
from mtbert.nn.heads import HEADS, build_head
from mtbert.nn.losses import task_loss
from mtbert.nn.pretrained import Encoder

EVALUATION_TOKENS = 4096


class MultitaskModel(nn.Module):
    """An encoder shared by all tasks, a pooling, and per task a head and perhaps an adapter.

    encoding: "cross" or "bi" per pair task ("cross" if not named). max_length: tokens a sequence may have, per task.
    adapters: by task (see ``mtbert.nn.adapters``). Weights that nothing uses (the pooler, under another pooling) are
    frozen, so that no optimiser moves them.
    """

    def __init__(
        self,
        encoder: Encoder,
        tasks: Sequence[Task],
        heads: Mapping[str, str],
        encoding: Mapping[str, Encoding],
        max_length: Mapping[str, int],
        pooling: str = "mean",
        head_dropout: float = 0.0,
        adapters: Mapping[str, Adapter] | None = None,
    ):
        super().__init__()
        self.encoder, self.bert = encoder, encoder.bert
        self.tasks = {task.name: task for task in tasks}
        self.encoding, self.max_length, self.pooling = dict(encoding), dict(max_length), pooling
        width = encoder.config.hidden_size
        self.heads = nn.ModuleDict(
            {task.name: build_head(heads[task.name], task, width, head_dropout) for task in tasks}
        )
        self._sees_pair = {name: HEADS[heads[name]].pair for name in self.tasks}
        self.adapters = TaskAdapters(adapters)
        self.bert.pooler.requires_grad_(pooling == "pooler")

    @property
    def device(self) -> torch.device:
        return self.encoder.device

    def vectors(self, batch: PackedBatch) -> Tensor:
        """(sequences, hidden): the pooled vector of each sequence."""
        return self.encoder.pool(self.bert(batch, self.adapters), batch, self.pooling)

    def outputs(self, task: str, vectors: Tensor) -> Tensor:
        """(rows, outputs) of a task's head on the vectors of its sequences; a bi-encoded pair has two in a row."""
        if self._sees_pair[task]:
            vectors = vectors.view(-1, 2, vectors.shape[1])
        return self.heads[task](vectors)

    def losses(self, batch: PackedBatch, labels: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Each task's mean loss over its slice of the batch; one forward for all of them."""
        vectors = self.vectors(batch)
        return self.losses_of({task: vectors[where] for task, where in batch.slices.items()}, labels)

    def losses_of(self, vectors: Mapping[str, Tensor], labels: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Each task's mean loss, from the pooled vectors of its sequences."""
        return {
            task: task_loss(self.tasks[task], self.outputs(task, of_task), labels[task])
            for task, of_task in vectors.items()
        }

    def norms(self) -> dict[str, nn.LayerNorm]:
        """The encoder's LayerNorms by name."""
        return {name: module for name, module in self.bert.named_modules() if isinstance(module, nn.LayerNorm)}

    def adopt(self, other: "MultitaskModel") -> None:
        """Take over another model's tasks: their heads, adapters and how their rows are read. The encoders must be
        the same. Raises UserError for a task that both have, or another pooling."""
        both = self.tasks.keys() & other.tasks.keys()
        if both:
            raise UserError(f"both models have a head for {', '.join(sorted(both))}: give each task once")
        if other.pooling != self.pooling:
            raise UserError(f"one model pools by {self.pooling}, the other by {other.pooling}: they must agree")
        for mine, theirs in (
            (self.tasks, other.tasks), (self.encoding, other.encoding), (self.max_length, other.max_length),
            (self._sees_pair, other._sees_pair), (self.heads, other.heads), (self.adapters, other.adapters),
        ):  # fmt: skip
            mine.update(theirs)

    def sequences(self, task: str, table: TokenTable) -> SequenceTable:
        """What BERT reads of a task's rows, under this model's encoding and length limit."""
        return table.sequences(self.encoding.get(task, "cross"), self.max_length[task], self.encoder.word_pieces)

    @torch.no_grad()
    def table_vectors(self, sequences: SequenceTable, progress=None, task: str | None = None) -> Tensor:
        """(sequences, hidden): the pooled vectors of a whole table, in evaluation mode, in the table's order.

        task: whose adapter to use, if the model has any.
        """
        training = self.training
        self.eval()
        width, per_row = self.encoder.config.hidden_size, sequences.per_row
        found = torch.empty(len(sequences), per_row, width, device=self.device)
        sequences = sequences.to(self.device)
        for rows, batch in sequences.batches(EVALUATION_TOKENS):
            batch.slices = {task: slice(0, len(batch))} if task else {}
            found[rows.to(self.device)] = self.vectors(batch).view(-1, per_row, width).float()
            if progress is not None:
                progress(len(rows))
        self.train(training)
        return found.view(-1, width)

    @torch.no_grad()
    def table_outputs(self, task: str, sequences: SequenceTable, progress=None) -> Tensor:
        """(rows, outputs) of a task's head over a whole table, on the host."""
        vectors = self.table_vectors(sequences, progress, task)
        training = self.training
        self.eval()
        found = self.outputs(task, vectors).cpu()
        self.train(training)
        return found

    def scores(self, task: str, texts: Sequence[str | tuple[str, str]]) -> Tensor:
        """What the model makes of new texts: class probabilities (rows, classes), the probability of "duplicate"
        (rows,), or the similarity (rows,).

        texts: sentences, or pairs for a pair task. Raises UserError for a task the model has no head for, or texts
        of the wrong form.
        """
        return probabilities(self._task(task), self._outputs_of_texts(task, texts))

    def predict(self, task: str, texts: Sequence[str | tuple[str, str]]) -> list[int] | list[float]:
        """The label of each text: a class, 0 or 1, or a similarity. Arguments and errors as for ``scores``."""
        return labels_from(self._task(task), self._outputs_of_texts(task, texts))

    def _task(self, name: str) -> Task:
        if name not in self.tasks:
            raise UserError(f"this model has no head for task {name!r}: it was trained on {', '.join(self.tasks)}")
        return self.tasks[name]

    def _outputs_of_texts(self, name: str, texts: Sequence[str | tuple[str, str]]) -> Tensor:
        task = self._task(name)
        if isinstance(texts, str):
            raise UserError(f"task {name!r}: {texts!r} is one text: give a list of them")
        rows = [tuple(text) if isinstance(text, Sequence) and not isinstance(text, str) else (text,) for text in texts]
        wanted = len(task.text_columns)
        for number, row in enumerate(rows, start=1):
            if len(row) != wanted or not all(isinstance(text, str) and text.strip() for text in row):
                form = "a pair of sentences" if task.is_pair else "one sentence"
                raise UserError(f"task {name!r}, text {number}: {row!r} is not {form}, none of them empty")
        if not rows:
            raise UserError("no text given: give at least one")
        table = TokenTable.of_texts(rows, self.encoder.word_pieces)
        return self.table_outputs(name, self.sequences(name, table))


def probabilities(task: Task, outputs: Tensor) -> Tensor:
    """Head outputs (rows, outputs) as probabilities, or as scores for a score task."""
    if task.kind == "classes":
        return outputs.softmax(dim=1)
    return outputs.squeeze(1).sigmoid() if task.kind == "binary" else outputs.squeeze(1)


def labels_from(task: Task, outputs: Tensor) -> list[int] | list[float]:
    """Head outputs (rows, outputs) as labels. A binary label is 1 where the probability exceeds one half."""
    if task.kind == "classes":
        return outputs.argmax(dim=1).tolist()
    if task.kind == "binary":
        return (outputs.squeeze(1) > 0).int().tolist()
    return outputs.squeeze(1).tolist()
