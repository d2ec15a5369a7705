"""Bags for multiple-instance learning: ``tf.data`` from node records to padded, masked batches.

A bag is one video. A training batch holds as many abnormal as normal bags, as in Sultani et al. [1]. Its labels are
part of the batch: no loss derives them from the position. Long videos are cut to ``bag_frames`` time steps by one of
``SAMPLINGS``.

[1] Sultani, Chen, Shah: Real-world Anomaly Detection in Surveillance Videos. CVPR 2018.
"""

import functools

import numpy as np
import tensorflow as tf

from pipelines.config import UserError
from pipelines.data.listing.manifest import COMMANDS, shard_paths
from pipelines.data.records import check_shards, parse_bag
from vad_keras import spec

SHUFFLED_BATCHES = 8  # size of the shuffle buffer in batches, without a cache
SAMPLINGS = ("window", "segments", "mixed", "segment_mean")


def read_bags(folder, videos, prior=False):
    """Read the bags of some videos, in record order.

    Args:
        folder: Folder of ``nodes-*.tfrecord``.
        videos: List of ``VideoInfo``. Their labels are used, not those in the records.
        prior: Whether to read the prior of the nodes; or a dict ``{video_id: float32 (T, G)}`` with another prior.

    Returns:
        ``tf.data.Dataset`` of dicts with ``nodes`` float16 ``(T, G, C)``, ``label`` int64, ``video_id`` string,
        ``frame_indices`` int64 ``(T,)`` and, if asked for, ``prior`` float32 ``(T, G)``.

    Raises:
        UserError: There is no video, a shard is damaged, a video has no record, or the records hold no prior.
    """
    labels = {video.video_id: -1 if video.label is None else video.label for video in videos}
    if not labels:
        raise UserError(f"there is no video to read from {folder}. Check the column `subset` of labels.csv.")
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(list(labels), tf.constant(list(labels.values()), tf.int64)),
        default_value=-2,
    )
    paths = _complete_shards(folder, labels)
    given, prior = (prior, False) if isinstance(prior, dict) else ({}, prior)
    if prior and not has_prior(folder):
        raise UserError(
            f"the nodes in {folder} hold no prior. Set `extractor.prior_labels` and `extractor.prior_abnormal`, then "
            "run `vad train-extractor` and `vad extract` again. For feature files, set `features.prior_root` and run "
            "`vad import-features` again."
        )
    records = tf.data.TFRecordDataset([str(path) for path in paths]).map(
        functools.partial(parse_bag, prior=prior), num_parallel_calls=tf.data.AUTOTUNE
    )
    shapes = {spec.NODES: (None, *node_shape(folder))}
    if prior:
        shapes[spec.PRIOR] = shapes[spec.NODES][:2]

    def with_label(bag):
        known = {key: tf.ensure_shape(bag[key], shape) for key, shape in shapes.items()}
        return {**bag, **known, "label": table.lookup(bag["video_id"])}

    def with_given_prior(bag):
        found = tf.numpy_function(lambda video_id: given[video_id.decode()], [bag["video_id"]], tf.float32)
        return {**bag, spec.PRIOR: tf.ensure_shape(found, shapes[spec.NODES][:2])}

    bags = records.map(with_label).filter(lambda bag: bag["label"] != -2)
    return bags.map(with_given_prior) if given else bags


def _complete_shards(folder, video_ids):
    """Return the shards of a folder; raise a ``UserError`` if one is damaged or a video has no record."""
    paths = shard_paths(folder, "nodes")
    absent = set(video_ids).difference(check_shards(paths))
    if absent:
        raise UserError(
            f"the nodes in {folder} lack {len(absent)} of {len(video_ids)} videos, such as {min(absent)}. "
            f"Run {COMMANDS['nodes']} again."
        )
    return paths


def node_shape(folder):
    """Read the patches and channels of the nodes of a folder, ``(G, C)``, from its first record."""
    return tuple(parse_bag(_first_record(folder))["nodes"].shape[1:])


def normal_priors(folder, videos):
    """Return the prior of the normal videos, each float32 ``(T, G)``: all of their frames are known to be normal.

    Raises:
        UserError: The nodes hold no prior, or no number of it is known in these videos.
    """
    normal = [video for video in videos if video.label == spec.NORMAL]
    priors = [bag[spec.PRIOR].numpy() for bag in read_bags(folder, normal, prior=True)]
    if not any(np.isfinite(prior).any() for prior in priors):
        raise UserError(
            f"the prior of all {len(normal)} normal training videos in {folder} is NaN, but they set its scale. "
            "Correct the files in `features.prior_root` and run `vad import-features` again."
        )
    return priors


