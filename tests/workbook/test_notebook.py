"""What notebooks do first, and how they show that two results are equal."""

import math

import pytest
import torch

from mtbert.utils.errors import UserError
from mtbert.workbook import agree, setup


@pytest.mark.parametrize("value", [3, -1, math.nan])
def test_a_parameter_below_its_bound_is_refused_by_name_and_value(value):
    with pytest.raises(UserError, match=f"rows is {value}.*100"):
        setup(0, rows=(value, 100))


def test_setup_seeds_the_random_numbers():
    setup(3, rows=(100, 100))
    first = torch.rand(2)
    setup(3)
    assert torch.equal(first, torch.rand(2))


@pytest.mark.parametrize(("offset", "words"), [(0.0, "exactly equal"), (1e-6, "largest difference 1e-06")])
def test_agreement_prints_the_claim_and_the_difference(offset, words, capsys):
    agree("packed = padded", torch.zeros(3) + offset, torch.zeros(3))
    assert capsys.readouterr().out == f"packed = padded: {words}\n"


@pytest.mark.parametrize("other", [torch.ones(3), torch.zeros(2), torch.full((3,), math.nan)])
def test_disagreement_raises_and_names_the_claim(other):
    with pytest.raises(AssertionError, match="packed = padded"):
        agree("packed = padded", other, torch.zeros(3))
