"""Linear layers by oneDNN compute what torch's do, and step aside where torch's are needed."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from mtbert.utils import onednn

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")
ROWS = onednn.ROWS


def arguments(rows, inputs, outputs, bias=True, dtype=torch.float32):
    shapes = [(rows, inputs), (outputs, inputs), (outputs,)][: 3 if bias else 2]
    return [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]


@pytest.fixture
def calls(monkeypatch):
    """The number of products by oneDNN, on a processor that prefers it."""
    counted = []

    def product(left, right, bias=None):
        counted.append(len(left))
        return real(left, right, bias)

    real = onednn.onednn_product
    monkeypatch.setattr(onednn, "onednn_product", product)
    monkeypatch.setattr(onednn, "prefers_onednn", lambda: True)
    return counted


@given(
    st.integers(1, 3 * ROWS),
    st.integers(1, 70),
    st.integers(1, 70),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**31),
)
@settings(max_examples=40, deadline=None)
def test_values_and_gradients_are_those_of_torch(rows, inputs, outputs, bias, gelu, seed):
    torch.manual_seed(seed)
    leaves = arguments(rows, inputs, outputs, bias)
    exact = [leaf.detach().double().requires_grad_() for leaf in leaves]
    if not bias:
        leaves, exact = [*leaves, None], [*exact, None]
    out = onednn.onednn_linear(*leaves, gelu=gelu)
    expected = F.linear(F.gelu(exact[0]) if gelu else exact[0], *exact[1:])
    upstream = torch.randn(rows, outputs)
    gradients = torch.autograd.grad(out, leaves[: 2 + bias], upstream)
    expected_gradients = torch.autograd.grad(expected, exact[: 2 + bias], upstream.double())
    for ours, theirs in zip((out, *gradients), (expected, *expected_gradients), strict=True):
        torch.testing.assert_close(ours, theirs.float(), rtol=1e-5, atol=1e-6 * max(rows, inputs, outputs))


def test_large_products_in_float32_go_through_onednn(calls):
    x, weight, bias = arguments(ROWS, 8, 6)
    onednn.linear(x, weight, bias).sum().backward()
    assert calls == [ROWS, ROWS, 6]  # forward, dx, dW


def test_rows_are_filled_up_so_that_sizes_are_few(calls):
    for rows in (ROWS + 1, ROWS + 50, 2 * ROWS):
        onednn.linear(*arguments(rows, 8, 6))
    assert set(calls) == {2 * ROWS}


def test_frozen_arguments_cost_no_product(calls):
    x, weight, bias = arguments(ROWS, 8, 6)
    onednn.linear(x.detach(), weight, bias).sum().backward()
    assert len(calls) == 2 and weight.grad is not None
    onednn.linear(x, weight.detach(), bias.detach()).sum().backward()
    assert len(calls) == 4 and x.grad is not None
    with torch.no_grad():
        assert not onednn.linear(x, weight, bias).requires_grad


class _Watching(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


def _compiled(function):
    return torch.compile(function, backend="eager", fullgraph=True)


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda: onednn.linear(*arguments(ROWS - 1, 8, 6)), id="few rows"),
        pytest.param(lambda: onednn.linear(*arguments(ROWS, 8, 6, dtype=torch.float64)), id="float64"),
        pytest.param(lambda: onednn.linear(torch.randn(2, ROWS, 8), torch.randn(6, 8)), id="three dimensions"),
        pytest.param(
            lambda: onednn.linear(torch.randn(ROWS, 8, device="meta"), torch.randn(6, 8, device="meta")), id="meta"
        ),
        pytest.param(lambda: _compiled(onednn.linear)(*arguments(ROWS, 8, 6)), id="torch.compile"),
        pytest.param(
            lambda: torch.func.vmap(onednn.linear, (None, 0))(torch.randn(ROWS, 8), torch.randn(3, 6, 8)), id="vmap"
        ),
        pytest.param(
            lambda: torch.func.grad(lambda w: onednn.linear(torch.ones(ROWS, 8), w).sum())(torch.randn(6, 8)),
            id="func.grad",
        ),
    ],
)
def test_torchs_own_product_where_onednns_does_not_fit(calls, call):
    call()
    assert not calls


@pytest.mark.parametrize(
    "mode",
    [FlopCounterMode(display=False), _Watching(), torch.autocast("cpu", torch.bfloat16)],
    ids=lambda m: type(m).__name__,
)
def test_torchs_own_products_inside_a_mode(calls, mode):
    x, weight, bias = arguments(ROWS, 8, 6)
    with mode:
        onednn.linear(x, weight, bias)
    assert not calls
    out = onednn.linear(x, weight, bias)
    assert len(calls) == 1
    with mode:  # a mode around the backward pass alone
        out.float().sum().backward()
    assert len(calls) == (3 if isinstance(mode, _Watching) else 1)


def test_flops_are_counted(calls):
    x, weight, bias = arguments(ROWS, 8, 6)
    with FlopCounterMode(display=False) as counter:
        onednn.linear(x, weight, bias).sum().backward()
    assert counter.get_total_flops() == 3 * 2 * ROWS * 8 * 6


@pytest.mark.parametrize("gelu", [False, True])
def test_gradients_of_gradients_are_those_of_torch(calls, gelu):
    x, weight, bias = arguments(ROWS + 3, 8, 6)

    def penalty(out):
        (gradient,) = torch.autograd.grad(out.tanh().sum(), x, create_graph=True)
        return torch.autograd.grad((gradient**2).sum(), (x, weight, bias))

    theirs = penalty(F.linear(F.gelu(x) if gelu else x, weight, bias))
    for our, their in zip(penalty(onednn.linear(x, weight, bias, gelu)), theirs, strict=True):
        torch.testing.assert_close(our, their, rtol=1e-4, atol=1e-4)
    assert calls


def test_a_product_is_repeated_bit_for_bit_wherever_its_numbers_lie(calls):
    x, weight, bias = (leaf.detach() for leaf in arguments(3 * ROWS + 5, 48, 40))
    first = onednn.linear(x, weight, bias)
    for shift in range(1, 17):
        moved = [torch.cat([torch.zeros(shift), leaf.flatten()])[shift:].view_as(leaf) for leaf in (x, weight, bias)]
        assert torch.equal(onednn.linear(*moved), first)


@pytest.mark.parametrize(
    ("vendor", "capability", "expected"),
    [("AuthenticAMD", "AVX512", True), ("AuthenticAMD", "AVX2", False), ("GenuineIntel", "AVX512", False)],
)
@pytest.mark.parametrize("linux", [True, False])
def test_the_processor_alone_decides(monkeypatch, tmp_path, vendor, capability, expected, linux):
    cpuinfo = tmp_path / "cpuinfo"
    if linux:
        cpuinfo.write_text(f"processor : 0\nvendor_id : {vendor}\n", encoding="utf-8")
    monkeypatch.setattr(onednn, "Path", lambda path: cpuinfo)
    monkeypatch.setattr(onednn.platform, "processor", lambda: f"AMD64 Family 25 Model 33 Stepping 0, {vendor}")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert onednn.prefers_onednn.__wrapped__() is expected


def test_a_transposed_product_is_that_of_torch(calls):
    for rows, number in ((ROWS + 3, 1), (ROWS - 1, 1), (2 * ROWS, 2)):
        left, right = torch.randn(rows, 9), torch.randn(rows, 7)
        torch.testing.assert_close(onednn.transposed_product(left, right), left.T @ right, rtol=1e-4, atol=1e-4)
        assert len(calls) == number
