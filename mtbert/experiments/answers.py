"""Asking a model: what every task that fits says about a sentence or a pair, with probabilities."""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, cast

from mtbert.data.tasks import Task
from mtbert.data.tokens import TokenizedDataset
from mtbert.nn.model import MultitaskModel, labels_from, probabilities
from mtbert.nn.texts import Text, text_rows
from mtbert.training.run import load_model, run_folder
from mtbert.utils.errors import UserError
from mtbert.utils.logging import logger
from mtbert.utils.tables import csv_text

SHIPPED = "workbook"  # the model that comes with the project
_BAR = 24  # characters of a probability of 1


class Answer(NamedTuple):
    """What one task predicts for one text.

    Attributes:
        task: the task.
        prediction: a label, or a score for a regression task.
        probabilities: of each label by its name; empty for a regression task.
    """

    task: Task
    prediction: int | float
    probabilities: dict[str, float]

    @property
    def label(self) -> str:
        """The prediction in words: "positive", or "3.2 of 5"."""
        names = self.task.label_names
        return names[int(self.prediction)] if names else f"{self.prediction:.1f} of {self.task.max_label}"

    def as_dict(self) -> dict[str, Any]:
        """The answer as JSON values, rounded to four decimals."""
        if not self.probabilities:
            return {"prediction": round(self.prediction, 4)}
        rounded = {name: round(value, 4) for name, value in self.probabilities.items()}
        return {"prediction": self.prediction, "label": self.label, "probabilities": rounded}


class Answers(dict[str, Answer]):
    """The answers to one text by task; shown as a small chart."""

    def __repr__(self) -> str:
        return self.chart()

    def chart(self, bar: str = "█") -> str:
        """The answers as lines of text, with a bar of ``bar`` characters for each probability."""
        lines = []
        for answer in self.values():
            lines.append(f"{answer.task.title}: {answer.label}")
            shares = answer.probabilities or {"": answer.prediction / answer.task.max_label}
            for name, share in shares.items():
                number = f"{share:.2f}" if name else ""
                lines.append(f"  {name:18}{number:6}{bar * round(_BAR * min(max(share, 0), 1))}".rstrip())
        return "\n".join(lines)


def ask(*texts: str, model: MultitaskModel | str | Path = SHIPPED) -> Answers:
    """What a model says about a sentence, or about a pair of sentences.

    Args:
        texts: one text for the tasks on single sentences, or two for the tasks on pairs.
        model: a model, a run's folder, or "workbook", the model that comes with the project. A folder's model stays
            in memory for the next question.

    Raises:
        UserError: for no text, more than two, or an empty one; if the model has no task for them or cannot be loaded.
    """
    if not 1 <= len(texts) <= 2:
        raise UserError(f"{len(texts)} texts given: give one sentence, or a pair of sentences")
    loaded = model if isinstance(model, MultitaskModel) else load_once(model)
    return ask_all([texts[0] if len(texts) == 1 else (texts[0], texts[1])], loaded)[0]


def ask_all(texts: Sequence[Text] | Sequence[tuple[str, ...]], model: MultitaskModel) -> list[Answers]:
    """The same for many texts in batches: sentences, pairs or both, answered in their order."""
    rows = text_rows(cast(Sequence[Text], texts), (1, 2))
    answers = [Answers() for _ in rows]
    for size, count in Counter(map(len, rows)).items():
        tasks = [task for task in model.tasks.values() if len(task.text_columns) == size]
        if not tasks:
            kind = "single sentences" if size == 1 else "pairs of sentences"
            raise UserError(
                f"{count} of {len(rows)} texts: the model has no task on {kind}, only {', '.join(model.tasks)}"
            )
        chosen = [index for index, row in enumerate(rows) if len(row) == size]
        dataset = TokenizedDataset.from_texts([rows[index] for index in chosen], model.encoder.tokenizer)
        for task in tasks:
            for index, answer in zip(chosen, _answers(model, task, dataset), strict=True):
                answers[index][task.name] = answer
    return answers


def _answers(model: MultitaskModel, task: Task, dataset: TokenizedDataset) -> list[Answer]:
    sequences = model.encode_dataset(task.name, dataset)
    for note in sequences.notes(task.name, model.max_length[task.name]):
        logger.info(note)
    logits = model.predict_logits(task.name, sequences)
    values = probabilities(task, logits).tolist()
    if task.kind == "regression":
        return [Answer(task, value, {}) for value in values]
    if task.kind == "binary":
        values = [[1 - value, value] for value in values]
    named = [dict(zip(task.label_names, row, strict=True)) for row in values]
    return [Answer(task, label, row) for label, row in zip(labels_from(task, logits), named, strict=True)]


def load_once(model: str | Path) -> MultitaskModel:
    """``mtbert.load_model``; the last few models stay in memory until their run has trained on."""
    record = run_folder(model) / "run.json"
    return _loaded(str(model), record.stat().st_mtime_ns if record.exists() else 0)


@lru_cache(maxsize=4)
def _loaded(name: str, _modified: int) -> MultitaskModel:
    return load_model(name)


def answers_table(texts: Sequence[tuple[str, ...]], answers: Sequence[Answers]) -> str:
    """Answers as CSV, a line per text: the texts, and each task's prediction, its label and the label's probability."""
    rows = []
    for text, found in zip(texts, answers, strict=True):
        row: dict[str, Any] = {f"text{number}": part for number, part in enumerate(text, 1)}
        for task, answer in found.items():
            row[task] = round(answer.prediction, 4)
            if answer.probabilities:
                row[f"{task}_label"] = answer.label
                row[f"{task}_probability"] = round(answer.probabilities[answer.label], 4)
        rows.append(row)
    return csv_text([rows[0], *(row.values() for row in rows)])
