"""What a run reads: the rows that its recipe leaves, laid out for its model, in the order of their batches."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from tqdm.auto import tqdm

from mtbert.data.augment import augmented
from mtbert.data.read import Rows, overlap, read_split
from mtbert.data.sampling import BatchSampler, LengthGroupedBatchSampler, batch_sampler
from mtbert.data.tasks import Task
from mtbert.data.tokens import EncodedDataset, TokenizedDataset
from mtbert.nn.losses import LOSSES
from mtbert.nn.model import MultitaskModel
from mtbert.training.recipe import Recipe
from mtbert.utils.errors import UserError
from mtbert.utils.logging import logger


def read_tasks(recipe: Recipe, folder: Path) -> dict[str, dict[str, Rows]]:
    """Train and dev rows of each task of a recipe, with overlaps treated as the recipe says.

    Raises UserError for unreadable files, and for train rows that also stand in dev or test if the recipe refuses them
    or, where it drops them, no other is left.
    """
    found = {}
    for task in recipe.task_list:
        splits = {split: read_split(folder, task, split) for split in ("train", "dev") if split in task.files}
        for rows in splits.values():
            for note in rows.notes():
                logger.info(note)
        train = _guarded(recipe, folder, task, splits).spread(recipe.train_rows)
        splits["train"] = _with_copies(recipe, train)
        if "dev" in splits:
            splits["dev"] = splits["dev"].spread(recipe.dev_rows)
        found[task.name] = splits
    return found


def _guarded(recipe: Recipe, folder: Path, task: Task, splits: dict[str, Rows]) -> Rows:
    """The train rows after the overlap guard."""
    train = splits["train"]
    others = [rows for split, rows in splits.items() if split != "train"]
    if "test" in task.files and (folder / task.files["test"]).exists():
        others.append(read_split(folder, task, "test"))
    counts = {other.path.name: count for other in others if (count := overlap(train, other))}
    if not counts:
        return train
    shared = f"{train.path.name}: " + ", ".join(f"{count} rows also stand in {name}" for name, count in counts.items())
    if recipe.overlap == "refuse":
        raise UserError(f"{shared}: set overlap to drop (leave them out) or keep (train on them)")
    logger.info(f"{shared}: {'left out' if recipe.overlap == 'drop' else 'kept'}")
    kept = train.without(others) if recipe.overlap == "drop" else train
    if not len(kept):
        raise UserError(f"{train.path}: overlap is drop, which leaves no row: give other train rows, or set it to keep")
    return dataclasses.replace(kept, overlaps=counts)


def _with_copies(recipe: Recipe, train: Rows) -> Rows:
    """The train rows and the noisy copies that the recipe asks for, of these rows alone."""
    copies = recipe.augment_copies.get(train.task.name)
    if not copies:
        return train
    rows = augmented(train, copies, recipe.augment_fraction, recipe.seed, recipe.augment_scores)
    logger.info(f"{train.path.name}: {rows.copies} noisy copies of {len(train)} rows")
    return rows


class TaskDataset:
    """The rows of one file as the model reads them: sequences, labels, and their vectors if the encoder is frozen."""

    def __init__(
        self, rows: Rows, model: MultitaskModel, sequences: EncodedDataset, labels: Tensor, vectors: Tensor | None
    ):
        self.rows, self.model, self.sequences, self.labels, self.vectors = rows, model, sequences, labels, vectors

    @classmethod
    def of(cls, rows: Rows, model: MultitaskModel, recipe: Recipe, progress: bool):
        """Rows laid out for a model under a recipe; takes the vectors of them all if its encoder stays as it is."""
        name = rows.task.name
        table = TokenizedDataset.of_rows(rows, model.encoder.tokenizer, progress=progress)
        sequences = model.sequences(name, table)
        for note in sequences.notes(rows.path.name, recipe.max_length[name]):
            logger.info(note)
        vectors = None
        if recipe.trainable == "heads":
            with tqdm(
                total=len(rows), desc=f"features of {rows.path.name}", unit="row", leave=False, disable=not progress
            ) as bar:
                vectors = model.table_vectors(sequences, bar.update)
        return cls(rows, model, sequences.to(model.device), table.labels, vectors)

    def __len__(self) -> int:
        return len(self.labels)

    def cached(self, rows: Tensor) -> Tensor:
        """(sequences of these rows, hidden)."""
        per_row = self.sequences.per_row
        return self.vectors[(rows[:, None] * per_row + torch.arange(per_row)).flatten().to(self.vectors.device)]

    @property
    def row_tokens(self) -> Tensor:
        """(rows,) int64: tokens of each row."""
        return self.sequences.cu_seqlens[:: self.sequences.per_row].diff()

    def lengths(self, rows: Tensor) -> Tensor:
        """(n,) int64: tokens of each sequence that the encoder reads for these rows; none where vectors are kept."""
        return self.sequences.spans(rows)[1] if self.vectors is None else torch.zeros(0, dtype=torch.int64)

    def logits(self, progress: Callable[[int], object]) -> Tensor:
        """(rows, outputs) of the task's head, on the host; the model must be in evaluation mode."""
        if self.vectors is None:
            return self.model.predict_logits(self.rows.task.name, self.sequences, progress)
        progress(len(self))
        return self.model.logits(self.rows.task.name, self.vectors).cpu()


def task_batch_sampler(source: TaskDataset, recipe: Recipe) -> BatchSampler:
    """The batches of a task: shuffled rows, rows of similar length, or such as its loss needs."""
    name, loss = source.rows.task.name, LOSSES[recipe.loss[source.rows.task.name]]
    if loss.ranks:
        return _ranking_order(source, recipe)
    if name in recipe.tokens_per_batch:
        return LengthGroupedBatchSampler(name, source.row_tokens, recipe.tokens_per_batch[name], recipe.seed)
    return BatchSampler(name, len(source), recipe.batch_size[name], recipe.seed)


def _ranking_order(source: TaskDataset, recipe: Recipe) -> BatchSampler:
    rows, name = source.rows, source.rows.task.name
    loss, bound = LOSSES[recipe.loss[name]], recipe.positive_threshold[name]
    if loss.input_kind == "pair" and any(True for _ in source.model.heads[name].parameters()):
        logger.info(
            f"{name}: loss {recipe.loss[name]} trains the vectors, and no weight of the head {recipe.head[name]!r}, "
            "which stays as it was drawn"
        )
    order = batch_sampler(loss.rows, rows, recipe.batch_size[name], recipe.seed, bound)
    if loss.rows != "all":
        positives = sum(label >= bound for label in rows.labels)
        logger.info(
            f"{rows.path.name}: {positives} of {len(rows)} rows are positive ({rows.task.label_column} from "
            f"{bound:g}); loss {recipe.loss[name]} makes {order.batches} batches of {loss.rows}"
        )
    return order
