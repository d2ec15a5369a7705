import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.config import UserError
from pipelines.data.listing.manifest import (
    VideoInfo,
    array_to_intervals,
    intervals_to_array,
    read_manifest,
    shard_name,
    shard_paths,
    write_manifest,
)


def info(video_id="train/a", frame_labels=((1, 3),)):
    return VideoInfo(video_id, f"{video_id}.mp4", "train", 1, "fight", 10.0, 5, 64, 48, 5, frame_labels, "cut")


@given(st.lists(st.booleans(), max_size=50))
def test_intervals_and_labels_are_two_forms_of_the_same(labels):
    labels = np.asarray(labels, np.uint8)
    np.testing.assert_array_equal(intervals_to_array(array_to_intervals(labels), len(labels)), labels)


def test_intervals_exclude_their_end():
    assert array_to_intervals([0, 1, 1, 0, 1]) == ((1, 3), (4, 5))
    assert info().frame_label_array().tolist() == [0, 1, 1, 0, 0]
    assert info(frame_labels=None).frame_label_array() is None


def test_a_manifest_comes_back_as_it_was_written(tmp_path):
    videos = (info(), info("test/b", None))
    write_manifest(tmp_path, videos, [("bad.mp4", "empty")], "abc")
    manifest = read_manifest(tmp_path)
    assert manifest.videos == videos
    assert manifest.skipped == (("bad.mp4", "empty"),)
    assert (manifest.fingerprint, manifest.channel_groups) == ("abc", ())
    assert manifest.by_id["test/b"] == videos[1]
    assert [path.name for path in tmp_path.iterdir()] == ["videos.json"]
    assert json.loads((tmp_path / "videos.json").read_text())["skipped"] == [{"file": "bad.mp4", "reason": "empty"}]


def test_a_manifest_of_nodes_knows_the_parts_of_a_node(tmp_path):
    write_manifest(tmp_path, (info(),), channel_groups=(1280, 512))
    assert read_manifest(tmp_path).channel_groups == (1280, 512)


def test_a_missing_or_broken_manifest_says_which_command_to_run(tmp_path):
    with pytest.raises(UserError, match="Run `vad prepare` for clips, `vad extract` or `vad import-features`"):
        read_manifest(tmp_path)
    (tmp_path / "videos.json").write_text('{"videos": [')
    with pytest.raises(UserError, match=r"videos.json is damaged \(.*Run `vad prepare` again for clips"):
        read_manifest(tmp_path)


def test_a_changed_label_in_a_manifest_is_damage(tmp_path):
    path = write_manifest(tmp_path, [info()])
    content = path.read_text()
    for changed in (content.replace('"label": 1', '"label": 0'), "[]", content.replace("videos", "vibeos")):
        path.write_text(changed)
        with pytest.raises(UserError, match=r"videos.json is damaged"):
            read_manifest(tmp_path)


def test_a_manifest_without_a_checksum_is_read(tmp_path):
    path = write_manifest(tmp_path, [info()])
    content = json.loads(path.read_text())
    del content["checksum"]
    path.write_text(json.dumps(content))
    assert read_manifest(tmp_path).videos == (info(),)


def test_an_incomplete_set_of_shards_is_refused(tmp_path):
    assert shard_name("clips", 3, 12) == "clips-00003-of-00012.tfrecord"
    with pytest.raises(UserError, match=r"holds no clips-\*\.tfrecord\. Run `vad prepare` first"):
        shard_paths(tmp_path, "clips")
    for index in (0, 1):
        (tmp_path / shard_name("clips", index, 3)).touch()
    with pytest.raises(UserError, match=r"2 clips files, expected 3 \(names end in -of-00003\)\. Run `vad prepare`"):
        shard_paths(tmp_path, "clips")
    (tmp_path / shard_name("clips", 2, 3)).touch()
    assert len(shard_paths(tmp_path, "clips")) == 3
