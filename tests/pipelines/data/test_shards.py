import dataclasses
from types import SimpleNamespace

import pytest

from pipelines.config import UserError
from pipelines.data.listing.manifest import VideoInfo, read_manifest
from pipelines.data.shards import describe_warnings, plan_shards, reuse_finished, write_manifest_of


def info(name, warning=""):
    return VideoInfo(name, f"{name}.mp4", "train", 1, "fight", 30.0, 32, 0, 0, 2, ((0, 4),), warning)


def plan(folder, settings="a", names="abcde"):
    videos = [SimpleNamespace(video_id=name) for name in names]
    return plan_shards(folder, "nodes", videos, 2, lambda group: settings + "".join(v.video_id for v in group))


def finish(shard, skipped=(), retry=False):
    shard.path.write_bytes(b"records")
    lost = {name for name, _ in skipped}
    shard.write_note([info(v.video_id) for v in shard.videos if v.video_id not in lost], skipped, retry)


def test_five_videos_in_pairs_make_three_shards_in_the_order_of_the_list(tmp_path):
    shards = plan(tmp_path)
    assert [shard.path.name for shard in shards] == [f"nodes-0000{i}-of-00003.tfrecord" for i in range(3)]
    assert [shard.fingerprint for shard in shards] == ["aab", "acd", "ae"]


def test_a_note_holds_while_file_and_settings_are_the_same(tmp_path):
    shard = plan(tmp_path)[0]
    assert shard.note() is None
    finish(shard)
    assert shard.note()["bytes"] == 7
    assert plan(tmp_path, "b")[0].note() is None, "other settings"
    shard.path.write_bytes(b"record")
    assert shard.note() is None, "cut"
    finish(shard, retry=True)
    assert shard.note() is None, "worth another try"


def test_only_finished_shards_of_this_plan_stay(tmp_path):
    first, *others = plan(tmp_path)
    for shard in (first, *others):
        finish(shard)
    (tmp_path / "clips-00000-of-00001.tfrecord").touch()
    for shard in others:
        shard.write_note([], [], retry=True)
    reuse = reuse_finished(tmp_path, "nodes", [first, *others])
    assert (reuse.finished, reuse.todo, reuse.damaged, reuse.num_outdated) == ([first], others, [], 2)
    assert str(reuse).startswith("; 1 of 3 shards were finished before; 2 outdated shards were written again (")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "clips-00000-of-00001.tfrecord",
        "nodes-00000-of-00003.json",
        "nodes-00000-of-00003.tfrecord",
    ]


def test_the_manifest_names_what_is_held_and_what_is_not(tmp_path):
    shards = plan(tmp_path, names="abc")
    finish(shards[0], [("b", "is empty")])
    finish(shards[1])
    held = write_manifest_of(tmp_path, shards)
    manifest = read_manifest(tmp_path)
    assert [video.video_id for video in manifest.videos] == ["a", "c"] and list(manifest.videos) == held.videos
    assert manifest.skipped == (("b", "is empty"),) == tuple(held.skipped)
    assert held.bytes == 14 and len(manifest.fingerprint) == 16


def test_the_fingerprint_of_a_manifest_is_that_of_its_content(tmp_path):
    def fingerprint(settings, records=b"records", **changes):
        shard = plan(tmp_path, settings, "a")[0]
        shard.path.write_bytes(records)
        shard.write_note([dataclasses.replace(info("a"), **changes)], [])
        write_manifest_of(tmp_path, [shard])
        return read_manifest(tmp_path).fingerprint

    first = fingerprint("a")
    assert fingerprint("b, after the file was touched", path="elsewhere/a.mp4") == first
    assert len({first, fingerprint("a", b"others"), fingerprint("a", label=0), fingerprint("a", frame_labels=())}) == 4


def test_a_list_of_which_nothing_is_left_is_told_with_its_first_reason(tmp_path):
    shards = plan(tmp_path, names="ab")
    finish(shards[0], [("a", "is empty."), ("b", "is cut")])
    with pytest.raises(UserError, match=r"^none of the 2 videos can be used\. The first: a: is empty\.$"):
        write_manifest_of(tmp_path, shards)


def test_warnings_are_counted_and_the_first_is_told():
    assert describe_warnings([info("a")]) == ""
    text = describe_warnings([info("a"), info("b", "cut"), info("c", "short")])
    assert text == "; 2 used with a warning (see videos.json), the first: b: cut"


def test_a_damaged_shard_or_note_is_not_finished(tmp_path):
    shards = plan(tmp_path)
    for shard in shards:
        finish(shard)
    shards[1].path.write_bytes(b"recorbs")
    note = shards[2].note_path.read_text()
    shards[2].note_path.write_text(note.replace('"label": 1', '"label": 0'))
    assert [shard.note() is None for shard in shards] == [False, True, True]
    reuse = reuse_finished(tmp_path, "nodes", shards)
    assert reuse.damaged == [shard.path.name for shard in shards[1:]] and reuse.num_outdated == 0
    assert str(reuse).endswith(f"; damaged and written again: {', '.join(reuse.damaged)}")
    assert sorted(path.name for path in tmp_path.iterdir()) == [shards[0].note_path.name, shards[0].path.name]


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b'{"videos": 3}', b"{", b"\xff"])
def test_a_note_of_any_content_is_read_without_an_exception(tmp_path, content):
    shard = plan(tmp_path)[0]
    finish(shard)
    shard.note_path.write_bytes(content)
    assert shard.note() is None and not shard.is_damaged
