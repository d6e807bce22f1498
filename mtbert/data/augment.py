"""EDA, easy data augmentation (Wei & Zou 2019, 1901.11196): augmented copies of training rows, with their labels.

Four operations on the words of a sentence: replace words by synonyms, insert synonyms of words, swap words, delete
words. A copy is a pure function of (seed, row, index of the copy).
"""

import dataclasses
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Literal

from mtbert.data.batch_samplers import derived_seed
from mtbert.data.read import Example, Rows
from mtbert.data.tasks import Task
from mtbert.utils.errors import UserError
from mtbert.utils.logging import logger

AugmentScores = Literal["refuse", "keep"]
Operation = Callable[[list[str], float, Random], list[str]]
_PARTS = re.compile(r"(\W*)(.*?)(\W*)", re.DOTALL)
_SYNONYMS = Path(__file__).with_name("synonyms.txt")


def augment_rows(rows: Rows, copies: int, fraction: float, seed: int, scores: AugmentScores = "refuse") -> Rows:
    """Training rows, followed by augmented copies of each, which use the four operations in turn.

    A copy keeps the label of its row; its id is the row's id and the index of the copy. Some copies equal their row,
    where an operation finds nothing to change or undoes itself: about 15 % at a fraction of .1. Their number is logged.

    Args:
        rows: the rows of a training set.
        copies: copies of each row.
        fraction: alpha, the fraction of a sentence's words that an operation changes. Each sentence of a pair is
            changed on its own.
        seed: the run's seed.
        scores: see ``check_augment_scores``.

    Raises:
        ValueError: if the rows are not a training set.
        UserError: as ``check_augment_scores``.
    """
    if rows.split != "train":
        raise ValueError(f"{rows.path.name} holds {rows.split} rows: only train rows are augmented")
    check_augment_scores(rows.task, scores)
    added = [
        _copy(example, index, fraction, (seed, rows.task.name))
        for example in rows.examples
        for index in range(1, copies + 1)
    ]
    originals = (example.texts for example in rows.examples for _ in range(copies))
    if same := sum(copy.texts == texts for copy, texts in zip(added, originals, strict=True)):
        logger.info(f"{rows.path.name}: {same} of {len(added)} augmented copies are equal to their row")
    return dataclasses.replace(rows, examples=[*rows.examples, *added], copies=len(added))


def check_augment_scores(task: Task, scores: AugmentScores) -> None:
    """Raise UserError if ``scores`` is "refuse" and the task's copies would keep a score that no longer holds."""
    if task.kind == "regression" and scores == "refuse":
        raise UserError(
            f"augment_copies.{task.name}: changing words changes how similar two sentences are, but a copy keeps "
            "the score: set augment_scores to keep if you want that"
        )


def _copy(example: Example, index: int, fraction: float, seed: tuple[int, str]) -> Example:
    first = derived_seed(*seed, example.id) % len(OPERATIONS)
    operation = list(OPERATIONS.values())[(first + index) % len(OPERATIONS)]
    rng = Random(derived_seed(*seed, example.id, index))
    texts = tuple(_change(text, operation, fraction, rng) for text in example.texts)
    return Example(f"{example.id}+{index}", texts, example.label)


def _change(text: str, operation: Operation, fraction: float, rng: Random) -> str:
    words = text.split()
    changed = operation(words, fraction, rng)
    return text if changed == words else " ".join(changed)  # an unchanged text keeps its white space


def replace(words: list[str], fraction: float, rng: Random) -> list[str]:
    """Replace a fraction of the words by synonyms, or as many as have any."""
    changed = list(words)
    replaceable = [i for i, word in enumerate(words) if synonyms(word)]
    for i in rng.sample(replaceable, min(_num_changes(words, fraction), len(replaceable))):
        changed[i] = rng.choice(synonyms(words[i]))
    return changed


def insert(words: list[str], fraction: float, rng: Random) -> list[str]:
    """Insert synonyms of a fraction of the words at random positions."""
    changed = list(words)
    sources = [word for word in words if synonyms(word)]
    for _ in range(_num_changes(words, fraction) if sources else 0):
        _, inner, _ = _split_punctuation(rng.choice(synonyms(rng.choice(sources))))
        changed.insert(rng.randint(0, len(changed)), inner.lower())
    return changed


def swap(words: list[str], fraction: float, rng: Random) -> list[str]:
    """Swap two words for each word of the fraction; freestanding punctuation stays in place."""
    changed = list(words)
    positions = _word_positions(words)
    for _ in range(_num_changes(words, fraction) if len(positions) > 1 else 0):
        i, j = rng.sample(positions, 2)
        changed[i], changed[j] = changed[j], changed[i]
    return changed


def delete(words: list[str], fraction: float, rng: Random) -> list[str]:
    """Delete each word with probability ``fraction``, but never the last one left."""
    positions = _word_positions(words)
    deleted = {i for i in positions if rng.random() < fraction}
    if len(deleted) == len(positions) and positions:
        deleted.remove(rng.choice(positions))
    return [word for i, word in enumerate(words) if i not in deleted]


OPERATIONS: dict[str, Operation] = {"replace": replace, "insert": insert, "swap": swap, "delete": delete}


def synonyms(word: str) -> tuple[str, ...]:
    """Synonyms of a word, with its punctuation and capital letter; empty if the word is unknown."""
    before, inner, after = _split_punctuation(word)
    others = synonym_table().get(inner.lower(), ())
    return tuple(before + (other.capitalize() if inner[0].isupper() else other) + after for other in others)


@cache
def synonym_table() -> dict[str, tuple[str, ...]]:
    """The synonyms of every word in synonyms.txt, where each line is a group of words with the same meaning."""
    table: dict[str, dict[str, None]] = {}
    for line in _SYNONYMS.read_text(encoding="utf-8").splitlines():
        group = [] if line.startswith("#") else line.split()
        for word in group:
            table.setdefault(word, {}).update(dict.fromkeys(other for other in group if other != word))
    return {word: tuple(others) for word, others in table.items()}


def _split_punctuation(word: str) -> tuple[str, str, str]:
    """Leading punctuation, the word itself, trailing punctuation."""
    match = _PARTS.fullmatch(word)
    assert match  # every word does
    leading, core, trailing = match.groups()
    return leading, core, trailing


def _word_positions(words: list[str]) -> list[int]:
    return [i for i, word in enumerate(words) if _split_punctuation(word)[1]]


def _num_changes(words: list[str], fraction: float) -> int:
    """How many words to change: the fraction rounded down, but at least one unless the fraction is 0."""
    return max(1, int(fraction * len(_word_positions(words)))) if fraction else 0
