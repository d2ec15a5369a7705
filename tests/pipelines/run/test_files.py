"""Tests of pipelines.run.files."""

import contextlib
import errno
import json
import os
import re

import numpy as np
import pytest

from pipelines.run.files import content_hash, fingerprint, quick_hash, replacing, write_json, write_text


def test_a_figure_that_does_not_exist_is_null(tmp_path):
    path = write_json(
        tmp_path / "a" / "metrics.json", {"auc": float("nan"), "seeds": [np.float64("nan"), 0.5], "n": (1,)}
    )
    assert json.loads(path.read_text()) == {"auc": None, "seeds": [None, 0.5], "n": [1]}


def test_a_file_that_cannot_be_written_whole_leaves_the_old_one(tmp_path):
    path = write_json(tmp_path / "metrics.json", {"auc": 0.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"auc": float("inf")})
    assert json.loads(path.read_text()) == {"auc": 0.5}


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = write_text(tmp_path / "door.csv", "old")
    with pytest.raises(OSError, match="disk full"), replacing(path) as temporary:
        temporary.write_text("half")
        raise OSError("disk full")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_file_is_hidden_and_keeps_its_suffix(tmp_path):
    with replacing(tmp_path / "best.weights.h5") as temporary:
        assert temporary.name.startswith(".") and temporary.name.endswith(".weights.h5")
        temporary.touch()
    assert [path.name for path in tmp_path.iterdir()] == ["best.weights.h5"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "door.csv"):
        pass
    assert not (tmp_path / "door.csv").exists()


def test_a_fingerprint_is_that_of_sha256():
    # printf '["a", 1]x' | sha256sum
    assert fingerprint(["a", 1], b"x") == "489cb37c3b35e8e9"


def test_files_of_one_size_and_time_are_told_apart_by_both_ends(tmp_path):
    path, seen = tmp_path / "door.avi", set()
    for content in (b"ab", b"cb", b"b" * 200_000, b"a" + b"b" * 199_999, b"b" * 199_999 + b"a"):
        path.write_bytes(content)
        os.utime(path, (1, 1))
        seen.add(quick_hash(path))
    assert len(seen) == 5 and quick_hash(tmp_path) == ""


@pytest.mark.parametrize("number, kept", [(errno.ENOSPC, "old"), (errno.EIO, "old"), (errno.EINVAL, "new")])
def test_content_that_does_not_reach_the_disk_replaces_nothing(tmp_path, monkeypatch, number, kept):
    path = write_text(tmp_path / "door.csv", "old")

    def fails(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fails)
    with contextlib.nullcontext() if kept == "new" else pytest.raises(OSError, match=re.escape(os.strerror(number))):
        write_text(path, "new")
    assert path.read_text() == kept and list(tmp_path.iterdir()) == [path]


def test_the_hash_is_of_every_byte(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(bytes(1 << 20))
    two.write_bytes(bytes(1 << 19) + b"x" + bytes((1 << 19) - 1))
    assert content_hash(one) != content_hash(two)
    two.write_bytes(b"abc")  # sha256sum
    assert content_hash(two) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
