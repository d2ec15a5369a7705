"""TFRecord schemas: a "clip" is one snippet of K JPEG frames, a "bag" holds the node features of one video.

A label is 0, 1 or -1 (unknown). Padding comes last and is masked.
"""

import numpy as np
import tensorflow as tf


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

    >>> from pipelines.data.examples import serialize_clip
    >>> clip = serialize_clip([tf.io.encode_jpeg(np.zeros((8, 8, 3), "uint8")).numpy()], [16], [0.5], "a", 0, 1, 30.0)
    >>> parsed = parse_clip(clip, clip_frames=2, image_size_px=8)
    >>> parsed["mask"].numpy().tolist(), parsed["frame_indices"].numpy().tolist()
    ([True, False], [16, -1])
    """
    parsed = tf.io.parse_single_example(
        serialized,
        {
            "frames": tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True),
            "frame_indices": tf.io.FixedLenSequenceFeature([], tf.int64, allow_missing=True),
            "times_sec": tf.io.FixedLenSequenceFeature([], tf.float32, allow_missing=True),
            "video_id": tf.io.FixedLenFeature([], tf.string),
            "snippet_index": tf.io.FixedLenFeature([], tf.int64),
            "label": tf.io.FixedLenFeature([], tf.int64),
            "fps": tf.io.FixedLenFeature([], tf.float32),
        },
    )
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

    >>> from pipelines.data.examples import serialize_bag
    >>> bag = parse_bag(serialize_bag(np.ones((2, 1, 3)), "a", 0, [0, 16]))
    >>> bag["nodes"].shape, bag["label"].numpy().item()
    (TensorShape([2, 1, 3]), 0)
    """
    parsed = tf.io.parse_single_example(
        serialized,
        {
            "nodes": tf.io.FixedLenFeature([], tf.string),
            "shape": tf.io.FixedLenFeature([3], tf.int64),
            "video_id": tf.io.FixedLenFeature([], tf.string),
            "label": tf.io.FixedLenFeature([], tf.int64),
            "frame_indices": tf.io.FixedLenSequenceFeature([], tf.int64, allow_missing=True),
            **({"prior": tf.io.FixedLenFeature([], tf.string)} if prior else {}),
        },
    )
    shape = parsed.pop("shape")
    nodes = tf.reshape(tf.io.decode_raw(parsed["nodes"], tf.float16, little_endian=True), shape)
    parsed["nodes"] = tf.ensure_shape(nodes, [None, None, None])
    if prior:
        log_odds = tf.reshape(tf.io.decode_raw(parsed["prior"], tf.float32, little_endian=True), shape[:2])
        parsed["prior"] = tf.ensure_shape(log_odds, [None, None])
    return parsed


def expand_to_frames(scores, frame_indices, num_frames):
    """Expand the scores of the sampled frames to one score per original frame.

    A score is repeated until the next sampled frame. The first score also covers the frames before it, the last one the
    frames to the end of the video.

    Args:
        scores: ``(T, ...)``, one row per sampled frame.
        frame_indices: ``(T,)``, their original indices, strictly increasing, below ``num_frames``.
        num_frames: True length of the video.

    Returns:
        ``(num_frames, ...)``.

    Raises:
        ValueError: The lengths differ, or the indices do not increase inside the video.

    Example:

    >>> expand_to_frames(np.array([0.1, 0.9]), [1, 3], num_frames=6).tolist()
    [0.1, 0.1, 0.1, 0.9, 0.9, 0.9]
    """
    scores, indices = np.asarray(scores), np.asarray(frame_indices)
    if len(indices) == 0 or indices.shape != scores.shape[:1]:
        raise ValueError(
            f"expected one score per sampled frame. Received: {scores.shape[:1]} scores, {indices.shape} indices."
        )
    if indices[0] < 0 or indices[-1] >= num_frames or np.any(np.diff(indices) <= 0):
        raise ValueError(f"`frame_indices` must increase inside 0..{num_frames - 1}. Received: {indices.tolist()}")
    starts = np.concatenate([[0], indices[1:], [num_frames]])
    return np.repeat(scores, np.diff(starts), axis=0)
