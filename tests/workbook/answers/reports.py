"""Answers to the exercises of notebook 11: other right ones, and usual mistakes by the property that they break."""

import torch
from workbook.exercises import edited, solutions

which_overall, verdict, paired_interval, sign_flips, pooled_std, holm = solutions("reports").values()


def by_variances(rows):
    spreads = [(len(row) - 1, float(row.var())) for row in rows if len(row) > 1]
    return (sum(df * variance for df, variance in spreads) / sum(df for df, _ in spreads)) ** 0.5


def by_the_middle(low, high, region):
    return "holds" if region[0] < (low + high) / 2 < region[1] else "contradicted"


def not_significant_is_alike(low, high, region):
    if region == (-0.01, 0.01):
        return "holds" if low < 0 < high else verdict(low, high, region)
    return verdict(low, high, region)


one_direction = edited(sign_flips, ".abs() => ")

RIGHT = {"pooled_std": [by_variances]}
WRONG = {
    "which_overall": [
        ("plain mean", lambda a, b, c, p: "neither"),
        ('it is "normalised"', lambda a, b, c, p: "plain"),
        ("negative", lambda sst, quora, sts, printed: which_overall(sst, quora, max(sts, 0), printed)),
        ('is "neither"', edited(which_overall, 'return "neither" => return "normalised"')),
        ("rounded before", edited(which_overall, "<= 0.001 + 1e-9 => <= 0.0005 + 1e-9")),
    ],
    "verdict": [
        ("lies above 0", lambda low, high, region: "undecided"),
        ("by the same interval", lambda low, high, region: "holds"),
        ("both sides of 0", by_the_middle),
        ("whole interval is small", not_significant_is_alike),
    ],
    "paired_interval": [
        ("its middle", lambda a, b: paired_interval(b, a)),
        ("good for both rows", edited(paired_interval, "differences.std() => (first.std() + second.std())")),
        ("half width", edited(paired_interval, "quantile * => 1.96 *")),
    ],
    "sign_flips": [
        ("three differences", one_direction),
        ("both directions", lambda differences: min(1.0, 2 * one_direction(differences))),
        ("over all sign choices", lambda d: 2 / 2 ** len(d)),
    ],
    "pooled_std": [
        ("for a single row", lambda rows: pooled_std(rows) ** 2),
        ("differences between rows", lambda rows: torch.cat(rows).std()),
        ("variances are averaged", lambda rows: sum(float(row.std()) for row in rows) / len(rows)),
        ("degrees of freedom", edited(by_variances, "(len(row) - 1, float(row.var())) => (1, float(row.var()))")),
        (
            "degrees of freedom",
            edited(by_variances, "(len(row) - 1, float(row.var())) => (len(row), float(row.var()))"),
        ),
        ("one seed", lambda rows: pooled_std([row if len(row) > 1 else torch.zeros(2) for row in rows])),
    ],
    "holm": [
        ("the smallest p", lambda ps: ps),
        ("above 1", lambda ps: ps * len(ps)),
        ("one less", lambda ps: (ps * len(ps)).clamp(max=1)),  # Bonferroni's correction
        ("keep their order", edited(holm, ".cummax(0).values => ")),
    ],
}
