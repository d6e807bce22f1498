"""Checkpoint files give back what was saved, or nothing."""

import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtbert.training import checkpoint
from mtbert.training.checkpoint import load_checkpoint, save_checkpoint
from mtbert.utils.errors import UserError


def assert_equal(result, expected):
    if isinstance(expected, dict):
        assert result.keys() == expected.keys()
        for key, value in expected.items():
            assert_equal(result[key], value)
    elif isinstance(expected, torch.Tensor):
        assert result.dtype == expected.dtype and torch.equal(result, expected)
    else:
        assert result == expected


def test_a_checkpoint_gives_back_what_was_saved(tmp_path):
    whole = torch.arange(6.0)
    state = {
        "tensors": {"a": torch.randn(3, 4).t(), "b": torch.arange(5, dtype=torch.uint8), "empty": torch.empty(0)},
        "optimizer": {"state": {0: {"step": 3, "m": torch.ones(2)}, 1: {}}, "groups": [{"lr": 0.1, "params": [0, 1]}]},
        "words": ["ä", None, 0.1],
        "views": {"whole": whole, "half": whole[:3]},
    }
    save_checkpoint(tmp_path, 7, state)
    assert_equal(load_checkpoint(tmp_path), state)
    assert load_checkpoint(tmp_path / "nowhere") is None


@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=150, deadline=None)
def test_a_checkpoint_with_any_one_bit_flipped_is_refused(tmp_path_factory, position, bit):
    """In the numbers, the names, the shapes or the values."""
    folder = tmp_path_factory.getbasetemp() / "flipped"
    shutil.rmtree(folder, ignore_errors=True)
    path = save_checkpoint(folder, 1, {"theta": torch.arange(6.0).view(2, 3), "tokens": 123})
    content = bytearray(path.read_bytes())
    content[int(position * len(content))] ^= 1 << bit
    path.write_bytes(content)
    with pytest.raises(UserError, match="every checkpoint is damaged"):
        load_checkpoint(folder)


@pytest.mark.parametrize("content", [b"", b"\0" * 100])
def test_a_damaged_checkpoint_is_skipped(tmp_path, content):
    save_checkpoint(tmp_path, 1, {"step": 1})
    save_checkpoint(tmp_path, 2, {"step": 2}).write_bytes(content)
    assert load_checkpoint(tmp_path) == {"step": 1}


def test_a_checkpoint_of_another_version_is_refused(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "FORMAT", 1)
        save_checkpoint(tmp_path, 1, {"step": 1})
    with pytest.raises(UserError, match="another version of mtbert: choose another folder"):
        load_checkpoint(tmp_path)
