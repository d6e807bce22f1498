"""Every check of notebook 08 accepts right answers and finds each usual mistake at the property it breaks."""

import pytest
import torch
import torch.nn.functional as F

from mtbert.workbook import checks

MANY = range(10)  # every check draws fresh inputs


def wrong(check, answer, where: str):
    for _ in MANY:
        result = check(answer)
        assert not result.passed, f"a wrong answer passed:\n{result}"
        assert result.lines[-1].startswith(f"[FAIL] {where}"), str(result)


def right(check, answer):
    for _ in MANY:
        assert check(answer).passed, str(check(answer))


# -- cosine_score


def cosine_score(u, v):
    lengths = (u.norm(dim=1) * v.norm(dim=1)).clamp(min=1e-8)
    return 5 * ((u * v).sum(1) / lengths).relu()


def in_place(u, v):
    u /= u.norm(dim=1, keepdim=True).clamp(min=1e-8)
    return cosine_score(u, v)


@pytest.mark.parametrize("answer", [cosine_score, lambda u, v: 5 * torch.cosine_similarity(u, v).clamp(min=0)])
def test_cosine_score_accepts_right_answers(answer):
    right(checks.sts_heads.cosine_score, answer)


@pytest.mark.parametrize(
    ("answer", "where"),
    [
        (lambda u, v: None, "gives one score a row"),
        (lambda u, v: cosine_score(u, v)[:, None], "gives one score a row"),
        (lambda u, v: torch.cosine_similarity(u, v, dim=0), "gives one score a row"),
        (in_place, "leaves its arguments"),
        (lambda u, v: cosine_score(u, v) / 5, "a sentence and itself"),
        (lambda u, v: 5 * (torch.cosine_similarity(u, v) + 1) / 2, "of vectors of length 1"),
        (lambda u, v: 5 * (u * v).sum(1).relu(), "the length of a vector"),
        (lambda u, v: 5 * torch.cosine_similarity(u, v), "vectors that point apart"),
        (lambda u, v: 5 * torch.cosine_similarity(u, v).abs(), "vectors that point apart"),
        (lambda u, v: 5 * ((u * v).sum(1) / u.norm(dim=1) / v.norm(dim=1)).relu(), "a vector of zeros"),
    ],
)
def test_cosine_score_finds_the_mistake(answer, where):
    wrong(checks.sts_heads.cosine_score, answer, where)


def test_cosine_score_finds_one_length_for_the_whole_batch():
    def answer(u, v):
        lengths = (u.norm() * v.norm() / len(u)).clamp(min=1e-8)
        return 5 * ((u * v).sum(1) / lengths).relu()

    assert not any(checks.sts_heads.cosine_score(answer).passed for _ in MANY)


# -- features


def test_features_accepts_right_answers():
    right(checks.sts_heads.features, lambda u, v: torch.cat([u, v, (u - v).abs()], dim=1))
    right(checks.sts_heads.features, lambda u, v: torch.hstack([u, v, (v - u).abs()]))


@pytest.mark.parametrize(
    ("answer", "where"),
    [
        (lambda u, v: torch.cat([u, v], dim=1), "gives one row of features"),
        (lambda u, v: torch.cat([u, v, (u - v).abs()], dim=0), "gives one row of features"),
        (lambda u, v: torch.cat([v, u, (u - v).abs()], dim=1), "begins with u"),
        (lambda u, v: torch.cat([u, v, u * v], dim=1), "of equal sentences"),
        (lambda u, v: torch.cat([u, v, (u - v) ** 2], dim=1), "the last third is how far"),
        (lambda u, v: torch.cat([u, v, u - v], dim=1), "without a sign"),
    ],
)
def test_features_finds_the_mistake(answer, where):
    wrong(checks.sts_heads.features, answer, where)


# -- mnrl


def mnrl(u, v, scale, prepare=lambda x: F.normalize(x, dim=1), reduction="mean"):
    return F.cross_entropy(scale * prepare(u) @ prepare(v).T, torch.arange(len(u)), reduction=reduction)


