"""The moving average of the weights."""

import pytest
import torch

from mtbert.optim import WeightAverage


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99])
def test_the_average_is_the_weighted_mean_of_all_weights_so_far(decay):
    theta = torch.zeros(5, dtype=torch.float64)
    average, history = WeightAverage(theta, decay), []
    for _ in range(7):
        theta.normal_()
        average.update()
        history.append(theta.clone())
        weights = torch.tensor([decay ** (len(history) - 1 - i) for i in range(len(history))], dtype=torch.float64)
        torch.testing.assert_close(average.average, weights @ torch.stack(history) / weights.sum())


def test_the_weights_return_bit_for_bit_after_the_average_was_applied():
    theta = torch.randn(100)
    average = WeightAverage(theta, 0.9)
    average.update()
    theta.normal_()
    average.update()
    before = theta.clone()
    with pytest.raises(KeyError), average.applied():
        assert torch.equal(theta, average.average) and not torch.equal(theta, before)
        raise KeyError
    assert torch.equal(theta, before)
