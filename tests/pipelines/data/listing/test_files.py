"""Tests of pipelines.data.listing.files."""

import os

import pytest

from pipelines.config import UserError, load_config
from pipelines.data.listing.files import DatasetFiles, frame_files, missing_text, size_bytes, stamp, video_stem
from pipelines.data.listing.lists import Line


def fill(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.rpartition("/")[2].encode())
    return root


def files(root, *overrides, without=()):
    return DatasetFiles(load_config(overrides=[f"data.root={root}", *overrides]), without)


def test_a_video_is_found_by_its_name_in_any_folder_and_with_any_suffix(tmp_path):
    found = files(fill(tmp_path, "Part-1/Abuse/a.mp4", "b.AVI", "deep/er/c.d__#1.mkv"))
    assert found.video("Abuse/a.mp4") == tmp_path / "Part-1/Abuse/a.mp4"
    assert found.video("elsewhere/b.mp4") == tmp_path / "b.AVI"
    assert found.video("c.d__#1") == tmp_path / "deep/er/c.d__#1.mkv"
    assert found.video("c") is None


def test_of_two_copies_that_in_the_listed_folder_is_taken(tmp_path):
    fill(tmp_path, "z/Testing/a.mp4", "Event/a.mp4")
    (tmp_path / "Event/a.mp4").write_bytes(b"another length")
    assert files(tmp_path).video("Testing/a.mp4") == tmp_path / "z/Testing/a.mp4"
    with pytest.raises(UserError, match=r"have the same name but differ\. Keep only the listed video \(`a\.mp4`\)"):
        files(tmp_path).video("a.mp4")
    (tmp_path / "Event/a.mp4").write_bytes(b"a.mp4")
    assert files(tmp_path).video("a.mp4") == tmp_path / "Event/a.mp4"


def test_a_folder_of_pictures_is_a_video_and_hidden_files_are_not(tmp_path):
    fill(tmp_path, "Test/Test001/10.tif", "Test/Test001/9.tif", "Test/Test001/._9.tif", "Test/Test001_gt/9.bmp")
    fill(tmp_path, "ped1/Test001/1.tif", "__MACOSX/Test001/1.tif")
    found = files(tmp_path, without=("ped1",))
    assert list(found.videos()) == ["Test001"]
    assert [path.name for path in frame_files(found.video("Test001"))] == ["9.tif", "10.tif"]


def test_a_file_comes_before_a_folder_of_its_frames(tmp_path):
    found = files(fill(tmp_path, "a/1.jpg", "z/a.mp4"))
    assert found.video("a") == tmp_path / "z/a.mp4"


def test_links_are_followed_and_loops_end(tmp_path):
    fill(tmp_path / "disk", "a.mp4")
    (tmp_path / "root").mkdir()
    os.symlink(tmp_path / "disk", tmp_path / "root/link")
    os.symlink(tmp_path / "root", tmp_path / "disk/back")
    assert files(tmp_path / "root").video("a.mp4") == tmp_path / "root/link/a.mp4"


def test_lists_are_looked_for_in_the_annotations_first(tmp_path):
    fill(tmp_path, "root/deep/list.txt", "root/old.txt", "ann/list.txt", "root/a.mp4")
    found = files(tmp_path / "root", f"data.annotations={tmp_path / 'ann'}")
    assert found.find("list.txt") == tmp_path / "ann/list.txt"
    assert found.find("new.txt", "old.txt") == tmp_path / "root/old.txt"
    assert files(tmp_path / "root").need("list.txt") == tmp_path / "root/deep/list.txt"
    with pytest.raises(
        UserError, match=r"new\.txt is not under .*ann or .*root\. `vad datasets` names .* `data\.annotations`"
    ):
        found.need("new.txt")


def test_a_folder_that_is_none_is_told_by_its_key(tmp_path):
    with pytest.raises(UserError, match=r"`data\.root` is not a folder: .*nowhere"):
        files(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"`data\.annotations` is not a folder: .*nowhere"):
        files(tmp_path, f"data.annotations={tmp_path / 'nowhere'}")


def test_feature_files_stand_for_a_root(tmp_path):
    overrides = (f"data.annotations={tmp_path}", f"features.root={tmp_path}")
    assert files(tmp_path / "nowhere", *overrides).videos() == {}


def test_what_is_missing_is_told_with_its_line(tmp_path):
    line = Line(tmp_path / "train.txt", 37)
    assert files(tmp_path).locate("x/a.mp4", line) == (tmp_path / "x/a.mp4", missing_text("x/a.mp4", line, tmp_path))
    assert missing_text("a.mp4", line, "videos") == "a.mp4 (line 37 of train.txt) is not under videos"


def test_a_stamp_changes_with_the_pictures_of_a_folder(tmp_path):
    fill(tmp_path, "a/1.jpg", "a/2.jpg", "b.mp4")
    assert stamp(tmp_path / "none") == []
    assert stamp(tmp_path / "a")[:2] == [2, 10] and stamp(tmp_path / "b.mp4")[0] == 5
    (tmp_path / "a/2.jpg").write_bytes(b"longer")
    assert stamp(tmp_path / "a")[:2] == [2, 11]


def test_only_the_suffix_of_a_video_is_cut():
    assert [video_stem(name) for name in ("a.MP4", "a.b", "a.b.avi", "01_0014")] == ["a", "a.b", "a.b", "01_0014"]


def test_the_size_of_a_video_is_that_of_its_file_or_of_its_pictures(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"12345")
    (tmp_path / "frames").mkdir()
    for number in range(3):
        (tmp_path / "frames" / f"{number}.png").write_bytes(b"12")
    found = [size_bytes(tmp_path / name) for name in ("a.mp4", "frames", "nowhere.mp4")]
    assert found == [5, 6, 0]
