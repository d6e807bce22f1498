"""Answers to the exercises of notebook 05: usual mistakes by the property that they break."""

from workbook.exercises import edited, solutions

fill, passes = (solutions("multitask")[name] for name in ("fill", "passes"))


def mean_of_batches(lengths, size):
    batches = [lengths[at : at + size] for at in range(0, len(lengths), size)]
    return sum(sum(batch) / (len(batch) * max(batch)) for batch in batches) / len(batches)


WRONG = {
    "fill": [
        ("one batch", lambda lengths, size: 1.0),
        ("its own longest", lambda lengths, size: sum(lengths) / (len(lengths) * max(lengths))),
        ("all of them together", mean_of_batches),
        ("shorter last batch", lambda lengths, size: fill(lengths[: len(lengths) // size * size], size)),
    ],
    "passes": [
        ("as often as", lambda rows, size: dict.fromkeys(rows, 1)),
        ("not full", edited(passes, "-(-rows[task] // batch_size[task]) => rows[task] // batch_size[task]")),
        ("", lambda rows, size: {task: max(rows.values()) / count for task, count in rows.items()}),
    ],
    "overall": [
        ("only the correlation", lambda s: (sum(s.values()) / 3, sum(s.values()) / 3)),
        ("only the correlation", lambda s: (sum(s.values()) / 3, sum((x + 1) / 2 for x in s.values()) / 3)),
    ],
}
