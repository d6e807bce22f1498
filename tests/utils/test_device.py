"""What a run is told of its machine."""

import io
import sys

import pytest
import torch

from mtbert.utils import device as machine

CPU = torch.device("cpu")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps /proc")
def test_a_peak_that_the_system_does_not_tell_is_none(monkeypatch):
    assert machine.peak_memory_mb(CPU) > 0
    monkeypatch.setattr(machine, "open", lambda *a, **k: io.StringIO("Name:\tpython\nPid:\t1\n"), raising=False)
    assert machine.peak_memory_mb(CPU) is None
