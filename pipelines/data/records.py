"""TFRecord schemas: a "clip" is one snippet of K JPEG frames, a "bag" holds the node features of one video.

A label is 0, 1 or -1 (unknown). Padding comes last and is masked.
"""

import functools
import os
import re
from pathlib import Path

import tensorflow as tf

from pipelines.config import UserError
from pipelines.data.listing.manifest import COMMANDS
from pipelines.run.workers import usable_cores

CHECK_BUFFER_BYTES = 4 << 20
_CHECKED = {}  # (path, inode, size, time of change) -> video ids
SCALAR, LIST = tf.io.FixedLenFeature, functools.partial(tf.io.FixedLenSequenceFeature, allow_missing=True)
CLIP = {
    "frames": LIST([], tf.string),
    "frame_indices": LIST([], tf.int64),
    "times_sec": LIST([], tf.float32),
    "video_id": SCALAR([], tf.string),
    "snippet_index": SCALAR([], tf.int64),
    "label": SCALAR([], tf.int64),
    "fps": SCALAR([], tf.float32),
}
BAG = {
    "nodes": SCALAR([], tf.string),
    "shape": SCALAR([3], tf.int64),
    "video_id": SCALAR([], tf.string),
    "label": SCALAR([], tf.int64),
    "frame_indices": LIST([], tf.int64),
}


def check_shards(paths):
    """Compare every record of some shards with its checksum, several shards at once, before the shards are used.

    A shard is read once per process, and again when the file changes.

    Args:
        paths: ``clips-*.tfrecord`` files, or ``nodes-*.tfrecord`` files.

    Returns:
        The video ids of the records, in order.

    Raises:
        UserError: A shard is damaged or cannot be read; the text names it and the command that writes it again.
    """
    versions = [_version(Path(path)) for path in paths]
    unread = list(dict.fromkeys(version for version in versions if version not in _CHECKED))
    for version, ids in zip(unread, _read_ids([path for path, *_ in unread]), strict=True):
        _CHECKED[version] = ids
    return [video_id for version in versions for video_id in _CHECKED[version]]


def is_intact(path, video_ids):
    """Whether a shard exists, is not damaged and holds the records of these videos, in order, one per video."""
    try:
        return Path(path).exists() and check_shards([path]) == list(video_ids)
    except UserError:
        return False


def _version(path):
    stat = path.stat()
    return path, stat.st_ino, stat.st_size, stat.st_mtime_ns


def _read_ids(paths):
    """Yield the video ids of each shard; TensorFlow compares the checksums, and the sizes of its parts must agree.

    Shards are read side by side by TensorFlow's own threads. Python threads that call TensorFlow crash the process at
    times: the caches of its dispatcher are not thread-safe.
    """
    shards = tf.data.Dataset.from_tensor_slices(list(map(os.fsencode, paths)) or tf.zeros([0], tf.string))
    read = _bag_ids if paths and paths[0].name.startswith("nodes") else _clip_ids
    found = shards.map(read, num_parallel_calls=usable_cores()).as_numpy_iterator()
    for path in paths:
        try:
            yield tuple(video_id.decode() for video_id in next(found))
        except (tf.errors.OpError, UnicodeDecodeError) as error:
            place = re.search(r"(corrupted|truncated) record at [0-9]+", str(error))
            raise damaged(path, place[0] if place else "its records cannot be read") from None


def _traced_once(function):
    """Compile a function of a path or a record once, not for each shard."""
    return tf.function(function, input_signature=[tf.TensorSpec([], tf.string)])


@_traced_once
def _clip_ids(path):
    return _ids(path, _clip_id)


@_traced_once
def _bag_ids(path):
    return _ids(path, _bag_id)


def _ids(path, id_of):
    ids = tf.data.TFRecordDataset(path, buffer_size=CHECK_BUFFER_BYTES).map(id_of).batch(1024)
    return ids.reduce(tf.zeros([0], tf.string), lambda found, others: tf.concat([found, others], 0))


@_traced_once
def _clip_id(record):
    parsed = tf.io.parse_single_example(record, CLIP)
    sizes = [tf.size(parsed[key]) for key in ("frames", "frame_indices", "times_sec")]
    agree = tf.reduce_all(tf.equal(sizes, tf.maximum(sizes[0], 1)))
    with tf.control_dependencies([tf.debugging.Assert(agree, sizes)]):
        return tf.identity(parsed["video_id"])


