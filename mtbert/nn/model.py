"""The multitask model: one encoder, one head per task."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from mtbert.data.batch import PackedBatch
from mtbert.data.tasks import Task
from mtbert.data.tokens import EncodedDataset, Encoding, TokenizedDataset
from mtbert.nn.adapters import Adapter, TaskAdapters
from mtbert.nn.heads import HEADS, VECTORS_PER_ROW, TokenVectors, build_head
from mtbert.nn.losses import TaskLoss, build_loss
from mtbert.nn.pretrained import Encoder
from mtbert.nn.smart import RNGState, adversarial_perturbation, smoothness
from mtbert.nn.texts import Text, text_rows
from mtbert.utils.errors import UserError, shorten
from mtbert.utils.logging import logger

FIRST_TOKEN = ("cls", "pooler")  # poolings that read nothing but the first token of a sequence
EVALUATION_TOKENS = {"cpu": 4096, "cuda": 65536}  # per batch: enough to keep the device busy


Observer = Callable[[str, Tensor, Tensor], object]  # (task, logits, labels)


def ignore(task: str, logits: Tensor, labels: Tensor) -> None:
    """The observer that does nothing."""


class MultitaskModel(nn.Module):
    """One encoder shared by all tasks, a pooling method, and for each task a head and, optionally, an adapter.

    Unused weights (the pooler, unless ``pooling`` is "pooler") are frozen, so that the optimizer leaves them alone.

    Args:
        heads: each task's head, a key of ``mtbert.nn.HEADS``.
        encoding: "cross" (the default), "bi" or "both", for each pair task.
        max_length: maximum number of tokens in a sequence, for each task.
        pooling: "cls", "mean", "max" or "pooler".
        head_dropout: dropout probability in the heads.
        loss: each task's loss; by default the one that fits its kind.
        smart_weight: weight of SMART's smoothness term, for each task; by default 0.
        adapters: the adapter of each task that has one (see ``mtbert.nn.adapters``).
        rdrop_weight: weight of R-Drop's consistency term, for each task; by default 0.

    Raises:
        UserError: if the encoder has too few positions for a ``max_length``, or one token type for cross-encoded pairs.
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
        rdrop_weight: Mapping[str, float] | None = None,
    ):
        super().__init__()
        for task in tasks:
            length, positions = max_length[task.name], encoder.config.max_position_embeddings
            if length > positions:
                raise UserError(
                    f"max_length.{task.name} is {length}, but this encoder has {positions} positions: "
                    f"set it to at most {positions}"
                )
            if len(task.text_columns) == 2 and encoding.get(task.name, "cross") != "bi":
                encoder.check_pairs(f"encoding.{task.name}")
        self.encoder, self.bert = encoder, encoder.bert
        self.tasks = {task.name: task for task in tasks}
        self.encoding, self.max_length, self.pooling = dict(encoding), dict(max_length), pooling
        width = encoder.config.hidden_size
        self.heads = nn.ModuleDict(
            {task.name: build_head(heads[task.name], task, width, head_dropout) for task in tasks}
        )
        self.input_kinds = {name: HEADS[heads[name]].input_kind for name in self.tasks}
        self.loss = {task.name: build_loss("default", task) for task in tasks} | dict(loss or {})
        self.smart_weight = {name: weight for name, weight in (smart_weight or {}).items() if weight}
        self.rdrop_weight = {name: weight for name, weight in (rdrop_weight or {}).items() if weight}
        self.adapters = TaskAdapters(adapters)
        self.bert.pooler.requires_grad_(pooling == "pooler")

    @property
    def device(self) -> torch.device:
        return self.encoder.device

    def forward(self, batch: PackedBatch) -> dict[str, Tensor]:
        """The logits of each task in the batch, (rows, outputs); ``batch.slices`` says which sequences belong to it."""
        head_inputs = self._head_inputs(self.bert.embeddings(batch), batch)
        return {task: self.logits(task, inputs) for task, inputs in head_inputs.items()}

    def losses(self, batch: PackedBatch, labels: Mapping[str, Tensor], observe: Observer = ignore) -> dict[str, Tensor]:
        """Each task's mean training loss from its labels (rows,).

        It takes one forward pass, a second one for R-Drop, and two more for SMART. ``observe`` is called with each
        task's name, its logits (rows, outputs) of the first pass, and its labels.
        """
        embedded = self.bert.embeddings(batch)  # (tokens, hidden)
        rng_state = RNGState(self.device) if self.smart_weight else None
        head_inputs = self._head_inputs(embedded, batch)
        logits = {task: self.logits(task, inputs) for task, inputs in head_inputs.items()}
        losses = {task: self.loss[task](logits[task], inputs, labels[task]) for task, inputs in head_inputs.items()}
        for task in logits:
            observe(task, logits[task].detach(), labels[task])
        losses |= self._rdrop(batch, labels, logits, losses)
        for task, term in self._smoothness(embedded, batch, logits, rng_state).items():
            losses[task] = losses[task] + self.smart_weight[task] * term
        return losses

    def losses_from_vectors(
        self, vectors: Mapping[str, Tensor], labels: Mapping[str, Tensor], observe: Observer = ignore
    ) -> dict[str, Tensor]:
        """Each task's training loss from cached pooled vectors, (sequences, hidden); used to train heads alone."""
        losses = {}
        for task, inputs in vectors.items():
            logits = self.logits(task, inputs)
            observe(task, logits.detach(), labels[task])
            losses[task] = self.loss[task](logits, inputs, labels[task])
        return losses

    def vectors(self, batch: PackedBatch) -> Tensor:
        """The pooled vector of each sequence, (sequences, hidden)."""
        first_only = self.pooling in FIRST_TOKEN
        hidden = self.bert(batch, self.adapters, first_only)
        return self.encoder.pool(hidden, batch, self.pooling, first_only)

    def logits(self, task: str, head_inputs: Tensor | TokenVectors) -> Tensor:
        """A task's logits, (rows, outputs), from its pooled vectors, (sequences, hidden), or from all token vectors.

        A head on pairs takes two consecutive vectors per row, those of the pair's two sentences, or three (see
        ``mtbert.nn.HEADS``).
        """
        if isinstance(head_inputs, Tensor) and (vectors := VECTORS_PER_ROW.get(self.input_kinds[task])):
            head_inputs = head_inputs.view(-1, vectors, head_inputs.shape[1])  # (rows, vectors, hidden)
        return self.heads[task](head_inputs)

    def _head_inputs(self, embedded: Tensor, batch: PackedBatch) -> dict[str, Tensor | TokenVectors]:
        """The input of each task's head: its slice of the pooled vectors, or its tokens."""
        reads_tokens = any(self.input_kinds[task] == "tokens" for task in batch.slices)
        first_only = self.pooling in FIRST_TOKEN and not reads_tokens
        hidden = self.bert.encode(embedded, batch, self.adapters, first_only)  # (tokens or sequences, hidden)
        vectors = self.encoder.pool(hidden, batch, self.pooling, first_only)  # (sequences, hidden)
        return {
            task: TokenVectors(hidden[batch.token_slice(sequences)], batch.select(sequences))
            if self.input_kinds[task] == "tokens"
            else vectors[sequences]
            for task, sequences in batch.slices.items()
        }

    def _rdrop(
        self,
        batch: PackedBatch,
        labels: Mapping[str, Tensor],
        logits: Mapping[str, Tensor],
        losses: Mapping[str, Tensor],
    ) -> dict[str, Tensor]:
        """The losses of the tasks that R-Drop serves (Wu et al. 2021, eq. 4), from a second pass with other dropout.

        They are half of the paper's sum, and so on the scale of the plain loss: the mean over the two passes, and
        weight / 4 times KL(p, q) + KL(q, p), or times the squared difference of two scores.
        """
        tasks = [task for task in logits if task in self.rdrop_weight]
        head_inputs = self._head_inputs(self.bert.embeddings(batch), batch) if tasks else {}
        combined = {}
        for task in tasks:
            again = self.logits(task, head_inputs[task])
            loss = self.loss[task](again, head_inputs[task], labels[task])
            distance = smoothness(self.tasks[task], again, logits[task])
            combined[task] = (losses[task] + loss) / 2 + self.rdrop_weight[task] / 4 * distance
        return combined

    def _smoothness(
        self, embedded: Tensor, batch: PackedBatch, logits: Mapping[str, Tensor], rng_state: RNGState | None
    ) -> dict[str, Tensor]:
        """SMART's smoothness term for each task that has a weight. rng_state: as it was before the forward pass."""
        tasks = [task for task in logits if task in self.smart_weight]
        if rng_state is None or not tasks:
            return {}

        def distances(delta: Tensor) -> dict[str, Tensor]:
            with rng_state.restore():  # the same dropout masks, so that only delta changes the logits
                head_inputs = self._head_inputs(embedded + delta, batch)
                perturbed = {task: self.logits(task, inputs) for task, inputs in head_inputs.items()}
            return {task: smoothness(self.tasks[task], perturbed[task], logits[task]) for task in tasks}

        def total(delta: Tensor) -> Tensor:
            return cast(Tensor, sum(distances(delta).values()))

        return distances(adversarial_perturbation(total, embedded))

    def layer_norms(self) -> dict[str, nn.LayerNorm]:
        """The encoder's LayerNorms by name."""
        return {name: module for name, module in self.bert.named_modules() if isinstance(module, nn.LayerNorm)}

    def merge_tasks(self, other: "MultitaskModel") -> None:
        """Take over another model's tasks: heads, adapters, losses and encodings. The encoders must be the same.

        Raises:
            UserError: if both models have the same task, or their poolings differ.
        """
        shared = self.tasks.keys() & other.tasks.keys()
        if shared:
            raise UserError(f"both models have a head for {', '.join(sorted(shared))}: give each task once")
        if other.pooling != self.pooling:
            raise UserError(f"one model pools by {self.pooling}, the other by {other.pooling}: they must agree")
        settings = ("tasks", "encoding", "max_length", "input_kinds", "loss", "smart_weight", "rdrop_weight")
        for name in (*settings, "heads", "adapters"):
            getattr(self, name).update(getattr(other, name))

    def encode_dataset(self, task: str, dataset: TokenizedDataset) -> EncodedDataset:
        """A task's rows as sequences of tokens, by the task's encoding and maximum length."""
        return dataset.encode(self.encoding.get(task, "cross"), self.max_length[task], self.encoder.tokenizer)

    def dataset_vectors(self, sequences: EncodedDataset, progress=None, task: str | None = None) -> Tensor:
        """The pooled vectors of a whole data set, (sequences, hidden), in its order and in evaluation mode.

        ``progress`` is called with the number of rows of each finished batch; ``task`` selects the adapter.
        """
        return self._evaluate(sequences, self.vectors, progress, task)

    @torch.no_grad()
    def predict_logits(self, task: str, sequences: EncodedDataset, progress=None) -> Tensor:
        """A task's logits on a whole data set in evaluation mode: (rows, outputs), on the CPU."""
        if self.input_kinds[task] == "tokens":

            def logits(batch: PackedBatch) -> Tensor:
                return self.logits(task, TokenVectors(self.bert(batch, self.adapters), batch))

            return self._evaluate(sequences, logits, progress, task).cpu()
        vectors = self.dataset_vectors(sequences, progress, task)
        with self._evaluation_mode():
            return self.logits(task, vectors).cpu()

    @torch.no_grad()
    def _evaluate(
        self, sequences: EncodedDataset, function: Callable[[PackedBatch], Tensor], progress, task: str | None
    ) -> Tensor:
        """Apply ``function`` to all batches in evaluation mode: (sequences, width), in the data set's order."""
        sequences = sequences.to(self.device)
        rows, results = [], []
        with self._evaluation_mode():
            for batch_rows, batch in sequences.batches(EVALUATION_TOKENS.get(self.device.type, 4096)):
                batch.slices = {task: slice(0, len(batch))} if task else {}
                rows.append(batch_rows)
                results.append(function(batch).float().view(len(batch_rows), -1))
                if progress is not None:
                    progress(len(batch_rows))
        in_order = torch.cat(results)[torch.cat(rows).argsort().to(self.device)]  # (rows, sequences_per_row * width)
        return in_order.view(sequences.sequences_per_row * len(sequences), -1)

    @contextlib.contextmanager
    def _evaluation_mode(self) -> Iterator[None]:
        training = self.training
        self.eval()
        try:
            yield
        finally:
            self.train(training)

    def predict(self, task: str, texts: Sequence[Text]) -> list[int] | list[float]:
        """The label of each text (a sentence, or a pair for a pair task): a class, 0 or 1, or a similarity.

        Raises:
            UserError: for a task that the model has no head for, texts of the wrong form, or output that is not finite.
        """
        return labels_from(*self._text_logits(task, texts))

    def predict_proba(self, task: str, texts: Sequence[Text]) -> Tensor:
        """Class probabilities (rows, classes), the probability of label 1 (rows,), or the similarity (rows,)."""
        return probabilities(*self._text_logits(task, texts))

    def _text_logits(self, name: str, texts: Sequence[Text]) -> tuple[Task, Tensor]:
        if name not in self.tasks:
            raise UserError(
                f"this model has no head for task {shorten(name)}: it was trained on {', '.join(self.tasks)}"
            )
        rows = text_rows(texts, (len(self.tasks[name].text_columns),), f"task {name!r}, ")
        sequences = self.encode_dataset(name, TokenizedDataset.from_texts(rows, self.encoder.tokenizer))
        for note in sequences.notes(f"task {name!r}", self.max_length[name]):
            logger.info(note)
        return self.tasks[name], self.predict_logits(name, sequences)


