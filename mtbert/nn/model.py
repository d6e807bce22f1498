"""The multitask model: one encoder, one head per task."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from mtbert.data.batch import PackedBatch
from mtbert.data.tasks import Task
from mtbert.data.tokens import EncodedDataset, Encoding, TokenizedDataset
from mtbert.nn.adapters import Adapter, TaskAdapters
from mtbert.nn.heads import HEADS, TokenVectors, build_head
from mtbert.nn.losses import TaskLoss, build_loss
from mtbert.nn.pretrained import Encoder
from mtbert.nn.smart import Chance, adversarial_perturbation, smoothness
from mtbert.utils.errors import UserError

EVALUATION_TOKENS = {"cpu": 4096, "cuda": 65536}  # in a batch: as many as keep a device busy


class MultitaskModel(nn.Module):
    """An encoder shared by all tasks, a pooling, and per task a head and perhaps an adapter.

    encoding: "cross" or "bi" per pair task ("cross" if not named). max_length: tokens a sequence may have, per task.
    loss: what each task minimises (by its kind if not named). smart: weight of SMART's smoothness term per task.
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
        loss: Mapping[str, TaskLoss] | None = None,
        smart_weight: Mapping[str, float] | None = None,
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
        self._input_kinds = {name: HEADS[heads[name]].input_kind for name in self.tasks}
        self.loss = {task.name: build_loss("default", task) for task in tasks} | dict(loss or {})
        self.smart_weight = {name: weight for name, weight in (smart_weight or {}).items() if weight}
        self.adapters = TaskAdapters(adapters)
        self.bert.pooler.requires_grad_(pooling == "pooler")

    @property
    def device(self) -> torch.device:
        return self.encoder.device

    def vectors(self, batch: PackedBatch) -> Tensor:
        """(sequences, hidden): the pooled vector of each sequence."""
        return self.encoder.pool(self.bert(batch, self.adapters), batch, self.pooling)

    def logits(self, task: str, head_inputs: Tensor | TokenVectors) -> Tensor:
        """(rows, outputs) of a task's head on the vectors of its sequences (a bi-encoded pair has two in a row), or on
        all tokens if the head sees those."""
        if self._input_kinds[task] == "pair":
            head_inputs = head_inputs.view(-1, 2, head_inputs.shape[1])
        return self.heads[task](head_inputs)

    def losses(self, batch: PackedBatch, labels: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Each task's mean loss over its slice of the batch; one forward for all of them, and two more for SMART."""
        embedded = self.bert.embeddings(batch)
        chance = Chance(self.device) if self.smart_weight else None
        head_inputs = self._head_inputs(embedded, batch)
        logits = {task: self.logits(task, of_task) for task, of_task in head_inputs.items()}
        losses = {task: self.loss[task](logits[task], head_inputs[task], labels[task]) for task in head_inputs}
        for task, term in self._smoothness(embedded, batch, logits, chance).items():
            losses[task] = losses[task] + self.smart_weight[task] * term
        return losses

    def _smoothness(
        self, embedded: Tensor, batch: PackedBatch, logits: Mapping[str, Tensor], chance: Chance | None
    ) -> dict[str, Tensor]:
        """SMART's term of each task that asks for it. chance: as it was when ``outputs`` were computed."""
        tasks = [task for task in logits if task in self.smart_weight]
        if not tasks:
            return {}

        def distances(delta: Tensor) -> dict[str, Tensor]:
            with chance.again():  # the same dropout masks: delta alone makes the difference
                head_inputs = self._head_inputs(embedded + delta, batch)
                near = {task: self.logits(task, of_task) for task, of_task in head_inputs.items()}
            return {task: smoothness(self.tasks[task], near[task], logits[task]) for task in tasks}

        return distances(adversarial_perturbation(lambda delta: sum(distances(delta).values()), embedded))

    def losses_of(self, vectors: Mapping[str, Tensor], labels: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Each task's mean loss, from the pooled vectors of its sequences."""
        return {
            task: self.loss[task](self.logits(task, of_task), of_task, labels[task])
            for task, of_task in vectors.items()
        }

    def _head_inputs(self, embedded: Tensor, batch: PackedBatch) -> dict[str, Tensor | TokenVectors]:
        """What each task's head sees of its slice of the batch."""
        hidden = self.bert.encode(embedded, batch, self.adapters)
        vectors = self.encoder.pool(hidden, batch, self.pooling)
        return {
            task: TokenVectors(hidden[batch.tokens_of(where)], batch.part(where))
            if self._input_kinds[task] == "tokens"
            else vectors[where]
            for task, where in batch.slices.items()
        }

    def norms(self) -> dict[str, nn.LayerNorm]:
        """The encoder's LayerNorms by name."""
        return {name: module for name, module in self.bert.named_modules() if isinstance(module, nn.LayerNorm)}

    def merge_tasks(self, other: "MultitaskModel") -> None:
        """Take over another model's tasks: their heads, adapters and how their rows are read. The encoders must be
        the same. Raises UserError for a task that both have, or another pooling."""
        both = self.tasks.keys() & other.tasks.keys()
        if both:
            raise UserError(f"both models have a head for {', '.join(sorted(both))}: give each task once")
        if other.pooling != self.pooling:
            raise UserError(f"one model pools by {self.pooling}, the other by {other.pooling}: they must agree")
        for mine, theirs in (
            (self.tasks, other.tasks),
            (self.encoding, other.encoding),
            (self.max_length, other.max_length),
            (self._input_kinds, other._input_kinds),
            (self.loss, other.loss),
            (self.smart_weight, other.smart_weight),
            (self.heads, other.heads),
            (self.adapters, other.adapters),
        ):
            mine.update(theirs)

    def sequences(self, task: str, table: TokenizedDataset) -> EncodedDataset:
        """What BERT reads of a task's rows, under this model's encoding and length limit."""
        return table.sequences(self.encoding.get(task, "cross"), self.max_length[task], self.encoder.tokenizer)

    def table_vectors(self, sequences: EncodedDataset, progress=None, task: str | None = None) -> Tensor:
        """(sequences, hidden): the pooled vectors of a whole table, in evaluation mode, in the table's order.

        task: whose adapter to use, if the model has any.
        """
        return self._over_table(sequences, self.vectors, progress, task)

    @torch.no_grad()
    def predict_logits(self, task: str, sequences: EncodedDataset, progress=None) -> Tensor:
        """(rows, outputs) of a task's head over a whole table, on the host."""
        if self._input_kinds[task] == "tokens":
            head = self.heads[task]

            def logits(batch: PackedBatch) -> Tensor:
                return head(TokenVectors(self.bert(batch, self.adapters), batch))

            return self._over_table(sequences, logits, progress, task).cpu()
        vectors = self.table_vectors(sequences, progress, task)
        training = self.training
        self.eval()
        found = self.logits(task, vectors).cpu()
        self.train(training)
        return found

    @torch.no_grad()
    def _over_table(
        self, sequences: EncodedDataset, of_batch: Callable[[PackedBatch], Tensor], progress, task: str | None
    ) -> Tensor:
        """(sequences, numbers): what ``of_batch`` makes of each sequence, in evaluation mode, in the table's order."""
        training = self.training
        self.eval()
        sequences = sequences.to(self.device)
        places, found = [], []
        for rows, batch in sequences.batches(EVALUATION_TOKENS.get(self.device.type, EVALUATION_TOKENS["cpu"])):
            batch.slices = {task: slice(0, len(batch))} if task else {}
            places.append(rows)
            found.append(of_batch(batch).float().view(len(rows), -1))
            if progress is not None:
                progress(len(rows))
        self.train(training)
        in_order = torch.cat(found)[torch.cat(places).argsort().to(self.device)]  # (rows, per_row * numbers)
        return in_order.view(sequences.per_row * len(sequences), -1)

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
        table = TokenizedDataset.of_texts(rows, self.encoder.tokenizer)
        return self.predict_logits(name, self.sequences(name, table))


def probabilities(task: Task, logits: Tensor) -> Tensor:
    """Head outputs (rows, outputs) as probabilities, or as scores for a score task."""
    if task.kind == "multiclass":
        return logits.softmax(dim=1)
    return logits.squeeze(1).sigmoid() if task.kind == "binary" else logits.squeeze(1)


def labels_from(task: Task, logits: Tensor) -> list[int] | list[float]:
    """Head outputs (rows, outputs) as labels. A binary label is 1 where the probability exceeds one half."""
    if task.kind == "multiclass":
        return logits.argmax(dim=1).tolist()
    if task.kind == "binary":
        return (logits.squeeze(1) > 0).int().tolist()
    return logits.squeeze(1).tolist()
