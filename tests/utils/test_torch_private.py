"""Torch's private interface is still the one that the package was written for."""

import pytest
import torch

from mtbert.utils import torch_private

SCHEMAS = {
    "_flash_attention_forward": (
        "(Tensor query, Tensor key, Tensor value, Tensor? cum_seq_q, Tensor? cum_seq_k, SymInt max_q, SymInt max_k, "
        "float dropout_p, bool is_causal, bool return_debug_mask, *, float? scale=None, SymInt? window_size_left=None, "
        "SymInt? window_size_right=None, Tensor? seqused_k=None, Tensor? alibi_slopes=None, Tensor? block_table=None, "
        "int? num_splits=None) -> (Tensor output, Tensor softmax_logsumexp, Tensor rng_state, Tensor unused, "
        "Tensor debug_attn_mask)"
    ),
    "_efficient_attention_forward": (
        "(Tensor query, Tensor key, Tensor value, Tensor? bias, Tensor? cu_seqlens_q, Tensor? cu_seqlens_k, "
        "SymInt? max_seqlen_q, SymInt? max_seqlen_k, float dropout_p, int custom_mask_type, "
        "bool compute_log_sumexp=False, *, float? scale=None, Tensor? seqlen_k=None, int? window_size=None) -> "
        "(Tensor output, Tensor logsumexp, Tensor philox_seed, Tensor philox_offset, SymInt max_seqlen_batch_q, "
        "SymInt max_seqlen_batch_k)"
    ),
    "_softmax_backward_data": "(Tensor grad_output, Tensor output, int dim, ScalarType input_dtype) -> Tensor",
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_operators_keep_their_signature(name):
    assert str(getattr(torch.ops.aten, name).default._schema) == f"aten::{name}{SCHEMAS[name]}"


def test_softmax_backward_is_autograds():
    scores = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    weights, grad = scores.softmax(-1), torch.randn(3, 5, dtype=torch.float64)
    (expected,) = torch.autograd.grad(weights, scores, grad)
    assert torch.equal(torch_private.softmax_backward(grad, weights.detach()), expected)


def test_sparse_rows_keep_repeated_rows():
    embedding = torch.nn.Embedding(4, 3, sparse=True)
    embedding(torch.tensor([2, 0, 2])).sum().backward()
    indices, rows = torch_private.sparse_rows(embedding.weight.grad)
    assert indices.tolist() == [2, 0, 2] and torch.equal(rows, torch.ones(3, 3))


def test_allocations_add_up_to_what_is_held():
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        held = torch.ones(1024, dtype=torch.float64)
        (held + 1).sum()
    sizes = torch_private.allocations(profile)
    assert sum(sizes) >= held.nbytes and sum(sizes) < 2 * held.nbytes
    assert min(sizes) <= -held.nbytes  # the sum's argument was freed


def test_the_dispatch_mode_sees_operators():
    class Names(torch_private.TorchDispatchMode):
        def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
            names.append(operator.overloadpacket.__name__)
            return operator(*args, **(kwargs or {}))

    names = []
    with Names():
        torch.ones(2) + 1
    assert names == ["ones", "add"]


def test_onednn_multiplies():
    left, right, bias = torch.arange(6.0).view(3, 2), torch.tensor([[1.0, -1.0], [2.0, 0.5]]), torch.tensor([1.0, 2.0])
    assert torch.equal(torch_private.onednn_product(left, right, bias), left @ right.T + bias)


def test_watched_operators_are_noticed():
    seen = []

    class Watch(torch_private.TorchDispatchMode):
        def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
            return operator(*args, **(kwargs or {}))

    def double(x):
        seen.append(torch_private.operators_are_watched())
        return 2 * x

    double(torch.ones(1))
    with Watch():
        double(torch.ones(1))
    torch.func.grad(lambda x: double(x).sum())(torch.ones(1))
    double(torch.ones(1))
    assert seen == [False, True, True, False]
