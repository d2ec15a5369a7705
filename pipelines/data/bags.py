"""Bags for multi-instance learning: `tf.data` from node records to padded, masked batches.

A bag is one video. A training batch holds as many abnormal as normal bags, as in Sultani et al. [1]; the labels travel
with it, and no loss reads them off the position. Long videos are cut to `bag_frames` time steps as `SAMPLINGS` says.
"""

import tensorflow as tf

from pipelines.config import UserError
from pipelines.data.records import parse_bag, shard_paths
from vad_keras import spec

MIXED_BATCHES = 8  # without a cache
SAMPLINGS = ("window", "segments", "mixed", "segment_mean")


def segments_of(config):
    """Return the number of segments that a whole video is averaged over for validation and scoring; 0: every frame."""
    return config.train_detector.bag_frames if config.train_detector.sampling == "segment_mean" else 0


def read_bags(folder, videos):
    """The bags of some videos, in record order.

    Args:
        folder: folder of `nodes-*.tfrecord`.
        videos: list of `VideoInfo`; their labels are taken, not those in the records.

    Returns:
        `tf.data.Dataset` of dicts with `nodes` float16 `(T, G, C)`, `label` int64, `video_id` string and
        `frame_indices` int64 `(T,)`.
    """
    labels = {video.video_id: -1 if video.label is None else video.label for video in videos}
    if not labels:
        raise UserError(f"No video is left to read from {folder}. Check the column `subset` of labels.csv.")
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(list(labels), tf.constant(list(labels.values()), tf.int64)),
        default_value=-2,
    )
    shards = [str(path) for path in shard_paths(folder, "nodes")]
    records = tf.data.TFRecordDataset(shards).map(parse_bag, num_parallel_calls=tf.data.AUTOTUNE)
    shape = (None, *node_shape(folder))

    def arrange(bag):
        return {**bag, "nodes": tf.ensure_shape(bag["nodes"], shape), "label": table.lookup(bag["video_id"])}

    return records.map(arrange).filter(lambda bag: bag["label"] != -2)


def node_shape(folder):
    """Patches and channels of the nodes of a folder, `(G, C)`, from its first record."""
    for bag in tf.data.TFRecordDataset([str(path) for path in shard_paths(folder, "nodes")]).take(1):
        return tuple(parse_bag(bag)["nodes"].shape[1:])
    raise UserError(f"{folder} holds no video. Run `extract` again.")


