"""Tests of pipelines.serving.results."""

import json
from pathlib import Path

import pytest

from pipelines.config import UserError
from pipelines.serving.results import (
    ANNOTATED,
    SUFFIXES,
    check_footage,
    finished_result,
    is_annotated,
    result_names,
    source_of,
    with_suffix,
)


def names(paths, output):
    return [name for _, name in result_names({Path(path): Path(Path(path).name) for path in paths}, output)]


def write(output, name, **content):
    """Write all files of a result."""
    output.mkdir(exist_ok=True)
    for suffix in SUFFIXES:
        (output / f"{name}{suffix}").write_text("frame,time_sec,score\n")
    (output / f"{name}.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["a/door.mp4", "b/hall.mp4"], ["door", "hall"]),
        (["a/door.mp4", "a/door.avi", "b/door.mp4"], ["door_mp4", "door_avi", "door_mp4_2"]),
        (["a/door.mp4", "a/DOOR.mp4"], ["door_mp4", "DOOR_mp4_2"]),  # one file on some disks
        (["a/door.mp4", "a/door_top_frames.mp4"], ["door", "door_top_frames_2"]),
        (["a/Door_Top_Frames.mp4"], ["Door_Top_Frames_2"]),
        (["a/door_2.mp4", "a/door.mp4", "b/door.mp4"], ["door_2", "door_mp4", "door_mp4_2"]),
        (["a/one.two.mp4"], ["one.two"]),
        (["a/Alarms.mp4"], ["Alarms_2"]),  # beside alarms.csv and alarms.json of all videos
    ],
)
def test_no_two_videos_share_a_file(paths, expected, tmp_path):
    found = names(paths, tmp_path)
    assert found == expected
    files = [f"{name}{suffix}".casefold() for name in found for suffix in SUFFIXES]
    assert len(set(files)) == len(files)


def test_a_later_video_of_the_same_name_gets_a_name_of_its_own_and_each_finds_its_results_again(tmp_path):
    output = tmp_path / "scores"
    write(output, "0001", video=source_of("camera1/0001.avi"))
    assert names(["camera2/0001.avi"], output) == ["0001_2"]
    write(output, "0001_2", video=source_of("camera2/0001.avi"))
    assert names(["camera1/0001.avi"], output) == ["0001"]
    assert names(["camera2/0001.avi"], output) == ["0001_2"]
    assert names(["camera3/0001.avi"], output) == ["0001_3"]


def test_files_of_others_are_not_overwritten_but_those_of_a_stopped_run_are(tmp_path):
    for name, text in {"labels.csv": "file,label\n", "a.json": "[1]", "b.png": "", "c.json": "{}"}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "stopped.csv").write_text("frame,time_sec,score\n0,0.0")
    (tmp_path / "stopped.png").write_text("")
    given = [f"videos/{name}.mp4" for name in ("labels", "a", "b", "c", "stopped")]
    assert names(given, tmp_path) == ["labels_2", "a_2", "b_2", "c_2", "stopped"]
    assert names([tmp_path / "door.png"], tmp_path) == ["door_2"]  # a picture can be scored


@pytest.mark.parametrize("stem", ["a recording " * 20, "é" * 120, "x" * 251])
def test_a_long_name_is_cut_and_stays_unique(stem, tmp_path):
    others = [stem[:-3] + "abc", stem[:-3] + "abd"]
    found = names([f"{name}.mp4" for name in (stem, *others)], tmp_path)
    assert len(set(found)) == 3 and found == names([f"{name}.mp4" for name in (stem, *others)], tmp_path)
    for name in found:
        with_suffix(tmp_path / f".tmp-{name}_999", SUFFIXES[-1]).touch()


def test_a_result_is_finished_with_the_same_identity_and_all_of_its_files(tmp_path):
    target, identity = tmp_path / "door", {"threshold": 0.5}
    write(tmp_path, "door", video="door.mp4", threshold=0.5, top_frames=[1])
    assert finished_result(target, identity)["video"] == "door.mp4"
    assert finished_result(target, {"threshold": 0.6}) is None
    with_suffix(target, "_top_frames.png").unlink()
    assert finished_result(target, identity) is None
    write(tmp_path, "door", video="door.mp4", threshold=0.5, top_frames=[])
    with_suffix(target, "_top_frames.png").unlink()
    assert finished_result(target, identity)


def test_an_annotated_copy_belongs_to_its_result_and_takes_the_place_of_no_video(tmp_path):
    write(tmp_path, "door", video=source_of("door.mp4"), annotated=f"door{ANNOTATED}")
    assert finished_result(tmp_path / "door", {}) is None  # the copy is missing
    (tmp_path / f"door{ANNOTATED}").touch()
    assert finished_result(tmp_path / "door", {}) and is_annotated(tmp_path / f"door{ANNOTATED}")
    (tmp_path / f"hall{ANNOTATED}").touch()
    assert not is_annotated(tmp_path / f"hall{ANNOTATED}")
    assert names(["hall.mp4"], tmp_path) == ["hall_2"]


def test_footage_that_does_not_exist_is_named(tmp_path):
    (tmp_path / "a.mp4").touch()
    check_footage([tmp_path, tmp_path / "a.mp4"])
    with pytest.raises(UserError, match=r"b\.mp4 does not exist\. Check the path given to `vad calibrate`"):
        check_footage([tmp_path / "a.mp4", tmp_path / "b.mp4"])
    with pytest.raises(UserError, match="no scores: name videos"):
        check_footage([])
