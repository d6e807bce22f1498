"""Attention: the readable definition, and the packed paths that must compute the same."""

import math
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mtbert.data.batch import PackedBatch, pack_sequences
from mtbert.nn import attention as attention_module
from mtbert.nn import varlen
from mtbert.nn.attention import attention, packed_attention
from mtbert.nn.dropout import dropout_mask
from mtbert.utils.torch_private import flash_attention, memory_efficient_attention

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=9)
DOUBLE = torch.float64


def batch_of(lengths: list[int]) -> PackedBatch:
    return pack_sequences([[1] * length for length in lengths])


def random_qkv(lengths: list[int], heads: int, width: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(sum(lengths), 3 * heads * width, generator=generator, dtype=DOUBLE, requires_grad=True)


def one_by_one(qkv: torch.Tensor, lengths: list[int], heads: int) -> torch.Tensor:
    """The definition, sequence by sequence and head by head."""
    outputs = []
    for part in qkv.split(lengths):
        heads_of = [matrix.chunk(heads, dim=1) for matrix in part.chunk(3, dim=1)]
        outputs.append(torch.cat([attention(*head) for head in zip(*heads_of, strict=True)], dim=1))
    return torch.cat(outputs)


@given(
    queries=st.integers(1, 6), keys=st.integers(1, 6), width=st.integers(1, 8), seed=st.integers(0, 99), m=st.booleans()
)
@settings(max_examples=25)
def test_attention_equals_torch(queries, keys, width, seed, m):
    torch.manual_seed(seed)
    query = torch.randn(2, 3, queries, width, dtype=DOUBLE)
    key, value = torch.randn(2, 2, 3, keys, width, dtype=DOUBLE).unbind(0)
    mask = torch.rand(2, 1, queries, keys) < 0.7
    mask[..., 0] = True  # every query may attend to something
    mask = mask if m else None
    expected = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    torch.testing.assert_close(attention(query, key, value, mask), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_query_whose_keys_are_all_masked_gets_the_mean_of_the_values(dtype):
    query, key, value = torch.randn(3, 4, 5, 8).to(dtype).unbind(0)
    mask = torch.ones(5, 5, dtype=torch.bool)
    mask[2] = False
    out = attention(query, key, value, mask)
    assert out.isfinite().all()
    torch.testing.assert_close(out[:, 2], value.mean(1), rtol=0.02, atol=0.02)


def test_dropout_falls_on_the_weights_not_on_the_result(monkeypatch):
    query, key, value = torch.randn(3, 6, 4, dtype=DOUBLE).unbind(0)
    halves = torch.zeros(6, 6, dtype=DOUBLE)
    halves[:, ::2] = 2.0
    monkeypatch.setattr(attention_module, "dropout", lambda x, p: x * halves)
    weights = (query @ key.T / 2).softmax(-1) * halves
    torch.testing.assert_close(attention(query, key, value, p=0.5), weights @ value, rtol=0, atol=1e-12)


@given(lengths=LENGTHS, heads=st.integers(1, 3), width=st.integers(1, 6), seed=st.integers(0, 99))
@settings(max_examples=30)
def test_packed_attention_equals_each_sequence_alone_and_a_block_diagonal_mask(lengths, heads, width, seed):
    qkv = random_qkv(lengths, heads, width, seed)
    weight = torch.randn(len(qkv), heads * width, dtype=DOUBLE)
    expected = one_by_one(qkv, lengths, heads)
    (expected_grad,) = torch.autograd.grad((expected * weight).sum(), qkv)

    batch = batch_of(lengths)
    parts = qkv.unflatten(1, (3, heads, width)).permute(1, 2, 0, 3)  # (3, heads, tokens, d)
    block_diagonal = attention(*parts, mask=batch.seq_ids[:, None] == batch.seq_ids[None, :])
    torch.testing.assert_close(block_diagonal.transpose(0, 1).flatten(1), expected, rtol=0, atol=1e-12)
    with torch.no_grad():  # the path without a gradient
        torch.testing.assert_close(packed_attention(qkv, batch, heads), expected, rtol=0, atol=1e-12)
    out = packed_attention(qkv, batch, heads)
    assert "GroupedAttention" in type(out.grad_fn).__name__  # the path with the hand-written gradient
    (grad,) = torch.autograd.grad((out * weight).sum(), qkv)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(grad, expected_grad, rtol=0, atol=1e-12)


@pytest.mark.parametrize("p", [0.0, 0.4])
@pytest.mark.parametrize("lengths", [[1], [4], [1, 2, 9], [3, 3]])
def test_the_hand_written_gradient_passes_gradcheck(lengths, p):
    batch = batch_of(lengths)

    def attend(qkv):
        torch.manual_seed(5)  # the same dropout in every forward pass; the backward pass must not draw again
        return packed_attention(qkv, batch, 2, p)

    assert torch.autograd.gradcheck(attend, random_qkv(lengths, 2, 2))


def test_dropout_falls_on_the_weights_of_packed_attention():
    qkv, lengths = random_qkv([5, 5, 5], 2, 4), [5, 5, 5]  # one group
    query, key, value = qkv.view(3, 5, 3, 2, 4).permute(2, 0, 3, 1, 4)  # (sequences, heads, tokens, d)
    weights = (query @ key.mT / 2).softmax(-1)
    torch.manual_seed(5)
    expected = ((weights * dropout_mask(weights, 0.3)) @ value).transpose(1, 2).reshape(15, 8)
    torch.manual_seed(5)
    torch.testing.assert_close(packed_attention(qkv, batch_of(lengths), 2, 0.3), expected, rtol=0, atol=1e-12)


def test_a_second_derivative_is_refused_rather_than_wrong():
    qkv = random_qkv([4], 1, 2)
    (grad,) = torch.autograd.grad(packed_attention(qkv, batch_of([4]), 1).square().sum(), qkv, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_close_forward_and_gradient(dtype):
    lengths = [1, 6, 9, 20]
    qkv = random_qkv(lengths, 2, 8)
    half = qkv.detach().to(dtype).requires_grad_()
    out, expected = packed_attention(half, batch_of(lengths), 2), one_by_one(qkv, lengths, 2)
    out.sum().backward()
    (grad,) = torch.autograd.grad(expected.sum(), qkv)
    torch.testing.assert_close(out.double(), expected, rtol=0.05, atol=0.05)
    torch.testing.assert_close(half.grad.double(), grad, rtol=0.1, atol=0.1)


@contextmanager
def kernels_on_cpu(p: float = 0.0):
    """Stand-ins for torch's CUDA kernels, under the same operators: torch's own schema and derivative are used, and all
    arguments are checked. Yields the names of the operators as they are called."""
    calls = []

    def check(query, cu_seqlens, cu_seqlens_k, max_q, max_k, dropout_p):
        assert cu_seqlens.dtype == cu_seqlens_k.dtype == torch.int32 and torch.equal(cu_seqlens, cu_seqlens_k)
        assert cu_seqlens[-1] == len(query) and dropout_p == p
        assert max_q == max_k >= cu_seqlens.diff().max()
        assert query.shape[-1] * query.element_size() % 16 == 0

    def by_definition(query, key, value, cu_seqlens, scale):
        query = query * scale * math.sqrt(query.shape[-1])  # the definition divides by that root itself
        qkv, heads = torch.cat([part.flatten(1) for part in (query, key, value)], dim=1), query.shape[1]
        return one_by_one(qkv, cu_seqlens.diff().tolist(), heads).unflatten(1, (heads, -1))

    def gradients(grad, query, key, value, cu_seqlens, scale):
        """By hand: below an operator nothing is recorded for autograd."""
        grads = [torch.zeros_like(part) for part in (query, key, value)]
        for start, stop in zip(cu_seqlens[:-1].tolist(), cu_seqlens[1:].tolist(), strict=True):
            g, q, k, v = (part[start:stop].transpose(0, 1) for part in (grad, query, key, value))
            weights = (q @ k.mT * scale).softmax(-1)  # (heads, queries, keys)
            d_weights = g @ v.mT
            scores = weights * (d_weights - (d_weights * weights).sum(-1, keepdim=True)) * scale
            for destination, part in zip(grads, (scores @ k, scores.mT @ q, weights.mT @ g), strict=True):
                destination[start:stop] = part.transpose(0, 1)
        return tuple(grads)

    def flash(a):
        check(a.query, a.cum_seq_q, a.cum_seq_k, a.max_q, a.max_k, a.dropout_p)
        assert not a.is_causal and not a.return_debug_mask
        rng_state = torch.tensor([7, 8], dtype=torch.uint64)
        out = by_definition(a.query, a.key, a.value, a.cum_seq_q, a.scale)
        return out, out.new_zeros(1), rng_state, rng_state[0], out.new_zeros(0)

    def flash_backward(a):
        check(a.query, a.cum_seq_q, a.cum_seq_k, a.max_q, a.max_k, a.dropout_p)
        assert not a.is_causal and a.rng_state.tolist() == [7, 8]  # the same dropout mask in the backward pass
        return gradients(a.grad_out, a.query, a.key, a.value, a.cum_seq_q, a.scale)

    def efficient(a):
        query, key, value = (part.squeeze(0) for part in (a.query, a.key, a.value))
        check(query, a.cu_seqlens_q, a.cu_seqlens_k, a.max_seqlen_q, a.max_seqlen_k, a.dropout_p)
        assert a.bias is None and a.custom_mask_type == 0 and a.compute_log_sumexp
        out, seed = by_definition(query, key, value, a.cu_seqlens_q, a.scale), torch.tensor(7)
        return out[None], out.new_zeros(1), seed, seed + 1, a.max_seqlen_q, a.max_seqlen_k

    def efficient_backward(a):
        parts = [part.squeeze(0) for part in (a.grad_out_, a.query, a.key, a.value)]
        check(parts[1], a.cu_seqlens_q, a.cu_seqlens_k, a.max_seqlen_q, a.max_seqlen_k, a.dropout_p)
        assert (a.philox_seed, a.philox_offset) == (7, 8) and a.custom_mask_type == 0 and not a.bias_requires_grad
        return *(grad[None] for grad in gradients(*parts, a.cu_seqlens_q, a.scale)), torch.zeros(())

    def stand_in(kernel, operator, *args, **kwargs):
        calls.append(kernel.__name__)
        names = [argument.name for argument in getattr(torch.ops.aten, operator).default._schema.arguments]
        return kernel(SimpleNamespace(**dict(zip(names, args, strict=False)), **kwargs))

    library = torch.library.Library("aten", "IMPL")
    for forward, backward in ((flash, flash_backward), (efficient, efficient_backward)):
        for kernel, direction in ((forward, "forward"), (backward, "backward")):
            operator = f"_{forward.__name__}_attention_{direction}"
            library.impl(operator, partial(stand_in, kernel, operator), "CPU")
    try:
        yield calls
    finally:
        library._destroy()


@pytest.mark.parametrize(("name", "kernel"), [("flash", flash_attention), ("efficient", memory_efficient_attention)])
@pytest.mark.parametrize("p", [0.0, 0.1])
@pytest.mark.parametrize("width", [8, 5])  # the kernels cannot read five numbers: they are padded with zeros
def test_the_kernels_get_what_their_operators_demand(monkeypatch, name, kernel, p, width):
    monkeypatch.setattr(attention_module, "varlen_kernel", lambda device, dtype, width: kernel)
    lengths, heads = [3, 1, 7, 4], 2
    qkv = random_qkv(lengths, heads, width)
    expected = one_by_one(qkv, lengths, heads)
    weights = torch.randn(expected.shape, dtype=DOUBLE)
    (expected_grad,) = torch.autograd.grad((weights * expected).sum(), qkv)
    with kernels_on_cpu(p) as calls:
        out = packed_attention(qkv, batch_of(lengths), heads, p)
        (grad,) = torch.autograd.grad((weights * out).sum(), qkv)
    assert calls == [name, f"{name}_backward"]
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(grad, expected_grad)


def test_each_dtype_has_its_kernel(monkeypatch):
    monkeypatch.setattr(varlen, "_has_flash", lambda device: True)
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    half, single, double = torch.bfloat16, torch.float32, torch.float64
    assert varlen.varlen_kernel(cuda, half, 32) is flash_attention
    assert varlen.varlen_kernel(cuda, torch.float16, 256) is flash_attention
    assert varlen.varlen_kernel(cuda, single, 32) is memory_efficient_attention
    for device, dtype, width in ((cpu, half, 32), (cuda, double, 32), (cuda, half, 264)):
        assert varlen.varlen_kernel(device, dtype, width) is None
    with varlen.attention_backend("groups"):
        assert varlen.varlen_kernel(cuda, half, 32) is None
    assert varlen.varlen_kernel(cuda, half, 32) is flash_attention
    monkeypatch.setattr(varlen, "_has_flash", lambda device: False)
    assert varlen.varlen_kernel(cuda, half, 32) is None
