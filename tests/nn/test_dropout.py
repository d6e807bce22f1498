"""Dropout from sixteen random bits per value."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtbert.nn.dropout import dropout, dropout_mask


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
def test_dropout_keeps_the_fraction_it_should(p):
    torch.manual_seed(0)
    fraction = (dropout(torch.ones(400_000), p) != 0).double().mean().item()
    assert fraction == pytest.approx(1 - p, abs=5 * math.sqrt(p * (1 - p) / 400_000))


@given(p=st.floats(0.001, 0.999) | st.just(1 - 1e-6), size=st.integers(1, 200))
@settings(max_examples=30)
def test_dropout_scales_by_the_rounded_probability_exactly(p, size):
    rounded = min(round(p * 2**16), 2**16 - 1) / 2**16
    values = dropout_mask(torch.empty(size, dtype=torch.float64), p).unique().tolist()
    assert set(values) <= {0.0, 1 / (1 - rounded)}


@pytest.mark.parametrize("shape", [(), (1,), (3,), (5, 7), (2, 3, 4, 5)])
def test_a_dropout_mask_has_the_shape_and_type_it_multiplies(shape):
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        mask = dropout_mask(torch.empty(shape, dtype=dtype), 0.5)
        assert (mask.shape, mask.dtype) == (torch.Size(shape), dtype)


def test_neighboring_values_are_dropped_independently():
    """One draw decides four neighbors: their fates must not be tied."""
    torch.manual_seed(0)
    mask = (dropout_mask(torch.empty(100_000, 4), 0.5) != 0).double()
    assert (torch.corrcoef(mask.T) - torch.eye(4)).abs().max() < 0.02


def test_dropout_is_the_identity_in_evaluation_and_at_zero():
    x = torch.randn(5, 5)
    assert dropout(x, 0.5, training=False) is x
    assert dropout(x, 0.0) is x


@pytest.mark.parametrize("p", [-0.1, 1.0, float("nan")])
def test_dropout_refuses_a_probability_outside_its_range(p):
    for training in (True, False):
        with pytest.raises(ValueError, match=f"not {p}"):
            dropout(torch.ones(3), p, training)
