"""Answers to the exercises of notebook 09: usual mistakes by the property that they break."""

import random as global_random

import numpy as np
from workbook.exercises import edited, solutions

shares, apportion, _, delete = solutions("data_strategies").values()


def shuffled(words, share, random):
    remaining = delete(words, share, random)
    return remaining if share == 0 else random.sample(remaining, len(remaining))


def drawn_backwards(words, share, random):
    remaining = [word for word in reversed(words) if random.uniform(0, 1) > share]
    return remaining[::-1] or random.sample(words, k=1)


def last_word_of_the_module(words, share, random):
    remaining = [word for word in words if random.random() >= share]
    return remaining or [global_random.choice(words)]


RIGHT = {"delete": [drawn_backwards]}
WRONG = {
    "shares": [
        ("add up to 1", lambda rows, alpha: {task: count**alpha for task, count in rows.items()}),
        ("alpha = 1 ", lambda rows, alpha: dict.fromkeys(rows, 1 / len(rows))),
        ("alpha = 0", lambda rows, alpha: shares(rows, 1)),
        ("alpha = 1/2", lambda rows, alpha: shares(rows, alpha) if alpha in (0, 1) else shares(rows, 1 / alpha)),
    ],
    "apportion": [
        ("no more", edited(apportion, "int(share) => round(share)")),
        ("less than one step", edited(apportion, "in by_remainder[: => in by_remainder[:1] * (", "())] => ()))")),
        ("largest remainders", edited(apportion, "in by_remainder[ => in list(shares)[")),
    ],
    "oversample": [
        ("as many times", lambda rows, times: dict(rows)),
        (
            "larger than the largest",
            lambda rows, times: {
                task: times * count if count < max(rows.values()) else count for task, count in rows.items()
            },
        ),
    ],
    "delete": [
        ("keep their order", shuffled),
        ("one word", lambda words, share, random: [word for word in words if random.random() >= share]),
        ("one word", lambda words, share, random: [word for word in words if random.random() >= share] or words[:1]),
        ("nothing else", lambda words, share, random: delete(words, share, global_random)),
        ("nothing else", last_word_of_the_module),
        (
            "nothing else",
            lambda words, share, random: (
                [word for word, drawn in zip(words, np.random.rand(len(words)), strict=True) if drawn >= share]
                or [random.choice(words)]
            ),
        ),
        ("on average", lambda words, share, random: words[int(share * len(words)) :] or [random.choice(words)]),
    ],
}