def check_finite(task: Task, logits: Tensor) -> None:
    """Raise UserError, naming the first bad row, unless all logits (rows, outputs) are finite.

    NaN has no label, yet ``argmax`` and comparisons would give it one.
    """
    bad_rows = (~logits.isfinite()).any(dim=1).nonzero().flatten().tolist()
    if bad_rows:
        values = ", ".join(f"{value:g}" for value in logits[bad_rows[0]].tolist())
        where = f"{len(bad_rows)} of {len(logits)} rows, the first of them row {bad_rows[0] + 1} ({values})"
        raise UserError(f"task {task.name!r}: the model's output is not finite for {where}: train one with a lower lr")


def probabilities(task: Task, logits: Tensor) -> Tensor:
    """Logits (rows, outputs) as probabilities, or as scores for a regression task (see ``predict_proba``).

    Raises UserError for logits that are not finite.
    """
    check_finite(task, logits)
    if task.kind == "multiclass":
        return logits.softmax(dim=1)
    return logits.squeeze(1).sigmoid() if task.kind == "binary" else logits.squeeze(1)


def labels_from(task: Task, logits: Tensor) -> list[int] | list[float]:
    """Logits (rows, outputs) as labels. A binary label is 1 where the probability exceeds one half.

    Raises UserError for logits that are not finite.
    """
    check_finite(task, logits)
    if task.kind == "multiclass":
        return logits.argmax(dim=1).tolist()
    if task.kind == "binary":
        return (logits.squeeze(1) > 0).int().tolist()
    return logits.squeeze(1).tolist()
