"""Checksums and files that are written whole or not at all."""

import hashlib
import os

import pytest

from mtbert.utils.files import atomic_write, cached_sha256, file_sha256, folder_lock, remove_parts


def test_a_checksum_is_that_of_the_bytes_and_follows_changes(tmp_path):
    path = tmp_path / "file"
    assert cached_sha256(path) is None
    for content in (b"one", b"three"):
        path.write_bytes(content)
        assert cached_sha256(path) == file_sha256(path) == hashlib.sha256(content).hexdigest()


def test_a_failed_write_leaves_the_target_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "folder" / "file"
    atomic_write(path, "old")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left.*file"):
        atomic_write(path, "new")
    assert path.read_text() == "old" and list(path.parent.iterdir()) == [path]


def test_only_the_parts_of_atomic_write_are_removed(tmp_path):
    for name in ("a.json.123.part", "data.csv.part", "a.json"):
        (tmp_path / name).write_text("x")
    remove_parts(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"data.csv.part", "a.json"}


def test_a_lock_makes_its_folder_and_leaves_nothing_behind(tmp_path):
    with folder_lock(tmp_path / "run"):
        assert list((tmp_path / "run").iterdir())
    assert not list((tmp_path / "run").iterdir())