@_traced_once
def _bag_id(record):
    parsed = tf.io.parse_single_example(record, BAG)
    shape, num_bytes = parsed["shape"], tf.strings.length(parsed["nodes"])
    facts = [tf.reduce_all(shape > 0), tf.equal(tf.reduce_prod(shape) * 2, tf.cast(num_bytes, tf.int64))]
    facts.append(tf.equal(tf.size(parsed["frame_indices"], tf.int64), shape[0]))
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(facts), [shape, num_bytes])]):
        return tf.identity(parsed["video_id"])


def damaged(path, reason):
    """Return the error of a damaged shard."""
    command = COMMANDS[Path(path).name.partition("-")[0]]
    return UserError(
        f"{path} is damaged ({reason}). Run {command} again: it writes the damaged shards again and keeps the others."
    )


def parse_clip(serialized, clip_frames, image_size_px):
    """Parse the output of ``serialize_clip``, for use in ``Dataset.map``; the JPEGs are decoded in the graph.

    Args:
        serialized: Scalar string.
        clip_frames: K.
        image_size_px: Side of the square frames.

    Returns:
        Dict with ``frames`` uint8 ``(K, size, size, 3)`` (zeros in the padding), ``mask`` bool ``(K,)``,
        ``frame_indices`` int64 ``(K,)`` and ``times_sec`` float32 ``(K,)`` (-1 in the padding), and the scalars
        ``video_id`` string, ``snippet_index`` int64, ``label`` int64 and ``fps`` float32.

    Example:

    >>> import numpy as np
    >>> from pipelines.data.examples import serialize_clip
    >>> clip = serialize_clip([tf.io.encode_jpeg(np.zeros((8, 8, 3), "uint8")).numpy()], [16], [0.5], "a", 0, 1, 30.0)
    >>> parsed = parse_clip(clip, clip_frames=2, image_size_px=8)
    >>> parsed["mask"].numpy().tolist(), parsed["frame_indices"].numpy().tolist()
    ([True, False], [16, -1])
    """
    parsed = tf.io.parse_single_example(serialized, CLIP)
    padding = clip_frames - tf.size(parsed["frames"])
    frames = tf.map_fn(
        lambda jpeg: tf.io.decode_jpeg(jpeg, channels=3, dct_method="INTEGER_ACCURATE"),
        parsed["frames"],
        fn_output_signature=tf.TensorSpec([image_size_px, image_size_px, 3], tf.uint8),
    )
    frames = tf.pad(frames, [[0, padding], [0, 0], [0, 0], [0, 0]])
    mask = tf.sequence_mask(tf.size(parsed["frames"]), clip_frames)
    indices = tf.pad(parsed["frame_indices"], [[0, padding]], constant_values=-1)
    times = tf.pad(parsed["times_sec"], [[0, padding]], constant_values=-1.0)
    return {
        **parsed,
        "frames": tf.ensure_shape(frames, [clip_frames, image_size_px, image_size_px, 3]),
        "mask": tf.ensure_shape(mask, [clip_frames]),
        "frame_indices": tf.ensure_shape(indices, [clip_frames]),
        "times_sec": tf.ensure_shape(times, [clip_frames]),
    }


def parse_bag(serialized, prior=False):
    """Parse the output of ``serialize_bag``.

    Args:
        serialized: Scalar string.
        prior: Whether to parse the prior, which the record must then hold.

    Returns:
        Dict with ``nodes`` float16 ``(T, G, C)``, ``frame_indices`` int64 ``(T,)``, ``video_id``, ``label`` and, if
        asked for, ``prior`` float32 ``(T, G)``.

    Example:

    >>> import numpy as np
    >>> from pipelines.data.examples import serialize_bag
    >>> bag = parse_bag(serialize_bag(np.ones((2, 1, 3)), "a", 0, [0, 16]))
    >>> bag["nodes"].shape, bag["label"].numpy().item()
    (TensorShape([2, 1, 3]), 0)
    """
    parsed = tf.io.parse_single_example(serialized, BAG | ({"prior": SCALAR([], tf.string)} if prior else {}))
    shape = parsed.pop("shape")
    nodes = tf.reshape(tf.io.decode_raw(parsed["nodes"], tf.float16, little_endian=True), shape)
    parsed["nodes"] = tf.ensure_shape(nodes, [None, None, None])
    if prior:
        log_odds = tf.reshape(tf.io.decode_raw(parsed["prior"], tf.float32, little_endian=True), shape[:2])
        parsed["prior"] = tf.ensure_shape(log_odds, [None, None])
    return parsed
