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
