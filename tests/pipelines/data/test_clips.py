from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from pipelines.config import UserError
from pipelines.data.clips import Clips, open_clips
from pipelines.data.examples import serialize_clip
from pipelines.data.listing.manifest import VideoInfo, read_manifest, shard_name, write_manifest

LENGTHS = {"a": 5, "b": 2, "c": 4}


@pytest.fixture
def folder(tmp_path):
    """Three videos in two shards; the frames of a video all have its length as their grey value."""
    videos = [VideoInfo(key, key, "train", 0, "", 30.0, 99, 8, 8, count, None) for key, count in LENGTHS.items()]
    for shard, group in enumerate([videos[:2], videos[2:]]):
        with tf.io.TFRecordWriter(str(tmp_path / shard_name("clips", shard, 2))) as writer:
            for video in group:
                frame = tf.io.encode_jpeg(np.full((8, 8, 3), 10 * video.num_sampled, "uint8")).numpy()
                for snippet in range(-(-video.num_sampled // 2)):
                    indices = [i * 3 for i in range(2 * snippet, min(2 * snippet + 2, video.num_sampled))]
                    jpegs = [frame] * len(indices)
                    writer.write(serialize_clip(jpegs, indices, indices, video.video_id, snippet, 0, 30.0))
    write_manifest(tmp_path, videos)
    return tmp_path


def test_any_snippet_is_read_in_any_order(folder):
    clips, wanted = Clips(folder, 2, 8), [("c", 1), ("a", 2), ("b", 0), ("a", 0)]
    read = list(clips.dataset(lambda: iter(wanted)).as_numpy_iterator())
    assert [(clip["video_id"].decode(), clip["snippet_index"].item()) for clip in read] == wanted
    assert [clip["frames"][0, 0, 0, 0].item() for clip in read] == [40, 50, 20, 50]
    assert [clip["mask"].tolist() for clip in read] == [[True, True], [True, False], [True, True], [True, True]]


def test_frame_indices_of_a_video_span_its_snippets(folder):
    clips = Clips(folder, 2, 8)
    assert [clips.frame_indices(video) for video in clips.manifest.videos] == [[0, 3, 6, 9, 12], [0, 3], [0, 3, 6, 9]]
    assert [clips.num_snippets(video) for video in clips.manifest.videos] == [3, 1, 2]


def test_a_manifest_may_leave_out_videos(folder):
    videos = read_manifest(folder).videos
    write_manifest(folder, videos[1:])
    clips = Clips(folder, 2, 8)
    (clip,) = clips.dataset(lambda: iter([("c", 1)])).as_numpy_iterator()
    assert clip["video_id"] == b"c" and clip["frame_indices"].tolist() == [6, 9]


def test_records_of_other_settings_are_refused(folder):
    with pytest.raises(UserError, match=r"holds 6 snippets, but its manifest lists 11 with .* = 1\. Run `vad prepare`"):
        Clips(folder, 1, 8)


def test_a_folder_without_records_names_the_stage_to_run(tmp_path):
    with pytest.raises(UserError, match="prepare"):
        Clips(tmp_path, 2, 8)


def test_the_clips_of_a_run_are_opened_by_its_configuration(folder):
    (folder / "run").mkdir()
    (folder / "run" / "clips").symlink_to(folder)
    clips = open_clips(SimpleNamespace(work_dir=folder / "run", data=SimpleNamespace(clip_frames=2, image_size_px=8)))
    assert (clips.folder, clips.clip_frames, clips.image_size_px) == (folder / "run" / "clips", 2, 8)
    assert len(clips.manifest.videos) == 3


def damage(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 0x10
    path.write_bytes(content)


def test_a_flipped_byte_inside_a_picture_stops_every_reader_before_the_first_batch(folder):
    clips = Clips(folder, 2, 8)
    damaged = folder / shard_name("clips", 1, 2)
    damage(damaged, damaged.read_bytes().index(b"\xff\xda") + 20)
    a, _, c = clips.manifest.videos
    for read in (
        lambda: clips.dataset(lambda: iter([("a", 0)])),
        lambda: clips.dataset(lambda: iter([("c", 0)]), [c]),
        lambda: clips.read("c", 0),
        lambda: clips.frame_indices(c),
        lambda: clips.read_frame(c, 3),
    ):
        with pytest.raises(UserError, match=r"clips-00001-of-00002\.tfrecord is damaged .*Run `vad prepare` again"):
            read()
    assert len(list(clips.dataset(lambda: iter([("a", 0)]), [a]))) == 1  # its shard is intact


@pytest.mark.parametrize("place", [0, 7])
def test_a_damaged_header_is_named_when_the_clips_are_opened(folder, place):
    damage(folder / shard_name("clips", 0, 2), place)
    with pytest.raises(UserError, match=r"clips-00000-of-00002\.tfrecord is damaged .*Run `vad prepare` again"):
        Clips(folder, 2, 8)


@pytest.mark.parametrize("count", [3, 30])
def test_a_cut_shard_is_named_when_the_clips_are_opened(folder, count):
    path = folder / shard_name("clips", 1, 2)
    path.write_bytes(path.read_bytes()[:-count])
    with pytest.raises(UserError, match=r"clips-00001-of-00002\.tfrecord is damaged \(truncated"):
        Clips(folder, 2, 8)


def test_a_picture_that_was_written_damaged_names_its_shard(folder):
    shard = folder / shard_name("clips", 1, 2)
    with tf.io.TFRecordWriter(str(shard)) as writer:  # with the right checksums
        for snippet in range(2):
            indices = [6 * snippet, 6 * snippet + 3]
            writer.write(serialize_clip([b"\xff\xd8no JPEG"] * 2, indices, indices, "c", snippet, 0, 30.0))
    clips = Clips(folder, 2, 8)
    with pytest.raises(UserError, match=rf"{shard.name} is damaged \(a picture cannot be decoded\)\. Delete"):
        clips.read_frame(clips.manifest.by_id["c"], 3)


def test_errors_of_other_causes_keep_their_text(folder):
    with pytest.raises(tf.errors.InvalidArgumentError, match="shapes"), Clips(folder, 2, 8).naming_damage():
        raise tf.errors.InvalidArgumentError(None, None, "shapes do not fit")
