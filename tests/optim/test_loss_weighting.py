"""Uncertainty weighting against its formula."""

import math

import pytest
import torch

from mtbert.optim import build_loss_weighting

LOSSES = {task: torch.tensor(loss) for task, loss in {"a": 1.0, "b": 2.0, "c": 3.0}.items()}


def test_uncertainty_begins_as_the_sum_with_half_a_squared_error_and_follows_the_formula():
    assert build_loss_weighting("equal", list(LOSSES))(LOSSES) == LOSSES
    weighting = build_loss_weighting("uw", list(LOSSES), squared=["c"])
    assert {task: loss.item() for task, loss in weighting(LOSSES).items()} == {"a": 1, "b": 2, "c": 1.5}
    with torch.no_grad():
        weighting.log_variance["a"].fill_(math.log(4))
        weighting.log_variance["c"].fill_(math.log(0.25))
    weighted = weighting(LOSSES)
    assert weighted["a"].item() == pytest.approx(1 / 4 + math.log(2))  # L / sigma^2 + ln sigma
    assert weighted["c"].item() == pytest.approx(3 / (2 * 0.25) + math.log(0.5))  # L / (2 sigma^2) + ln sigma


def test_uncertainty_equals_torchjds():
    """TorchJD's has half a squared error for every task."""
    scalarization = pytest.importorskip("torchjd.scalarization")
    ours, peer = build_loss_weighting("uw", list(LOSSES), squared=list(LOSSES)), scalarization.UW(len(LOSSES))
    with torch.no_grad():
        for task, value in zip(LOSSES, peer.log_var.uniform_(-1, 1), strict=True):
            ours.log_variance[task].fill_(value)
    torch.testing.assert_close(sum(ours(LOSSES).values()), peer(torch.stack(list(LOSSES.values()))))
