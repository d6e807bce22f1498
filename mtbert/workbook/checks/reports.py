"""Checks of notebook 11: an overall score, a verdict, an interval over seeds, sign flips, borrowed noise, Holm."""

import itertools

import torch

from mtbert.experiments.claims import REGIONS
from mtbert.experiments.statistics import EffectEstimate
from mtbert.experiments.statistics import holm as reference_holm
from mtbert.workbook.checks.engine import check, expect, same, shaped


def _says(got, wanted: str, of: str) -> None:
    expect(got == wanted, f"{of}: it is {got!r}, but should be {wanted!r}")


@check
def which_overall(answer, draw):
    """(sst, quora, sts, printed overall; three decimals each) -> "plain", "normalised" or "neither"."""
    sst, quora, sts = (round(draw.between(0.3, 0.8), 3) for _ in range(3))
    plain, normalised = (sst + quora + sts) / 3, (sst + quora + (sts + 1) / 2) / 3
    yield 'a plain mean is "plain"'
    _says(answer(sst, quora, sts, round(plain, 3)), "plain", f"{sst}, {quora}, {sts} and {plain:.3f}")
    yield 'with (r + 1) / 2 for the correlation it is "normalised"'
    _says(answer(sst, quora, sts, round(normalised, 3)), "normalised", f"{sst}, {quora}, {sts} and {normalised:.3f}")
    yield "a correlation may be negative"
    _says(answer(sst, quora, -0.2, round((sst + quora + 0.4) / 3, 3)), "normalised", "a correlation of -0.2")
    yield 'what is neither of them is "neither"'
    _says(answer(sst, quora, sts, round(max(plain, normalised) + 0.01, 3)), "neither", "0.01 above both")
    yield "scores were rounded before they were printed: their mean may be .0009 off"
    _says(answer(0.5, 0.7, 0.3, 0.5009), "plain", "0.5, 0.7, 0.3 and 0.5009")
    _says(answer(0.5, 0.7, 0.3, 0.5023), "neither", "0.5, 0.7, 0.3 and 0.5023")


@check
def verdict(answer, draw):
    """(low, high of the interval, region (from, to)) -> "holds", "contradicted" or "undecided"."""
    better, worse, alike = REGIONS["better"], REGIONS["worse"], REGIONS["alike"]
    low = draw.between(0.01, 0.1)
    yield '"better" holds if the interval lies above 0'
    _says(answer(low, low + 0.05, better), "holds", f"{low:.2f} to {low + 0.05:.2f}")
    yield '"worse" is contradicted by the same interval'
    _says(answer(low, low + 0.05, worse), "contradicted", f"{low:.2f} to {low + 0.05:.2f}")
    yield "an interval on both sides of 0 decides neither"
    _says(answer(-low, 0.05, better), "undecided", f"{-low:.2f} to 0.05, better")
    _says(answer(-low, 0.05, worse), "undecided", f"{-low:.2f} to 0.05, worse")
    yield '"alike" holds only if the whole interval is small'
    _says(answer(-0.004, 0.006, alike), "holds", "-0.004 to 0.006")
    _says(answer(-0.03, 0.03, alike), "undecided", "-0.03 to 0.03")
    _says(answer(0.002, 0.03, alike), "undecided", "0.002 to 0.03")
    yield '"alike" is contradicted on either side'
    _says(answer(0.02, 0.03, alike), "contradicted", "0.02 to 0.03")
    _says(answer(-0.03, -0.02, alike), "contradicted", "-0.03 to -0.02")


