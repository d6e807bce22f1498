"""Checks of notebook 09: right answers pass, and each usual mistake fails at the property that names it."""

import pytest

from mtbert.workbook.checks import data_strategies as checks


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


RIGHT = [
    (checks.shares, shares),
    (checks.apportion, apportion),
    (checks.oversample, oversample),
    (checks.delete, delete),
]


@pytest.mark.parametrize(("check", "answer"), RIGHT, ids=lambda each: each.__name__)
def test_a_right_answer_passes(check, answer):
    for _ in range(20):
        result = check(answer)
        assert result.passed, str(result)


def rounded(weights, total):
    whole = sum(weights.values())
    return {task: round(total * weight / whole) for task, weight in weights.items()}


def rest_to_the_first(weights, total):
    whole = sum(weights.values())
    counts = {task: int(total * weight / whole) for task, weight in weights.items()}
    counts[next(iter(counts))] += total - sum(counts.values())
    return counts


def one_each_to_the_first(weights, total):
    whole = sum(weights.values())
    counts = {task: int(total * weight / whole) for task, weight in weights.items()}
    for task in list(counts)[: total - sum(counts.values())]:
        counts[task] += 1
    return counts


def power_of_the_whole(rows, alpha):
    whole = sum(rows.values()) ** alpha
    return {task: count**alpha / whole for task, count in rows.items()}


def roots(rows, alpha):
    return shares(rows, alpha) if alpha in (0, 1) else shares(rows, 1 / alpha)


def in_place(words, share, random):
    for word in list(words):
        if random.random() < share and len(words) > 1:
            words.remove(word)
    return words


def a_fixed_number(words, share, random):
    places = sorted(random.sample(range(len(words)), max(1, len(words) - int(share * len(words)))))
    return [words[place] for place in places]


def shuffled(words, share, random):
    kept = delete(words, share, random)
    return kept if share == 0 else random.sample(kept, len(kept))


WRONG = [
    (checks.shares, lambda rows, alpha: None, "a number for each task"),
    (checks.shares, lambda rows, alpha: {task: count**alpha for task, count in rows.items()}, "add up to 1"),
    (checks.shares, power_of_the_whole, "add up to 1"),
    (checks.shares, lambda rows, alpha: dict.fromkeys(rows, 1 / len(rows)), "alpha = 1 "),
    (checks.shares, lambda rows, alpha: shares(rows, 1), "alpha = 0"),
    (checks.shares, roots, "alpha = 1/2"),
    (checks.apportion, lambda weights, total: shares(weights, 1), "whole number"),
    (checks.apportion, rounded, "no more"),
    (checks.apportion, rest_to_the_first, ("away from its share", "largest remainders")),
    (checks.apportion, one_each_to_the_first, "largest remainders"),
    (checks.oversample, lambda rows, times: {task: times * count for task, count in rows.items()}, "largest set once"),
    (checks.oversample, lambda rows, times: dict(rows), "so many times"),
    (checks.oversample, lambda rows, times: dict.fromkeys(rows, max(rows.values())), "so many times"),
    (
        checks.oversample,
        lambda rows, times: {
            task: times * count if count < max(rows.values()) else count for task, count in rows.items()
        },
        "larger than the largest",
    ),
    (checks.delete, lambda words, share, random: " ".join(words), "list of words"),
    (checks.delete, in_place, "list of words"),
    (checks.delete, lambda words, share, random: words[1:], "share of 0"),
    (checks.delete, shuffled, "keep their order"),
    (checks.delete, lambda words, share, random: [word for word in words if random.random() >= share], "one word"),
    (
        checks.delete,
        lambda words, share, random: [word for word in words if random.random() >= share] or words[:1],
        "one word",
    ),
    (checks.delete, a_fixed_number, "on average"),
    (
        checks.delete,
        lambda words, share, random: delete(words, share if share in (0, 1) else 1 - share, random),
        "on average",
    ),
]


@pytest.mark.parametrize(("check", "answer", "said"), WRONG)
def test_a_usual_mistake_fails_at_its_property(check, answer, said):
    said = (said,) if isinstance(said, str) else said
    for _ in range(5):
        result = check(answer)
        if result.passed or not any(words in result.lines[-1] for words in said):
            pytest.fail(str(result))
