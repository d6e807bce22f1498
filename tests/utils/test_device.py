"""Devices and what a run record says about the machine."""

import io
import random
import sys

import numpy as np
import pytest
import torch

from mtbert.utils import device as devices
from mtbert.utils.errors import UserError

CPU = torch.device("cpu")


def test_a_seed_repeats_every_generator_and_must_be_in_range():
    def draw():
        return random.random(), np.random.rand(), torch.rand(1).item()

    devices.seed_everything(3)
    first = draw()
    devices.seed_everything(3)
    assert draw() == first
    for seed in (-1, devices.MAX_SEED + 1):
        with pytest.raises(UserError, match=f"seed is {seed}"):
            devices.seed_everything(seed)


def test_an_unavailable_device_is_named():
    assert devices.get_device("cpu") == CPU
    with pytest.raises(UserError, match="'abacus'"):
        devices.get_device("abacus")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_a_peak_that_the_system_does_not_tell_is_none(monkeypatch):
    assert devices.peak_memory_mb(CPU) > 0
    monkeypatch.setattr(devices, "open", lambda *a, **k: io.StringIO("Name:\tpython\nPid:\t1\n"), raising=False)
    assert devices.peak_memory_mb(CPU) is None


@pytest.mark.parametrize(("slower", "expected"), [(torch.bfloat16, False), (torch.float32, True)])
def test_bfloat16_is_fast_unless_its_products_take_longer(monkeypatch, slower, expected):
    """The clock advances more during products of one type; the answer is measured once and draws nothing."""
    clock, products, matmul = [0.0], [], torch.Tensor.__matmul__

    def timed(a, b):
        products.append(a.dtype)
        clock[0] += 2.0 if a.dtype == slower else 1.0
        return matmul(a, b)

    monkeypatch.setattr(torch.Tensor, "__matmul__", timed)
    monkeypatch.setattr(devices.time, "perf_counter", lambda: clock[0])
    devices.fast_bfloat16.cache_clear()
    before = torch.get_rng_state()
    with devices.autocast(CPU, "auto"):
        assert torch.is_autocast_enabled("cpu") is expected
    assert devices.fast_bfloat16(CPU) is expected
    assert set(products) == {torch.float32, torch.bfloat16}
    count = len(products)
    assert devices.fast_bfloat16(CPU) is expected and len(products) == count
    assert torch.equal(torch.get_rng_state(), before)
    devices.fast_bfloat16.cache_clear()


def test_a_number_of_threads_ends_with_its_block():
    before = torch.get_num_threads()
    with pytest.raises(KeyError), devices.torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise KeyError
    assert torch.get_num_threads() == before
