"""Answers to the exercises of notebook 12: other right ones, and usual mistakes by the property that they break."""

import random

import numpy as np
from workbook.exercises import edited, solutions

training_flops, batches, speedup, mfu = (
    solutions("throughput")[name] for name in ("training_flops", "length_batches", "speedup", "mfu")
)


def attention_by_tokens(hidden, intermediate, layers, lengths):
    return sum(lengths) * training_flops(hidden, intermediate, layers, [1])


def longest_first(lengths, budget, seed):
    """Shuffled, then sorted from long to short: a batch's first row is its longest, and ties fall differently."""
    rng = random.Random(seed)
    rows = rng.sample(range(len(lengths)), len(lengths))
    rows.sort(key=lambda row: -lengths[row])
    groups = []
    while rows:
        count = max(1, budget // lengths[rows[0]])
        groups.append(rows[:count])
        del rows[:count]
    rng.shuffle(groups)
    return groups


def arrays(lengths, budget, seed):
    rng = np.random.default_rng(seed)
    groups = [np.array(group) for group in longest_first(lengths, budget, seed)]
    return [groups[index] for index in rng.permutation(len(groups))]


def by_tokens(lengths, budget, seed):
    groups, tokens = [[]], 0
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if tokens + lengths[row] > budget:
            groups, tokens = [*groups, []], 0
        groups[-1].append(row)
        tokens += lengths[row]
    return groups


RIGHT = {"length_batches": [longest_first, arrays]}
WRONG = {
    "training_flops": [
        ("single token", lambda *a: training_flops(*a) / 3),
        ("square of its length", attention_by_tokens),
        ("squares are summed", lambda h, w, n, lengths: training_flops(h, w, n, [sum(lengths)])),
    ],
    "length_batches": [
        ("gives a list of batches", lambda lengths, budget, seed: list(range(len(lengths)))),
        ("exactly one batch", lambda *given: batches(*given)[:-1]),
        ("exactly one batch", lambda *given: [*batches(*given), [0]]),
        ("no padded batch", by_tokens),
        ("no padded batch", edited(batches, "max(longest, lengths[row]) => lengths[row]")),
        ("a batch of its own", edited(batches, "in ranked: => in (r for r in ranked if lengths[r] <= budget):")),
        ("use their budget", lambda lengths, budget, seed: [[row] for row in range(len(lengths))]),
        ("similar length", edited(batches, "(noise * torch.tensor(lengths)).argsort() => noise.argsort()")),
        (
            "in random order",
            edited(batches, "torch.randperm( => torch.arange(", ", generator=g).tolist() => ).tolist()"),
        ),
        ("the same seed", edited(batches, ", generator=g => ")),
        (
            "global random numbers",
            edited(batches, "g = torch.Generator().manual_seed(seed) => torch.manual_seed(seed)", ", generator=g => "),
        ),
        (
            "global random numbers",
            edited(batches, "batches, longest = => import numpy; numpy.random.rand(); batches, longest ="),
        ),
        ("other groups", edited(batches, "0.1 * => 0 *")),
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
