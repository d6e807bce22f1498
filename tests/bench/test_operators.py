"""operator_calls: what computes is counted, on the way there and back; what only looks at numbers is not."""

import torch

from mtbert.bench.operators import operator_calls


def test_a_product_has_one_call_forward_and_two_backward():
    x, w = torch.randn(3, 4, requires_grad=True), torch.randn(4, 5, requires_grad=True)
    assert operator_calls(lambda: x @ w) == {"mm": 1}
    found = operator_calls(lambda: (x @ w).backward(torch.ones(3, 5)))
    assert found["mm"] == 3


def test_views_and_allocations_are_no_calls():
    x = torch.randn(3, 4)
    assert operator_calls(lambda: x.T.reshape(2, 6).unsqueeze(0)[:, 1]) == {"clone": 1}  # reshape has to copy here
    assert not operator_calls(lambda: x.view(12).view(4, 3).T)
    assert not operator_calls(lambda: torch.empty_like(x))


def test_the_work_itself_is_done_and_counted_once():
    done = []
    assert operator_calls(lambda: done.append(torch.ones(2) + 1))["add"] == 1
    assert done[0].tolist() == [2.0, 2.0]
