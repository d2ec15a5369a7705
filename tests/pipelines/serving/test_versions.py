"""Version folders as TensorFlow Serving polls them."""

import os
import subprocess
import sys

import pytest

from pipelines.config import UserError
from pipelines.serving import versions as module
from pipelines.serving.versions import new_version, version_folder, versions


def publish(model_folder, content=b"graph"):
    with new_version(model_folder) as draft:
        (draft["folder"] / "saved_model.pb").write_bytes(content)
    return draft["version_folder"]


def test_versions_count_up_from_one(tmp_path):
    assert [publish(tmp_path / "vad").name for _ in range(3)] == ["1", "2", "3"]
    assert versions(tmp_path / "vad") == [1, 2, 3]


def test_a_gap_is_not_filled_and_other_names_are_ignored(tmp_path):
    for name in ("7", "notes", ".export-x"):
        (tmp_path / name).mkdir()
    assert publish(tmp_path).name == "8"
    assert versions(tmp_path) == [7, 8]


def test_a_failed_export_leaves_nothing_behind(tmp_path):
    with pytest.raises(ValueError), new_version(tmp_path) as draft:
        (draft["folder"] / "saved_model.pb").write_bytes(b"half")
        raise ValueError
    assert list(tmp_path.iterdir()) == []


def test_the_draft_of_a_killed_export_is_removed_by_the_next_one(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for process in (ended.pid, os.getppid()):
        (tmp_path / f"{module.DRAFT}{process}-x").mkdir()
    publish(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{module.DRAFT}{os.getppid()}-x", "1"]


def test_nothing_numbered_is_seen_before_the_folder_is_complete(tmp_path):
    with new_version(tmp_path) as draft:
        assert not any(entry.name.isdecimal() for entry in tmp_path.iterdir())
        (draft["folder"] / "saved_model.pb").write_bytes(b"graph")
    assert (tmp_path / "1" / "saved_model.pb").read_bytes() == b"graph"


def test_a_version_that_appears_meanwhile_is_not_overwritten(tmp_path, monkeypatch):
    publish(tmp_path, b"theirs")
    seen = iter([[], [1]])
    monkeypatch.setattr(module, "versions", lambda folder: next(seen))
    assert publish(tmp_path, b"ours").name == "2"
    assert (tmp_path / "1" / "saved_model.pb").read_bytes() == b"theirs"


def test_the_newest_complete_version_of_a_model_is_taken(tmp_path):
    for _ in range(10):
        publish(tmp_path)
    (tmp_path / "11").mkdir()
    assert version_folder(tmp_path).name == "10"
    assert version_folder(tmp_path / "3").name == "3"


def test_a_folder_without_a_model_is_answered_with_the_way_out(tmp_path):
    with pytest.raises(UserError, match=r"does not exist\. Run `vad export` first"):
        version_folder(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no exported model"):
        version_folder(tmp_path)
