"""The GPU's kernels over flat vectors: each equals the tensor operations that it replaces.

Without a GPU they run in Triton's interpreter, where Triton is installed.
"""

import pytest
import torch

pytest.importorskip("triton", reason="needs Triton, which comes with torch for CUDA")

from mtbert.optim import AdamW, kernels  # noqa: E402

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.mark.parametrize("size", [1, 5, 1024, 2500])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_adamw_in_one_pass_equals_torchs(size, dtype):
    torch.manual_seed(0)
    peer = torch.nn.Parameter(torch.randn(size, dtype=dtype, device=DEVICE))
    peer_optimizer = torch.optim.AdamW([peer], lr=0.01, weight_decay=0.1)
    ours = peer.detach().clone()
    optimizer = AdamW([ours], lr=0.01, weight_decay=0.1)
    for _ in range(20):
        peer.grad = torch.randn_like(ours)
        peer_optimizer.step()
        coefficients = optimizer._next_coefficients(ours, optimizer.param_groups[0])
        on_device = torch.tensor(coefficients, dtype=torch.float64, device=DEVICE)
        state = optimizer.state[ours]
        kernels.adamw(ours, peer.grad, state["exp_avg"], state["exp_avg_sq"], on_device)
    rtol = 1e-12 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(ours, peer.detach(), rtol=rtol, atol=rtol)


@pytest.mark.parametrize("tasks", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [3, 1024, 40_000])
def test_the_gramian_and_the_weighted_sum_equal_products_of_matrices(tasks, size):
    torch.manual_seed(0)
    whole = torch.randn(tasks, size + 7, device=DEVICE)
    rows = whole[:, 3 : 3 + size]  # a stretch of the columns
    exact = rows.double() @ rows.double().T
    torch.testing.assert_close(kernels.gramian(rows), exact, rtol=0, atol=1e-5 * size**0.5 + 1e-5 * size)
    weights, destination = torch.randn(tasks, device=DEVICE), torch.full((size,), torch.nan, device=DEVICE)
    kernels.weighted_sum(rows, weights, destination)
    torch.testing.assert_close(destination, weights @ rows, rtol=1e-5, atol=1e-5)
