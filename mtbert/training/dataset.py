"""What a run reads: the rows that its recipe selects, encoded for its model, and the order of their batches."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from tqdm.auto import tqdm

from mtbert.data.augment import augment_rows
from mtbert.data.batch import PackedBatch
from mtbert.data.batch_samplers import BatchSampler, LengthGroupedBatchSampler, build_batch_sampler
from mtbert.data.read import Rows, count_overlap, read_split
from mtbert.data.tasks import Split, Task
from mtbert.data.tokens import EncodedDataset, TokenizedDataset
from mtbert.nn.losses import LOSSES
from mtbert.nn.model import MultitaskModel
from mtbert.training.recipe import Recipe
from mtbert.utils.errors import UserError
from mtbert.utils.logging import logger


def read_tasks(recipe: Recipe, folder: Path) -> dict[str, dict[Split, Rows]]:
    """Task -> split -> the rows that a recipe trains on and scores: its limits, overlap rule and copies are applied.

    Raises:
        UserError: For unreadable files, and for training rows that are also in dev or test if the recipe refuses them,
            or drops them and no other row is left.
    """
    tasks = {}
    for task in recipe.task_list:
        names: tuple[Split, ...] = ("train", "dev")
        splits = {split: read_split(folder, task, split) for split in names if split in task.files}
        for rows in splits.values():
            for note in rows.notes():
                logger.info(note)
        train = _without_overlap(recipe, folder, task, splits).subsample(recipe.train_rows)
        splits["train"] = train
        if copies := recipe.augment_copies.get(task.name):
            splits["train"] = augment_rows(train, copies, recipe.augment_fraction, recipe.seed, recipe.augment_scores)
            logger.info(f"{train.path.name}: {splits['train'].copies} augmented copies of {len(train)} rows")
        if "dev" in splits:
            splits["dev"] = splits["dev"].subsample(recipe.dev_rows)
        tasks[task.name] = splits
    return tasks


def _without_overlap(recipe: Recipe, folder: Path, task: Task, splits: Mapping[Split, Rows]) -> Rows:
    """The training rows under the recipe's overlap rule."""
    train = splits["train"]
    others = [rows for split, rows in splits.items() if split != "train"]
    if "test" in task.files and (folder / task.files["test"]).exists():
        others.append(read_split(folder, task, "test"))
    counts = {other.path.name: count for other in others if (count := count_overlap(train, other))}
    if not counts:
        return train
    shared = f"{train.path.name}: " + ", ".join(f"{count} rows are also in {name}" for name, count in counts.items())
    if recipe.overlap == "refuse":
        raise UserError(f"{shared}: set overlap to drop (leave them out) or keep (train on them)")
    logger.info(f"{shared}: {'left out' if recipe.overlap == 'drop' else 'kept'}")
    remaining = train.without_overlap(others) if recipe.overlap == "drop" else train
    if not len(remaining):
        raise UserError(f"{train.path}: overlap is drop, which leaves no row: add training rows, or set it to keep")
    return replace(remaining, overlaps=counts)


class MicroBatch(NamedTuple):
    """A part of a step's rows, ready for a forward pass."""

    inputs: PackedBatch | dict[str, Tensor]  # sequences; with a frozen encoder each task's vectors, (sequences, hidden)
    labels: dict[str, Tensor]  # each task's labels, (rows,)
    shares: dict[str, float]  # the fraction of each task's rows in the step that is in this part


@dataclass(eq=False)
class TaskDataset:
    """The rows of one file as the model reads them."""

    rows: Rows
    model: MultitaskModel
    sequences: EncodedDataset  # on the model's device
    labels: Tensor  # (rows,)
    vectors: Tensor | None  # (sequences, hidden), computed once, if the encoder is frozen

    @classmethod
    def from_rows(cls, rows: Rows, model: MultitaskModel, recipe: Recipe, progress: bool) -> "TaskDataset":
        """Encode rows for a model; with a frozen encoder, compute the vectors of all of them."""
        name = rows.task.name
        table = TokenizedDataset.from_rows(rows, model.encoder.tokenizer, progress=progress)
        sequences = model.encode_dataset(name, table)
        for note in sequences.notes(rows.path.name, recipe.max_length[name]):
            logger.info(note)
        vectors = None
        if recipe.trainable == "heads":
            description = f"features of {rows.path.name}"
            with tqdm(total=len(rows), desc=description, unit="row", leave=False, disable=not progress) as bar:
                vectors = model.dataset_vectors(sequences, bar.update)
        return cls(rows, model, sequences.to(model.device), table.labels, vectors)

    def __len__(self) -> int:
        return len(self.labels)

    def cached_vectors(self, rows: Tensor) -> Tensor:
        """(sequences of these rows, hidden)."""
        assert self.vectors is not None
        per_row = self.sequences.sequences_per_row
        return self.vectors[(rows[:, None] * per_row + torch.arange(per_row)).flatten().to(self.vectors.device)]

    def lengths(self, rows: Tensor) -> Tensor:
        """(n,) int64: tokens of each sequence that the encoder reads for these rows; empty if vectors are cached."""
        return self.sequences.spans(rows)[1] if self.vectors is None else torch.zeros(0, dtype=torch.int64)

    def predict_logits(self, progress: Callable[[int], object]) -> Tensor:
        """(rows, outputs) of the task's head, on the CPU; the model must be in evaluation mode."""
        if self.vectors is None:
            return self.model.predict_logits(self.rows.task.name, self.sequences, progress)
        progress(len(self))
        return self.model.logits(self.rows.task.name, self.vectors).cpu()


def task_batch_sampler(dataset: TaskDataset, recipe: Recipe) -> BatchSampler:
    """The batches of a task: shuffled rows, rows of similar length, or what its loss needs."""
    name, loss = dataset.rows.task.name, LOSSES[recipe.loss[dataset.rows.task.name]]
    if loss.ranks:
        return _ranking_batch_sampler(dataset, recipe)
    if tokens := recipe.tokens_per_batch.get(name):
        return LengthGroupedBatchSampler(name, dataset.sequences.row_lengths, tokens, recipe.seed)
    return BatchSampler(name, len(dataset), recipe.batch_size[name], recipe.seed)


def _ranking_batch_sampler(dataset: TaskDataset, recipe: Recipe) -> BatchSampler:
    rows, name = dataset.rows, dataset.rows.task.name
    loss, threshold = LOSSES[recipe.loss[name]], recipe.positive_threshold[name]
    if not loss.trains_head and any(True for _ in dataset.model.heads[name].parameters()):
        head = f"the head {recipe.head[name]!r} keeps its random weights"
        logger.info(f"{name}: loss {recipe.loss[name]} trains the sentence vectors; {head}")
    sampler = build_batch_sampler(loss.batch_kind, rows, recipe.batch_size[name], recipe.seed, threshold)
    if loss.batch_kind != "all":
        positives = sum(label >= threshold for label in rows.labels)
        logger.info(
            f"{rows.path.name}: {positives} of {len(rows)} rows are positive ({rows.task.label_column} at least "
            f"{threshold:g}); loss {recipe.loss[name]} makes {sampler.num_batches} batches of {loss.batch_kind}"
        )
    return sampler
