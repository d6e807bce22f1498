"""Answers to the exercises of notebook 12: right ones, and usual mistakes by the property that they break."""


def operations(hidden, wide, layers, lengths):
    matrices = layers * (4 * hidden**2 + 2 * hidden * wide)
    attention = 4 * layers * hidden * sum(n * n for n in lengths)
    return 3 * (2 * matrices * sum(lengths) + attention)


def floor(operations, moved, rate, bandwidth):
    return max(operations / rate, moved / bandwidth)


def windows(lengths, order, window, size):
    batches = []
    for start in range(0, len(order), window):
        part = sorted(order[start : start + window], key=lambda index: lengths[index])
        batches += [part[at : at + size] for at in range(0, len(part), size)]
    return batches


def speedup(seconds, factors):
    return sum(seconds) / sum(s / f for s, f in zip(seconds, factors, strict=True))


def mfu(per_token, lengths, seconds, peak):
    return per_token * sum(lengths) / seconds / peak


def attention_by_tokens(hidden, wide, layers, lengths):
    return sum(lengths) * operations(hidden, wide, layers, [1])


def full_batches_only(lengths, order, window, size):
    return [batch for batch in windows(lengths, order, window, size) if len(batch) == size]


def window_by_window(lengths, order, window, size):
    return [sorted(order[at : at + window], key=lengths.__getitem__) for at in range(0, len(order), window)]


def longest_first(lengths, order, window, size):
    return windows([-length for length in lengths], order, window, size)


def weighted_factors(seconds, factors):
    return sum(s * f for s, f in zip(seconds, factors, strict=True)) / sum(seconds)


RIGHT = {"operations": [operations], "floor": [floor], "windows": [windows], "speedup": [speedup], "mfu": [mfu]}
WRONG = {
    "operations": [
        ("one number", lambda h, w, n, lengths: lengths),
        ("single token", lambda *a: operations(*a) / 3),
        ("single token", lambda *a: operations(*a) / 2),
        ("square of its length", attention_by_tokens),
        ("squares are summed", lambda hidden, wide, layers, lengths: operations(hidden, wide, layers, [sum(lengths)])),
    ],
    "floor": [
        ("one number", lambda f, b, r, w: (f / r, b / w)),
        ("much arithmetic", lambda f, b, r, w: b / w),
        ("much arithmetic", lambda f, b, r, w: min(f / r, b / w)),
        ("little arithmetic", lambda f, b, r, w: f / r),
        ("arithmetic", lambda f, b, r, w: f / r + b / w),
    ],
    "windows": [
        ("exactly one batch", full_batches_only),
        ("more than size", window_by_window),
        ("neighbors", lambda lengths, order, window, size: windows(lengths, order, len(order), size)),
        ("neighbors", lambda lengths, order, window, size: windows(lengths, sorted(order), window, size)),
        ("lengths rise", lambda lengths, order, window, size: windows(list(range(len(lengths))), order, window, size)),
        ("lengths rise", longest_first),
        ("sorts everything", lambda lengths, order, window, size: windows(lengths, order, min(window, 3 * size), size)),
        ("list of lists", lambda *arguments: 3),
    ],
    "speedup": [
        ("one number", lambda s, f: f),
        ("nothing becomes faster", lambda s, f: 2 * speedup(s, f)),
        ("every part", lambda s, f: 1 / speedup(s, f)),
        ("two equal parts", lambda seconds, factors: sum(factors) / len(factors)),
        ("two equal parts", weighted_factors),
        ("takes no more time", lambda seconds, factors: len(factors) / sum(1 / f for f in factors)),
    ],
    "mfu": [
        ("one number", lambda p, n, s, peak: [p]),
        ("in half the time", lambda p, n, s, peak: 1 / mfu(p, n, s, peak)),
        ("is 1 for a step", lambda p, n, s, peak: 2 * mfu(p, n, s, peak)),
        ("only real tokens", lambda p, n, s, peak: mfu(p, [max(n)] * len(n), s, peak)),
    ],
}
