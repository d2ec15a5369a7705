"""Tests of pipelines.run.disk."""

import contextlib
import errno
import os
import resource
import shutil
from types import SimpleNamespace

import pytest

from pipelines.run.disk import check_room, check_space, size_of
from pipelines.run.failures import MachineError


def test_what_does_not_fit_is_refused_with_both_sizes_and_the_way_out(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: asked.append(path) or SimpleNamespace(free=3e9))
    folder = tmp_path / "run" / "maps"  # does not exist yet
    assert check_space(folder, 2.96e9, "maps/", "sleep.") == "maps/ needs about 3.0 GB; 3.0 GB are free"
    with pytest.raises(MachineError, match=r"maps/ in .*needs about 3\.1 GB, but 3\.0 GB .*`vad clean RUN`.*sleep"):
        check_space(folder, 3.1e9, "maps/", "sleep.")
    assert asked == [tmp_path, tmp_path] and not folder.parent.exists()


def test_a_file_that_does_not_fit_fails_before_it_is_written(tmp_path, monkeypatch):
    check_room(tmp_path / "a", 5000)
    assert (tmp_path / "a").stat().st_size == 0
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            check_room(tmp_path / "a", 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)


@pytest.mark.parametrize(("number", "raises"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EOPNOTSUPP, False)])
def test_a_file_system_that_cannot_reserve_space_is_no_full_disk(tmp_path, monkeypatch, number, raises):
    def reserve(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", reserve)
    with pytest.raises(OSError, match=os.strerror(number)) if raises else contextlib.nullcontext():
        check_room(tmp_path / "a", 5000)


def test_the_size_of_a_folder_is_what_its_files_take(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_bytes(b"x" * 100_000)
    with open(tmp_path / "a" / "hole", "wb") as file:
        file.truncate(10**9)
    (tmp_path / "a" / "link").symlink_to(tmp_path / "a" / "b")
    assert 100_000 <= size_of(tmp_path / "a") < 200_000
    assert size_of(tmp_path / "nowhere") == 0
