"""Attention: the readable definition, and the packed paths that must compute the same."""

import math
from contextlib import contextmanager

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mtbert.data.batch import PackedBatch, pack
from mtbert.nn import attention as module
from mtbert.nn.attention import attention, attention_backend, packed_attention
from mtbert.nn.dropout import dropout, dropout_mask

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=9)
DOUBLE = torch.float64


def batch_of(lengths: list[int]) -> PackedBatch:
    return pack([[1] * length for length in lengths])


def random_qkv(lengths: list[int], heads: int, width: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(sum(lengths), 3 * heads * width, generator=generator, dtype=DOUBLE, requires_grad=True)


def one_by_one(qkv: torch.Tensor, lengths: list[int], heads: int) -> torch.Tensor:
    """The definition, sequence by sequence and head by head."""
    rows = []
    for part in qkv.split(lengths):
        query, key, value = part.chunk(3, dim=1)
        width = query.shape[1] // heads
        cuts = [slice(head * width, (head + 1) * width) for head in range(heads)]
        rows.append(torch.cat([attention(query[:, cut], key[:, cut], value[:, cut]) for cut in cuts], dim=1))
    return torch.cat(rows)


def fixed_masks(monkeypatch_context, p: float):
    """Let every dropout mask be drawn from its shape alone, so that two paths can be given the same one."""

    def mask(x, rate):
        assert rate == p
        generator = torch.Generator().manual_seed(sum(x.shape))
        return (torch.rand(x.shape, generator=generator) >= p).to(x.dtype) / (1 - p)

    monkeypatch_context.setattr(module, "dropout_mask", mask)
    return mask


# -- the definition ---------------------------------------------------------------------------------------------------


@given(
    queries=st.integers(1, 6), keys=st.integers(1, 6), width=st.integers(1, 8), seed=st.integers(0, 99), m=st.booleans()
)
@settings(max_examples=25, deadline=None)
def test_attention_equals_torch(queries, keys, width, seed, m):
    torch.manual_seed(seed)
    query = torch.randn(2, 3, queries, width, dtype=DOUBLE)
    key, value = torch.randn(2, 2, 3, keys, width, dtype=DOUBLE).unbind(0)
    mask = torch.rand(2, 1, queries, keys) < 0.7
    mask[..., 0] = True  # every query may look at something
    mask = mask if m else None
    expected = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    torch.testing.assert_close(attention(query, key, value, mask), expected, rtol=0, atol=1e-12)


def test_attention_equals_a_case_worked_by_hand():
    query = torch.tensor([[2.0, 0.0, 0.0, 0.0]], dtype=DOUBLE)  # d = 4, so scores are halved
    key = torch.tensor([[math.log(3), 9.0, 9.0, 9.0], [0.0, 5.0, 5.0, 5.0]], dtype=DOUBLE)
    value = torch.tensor([[4.0], [8.0]], dtype=DOUBLE)
    # scores log 3 and 0, weights 3/4 and 1/4
    assert attention(query, key, value).item() == pytest.approx(0.75 * 4 + 0.25 * 8, abs=1e-12)


def test_attention_scales_before_it_masks():
    """Scaled afterwards, the number that stands for "not at all" would be d**0.5 times closer to a real score."""
    order = []

    class MemoryTracker(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            order.append(getattr(function, "__name__", str(function)))
            return super().__torch_function__(function, types, args, kwargs or {})

    query, key, value = torch.randn(3, 2, 16).unbind(0)
    attention(query.as_subclass(MemoryTracker), key, value, torch.tensor([[True, False]]))
    divided = next(number for number, name in enumerate(order) if "div" in name)
    masked = next(number for number, name in enumerate(order) if "mask" in name)
    assert divided < masked < order.index("softmax")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_query_that_may_look_at_nothing_gets_the_mean_of_the_values(dtype):
    query, key, value = torch.randn(3, 4, 5, 8).to(dtype).unbind(0)
    mask = torch.ones(5, 5, dtype=torch.bool)
    mask[2] = False
    out = attention(query, key, value, mask)
    assert out.isfinite().all()
    torch.testing.assert_close(out[:, 2], value.mean(1), rtol=0.02, atol=0.02)


def test_masked_keys_have_no_influence():
    query, key, value = torch.randn(3, 5, 8).unbind(0)
    mask = torch.tensor([True, True, False, True, False])
    kept = attention(query, key[mask], value[mask])
    torch.testing.assert_close(attention(query, key, value, mask), kept, rtol=0, atol=1e-6)


def test_dropout_falls_on_the_weights_not_on_the_result(monkeypatch):
    query, key, value = torch.randn(3, 6, 4, dtype=DOUBLE).unbind(0)
    halves = torch.zeros(6, 6, dtype=DOUBLE)
    halves[:, ::2] = 2.0
    monkeypatch.setattr(module, "dropout", lambda x, p: x * halves)
    weights = (query @ key.T / 2).softmax(-1) * halves
    torch.testing.assert_close(attention(query, key, value, p=0.5), weights @ value, rtol=0, atol=1e-12)


# -- packed -----------------------------------------------------------------------------------------------------------


@given(lengths=LENGTHS, heads=st.integers(1, 3), width=st.integers(1, 6), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_packed_attention_equals_each_sequence_alone_forward_and_gradient(lengths, heads, width, seed):
    qkv = random_qkv(lengths, heads, width, seed)
    weight = torch.randn(len(qkv), heads * width, dtype=DOUBLE)
    expected = one_by_one(qkv, lengths, heads)
    (slope,) = torch.autograd.grad((expected * weight).sum(), qkv)

    with torch.no_grad():  # the path without a gradient
        without = packed_attention(qkv, batch_of(lengths), heads)
    by_hand = packed_attention(qkv, batch_of(lengths), heads)
    (slope_by_hand,) = torch.autograd.grad((by_hand * weight).sum(), qkv)

    torch.testing.assert_close(without, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(by_hand, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(slope_by_hand, slope, rtol=0, atol=1e-12)


def test_the_gradient_by_hand_is_the_path_taken_in_training():
    qkv = random_qkv([3, 5], 2, 4)
    assert "GroupedAttention" in type(packed_attention(qkv, batch_of([3, 5]), 2).grad_fn).__name__


def test_a_sequence_of_one_token_gets_its_own_value():
    qkv = random_qkv([1, 7, 1], 2, 4)
    out = packed_attention(qkv, batch_of([1, 7, 1]), 2)
    torch.testing.assert_close(out[[0, -1]], qkv[[0, -1]][:, 16:], rtol=0, atol=1e-14)


@given(lengths=LENGTHS)
@settings(max_examples=20, deadline=None)
def test_packed_attention_equals_attention_under_a_block_diagonal_mask(lengths):
    qkv, batch = random_qkv(lengths, 2, 4), batch_of(lengths)
    query, key, value = qkv.unflatten(1, (3, 2, 4)).permute(1, 2, 0, 3)  # (heads, tokens, d) each
    mask = batch.seq_ids[:, None] == batch.seq_ids[None, :]
    expected = attention(query, key, value, mask).transpose(0, 1).flatten(1)
    torch.testing.assert_close(packed_attention(qkv, batch, 2), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("lengths", [[1], [4], [1, 2, 9], [3, 3], [7, 1, 12]])
def test_the_gradient_by_hand_passes_gradcheck(lengths):
    batch = batch_of(lengths)
    assert torch.autograd.gradcheck(lambda qkv: packed_attention(qkv, batch, 2), random_qkv(lengths, 2, 2))


@pytest.mark.parametrize("lengths", [[1], [5], [1, 2, 9], [7, 1, 12]])
def test_the_gradient_by_hand_passes_gradcheck_under_dropout(monkeypatch, lengths):
    fixed_masks(monkeypatch, 0.4)
    batch = batch_of(lengths)
    assert torch.autograd.gradcheck(lambda qkv: packed_attention(qkv, batch, 2, 0.4), random_qkv(lengths, 2, 2))


@given(lengths=LENGTHS, seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_under_the_same_dropout_masks_the_gradient_equals_autograds(lengths, seed):
    qkv, batch, heads, width, p = random_qkv(lengths, 2, 4, seed), batch_of(lengths), 2, 4, 0.3
    weight = torch.randn(len(qkv), heads * width, dtype=DOUBLE)
    with pytest.MonkeyPatch.context() as patched:
        mask_of = fixed_masks(patched, p)
        out = packed_attention(qkv, batch, heads, p)
        (slope,) = torch.autograd.grad((out * weight).sum(), qkv)

    groups, cells = batch.groups, []
    blocks = qkv[groups.token_of].split([rows * longest for rows, longest in groups.shapes])
    for block, shape, mask in zip(blocks, groups.shapes, groups.masks, strict=True):
        query, key, value = block.view(*shape, 3, heads, width).permute(2, 0, 3, 1, 4)
        scores = query @ key.mT / math.sqrt(width)
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, None], -math.inf)
        weights = scores.softmax(-1)
        cells.append(((weights * mask_of(weights, p)) @ value).transpose(1, 2).reshape(-1, heads * width))
    expected = torch.cat(cells)[groups.cell_of]
    (wanted,) = torch.autograd.grad((expected * weight).sum(), qkv)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(slope, wanted, rtol=0, atol=1e-12)


def test_with_dropout_and_one_seed_the_gradient_equals_finite_differences():
    batch, direction = batch_of([2, 5, 11]), torch.randn(18, 24, dtype=DOUBLE)

    def value(qkv):
        torch.manual_seed(5)
        return packed_attention(qkv, batch, 2, 0.25).square().sum()

    qkv = random_qkv([2, 5, 11], 2, 4)
    (slope,) = torch.autograd.grad(value(qkv), qkv)
    with torch.no_grad():
        ahead, behind = (qkv + 1e-5 * direction).requires_grad_(), (qkv - 1e-5 * direction).requires_grad_()
    difference = (value(ahead) - value(behind)).item() / 2e-5
    assert (slope * direction).sum().item() == pytest.approx(difference, rel=1e-6)


def test_the_expectation_under_dropout_is_the_value_without():
    qkv, batch = random_qkv([6], 1, 2), batch_of([6])
    torch.manual_seed(0)
    mean = torch.stack([packed_attention(qkv, batch, 1, 0.5).detach() for _ in range(4000)]).mean(0)
    torch.testing.assert_close(mean, packed_attention(qkv, batch, 1).detach(), rtol=0, atol=0.06)


def test_a_second_derivative_is_refused_rather_than_wrong():
    qkv = random_qkv([4], 1, 2)
    (slope,) = torch.autograd.grad(packed_attention(qkv, batch_of([4]), 1).square().sum(), qkv, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_close_forward_and_gradient(dtype):
    lengths = [1, 6, 9, 20]
    qkv = random_qkv(lengths, 2, 8)
    half = qkv.detach().to(dtype).requires_grad_()
    out, expected = packed_attention(half, batch_of(lengths), 2), one_by_one(qkv, lengths, 2)
    out.sum().backward()
    (slope,) = torch.autograd.grad(expected.sum(), qkv)
    torch.testing.assert_close(out.double(), expected, rtol=0.05, atol=0.05)
    torch.testing.assert_close(half.grad.double(), slope, rtol=0.1, atol=0.1)


# -- the kernels for sequences of any lengths -------------------------------------------------------------------------


@contextmanager
def kernels_on_cpu(p: float = 0.0):
    """Stand-ins for torch's CUDA kernels, under the same operators: torch's own schema and derivative are used, and all
    that we hand over is checked. Yields the names of the operators as they are called."""
    calls = []

    def by_definition(query, key, value, cu_seqlens, scale):
        query = query * scale * math.sqrt(query.shape[-1])  # the definition divides by that root itself
        qkv, heads = torch.cat([part.flatten(1) for part in (query, key, value)], dim=1), query.shape[1]
        return one_by_one(qkv, cu_seqlens.diff().tolist(), heads).unflatten(1, (heads, -1))

    def checked(query, cu_seqlens, other_offsets, longest, other_longest, rate):
        assert cu_seqlens.dtype == other_offsets.dtype == torch.int32 and torch.equal(cu_seqlens, other_offsets)
        assert cu_seqlens[-1] == len(query) and rate == p
        assert longest == other_longest >= cu_seqlens.diff().max()
        assert query.shape[-1] * query.element_size() % 16 == 0

    def gradients(gradient, query, key, value, cu_seqlens, scale):
        """By hand: below an operator nothing is recorded for autograd."""
        found = [torch.zeros_like(part) for part in (query, key, value)]
        for start, stop in zip(cu_seqlens[:-1].tolist(), cu_seqlens[1:].tolist(), strict=True):
            g, q, k, v = (part[start:stop].transpose(0, 1) for part in (gradient, query, key, value))
            weights = (q @ k.mT * scale).softmax(-1)  # (heads, queries, keys)
            slopes = g @ v.mT
            scores = weights * (slopes - (slopes * weights).sum(-1, keepdim=True)) * scale
            for into, part in zip(found, (scores @ k, scores.mT @ q, weights.mT @ g), strict=True):
                into[start:stop] = part.transpose(0, 1)
        return tuple(found)

    def flash(query, key, value, cu_seqlens, other, longest, other_longest, rate, causal, debug, scale, **options):
        calls.append("flash")
        checked(query, cu_seqlens, other, longest, other_longest, rate)
        assert not causal and not debug and all(option is None for option in options.values())
        random = torch.tensor([7, 8], dtype=torch.uint64)
        out = by_definition(query, key, value, cu_seqlens, scale)
        return out, query.new_zeros(1), random, random[0], query.new_zeros(0)

    def flash_backward(
        gradient,
        query,
        key,
        value,
        out,
        lse,
        cu_seqlens,
        other,
        longest,
        other_longest,
        rate,
        causal,
        random,
        unused,
        scale,
        **options,
    ):
        calls.append("flash backward")
        checked(query, cu_seqlens, other, longest, other_longest, rate)
        assert not causal and random.tolist() == [7, 8]  # the same dropout mask on the way back
        return gradients(gradient, query, key, value, cu_seqlens, scale)

    def efficient(
        query, key, value, bias, cu_seqlens, other, longest, other_longest, rate, mask, for_backward, scale, **options
    ):
        calls.append("efficient")
        query, key, value = (part.squeeze(0) for part in (query, key, value))
        checked(query, cu_seqlens, other, longest, other_longest, rate)
        assert bias is None and mask == 0 and for_backward
        seed = torch.tensor(7)
        out = by_definition(query, key, value, cu_seqlens, scale)
        return out[None], query.new_zeros(1), seed, seed + 1, longest, longest

    def efficient_backward(
        gradient,
        query,
        key,
        value,
        bias,
        out,
        cu_seqlens,
        other,
        longest,
        other_longest,
        lse,
        rate,
        seed,
        offset,
        mask,
        wants_bias,
        scale,
        **options,
    ):
        calls.append("efficient backward")
        checked(query.squeeze(0), cu_seqlens, other, longest, other_longest, rate)
        assert (seed, offset) == (7, 8) and mask == 0 and not wants_bias
        found = gradients(*(part.squeeze(0) for part in (gradient, query, key, value)), cu_seqlens, scale)
        return *(part[None] for part in found), torch.zeros(())

    library = torch.library.Library("aten", "IMPL")
    library.impl("_flash_attention_forward", flash, "CPU")
    library.impl("_flash_attention_backward", flash_backward, "CPU")
    library.impl("_efficient_attention_forward", efficient, "CPU")
    library.impl("_efficient_attention_backward", efficient_backward, "CPU")
    try:
        yield calls
    finally:
        library._destroy()


@pytest.mark.parametrize("kernel", [module.flash, module.memory_efficient])
@pytest.mark.parametrize("p", [0.0, 0.1])
@pytest.mark.parametrize("width", [8, 5])  # five numbers are not read in whole pieces: they are filled up with zeros
def test_the_kernels_are_given_what_their_operators_ask_for(monkeypatch, kernel, p, width):
    monkeypatch.setattr(module, "varlen_kernel", lambda device, dtype, width: kernel)
    lengths, heads = [3, 1, 7, 4], 2
    qkv = random_qkv(lengths, heads, width)
    expected = one_by_one(qkv, lengths, heads)
    weights = torch.randn(expected.shape, dtype=DOUBLE)
    (slope,) = torch.autograd.grad((weights * expected).sum(), qkv)
    with kernels_on_cpu(p) as calls:
        out = packed_attention(qkv, batch_of(lengths), heads, p)
        (found,) = torch.autograd.grad((weights * out).sum(), qkv)
    name = "flash" if kernel is module.flash else "efficient"
    assert calls == [name, f"{name} backward"]
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(found, slope)


def test_each_type_of_number_has_its_kernel(monkeypatch):
    monkeypatch.setattr(module, "_has_flash", lambda device: True)
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    half, single, double = torch.bfloat16, torch.float32, torch.float64
    assert module.varlen_kernel(cuda, half, 32) is module.flash
    assert module.varlen_kernel(cuda, torch.float16, 256) is module.flash
    assert module.varlen_kernel(cuda, single, 32) is module.memory_efficient
    for device, dtype, width in ((cpu, half, 32), (cuda, double, 32), (cuda, half, 264)):
        assert module.varlen_kernel(device, dtype, width) is None
    with attention_backend("groups"):
        assert module.varlen_kernel(cuda, half, 32) is None
    assert module.varlen_kernel(cuda, half, 32) is module.flash
    monkeypatch.setattr(module, "_has_flash", lambda device: False)
    assert module.varlen_kernel(cuda, half, 32) is None


# -- dropout ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
def test_dropout_keeps_the_share_it_should(p):
    torch.manual_seed(0)
    kept = (dropout(torch.ones(400_000), p) != 0).double().mean().item()
    assert kept == pytest.approx(1 - p, abs=5 * math.sqrt(p * (1 - p) / 400_000))


@given(p=st.floats(0.001, 0.999), size=st.integers(1, 200))
@settings(max_examples=30, deadline=None)
def test_dropout_scales_by_the_rounded_probability_exactly(p, size):
    rounded = round(p * 2**16) / 2**16
    values = dropout_mask(torch.empty(size, dtype=DOUBLE), p).unique().tolist()
    assert set(values) <= {0.0, 1 / (1 - rounded)}
    assert abs(rounded - p) <= 2**-17


def test_dropout_of_almost_everything_keeps_the_expectation():
    torch.manual_seed(0)
    assert set(dropout_mask(torch.empty(400_000), 1 - 1e-6).unique().tolist()) == {0.0, 2.0**16}


@pytest.mark.parametrize("shape", [(), (1,), (3,), (5, 7), (2, 3, 4, 5)])
def test_a_dropout_mask_has_the_shape_and_type_it_multiplies(shape):
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        mask = dropout_mask(torch.empty(shape, dtype=dtype), 0.5)
        assert (mask.shape, mask.dtype) == (torch.Size(shape), dtype)


def test_neighbouring_values_are_dropped_independently():
    """One draw decides four neighbours: their fates must not be tied."""
    torch.manual_seed(0)
    kept = (dropout_mask(torch.empty(100_000, 4), 0.5) != 0).double()
    correlation = torch.corrcoef(kept.T)
    assert (correlation - torch.eye(4)).abs().max() < 0.02


def test_dropout_is_the_identity_in_evaluation_and_at_zero():
    x = torch.randn(5, 5)
    assert dropout(x, 0.5, training=False) is x
    assert dropout(x, 0.0) is x


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5, float("nan")])
@pytest.mark.parametrize("training", [True, False])
def test_dropout_refuses_a_probability_outside_its_range(p, training):
    with pytest.raises(ValueError, match="dropout probability"):
        dropout(torch.ones(3), p, training)


def test_one_seed_gives_one_mask_and_the_next_draw_another():
    torch.manual_seed(3)
    first, second = dropout_mask(torch.empty(1000), 0.5), dropout_mask(torch.empty(1000), 0.5)
    torch.manual_seed(3)
    assert torch.equal(dropout_mask(torch.empty(1000), 0.5), first)
    assert not torch.equal(first, second)


def test_the_gradient_of_dropout_is_its_mask():
    torch.manual_seed(0)
    x = torch.randn(50, dtype=DOUBLE, requires_grad=True)
    out = dropout(x, 0.4)
    out.sum().backward()
    torch.testing.assert_close(x.grad * x.detach(), out.detach(), rtol=0, atol=1e-12)
