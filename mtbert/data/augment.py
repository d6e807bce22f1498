"""EDA, easy data augmentation: noisy copies of train rows under their old labels (Wei & Zou 2019, 1901.11196).

Four operations on the words of a sentence: some are replaced by synonyms, synonyms of some are inserted, pairs change
places, some are deleted. A copy is a pure function of (seed, row, number of the copy).
"""

import dataclasses
import re
from collections.abc import Callable
from random import Random
from typing import Literal

from mtbert.data.read import Example, Rows
from mtbert.data.sampling import derived_seed
from mtbert.data.synonyms import SYNONYMS
from mtbert.data.tasks import Task
from mtbert.utils.errors import UserError

Scores = Literal["refuse", "keep"]
_PARTS = re.compile(r"(\W*)(.*?)(\W*)", re.DOTALL)


def augmented(rows: Rows, copies: int, share: float, seed: int, scores: Scores = "refuse") -> Rows:
    """Train rows, then ``copies`` noisy copies of each, which take the four operations in turn.

    share: alpha, the share of a sentence's words that an operation changes. The sentences of a pair are changed one by
    one. A copy has the label of its row and the row's id with its number behind.

    Raises ValueError for rows that are not train rows, and UserError as ``check_scores`` does.
    """
    if rows.split != "train":
        raise ValueError(f"{rows.path.name} holds {rows.split} rows: only train rows are augmented")
    check_scores(rows.task, scores)
    found = [
        _copy(example, number, share, (seed, rows.task.name))
        for example in rows.examples
        for number in range(1, copies + 1)
    ]
    return dataclasses.replace(rows, examples=[*rows.examples, *found], copies=len(found))


def check_scores(task: Task, scores: Scores) -> None:
    """UserError if copies of the task's rows would keep a score that their new words may contradict."""
    if task.kind == "regression" and scores == "refuse":
        raise UserError(
            f"augment_copies.{task.name}: changed words change how similar two sentences are, but a copy keeps "
            "the score: set augment_scores to keep if you want that"
        )


def _copy(example: Example, number: int, share: float, seed: tuple[int, str]) -> Example:
    first = derived_seed(*seed, example.id) % len(OPERATIONS)
    operation = list(OPERATIONS.values())[(first + number) % len(OPERATIONS)]
    draw = Random(derived_seed(*seed, example.id, number))
    texts = tuple(" ".join(operation(text.split(), share, draw)) for text in example.texts)
    return Example(f"{example.id}+{number}", texts, example.label)


def replace(words: list[str], share: float, draw: Random) -> list[str]:
    """The words with some that have synonyms replaced by one of them, as far as there are such."""
    changed = list(words)
    known = [place for place, word in enumerate(words) if synonyms(word)]
    for place in draw.sample(known, min(_changes(words, share), len(known))):
        changed[place] = draw.choice(synonyms(words[place]))
    return changed


def insert(words: list[str], share: float, draw: Random) -> list[str]:
    """The words with synonyms of some of them put in anywhere."""
    changed = list(words)
    known = [word for word in words if synonyms(word)]
    for _ in range(_changes(words, share) if known else 0):
        _, inner, _ = _parts(draw.choice(synonyms(draw.choice(known))))
        changed.insert(draw.randint(0, len(changed)), inner.lower())
    return changed


def swap(words: list[str], share: float, draw: Random) -> list[str]:
    """The words after some pairs have changed places; punctuation that stands alone stays."""
    changed = list(words)
    places = _places(words)
    for _ in range(_changes(words, share) if len(places) > 1 else 0):
        one, two = draw.sample(places, 2)
        changed[one], changed[two] = changed[two], changed[one]
    return changed


def delete(words: list[str], share: float, draw: Random) -> list[str]:
    """The words, each left out with probability ``share``; one of them at least stays."""
    places = _places(words)
    gone = {place for place in places if draw.random() < share}
    if len(gone) == len(places) and places:
        gone.remove(draw.choice(places))
    return [word for place, word in enumerate(words) if place not in gone]


OPERATIONS: dict[str, Callable[[list[str], float, Random], list[str]]] = {
    "replace": replace,
    "insert": insert,
    "swap": swap,
    "delete": delete,
}


def synonyms(word: str) -> tuple[str, ...]:
    """Synonyms of a word as it stands in a text, with its punctuation and its capital letter; none if unknown."""
    before, inner, after = _parts(word)
    others = SYNONYMS.get(inner.lower(), ())
    return tuple(before + (other.capitalize() if inner[0].isupper() else other) + after for other in others)


def _parts(word: str) -> tuple[str, str, str]:
    """Punctuation, letters and digits, punctuation."""
    return _PARTS.fullmatch(word).groups()


def _places(words: list[str]) -> list[int]:
    return [place for place, word in enumerate(words) if _parts(word)[1]]


def _changes(words: list[str], share: float) -> int:
    """How many words to change: the share of them, rounded down, but one at least."""
    return max(1, int(share * len(_places(words))))