def has_prior(folder):
    """Whether the nodes of a folder have a prior, by its first record."""
    return spec.PRIOR in tf.train.Example.FromString(_first_record(folder).numpy()).features.feature


def _first_record(folder):
    paths = shard_paths(folder, "nodes")
    check_shards(paths)
    for record in tf.data.TFRecordDataset([str(path) for path in paths]).take(1):
        return record
    raise UserError(f"{folder} holds no video. Run {COMMANDS['nodes']} again.")


def training_bags(folder, videos, batch_size, bag_frames, sampling="mixed", seed=0, cache=True, prior=False, skip=0):
    """Build endless balanced batches for ``fit``; pass ``steps_per_epoch=steps_per_epoch(videos, batch_size)`` to it.

    Args:
        folder: Folder of ``nodes-*.tfrecord``.
        videos: The training videos, of both labels.
        batch_size: Bags per batch, an even number: one half abnormal, one half normal.
        bag_frames: Number of time steps to which a bag is cut or padded.
        sampling: ``"window"`` (consecutive frames), ``"segments"`` (one random frame of each of ``bag_frames`` equal
            parts), ``"mixed"`` (one of these two at random) or ``"segment_mean"`` (the mean of each part, as in [1]).
        seed: Seed of the shuffling and of the sampling.
        cache: Whether to keep the float16 nodes in memory. Otherwise videos are read in record order and shuffled
            within a buffer of ``SHUFFLED_BATCHES`` batches.
        prior: Whether the inputs also hold ``prior``, float32 ``(B, T, G)``; or a dict, as for ``read_bags``.
        skip: Number of batches that a resumed training has had. With ``cache`` the others are the same as without it.

    Returns:
        ``tf.data.Dataset`` of ``({"nodes": (B, T, G, C), "mask": bool (B, T)}, labels float32 (B,))``. The nodes are
        float16 as stored (a model casts them), or float32 with ``"segment_mean"``.

    Raises:
        UserError: The batch size is odd, the sampling is unknown, all training videos have the same label, or the
            records hold no prior.
    """
    check_training(folder, videos, batch_size, sampling)
    halves = []
    for label in (spec.ABNORMAL, spec.NORMAL):
        chosen = [video for video in videos if video.label == label]
        buffer = 0 if cache else min(len(chosen), SHUFFLED_BATCHES * batch_size)
        bags = read_bags(folder, chosen, prior)
        skipped = skip * (batch_size // 2) if cache else 0  # would read as much from the disk
        bags = _cut_bags(bags, len(chosen), bag_frames, sampling, seed + label, buffer, skipped)
        halves.append(bags.batch(batch_size // 2, drop_remainder=True))
    batches = tf.data.Dataset.zip(*halves).map(_join, num_parallel_calls=tf.data.AUTOTUNE)
    return _prefetch(batches)


def check_training(folder, videos, batch_size, sampling):
    """Raise the ``UserError`` that ``training_bags`` would raise, without building it, which takes seconds."""
    check_batch(batch_size)
    if sampling not in SAMPLINGS:
        raise UserError(f"`train_detector.sampling` must be one of {SAMPLINGS}. Received: {sampling!r}.")
    for label in (spec.ABNORMAL, spec.NORMAL):
        if all(video.label != label for video in videos):
            raise UserError(
                f"no training video has label {label}. Training needs abnormal (1) and normal (0) videos. "
                "Check the columns `label` and `subset` of labels.csv."
            )
    _complete_shards(folder, [video.video_id for video in videos])


def check_batch(batch_size):
    """Raise a ``UserError`` for a batch that has no two halves."""
    if batch_size < 2 or batch_size % 2:
        raise UserError(
            f"`train_detector.batch_size` must be even: half abnormal, half normal. Received: {batch_size}."
        )


def _cut_bags(bags, num_videos, bag_frames, sampling, seed, buffer, skip):
    """Shuffle and cut the bags of one label, endlessly; ``buffer`` 0 caches them in memory instead."""
    if sampling == "segment_mean":  # not random, so computed before the cache
        bags = bags.map(lambda bag: {**bag, **_means(bag, bag_frames)})
    if not buffer:
        bags = bags.cache().shuffle(num_videos, seed=seed)
    numbers = tf.data.Dataset.random(seed=seed + 2).batch(2, drop_remainder=True)
    cut = tf.data.Dataset.zip(bags.repeat(), numbers).skip(skip).map(
        lambda bag, pair: _cut(bag, bag_frames, sampling, pair), num_parallel_calls=tf.data.AUTOTUNE
    )
    # Without a cache, shuffle after cutting: a buffer of whole videos would need more memory.
    return cut.shuffle(buffer, seed=seed) if buffer else cut


def steps_per_epoch(videos, batch_size):
    """Return the number of batches until each video of the more frequent label was used once."""
    abnormal = sum(video.label == spec.ABNORMAL for video in videos)
    return -(-max(abnormal, len(videos) - abnormal) // (batch_size // 2))


def whole_bags(folder, videos, batch_size=1, segments=0, prior=False):
    """Build batches of whole videos for validation and scoring, padded to the longest video of each batch.

    Args:
        folder: Folder of ``nodes-*.tfrecord``.
        videos: List of ``VideoInfo``.
        batch_size: Bags per batch.
        segments: Number of equal parts to average over, as with ``sampling="segment_mean"``; 0 keeps every frame.
        prior: As in ``training_bags``.

    Returns:
        ``tf.data.Dataset`` of ``(inputs, labels, {"video_id", "frame_indices"})``, with inputs as in ``training_bags``.
    """

    def to_inputs(bag):
        inputs = _means(bag, segments) if segments else _of_nodes(bag)
        inputs[spec.MASK] = tf.ones(tf.shape(inputs[spec.NODES])[:1], tf.bool)
        return inputs, tf.cast(bag["label"], tf.float32), {key: bag[key] for key in ("video_id", "frame_indices")}

    return _prefetch(read_bags(folder, videos, prior).map(to_inputs).padded_batch(batch_size))


def _of_nodes(bag):
    """What a bag holds per time step: the nodes and, if it was read, their prior."""
    return {key: bag[key] for key in (spec.NODES, spec.PRIOR) if key in bag}


def _means(bag, segments):
    means = {key: segment_means(tf.cast(value, tf.float32), segments) for key, value in _of_nodes(bag).items()}
    if spec.PRIOR in means:
        known = tf.math.is_finite(bag[spec.PRIOR])
        sums = segment_means(tf.where(known, bag[spec.PRIOR], 0.0), segments)
        means[spec.PRIOR] = sums / segment_means(tf.cast(known, tf.float32), segments)  # NaN where none is known
    return means


def segment_means(nodes, segments):
    """Average each of ``segments`` equal parts of a video: ``(T, G, ...)`` -> ``(segments, G, ...)``.

    The parts are those of [1]: part i starts at frame ``floor(i T / segments)``. Frames repeat in a video with fewer
    frames than segments.
    """
    bounds = segment_bounds(tf.shape(nodes)[0], segments)
    sums = tf.pad(tf.cumsum(nodes, axis=0), [[1, 0]] + [[0, 0]] * (len(nodes.shape) - 1))
    first, last = bounds[:-1], tf.maximum(bounds[1:], bounds[:-1] + 1)
    lengths = tf.reshape(tf.cast(last - first, nodes.dtype), [-1] + [1] * (len(nodes.shape) - 1))
    means = (tf.gather(sums, last) - tf.gather(sums, first)) / lengths
    return tf.ensure_shape(means, (segments, *nodes.shape[1:]))


def segment_bounds(num_frames, segments):
    """Return the first frame of each part, then the end: int32 ``(segments + 1,)``."""
    return tf.range(segments + 1) * num_frames // segments


def _cut(bag, bag_frames, sampling, numbers):
    """Cut one video to a padded training bag; ``numbers`` are two random integers, int64 ``(2,)``."""
    inputs = _of_nodes(bag)
    if sampling != "segment_mean":
        chosen = _chosen_frames(tf.shape(bag["nodes"])[0], bag_frames, sampling, numbers)
        inputs = {key: tf.gather(value, chosen) for key, value in inputs.items()}
    length = tf.shape(inputs[spec.NODES])[0]
    for key, value in inputs.items():
        padded = tf.pad(value, [[0, bag_frames - length]] + [[0, 0]] * (len(value.shape) - 1))
        inputs[key] = tf.ensure_shape(padded, (bag_frames, *value.shape[1:]))
    inputs[spec.MASK] = tf.sequence_mask(length, bag_frames)
    return inputs, tf.cast(bag["label"], tf.float32)


def _chosen_frames(num_frames, bag_frames, sampling, numbers):
    """Sample the frames of a bag, in order; all frames when the video is not longer than the bag."""
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
    inputs = {key: tf.concat([abnormal[0][key], normal[0][key]], axis=0) for key in abnormal[0]}
    return inputs, tf.concat([abnormal[1], normal[1]], axis=0)


def untuned(batches):
    """Turn off autotuning: the end of an iterator waits for its thread, sometimes for seconds."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.with_options(options)


def _prefetch(batches):
    """Overlap input and training; with a GPU, prefetch into its memory."""
    if tf.config.list_logical_devices("GPU"):
        return untuned(batches).apply(tf.data.experimental.prefetch_to_device("/GPU:0"))
    return untuned(batches.prefetch(2))