@check
def paired_interval(answer, draw):
    """(scores of one row, scores of another; (seeds,) each, same seeds) -> (low, high), 95 %."""
    seeds = draw.whole(3, 6)
    first, against = 0.5 + 0.02 * draw.normal(seeds), 0.48 + 0.02 * draw.normal(seeds)
    low, high = EffectEstimate.over_seeds((first - against).double().tolist()).interval()
    yield "gives two numbers"
    shaped(answer(first, against), 2)
    got = [float(each) for each in answer(first, against)]
    yield "its middle is the mean of the differences, first minus second"
    same(sum(got) / 2, (low + high) / 2)
    yield "seeds that lift both rows alike do not widen it"
    lucky = 0.3 * draw.normal(seeds)
    moved = [float(each) for each in answer(first + lucky, against + lucky)]
    same(moved[1] - moved[0], got[1] - got[0], 1e-3)
    yield "its half width is Student's t (seeds - 1 degrees of freedom) times the standard error"
    same((got[1] - got[0]) / 2, (high - low) / 2)


@check
def sign_flips(answer, draw):
    """(differences (seeds,)) -> p: the share of all sign choices whose mean is at least as far from 0."""
    seeds = draw.whole(4, 6)
    differences = 0.2 + draw.uniform(seeds)
    differences[0] *= -0.3
    yield "gives a share"
    got = float(shaped(answer(differences)))
    expect(0 < got <= 1, f"it is {got:.3g}, but the signs as they are count as well")
    yield "three differences of one sign: only two of eight choices are as far from 0"
    same(answer(torch.tensor([0.01, 0.02, 0.03])), 0.25)
    yield "both directions count: the sign of all differences does not matter"
    same(answer(-differences), answer(differences))
    yield "is the share over all choices"
    signs = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=seeds)))
    means = (signs * differences).mean(1).abs()
    same(answer(differences), (means >= differences.mean().abs() - 1e-6).double().mean())


@check
def pooled_noise(answer, draw):
    """(rows: a list of (seeds,) scores of one row each) -> standard deviation within a row, pooled over all rows."""
    drawn = [draw.normal(seeds) for seeds in (3, 3, 7)]
    rows = [
        mean + spread * (of - of.mean()) / of.std()
        for of, mean, spread in zip(drawn, (0.3, 0.8, 0.5), (0.01, 0.03, 0.06), strict=True)
    ]
    yield "gives one number"
    shaped(answer(rows))
    yield "of a single row it is that row's standard deviation (divided by seeds - 1)"
    same(answer(rows[:1]), rows[0].std())
    yield "how far rows are from each other does not count"
    same(answer([rows[0], rows[0] + 0.4]), rows[0].std())
    yield "variances are averaged, not standard deviations"
    same(answer(rows[:2]), ((rows[0].var() + rows[1].var()) / 2) ** 0.5)
    yield "a row counts by its degrees of freedom"
    same(answer(rows), (sum((len(row) - 1) * row.var() for row in rows) / 10) ** 0.5)
    yield "a row with one seed tells nothing of noise"
    same(answer([rows[0], rows[1][:1]]), rows[0].std())


@check
def holm(answer, draw):
    """(ps (tests,)) -> adjusted p values, in the same order."""
    tests = draw.whole(5, 9)
    ps = draw.between(0.001, 0.0019) * 2.0 ** torch.arange(tests)
    others = 1 + torch.randperm(tests - 1, generator=draw.generator)
    ps = torch.cat([ps[others], ps[:1]])  # the smallest stands last
    wanted = torch.from_numpy(reference_holm(ps.double().numpy()))
    yield "gives a number for each test"
    shaped(answer(ps), tests)
    yield "a single test stays as it is"
    same(answer(ps[:1]), ps[:1])
    yield "the smallest p is multiplied by the number of tests, and stays in its place"
    same(answer(ps)[-1], wanted[-1])
    yield "no adjusted p is above 1"
    expect(float(torch.as_tensor(answer(torch.full((4,), 0.9))).max()) <= 1, "four times .9 gives more than 1")
    yield "a larger p never becomes smaller than a smaller one"
    same(answer(torch.tensor([0.02, 0.0201, 0.5])), [0.06, 0.06, 0.5])
    yield "the second smallest is multiplied by one less, and so on"
    same(answer(ps), wanted)
