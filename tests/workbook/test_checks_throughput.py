"""Checks of 12_throughput: right answers pass, and each usual mistake fails at the property that names it."""

import pytest

from mtbert.workbook.checks import throughput as checks


def operations(hidden, wide, layers, lengths):
    matrices = layers * (4 * hidden**2 + 2 * hidden * wide)
    attention = 4 * layers * hidden * sum(n * n for n in lengths)
    return 3 * (2 * matrices * sum(lengths) + attention)


def floor(operations, moved, rate, bandwidth):
    return max(operations / rate, moved / bandwidth)


def windows(lengths, order, window, size):
    batches = []
    for start in range(0, len(order), window):
        part = sorted(order[start : start + window], key=lambda number: lengths[number])
        batches += [part[at : at + size] for at in range(0, len(part), size)]
    return batches


def speedup(seconds, factors):
    return sum(seconds) / sum(s / f for s, f in zip(seconds, factors, strict=True))


def mfu(per_token, lengths, seconds, peak):
    return per_token * sum(lengths) / seconds / peak


RIGHT = {"operations": operations, "floor": floor, "windows": windows, "speedup": speedup, "mfu": mfu}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_passes(name):
    for _ in range(20):
        result = getattr(checks, name)(RIGHT[name])
        assert result.passed, str(result)


def one_sequence(hidden, wide, layers, lengths):
    return operations(hidden, wide, layers, [sum(lengths)])


def without_attention(hidden, wide, layers, lengths):
    return 6 * layers * (4 * hidden**2 + 2 * hidden * wide) * sum(lengths)


def attention_by_tokens(hidden, wide, layers, lengths):
    return sum(lengths) * operations(hidden, wide, layers, [1])


def one_sort(lengths, order, window, size):
    return windows(lengths, order, len(order), size)


def full_batches_only(lengths, order, window, size):
    return [batch for batch in windows(lengths, order, window, size) if len(batch) == size]


def not_shuffled(lengths, order, window, size):
    return windows(lengths, sorted(order), window, size)


def by_number(lengths, order, window, size):
    return windows(list(range(len(lengths))), order, window, size)


def window_by_window(lengths, order, window, size):
    return [sorted(order[at : at + window], key=lengths.__getitem__) for at in range(0, len(order), window)]


def longest_first(lengths, order, window, size):
    return windows([-length for length in lengths], order, window, size)


def never_all(lengths, order, window, size):
    return windows(lengths, order, min(window, 3 * size), size)


def mean_of_factors(seconds, factors):
    return sum(factors) / len(factors)


def weighted_factors(seconds, factors):
    return sum(s * f for s, f in zip(seconds, factors, strict=True)) / sum(seconds)


def harmonic(seconds, factors):
    return len(factors) / sum(1 / f for f in factors)


WRONG = [
    ("operations", lambda h, w, n, lengths: lengths, "one number"),
    ("operations", lambda *a: operations(*a) / 3, "single token"),
    ("operations", lambda *a: operations(*a) / 2, "single token"),
    ("operations", without_attention, "single token"),
    ("operations", lambda h, w, n, lengths: operations(h, 4 * h, n, lengths), "single token"),
    ("operations", attention_by_tokens, "square of its length"),
    ("operations", one_sequence, "squares are summed"),
    ("floor", lambda f, b, r, w: (f / r, b / w), "one number"),
    ("floor", lambda f, b, r, w: b / w, "much arithmetic"),
    ("floor", lambda f, b, r, w: f / r, "little arithmetic"),
    ("floor", lambda f, b, r, w: min(f / r, b / w), "much arithmetic"),
    ("floor", lambda f, b, r, w: f / r + b / w, "arithmetic"),
    ("windows", full_batches_only, "exactly one batch"),
    ("windows", window_by_window, "more than size"),
    ("windows", one_sort, "neighbours"),
    ("windows", not_shuffled, "neighbours"),
    ("windows", by_number, "lengths rise"),
    ("windows", longest_first, "lengths rise"),
    ("windows", never_all, "sorts everything"),
    ("speedup", lambda s, f: f, "one number"),
    ("speedup", lambda s, f: 2 * speedup(s, f), "nothing becomes faster"),
    ("speedup", lambda s, f: 1 / speedup(s, f), "every part"),
    ("speedup", mean_of_factors, "two equal parts"),
    ("speedup", weighted_factors, "two equal parts"),
    ("speedup", harmonic, "costs nothing"),
    ("mfu", lambda p, n, s, peak: [p], "one number"),
    ("mfu", lambda p, n, s, peak: 1 / mfu(p, n, s, peak), "half the time"),
    ("mfu", lambda p, n, s, peak: 2 * mfu(p, n, s, peak), "at most has 1"),
    ("mfu", lambda p, n, s, peak: mfu(p, [max(n)] * len(n), s, peak), "only real tokens"),
]


@pytest.mark.parametrize(("name", "answer", "said"), WRONG)
def test_a_usual_mistake_fails_at_its_property(name, answer, said):
    for _ in range(5):
        result = getattr(checks, name)(answer)
        assert not result.passed and said in result.lines[-1], str(result)


def test_nothing_returned_is_said_so():
    assert "is there a return?" in str(checks.windows(lambda *given: None))
    assert "list of lists" in str(checks.windows(lambda *given: 3))