def training_bags(folder, videos, batch_size, bag_frames, sampling="mixed", seed=0, cache=True):
    """Endless balanced batches for `fit`; give it `steps_per_epoch=steps_per_epoch(videos, batch_size)`.

    Args:
        folder: folder of `nodes-*.tfrecord`.
        videos: the training videos, both labels present.
        batch_size: bags of a batch, even: one half abnormal, one half normal.
        bag_frames: time steps a bag is cut or padded to.
        sampling: `"window"` (consecutive frames), `"segments"` (one random frame of each of `bag_frames` equal parts),
            `"mixed"` (either, by a coin) or `"segment_mean"` (the mean of each part, as in [1]).
        seed: of the shuffling and of the cuts.
        cache: keep the float16 nodes in memory. Otherwise the videos come in the order of the records, mixed within a
            few batches.

    Returns:
        `tf.data.Dataset` of `({"nodes": (B, T, G, C), "mask": bool (B, T)}, labels float32 (B,))`; the nodes are
        float16 as they are stored, which a model brings to its own type, and float32 with `"segment_mean"`.

    Raises:
        UserError: for an odd batch, an unknown sampling, or training videos of one label only.
    """
    if batch_size < 2 or batch_size % 2:
        raise UserError(
            f"`train_detector.batch_size` must be even: half abnormal, half normal. Received: {batch_size}."
        )
    if sampling not in SAMPLINGS:
        raise UserError(f"`train_detector.sampling` must be one of {SAMPLINGS}. Received: {sampling!r}.")
    halves = []
    for label in (spec.ABNORMAL, spec.NORMAL):
        chosen = [video for video in videos if video.label == label]
        if not chosen:
            raise UserError(
                f"No training video has label {label}. Weak supervision needs abnormal (1) and normal (0) videos; "
                "see labels.csv."
            )
        bags = read_bags(folder, chosen)
        if sampling == "segment_mean":  # the same each time, so before the cache
            bags = bags.map(lambda bag: {**bag, "nodes": segment_means(tf.cast(bag["nodes"], tf.float32), bag_frames)})
        bags = bags.cache().shuffle(len(chosen), seed=seed + label) if cache else bags
        bags = bags.repeat()
        noise = tf.data.Dataset.random(seed=seed + 2 + label).batch(2, drop_remainder=True)
        cut = tf.data.Dataset.zip(bags, noise).map(
            lambda bag, numbers: _cut(bag, bag_frames, sampling, numbers), num_parallel_calls=tf.data.AUTOTUNE
        )
        if not cache:  # whole videos would fill the memory that was to be spared: what is mixed is cut already
            cut = cut.shuffle(min(len(chosen), MIXED_BATCHES * batch_size), seed=seed + label)
        halves.append(cut.batch(batch_size // 2, drop_remainder=True))
    batches = tf.data.Dataset.zip(*halves).map(_join, num_parallel_calls=tf.data.AUTOTUNE)
    return _prefetch(batches)


def steps_per_epoch(videos, batch_size):
    """Batches until each video of the more frequent label has been seen once."""
    abnormal = sum(video.label == spec.ABNORMAL for video in videos)
    return -(-max(abnormal, len(videos) - abnormal) // (batch_size // 2))


def whole_bags(folder, videos, batch_size=1, segments=0):
    """Whole videos for validation and scoring, padded to the longest of each batch.

    Args:
        folder: folder of `nodes-*.tfrecord`.
        videos: list of `VideoInfo`.
        batch_size: bags of a batch.
        segments: mean of this many equal parts instead of every frame (`sampling="segment_mean"`); 0: every frame.

    Returns:
        `tf.data.Dataset` of `(inputs, labels, {"video_id", "frame_indices"})`, the inputs as in `training_bags`.
    """

    def arrange(bag):
        nodes = bag["nodes"]
        if segments:
            nodes = segment_means(tf.cast(nodes, tf.float32), segments)
        inputs = {spec.NODES: nodes, spec.MASK: tf.ones(tf.shape(nodes)[:1], tf.bool)}
        return inputs, tf.cast(bag["label"], tf.float32), {key: bag[key] for key in ("video_id", "frame_indices")}

    return _prefetch(read_bags(folder, videos).map(arrange).padded_batch(batch_size))


def segment_means(nodes, segments):
    """Mean of each of `segments` equal parts of a video: `(T, G, C)` -> `(segments, G, C)`; short videos repeat frames.

    The parts are those of [1]: part i holds the frames from `floor(i T / segments)` up to the next part's first.
    """
    bounds = segment_bounds(tf.shape(nodes)[0], segments)
    sums = tf.pad(tf.cumsum(nodes, axis=0), [[1, 0], [0, 0], [0, 0]])
    first, last = bounds[:-1], tf.maximum(bounds[1:], bounds[:-1] + 1)
    means = (tf.gather(sums, last) - tf.gather(sums, first)) / tf.cast(last - first, nodes.dtype)[:, None, None]
    return tf.ensure_shape(means, (segments, *nodes.shape[1:]))


def segment_bounds(num_frames, segments):
    """First frame of each part, and the end: int32 `(segments + 1,)`."""
    return tf.range(segments + 1) * num_frames // segments


def _cut(bag, bag_frames, sampling, numbers):
    """One video -> a padded training bag."""
    nodes = bag["nodes"]
    if sampling != "segment_mean":
        nodes = tf.gather(nodes, _chosen_frames(tf.shape(nodes)[0], bag_frames, sampling, numbers))
    length = tf.shape(nodes)[0]
    padded = tf.pad(nodes, [[0, bag_frames - length], [0, 0], [0, 0]])
    mask = tf.sequence_mask(length, bag_frames)
    inputs = {spec.NODES: tf.ensure_shape(padded, (bag_frames, *nodes.shape[1:])), spec.MASK: mask}
    return inputs, tf.cast(bag["label"], tf.float32)


def _chosen_frames(num_frames, bag_frames, sampling, numbers):
    """Frames of the bag, rising; all of them where the video is not longer than the bag."""
    seed = tf.cast(numbers, tf.int32)
    slack = tf.maximum(num_frames - bag_frames, 0)
    window = tf.random.stateless_uniform((), seed, 0, slack + 1, tf.int32) + tf.range(
        tf.minimum(num_frames, bag_frames)
    )
    bounds = segment_bounds(num_frames, bag_frames)
    inside = tf.random.stateless_uniform((bag_frames,), seed + 1) * tf.cast(bounds[1:] - bounds[:-1], tf.float32)
    segments = tf.minimum(bounds[:-1] + tf.cast(inside, tf.int32), num_frames - 1)
    coin = tf.random.stateless_uniform((), seed + 2) < 0.5
    use_window = {"window": tf.constant(True), "segments": tf.constant(False), "mixed": coin}[sampling]
    return tf.cond(use_window | (num_frames <= bag_frames), lambda: window, lambda: segments)


def _join(abnormal, normal):
    inputs = {key: tf.concat([abnormal[0][key], normal[0][key]], axis=0) for key in (spec.NODES, spec.MASK)}
    return inputs, tf.concat([abnormal[1], normal[1]], axis=0)


def untuned(batches):
    """Without the thread that tunes a pipeline while it runs: ending an iterator waits for it, for up to seconds."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.with_options(options)


def _prefetch(batches):
    """Overlap input and training; straight into the memory of an accelerator where there is one."""
    if tf.config.list_logical_devices("GPU"):
        return untuned(batches).apply(tf.data.experimental.prefetch_to_device("/GPU:0"))
    return untuned(batches.prefetch(2))
