"""Checks of notebook 11: right answers pass, and each usual mistake fails at the property that names it."""

import itertools

import pytest
import torch
from scipy import stats

from mtbert.workbook.checks import reports as checks


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


RIGHT = {
    "which_overall": which_overall,
    "verdict": verdict,
    "paired_interval": paired_interval,
    "sign_flips": sign_flips,
    "pooled_noise": pooled_noise,
    "holm": holm,
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_passes(name):
    for _ in range(20):
        result = getattr(checks, name)(RIGHT[name])
        assert result.passed, str(result)


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


WRONG = [
    ("which_overall", lambda a, b, c, p: "neither", "plain mean"),
    ("which_overall", lambda a, b, c, p: "plain", 'it is "normalised"'),
    ("which_overall", clipped, "negative"),
    ("which_overall", never_neither, 'is "neither"'),
    ("which_overall", exact_only, "rounded before"),
    ("verdict", lambda low, high, region: "undecided", "lies above 0"),
    ("verdict", lambda low, high, region: "holds", "by the same interval"),
    ("verdict", by_the_middle, "both sides of 0"),
    ("verdict", not_significant_is_alike, "whole interval is small"),
    ("verdict", one_sided_alike, "either side"),
    ("paired_interval", lambda a, b: (a - b).mean(), "two numbers"),
    ("paired_interval", lambda a, b: paired_interval(b, a), "its middle"),
    ("paired_interval", unpaired, "lift both rows"),
    ("paired_interval", of_the_normal, "half width"),
    ("sign_flips", lambda d: 0.0, "a share"),
    ("sign_flips", one_direction, "three differences"),
    ("sign_flips", without_itself, "three differences"),
    ("sign_flips", doubled, "both directions"),
    ("sign_flips", lambda d: 2 / 2 ** len(d), "over all choices"),
    ("pooled_noise", lambda rows: torch.stack([row.std() for row in rows]), "one number"),
    ("pooled_noise", lambda rows: pooled_noise(rows) ** 2, "of a single row"),
    ("pooled_noise", lambda rows: torch.cat([row - row.mean() for row in rows]).std(correction=0), "of a single row"),
    ("pooled_noise", lambda rows: torch.cat(rows).std(), "far rows are"),
    ("pooled_noise", lambda rows: sum(float(row.std()) for row in rows) / len(rows), "variances are averaged"),
    ("pooled_noise", every_row_alike, "degrees of freedom"),
    ("pooled_noise", by_seeds, "degrees of freedom"),
    ("pooled_noise", one_seed_is_no_noise, "one seed"),
    ("holm", lambda ps: ps[:1], "for each test"),
    ("holm", lambda ps: ps * 2, "a single test"),
    ("holm", lambda ps: ps, "the smallest p"),
    ("holm", lambda ps: holm(ps).sort().values, "the smallest p"),
    ("holm", lambda ps: ps * len(ps), "above 1"),
    ("holm", without_the_maximum, "never becomes smaller"),
    ("holm", lambda ps: (ps * len(ps)).clamp(max=1), "never becomes smaller"),
]


@pytest.mark.parametrize(("name", "mistake", "words"), WRONG)
def test_a_usual_mistake_fails_at_the_property_that_names_it(name, mistake, words):
    for _ in range(20):
        result = getattr(checks, name)(mistake)
        assert not result.passed and words in result.lines[-1], str(result)
