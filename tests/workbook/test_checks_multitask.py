"""Checks of 05_multitask and 00_start_here: right answers pass, and each usual mistake fails at its property."""

import math

import pytest
import torch

from mtbert.workbook.checks import multitask, start


def fill(lengths, size):
    batches = [lengths[at : at + size] for at in range(0, len(lengths), size)]
    return sum(lengths) / sum(len(batch) * max(batch) for batch in batches)


def passes(rows, size):
    batches = {task: math.ceil(rows[task] / size[task]) for task in rows}
    return {task: max(batches.values()) / count for task, count in batches.items()}


def overall(scores):
    first = scores["sst"] + scores["quora"]
    return (first + scores["sts"]) / 3, (first + (scores["sts"] + 1) / 2) / 3


RIGHT = [
    (multitask.fill, fill),
    (multitask.features, lambda u, v: torch.cat([u, v, (u - v).abs()], dim=1)),
    (multitask.passes, passes),
    (multitask.overall, overall),
    (start.cosine, lambda a, b: a @ b / (a.norm() * b.norm())),
]


@pytest.mark.parametrize(("check", "answer"), RIGHT, ids=lambda each: each.__name__)
def test_a_right_answer_passes(check, answer):
    for _ in range(20):
        result = check(answer)
        assert result.passed, str(result)


def mean_of_batches(lengths, size):
    batches = [lengths[at : at + size] for at in range(0, len(lengths), size)]
    return sum(sum(batch) / (len(batch) * max(batch)) for batch in batches) / len(batches)


def whole_batches_only(lengths, size):
    return fill(lengths[: len(lengths) // size * size], size)


def largest_rows(rows, size):
    return {task: max(rows.values()) / count for task, count in rows.items()}


def floor_batches(rows, size):
    batches = {task: rows[task] // size[task] for task in rows}
    return {task: max(batches.values()) / count for task, count in batches.items()}


WRONG = [
    (multitask.fill, lambda lengths, size: 0.5, "the same length"),
    (multitask.fill, lambda lengths, size: 1.0, "one batch"),
    (multitask.fill, lambda lengths, size: sum(lengths) / (len(lengths) * max(lengths)), "its own longest"),
    (multitask.fill, mean_of_batches, "all of them together"),
    (multitask.fill, whole_batches_only, "shorter last batch"),
    (multitask.features, lambda u, v: torch.cat([u, v], dim=1), "three times"),
    (multitask.features, lambda u, v: torch.cat([v, u, (u - v).abs()], dim=1), "begins with u"),
    (multitask.features, lambda u, v: torch.cat([u, v, u - v], dim=1), "never negative"),
    (multitask.features, lambda u, v: torch.cat([u, v, (u - v) ** 2], dim=1), "never negative"),
    (multitask.passes, lambda rows, size: dict.fromkeys(rows, 2), "once"),
    (multitask.passes, lambda rows, size: dict.fromkeys(rows, 1), "as often as"),
    (multitask.passes, floor_batches, "not full"),
    (multitask.overall, lambda scores: (0.5, 0.5), "plain"),
    (multitask.overall, lambda scores: (sum(scores.values()) / 3, sum(scores.values()) / 6), "perfect"),
    (multitask.overall, lambda s: (sum(s.values()) / 3, sum(s.values()) / 3), "correlation alone"),
    (multitask.overall, lambda s: (sum(s.values()) / 3, sum((x + 1) / 2 for x in s.values()) / 3), "correlation alone"),
    (start.cosine, lambda a, b: a * b, "one number"),
    (start.cosine, lambda a, b: a @ b, "itself"),
    (start.cosine, lambda a, b: 1 - (a / a.norm() - b / b.norm()).norm(), "the cosine of the angle"),
]


@pytest.mark.parametrize(("check", "answer", "said"), WRONG)
def test_a_usual_mistake_fails_at_its_property(check, answer, said):
    for _ in range(5):
        result = check(answer)
        if result.passed or said not in result.lines[-1]:
            pytest.fail(str(result))


def test_passes_by_rows_fail_somewhere():
    assert not multitask.passes(largest_rows).passed
