"""How benchmarks measure: turns, operator counts, memory, and records."""

import os
import time
from types import SimpleNamespace

import pytest
import torch

from mtbert.bench.timing import MemoryTracker, busy_machine_clock, interleave, operator_calls, step_memory_mb
from mtbert.nn.flops import device_mfu

CPU = torch.device("cpu")


def test_sides_take_turns_in_both_orders_and_the_first_batches_do_not_count():
    calls = []
    sides = {name: lambda batch, name=name: calls.append(f"{name}{batch}") for name in "ab"}
    seconds = interleave(sides, [0, 1, 2, 3, 4], CPU, warm_up=1)
    assert calls == ["a0", "b0", "b1", "a1", "a2", "b2", "b3", "a3", "a4", "b4"]
    assert {name: len(turns) for name, turns in seconds.items()} == {"a": 4, "b": 4}
    calls.clear()
    seconds = interleave(sides, [0, 1, 2, 3], CPU, warm_up=1, turn_length=2)
    assert calls == ["a0", "b0", "b1", "b2", "a1", "a2", "a3", "b3"] and len(seconds["a"]) == 2


def test_seconds_are_those_of_the_given_clock():
    ticks = iter(range(100))
    seconds = interleave({"a": lambda batch: next(ticks)}, [0, 1, 2], CPU, clock=lambda: next(ticks))
    assert seconds == {"a": [2, 2]}


def test_the_clock_of_a_busy_machine_stops_while_other_programs_run(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    clock = busy_machine_clock()
    assert clock is (time.process_time if os.name == "posix" else time.perf_counter)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)  # whose CPU times add up
    assert busy_machine_clock() is time.perf_counter


def test_operators_that_compute_are_counted_forward_and_backward_and_run_once():
    x, w = torch.randn(3, 4, requires_grad=True), torch.randn(4, 5, requires_grad=True)
    assert operator_calls(lambda: x @ w) == {"mm": 1}
    assert operator_calls(lambda: (x @ w).backward(torch.ones(3, 5)))["mm"] == 3
    results = []
    assert operator_calls(lambda: results.append(torch.ones(2) + 1))["add"] == 1
    assert results[0].tolist() == [2.0, 2.0]
    # views and allocations are not counted, but a reshape that has to copy is
    assert operator_calls(lambda: x.T.reshape(2, 6).unsqueeze(0)[:, 1]) == {"clone": 1}
    assert not operator_calls(lambda: x.view(12).view(4, 3).T) and not operator_calls(lambda: torch.empty_like(x))


def test_memory_of_a_step_is_its_peak():
    def step():
        torch.ones(2**18)  # 1 MB, freed at once
        return torch.ones(2**18) + torch.ones(2**18)  # 3 MB at the peak

    assert step_memory_mb(step, CPU) == pytest.approx(3, abs=0.1)
    tracker = MemoryTracker(lambda: SimpleNamespace(step=lambda rows: None), CPU)
    tracker.step([0])
    assert tracker.memory_mb is None  # sides in one process cannot be told apart


def test_mfu_is_a_share_of_a_peak_given_or_known_by_the_drivers_name(monkeypatch):
    assert device_mfu(6e12, 2.0, CPU, peak=10e12) == pytest.approx(0.3) and device_mfu(6e12, 2.0, CPU) is None
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200")
    assert device_mfu(989.4e12, 2.0, torch.device("cuda")) == pytest.approx(0.5)
