"""Checks of notebook 11: an overall score, a verdict, an interval over seeds, sign flips, pooled variance, Holm."""

import itertools

import torch

from mtbert.experiments.claims import REGIONS
from mtbert.experiments.statistics import EffectEstimate
from mtbert.experiments.statistics import holm as reference_holm
from mtbert.workbook.checks.engine import check, equal, expect, same, shaped


@check
def which_overall(answer, draw):
    """answer(sst, quora, sts, printed) -> "plain", "normalised" or "neither"; all four have three decimals."""
    sst, quora, sts = (round(draw.between(0.3, 0.8), 3) for _ in range(3))
    plain, normalised = (sst + quora + sts) / 3, (sst + quora + (sts + 1) / 2) / 3
    yield 'a plain mean is "plain"'
    equal(answer(sst, quora, sts, round(plain, 3)), "plain", f"{sst}, {quora}, {sts} and {plain:.3f}")
    yield 'with (r + 1) / 2 for the correlation it is "normalised"'
    equal(answer(sst, quora, sts, round(normalised, 3)), "normalised", f"{sst}, {quora}, {sts} and {normalised:.3f}")
    yield "a correlation may be negative"
    equal(answer(sst, quora, -0.2, round((sst + quora + 0.4) / 3, 3)), "normalised", "a correlation of -0.2")
    yield 'a score that is neither of them is "neither"'
    equal(answer(sst, quora, sts, round(max(plain, normalised) + 0.01, 3)), "neither", "0.01 above both")
    yield "scores are rounded before they are printed: their mean may be .0009 off"
    equal(answer(0.5, 0.7, 0.3, 0.5009), "plain", "0.5, 0.7, 0.3 and 0.5009")
    equal(answer(0.5, 0.7, 0.3, 0.5023), "neither", "0.5, 0.7, 0.3 and 0.5023")


@check
def verdict(answer, draw):
    """answer(low, high, region) -> "holds", "contradicted" or "undecided"; region is (from, to), the claim."""
    better, worse, alike = REGIONS["better"], REGIONS["worse"], REGIONS["alike"]
    low = draw.between(0.01, 0.1)
    yield '"better" holds if the interval lies above 0'
    equal(answer(low, low + 0.05, better), "holds", f"{low:.2f} to {low + 0.05:.2f}")
    yield '"worse" is contradicted by the same interval'
    equal(answer(low, low + 0.05, worse), "contradicted", f"{low:.2f} to {low + 0.05:.2f}")
    yield "an interval on both sides of 0 decides nothing"
    equal(answer(-low, 0.05, better), "undecided", f"{-low:.2f} to 0.05, better")
    equal(answer(-low, 0.05, worse), "undecided", f"{-low:.2f} to 0.05, worse")
    yield '"alike" holds only if the whole interval is small'
    equal(answer(-0.004, 0.006, alike), "holds", "-0.004 to 0.006")
    equal(answer(-0.03, 0.03, alike), "undecided", "-0.03 to 0.03")
    equal(answer(0.002, 0.03, alike), "undecided", "0.002 to 0.03")
    yield '"alike" is contradicted on either side'
    equal(answer(0.02, 0.03, alike), "contradicted", "0.02 to 0.03")
    equal(answer(-0.03, -0.02, alike), "contradicted", "-0.03 to -0.02")


@check
def paired_interval(answer, draw):
    """answer(first, second) -> (low, high) of the 95% interval; the scores of two rows, (seeds,), same seeds."""
    seeds = draw.whole(3, 6)
    first, second = 0.5 + 0.02 * draw.normal(seeds), 0.48 + 0.02 * draw.normal(seeds)
    low, high = EffectEstimate.from_seeds((first - second).double().tolist()).interval()
    yield "gives two numbers"
    shaped(answer(first, second), 2)
    got = [float(end) for end in answer(first, second)]
    yield "its middle is the mean of the differences, first minus second"
    same(sum(got) / 2, (low + high) / 2)
    yield "a seed that is good for both rows does not widen it"
    common = 0.3 * draw.normal(seeds)
    moved = [float(end) for end in answer(first + common, second + common)]
    same(moved[1] - moved[0], got[1] - got[0], 1e-3)
    yield "its half width is Student's t (seeds - 1 degrees of freedom) times the standard error"
    same((got[1] - got[0]) / 2, (high - low) / 2)


@check
def sign_flips(answer, draw):
    """answer(differences) -> p, the share of all sign choices whose mean is at least as far from 0; (seeds,)."""
    seeds = draw.whole(4, 6)
    differences = 0.2 + draw.uniform(seeds)
    differences[0] *= -0.3
    yield "gives a share"
    got = float(shaped(answer(differences)))
    expect(0 < got <= 1, f"it is {got:.3g}, but the observed signs count as well")
    yield "three differences of one sign: only two of eight choices are as far from 0"
    same(answer(torch.tensor([0.01, 0.02, 0.03])), 0.25)
    yield "both directions count: flipping all signs changes nothing"
    same(answer(-differences), answer(differences))
    yield "is the share over all sign choices"
    signs = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=seeds)))
    means = (signs * differences).mean(1).abs()
    same(answer(differences), (means >= differences.mean().abs() - 1e-6).double().mean())


@check
def pooled_std(answer, draw):
    """answer(rows) -> the standard deviation within a row, pooled over all rows; rows is a list of (seeds,) scores."""
    drawn = [draw.normal(seeds) for seeds in (3, 3, 7)]
    standard = [(values - values.mean()) / values.std() for values in drawn]
    rows = [0.3 + 0.01 * standard[0], 0.8 + 0.03 * standard[1], 0.5 + 0.06 * standard[2]]
    yield "gives one number"
    shaped(answer(rows))
    yield "for a single row it is that row's standard deviation (dividing by seeds - 1)"
    same(answer(rows[:1]), rows[0].std())
    yield "differences between rows do not count"
    same(answer([rows[0], rows[0] + 0.4]), rows[0].std())
    yield "variances are averaged, not standard deviations"
    same(answer(rows[:2]), ((rows[0].var() + rows[1].var()) / 2) ** 0.5)
    yield "a row counts by its degrees of freedom"
    same(answer(rows), (sum((len(row) - 1) * row.var() for row in rows) / 10) ** 0.5)
    yield "a row with one seed says nothing about the variance"
    same(answer([rows[0], rows[1][:1]]), rows[0].std())


@check
def holm(answer, draw):
    """answer(ps) -> adjusted p values in the same order; ps (tests,)."""
    tests = draw.whole(5, 9)
    ps = draw.between(0.001, 0.0019) * 2.0 ** torch.arange(tests)
    others = 1 + torch.randperm(tests - 1, generator=draw.generator)
    ps = torch.cat([ps[others], ps[:1]])  # the smallest is last
    expected = torch.from_numpy(reference_holm(ps.double().numpy()))
    yield "gives a number for each test"
    shaped(answer(ps), tests)
    yield "a single test stays as it is"
    same(answer(ps[:1]), ps[:1])
    yield "the smallest p is multiplied by the number of tests, and keeps its position"
    same(answer(ps)[-1], expected[-1])
    yield "no adjusted p is above 1"
    expect(float(torch.as_tensor(answer(torch.full((4,), 0.9))).max()) <= 1, "four times .9 gives more than 1")
    yield "the second smallest is multiplied by one less, and so on"
    same(answer(ps), expected)
    yield "the adjusted p values keep their order: none falls below that of a smaller p"
    same(answer(torch.tensor([0.02, 0.0201, 0.5])), [0.06, 0.06, 0.5])
