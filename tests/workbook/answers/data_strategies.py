"""Answers to the exercises of notebook 09: usual mistakes by the property that they break."""

from workbook.exercises import edited, solutions

shares, apportion, _, delete = solutions("data_strategies").values()


def shuffled(words, share, random):
    remaining = delete(words, share, random)
    return remaining if share == 0 else random.sample(remaining, len(remaining))


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
        ("on average", lambda words, share, random: words[int(share * len(words)) :] or [random.choice(words)]),
    ],
}
