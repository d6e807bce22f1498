"""Answers to the exercises of notebook 12: usual mistakes by the property that they break."""

from workbook.exercises import solutions

training_flops, _, speedup, windows, mfu = solutions("throughput").values()


def attention_by_tokens(hidden, intermediate, layers, lengths):
    return sum(lengths) * training_flops(hidden, intermediate, layers, [1])


def window_by_window(lengths, order, window, size):
    return [sorted(order[at : at + window], key=lengths.__getitem__) for at in range(0, len(order), window)]


WRONG = {
    "training_flops": [
        ("single token", lambda *a: training_flops(*a) / 3),
        ("square of its length", attention_by_tokens),
        ("squares are summed", lambda h, w, n, lengths: training_flops(h, w, n, [sum(lengths)])),
    ],
    "floor": [
        ("much arithmetic", lambda f, b, r, w: b / w),
        ("little arithmetic", lambda f, b, r, w: f / r),
        ("arithmetic", lambda f, b, r, w: f / r + b / w),
    ],
    "windows": [
        ("more than size", window_by_window),
        ("neighbors", lambda lengths, order, window, size: windows(lengths, order, len(order), size)),
        ("lengths rise", lambda lengths, order, window, size: windows(list(range(len(lengths))), order, window, size)),
    ],
    "speedup": [
        ("every part", lambda s, f: 1 / speedup(s, f)),
        ("two equal parts", lambda seconds, factors: sum(factors) / len(factors)),
        ("long parts count", lambda seconds, factors: len(factors) / sum(1 / f for f in factors)),
    ],
    "mfu": [
        ("in half the time", lambda p, n, s, peak: 1 / mfu(p, n, s, peak)),
        ("is 1 for a step", lambda p, n, s, peak: 2 * mfu(p, n, s, peak)),
        ("only real tokens", lambda p, n, s, peak: mfu(p, [max(n)] * len(n), s, peak)),
    ],
}
