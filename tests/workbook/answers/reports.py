"""Answers to the exercises of notebook 11: right ones, and usual mistakes by the property that they break."""

import itertools

import torch
from scipy import stats


def which_overall(sst, quora, sts, printed):
    for name, third in (("plain", sts), ("normalised", (sts + 1) / 2)):
        if abs((sst + quora + third) / 3 - printed) <= 0.001 + 1e-9:
            return name
    return "neither"


def verdict(low, high, region):
    if region[0] < low and high < region[1]:
        return "holds"
    return "contradicted" if high < region[0] or low > region[1] else "undecided"


def half(differences):
    return float(stats.t.ppf(0.975, len(differences) - 1)) * differences.std() / len(differences) ** 0.5


def paired_interval(first, against):
    differences = first - against
    return differences.mean() - half(differences), differences.mean() + half(differences)


def sign_flips(differences):
    means = [
        abs(sum(s * d for s, d in zip(signs, differences.tolist(), strict=True)))
        for signs in itertools.product([-1, 1], repeat=len(differences))
    ]
    return sum(mean >= abs(float(differences.sum())) - 1e-6 for mean in means) / len(means)


def pooled_noise(rows):
    of = [(len(row) - 1, float(row.var())) for row in rows if len(row) > 1]
    return (sum(df * variance for df, variance in of) / sum(df for df, _ in of)) ** 0.5


def holm(ps):
    adjusted, most = torch.zeros(len(ps)), 0.0
    for step, at in enumerate(ps.argsort()):
        most = max(most, min(1.0, float(ps[at]) * (len(ps) - step)))
        adjusted[at] = most
    return adjusted


def never_neither(sst, quora, sts, printed):
    return "plain" if abs((sst + quora + sts) / 3 - printed) < 0.001 else "normalised"


def exact_only(sst, quora, sts, printed):
    return which_overall(sst, quora, sts, printed) if abs(printed * 1000 % 1) < 1e-6 else "neither"


def clipped(sst, quora, sts, printed):
    return which_overall(sst, quora, max(sts, 0), printed)


def by_the_middle(low, high, region):
    return "holds" if region[0] < (low + high) / 2 < region[1] else "contradicted"


def not_significant_is_alike(low, high, region):
    if region == (-0.01, 0.01):
        return "holds" if low < 0 < high else verdict(low, high, region)
    return verdict(low, high, region)


def one_sided_alike(low, high, region):
    return "undecided" if high < region[0] > -1 and region[0] != 0 else verdict(low, high, region)


def unpaired(first, against):
    middle, width = (first - against).mean(), half(first) + half(against)
    return middle - width, middle + width


def of_the_normal(first, against):
    low, high = paired_interval(first, against)
    middle, shrink = (low + high) / 2, 1.96 / float(stats.t.ppf(0.975, len(first) - 1))
    return middle - shrink * (high - low) / 2, middle + shrink * (high - low) / 2


def one_direction(differences):
    count = [
        sum(s * d for s, d in zip(signs, differences.tolist(), strict=True)) >= float(differences.sum()) - 1e-6
        for signs in itertools.product([-1, 1], repeat=len(differences))
    ]
    return sum(count) / len(count)


def doubled(differences):
    return min(1.0, 2 * one_direction(differences))


def without_itself(differences):
    return sign_flips(differences) - 2 / 2 ** len(differences)


def every_row_alike(rows):
    return (sum(float(row.var()) for row in rows) / len(rows)) ** 0.5


def by_seeds(rows):
    return (sum(len(row) * float(row.var()) for row in rows) / sum(map(len, rows))) ** 0.5


def one_seed_is_no_noise(rows):
    return pooled_noise([row if len(row) > 1 else torch.zeros(2) for row in rows])


def without_the_maximum(ps):
    adjusted = torch.zeros(len(ps))
    for step, at in enumerate(ps.argsort()):
        adjusted[at] = min(1.0, float(ps[at]) * (len(ps) - step))
    return adjusted


RIGHT = {
    "which_overall": [which_overall],
    "verdict": [verdict],
    "paired_interval": [paired_interval],
    "sign_flips": [sign_flips],
    "pooled_noise": [pooled_noise],
    "holm": [holm],
}
WRONG = {
    "which_overall": [
        ("plain mean", lambda a, b, c, p: "neither"),
        ('it is "normalised"', lambda a, b, c, p: "plain"),
        ("negative", clipped),
        ('is "neither"', never_neither),
        ("rounded before", exact_only),
    ],
    "verdict": [
        ("lies above 0", lambda low, high, region: "undecided"),
        ("by the same interval", lambda low, high, region: "holds"),
        ("both sides of 0", by_the_middle),
        ("whole interval is small", not_significant_is_alike),
        ("either side", one_sided_alike),
    ],
    "paired_interval": [
        ("two numbers", lambda a, b: (a - b).mean()),
        ("its middle", lambda a, b: paired_interval(b, a)),
        ("good for both rows", unpaired),
        ("half width", of_the_normal),
    ],
    "sign_flips": [
        ("a share", lambda d: 0.0),
        ("three differences", one_direction),
        ("three differences", without_itself),
        ("both directions", doubled),
        ("over all sign choices", lambda d: 2 / 2 ** len(d)),
    ],
    "pooled_noise": [
        ("one number", lambda rows: torch.stack([row.std() for row in rows])),
        ("for a single row", lambda rows: pooled_noise(rows) ** 2),
        ("for a single row", lambda rows: torch.cat([row - row.mean() for row in rows]).std(correction=0)),
        ("differences between rows", lambda rows: torch.cat(rows).std()),
        ("variances are averaged", lambda rows: sum(float(row.std()) for row in rows) / len(rows)),
        ("degrees of freedom", every_row_alike),
        ("degrees of freedom", by_seeds),
        ("one seed", one_seed_is_no_noise),
    ],
    "holm": [
        ("for each test", lambda ps: ps[:1]),
        ("a single test", lambda ps: ps * 2),
        ("the smallest p", lambda ps: ps),
        ("the smallest p", lambda ps: holm(ps).sort().values),
        ("above 1", lambda ps: ps * len(ps)),
        ("keep their order", without_the_maximum),
        ("keep their order", lambda ps: (ps * len(ps)).clamp(max=1)),
    ],
}
