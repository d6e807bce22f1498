"""The same labeled questions put to several models, side by side."""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import NamedTuple, Protocol

import pandas as pd

from mtbert.data.read import Rows
from mtbert.data.tasks import TASKS, Task
from mtbert.nn.texts import Text


class Question(NamedTuple):
    """A sentence or a pair for a task, and what a person answers."""

    task: str
    text: Text
    label: float


TEN_QUESTIONS = (
    Question("sst", "The plot is thin, but the two leads are superb.", 3),
    Question("sst", "A warm, funny film that I would gladly watch again.", 4),
    Question("sst", "Two hours of clumsy jokes and wooden acting.", 0),
    Question("sst", "It tries hard to move us, and ends up merely tedious.", 1),
    Question("quora", ("How can I learn to cook?", "What is a good way to learn cooking?"), 1),
    Question("quora", ("How do I repair a bicycle?", "How do I choose a bicycle helmet?"), 0),
    Question("quora", ("How do I get from Oslo to Rome by train?", "How do I get from Rome to Oslo by train?"), 0),
    Question("sts", ("A man is playing a guitar.", "A man plays an instrument."), 3.8),
    Question("sts", ("A child is running on the beach.", "A kid runs along the beach."), 4.8),
    Question("sts", ("A woman is slicing onions.", "The stock market fell on Monday."), 0),
)


class Model(Protocol):
    """Anything that predicts labels, such as a ``MultitaskModel``."""

    def predict(self, task: str, texts: Sequence[Text]) -> Sequence[float]: ...


class Constant:
    """The baseline that does not read: the most frequent label of the train rows, or the mean of a regression task."""

    def __init__(self, train: Mapping[str, Rows]):
        self.answers = {
            name: fmean(rows.labels) if rows.task.kind == "regression" else Counter(rows.labels).most_common(1)[0][0]
            for name, rows in train.items()
        }

    def predict(self, task: str, texts: Sequence[Text]) -> list[float]:
        return [self.answers[task]] * len(texts)


def is_right(task: Task, label: float, prediction: float) -> bool:
    """Whether a prediction agrees with a label.

    A similarity may be one point away. Of five classes of sentiment, only the side counts: negative, neutral, positive.
    """
    if task.kind == "regression":
        return abs(prediction - label) <= 1
    middle = task.max_label / 2
    return prediction == label or (task.kind == "multiclass" and (prediction - middle) * (label - middle) > 0)


def put_to(models: Mapping[str, Model], questions: Sequence[Question]) -> pd.DataFrame:
    """Each model's answers, with a mark for right or wrong; the last row counts what is right."""
    rows = [
        {"task": task, "text": text if isinstance(text, str) else " | ".join(text), "label": _short(label)}
        for task, text, label in questions
    ]
    total = {"task": "", "text": "right", "label": f"of {len(questions)}"}
    for name, model in models.items():
        right = 0
        for row, (task, text, label) in zip(rows, questions, strict=True):
            (prediction,) = model.predict(task, [text])
            agrees = is_right(TASKS[task], label, prediction)
            row[name] = f"{_short(prediction)} {'✓' if agrees else '✗'}"
            right += agrees
        total[name] = str(right)
    return pd.DataFrame([*rows, total])


def _short(value: float) -> str:
    return f"{round(value, 1):g}"
