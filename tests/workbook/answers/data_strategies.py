"""Answers to the exercises of notebook 09: right ones, and usual mistakes by the property that they break."""

from workbook.edits import edited


def shares(rows, alpha):
    whole = sum(count**alpha for count in rows.values())
    return {task: count**alpha / whole for task, count in rows.items()}


def apportion(weights, total):
    whole = sum(weights.values())
    exact = {task: total * weight / whole for task, weight in weights.items()}
    counts = {task: int(share) for task, share in exact.items()}
    left = total - sum(counts.values())
    for task in sorted(exact, key=lambda task: exact[task] - counts[task], reverse=True)[:left]:
        counts[task] += 1
    return counts


def oversample(rows, times):
    return {task: min(times * count, max(rows.values())) for task, count in rows.items()}


def delete(words, share, random):
    return [word for word in words if random.random() >= share] or [random.choice(words)]


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
        (
            "less than one step",
            edited(
                apportion,
                "sorted(exact, key=lambda task: exact[task] - counts[task], reverse=True) => left * list(exact)[:1]",
            ),
        ),
        (
            "largest remainders",
            edited(
                apportion, "sorted(exact, key=lambda task: exact[task] - counts[task], reverse=True) => list(exact)"
            ),
        ),
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