def by_exponentials(u, v, scale):
    scores = (scale * F.normalize(u, dim=1) @ F.normalize(v, dim=1).T).exp()
    return -(scores.diagonal() / scores.sum(1)).log().mean()


def without_its_own(u, v, scale):
    scores = scale * F.normalize(u, dim=1) @ F.normalize(v, dim=1).T
    others = scores.masked_fill(torch.eye(len(u), dtype=torch.bool), -torch.inf)
    return (others.logsumexp(1) - scores.diagonal()).mean()


def test_mnrl_accepts_the_right_answer():
    right(checks.sts_heads.mnrl, mnrl)


@pytest.mark.parametrize(
    ("answer", "where"),
    [
        (lambda u, v, scale: None, "is one number"),
        (lambda u, v, scale: mnrl(u, v, scale, reduction="none"), "is one number"),
        (lambda u, v, scale: -scale * torch.cosine_similarity(u, v).mean(), "of one pair alone"),
        (without_its_own, "of one pair alone"),
        (lambda u, v, scale: mnrl(u, v, scale, reduction="sum"), "where all sentences are alike"),
        (lambda u, v, scale: mnrl(v, u, scale), "of vectors of length 1"),
        (lambda u, v, scale: mnrl(u, v, 1.0), "the scale multiplies"),
        (lambda u, v, scale: mnrl(u, v, 1 / scale), "the scale multiplies"),
        (lambda u, v, scale: mnrl(u, v, scale, lambda x: x), "the length of a vector"),
        (by_exponentials, "large scales"),
    ],
)
def test_mnrl_finds_the_mistake(answer, where):
    wrong(checks.sts_heads.mnrl, answer, where)


# -- cosent


def cosent(cosines, labels, scale, one=True, above=lambda a, b: a > b, sign=1):
    differences = sign * scale * (cosines[None, :] - cosines[:, None])
    terms = differences[above(labels[:, None], labels[None, :])]
    return torch.cat([torch.zeros(int(one)), terms]).logsumexp(0)


def sum_of_logarithms(cosines, labels, scale):
    differences = scale * (cosines[None, :] - cosines[:, None])
    return F.softplus(differences[labels[:, None] > labels[None, :]]).sum()


def overflowing(cosines, labels, scale):
    differences = scale * (cosines[None, :] - cosines[:, None])
    return (1 + differences[labels[:, None] > labels[None, :]].exp().sum()).log()


def weighted(cosines, labels, scale):
    differences = scale * (cosines[None, :] - cosines[:, None])
    by = (labels[:, None] - labels[None, :]).clamp(min=0)
    return (1 + (by.clamp(max=1) * by / by.max().clamp(min=1) * differences.exp()).sum()).log()


def test_cosent_accepts_the_right_answer():
    right(checks.sts_heads.cosent, cosent)


@pytest.mark.parametrize(
    ("answer", "where"),
    [
        (lambda cosines, labels, scale: None, "is one number"),
        (lambda cosines, labels, scale: cosent(cosines, labels, scale, above=lambda a, b: a >= b), "where all labels"),
        (lambda cosines, labels, scale: cosent(cosines, labels, scale, one=False), "where all labels"),
        (lambda cosines, labels, scale: torch.zeros(()), "of two rows"),
        (lambda cosines, labels, scale: cosent(cosines, labels, scale, sign=-1), "of two rows"),
        (lambda cosines, labels, scale: cosent(cosines, labels, 1.0), "the scale multiplies"),
        (sum_of_logarithms, "every pair of rows"),
        (overflowing, "large scales"),
    ],
)
def test_cosent_finds_the_mistake(answer, where):
    wrong(checks.sts_heads.cosent, answer, where)


def test_cosent_finds_a_weight_by_the_labels():
    assert not any(checks.sts_heads.cosent(weighted).passed for _ in MANY)
