import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pipelines.config import UserError
from pipelines.data.encode import jpeg_bytes
from pipelines.data.examples import serialize_bag, serialize_clip
from pipelines.data.records import check_shards, is_intact, parse_bag, parse_clip


def smooth_picture(size=16):
    ramp = np.linspace(0, 255, size)
    return np.stack(np.broadcast_arrays(ramp[:, None], ramp[None, :], 128.0), -1).astype(np.uint8)


def test_a_short_clip_is_padded_and_masked():
    jpeg = jpeg_bytes(smooth_picture(), 95)
    clip = serialize_clip([jpeg] * 2, [4, 6], [0.4, 0.6], "train/ä", 3, None, 10.0)
    parsed = {name: value.numpy() for name, value in parse_clip(clip, clip_frames=3, image_size_px=16).items()}
    assert parsed["mask"].tolist() == [True, True, False]
    assert parsed["frame_indices"].tolist() == [4, 6, -1]
    np.testing.assert_allclose(parsed["times_sec"], [0.4, 0.6, -1], rtol=1e-6)
    assert (parsed["video_id"].decode(), parsed["snippet_index"], parsed["label"], parsed["fps"]) == (
        "train/ä",
        3,
        -1,
        10,
    )
    assert parsed["frames"].shape == (3, 16, 16, 3) and not parsed["frames"][2].any()
    decoded = np.asarray(Image.open(io.BytesIO(jpeg)))  # another decoder of the same picture
    np.testing.assert_array_equal(parsed["frames"][0], decoded)
    assert np.abs(decoded.astype(int) - smooth_picture()).mean() < 1.5


def test_clips_stream_through_a_dataset_with_static_shapes():
    clip = serialize_clip([jpeg_bytes(smooth_picture(), 90)], [0], [0.0], "a", 0, 1, 10.0)
    dataset = tf.data.Dataset.from_tensors(clip).map(lambda record: parse_clip(record, 4, 16)).batch(1)
    assert dataset.element_spec["frames"].shape == (None, 4, 16, 16, 3)
    assert next(iter(dataset))["mask"].numpy().tolist() == [[True, False, False, False]]


def test_the_same_clip_gives_the_same_bytes():
    arguments = ([b"x"], [0], [0.0], "a", 0, 1, 10.0)
    assert serialize_clip(*arguments) == serialize_clip(*arguments)


def test_a_bag_comes_back_in_half_precision():
    nodes = np.random.default_rng(0).normal(size=(5, 3, 4))
    parsed = parse_bag(serialize_bag(nodes, "a", 1, [0, 2, 4, 6, 8]))
    np.testing.assert_array_equal(parsed["nodes"].numpy(), nodes.astype(np.float16))
    assert parsed["frame_indices"].numpy().tolist() == [0, 2, 4, 6, 8]
    with pytest.raises(ValueError, match=r"one frame index per time step.*\(5, 3, 4\) and 2 indices"):
        serialize_bag(nodes, "a", 1, [0, 2])


@pytest.fixture
def shard(tmp_path):
    """A shard of three bags."""
    path = tmp_path / "nodes-00000-of-00001.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name in "abc":
            writer.write(serialize_bag(np.ones((5, 2, 3)), name, 0, range(5)))
    return path


def test_an_intact_shard_names_its_videos(shard):
    assert check_shards([shard]) == ["a", "b", "c"] and check_shards([shard, shard]) == 2 * ["a", "b", "c"]
    assert is_intact(shard, "abc") and not is_intact(shard, "ab") and not is_intact(shard.with_name("other"), "abc")


def test_one_flipped_bit_anywhere_is_damage(shard):
    content = shard.read_bytes()
    for place in [*range(16), *range(16, len(content), 37)]:
        shard.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        with pytest.raises(UserError, match=r"nodes-00000-of-00001\.tfrecord is damaged .*Run `vad extract` or"):
            check_shards([shard])
    shard.write_bytes(content)
    assert check_shards([shard]) == ["a", "b", "c"]


@pytest.mark.parametrize("change", [lambda content: content[:-5], lambda content: b"no record, but some text " * 9])
def test_a_cut_or_foreign_shard_is_damage(shard, change):
    shard.write_bytes(change(shard.read_bytes()))
    assert not is_intact(shard, "abc")
    with pytest.raises(UserError, match=r"is damaged \((truncated|corrupted) record at \d+\)"):
        check_shards([shard])


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("nodes", serialize_bag(np.ones((2, 1, 3)), "a", 0, [0, 9]).replace(b"\x02\x01\x03", b"\x02\x01\x04")),
        ("nodes", serialize_clip([b"jpeg"], [0], [0.0], "a", 0, 1, 8.0)),
        ("clips", serialize_bag(np.ones((2, 1, 3)), "a", 0, [0, 16])),
        ("clips", serialize_clip([b"jpeg"], [0, 1], [0.0], "a", 0, 1, 8.0)),
        ("clips", serialize_clip([], [], [], "a", 0, 1, 8.0)),
        ("clips", b"no example"),
    ],
)
def test_a_record_of_another_form_is_damage_whatever_its_checksum(tmp_path, name, record):
    path = tmp_path / f"{name}-00000-of-00001.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(record)
    with pytest.raises(UserError, match=rf"{name}-00000-of-00001\.tfrecord is damaged \(its records cannot be read\)"):
        check_shards([path])
