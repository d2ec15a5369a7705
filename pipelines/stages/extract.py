"""Stage 3: clips and extractor -> node features of every video (``nodes/nodes-*.tfrecord``) and their manifest."""

import itertools
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

from pipelines.config import UserError
from pipelines.data.clips import open_clips
from pipelines.data.examples import serialize_bag
from pipelines.data.listing.manifest import FINGERPRINT_NAME, MANIFEST_NAME, write_manifest
from pipelines.data.map_cache import MapCache
from pipelines.data.records import is_intact
from pipelines.data.shards import Reuse, plan_shards
from pipelines.data.window_maps import padded_snippets, past_only, plan_maps, window_maps
from pipelines.report.terminal.progress import print_line, track
from pipelines.report.terminal.summary import counted, write_summary
from pipelines.run.disk import check_space
from pipelines.run.failures import reason_of
from pipelines.run.files import fingerprint, replacing
from pipelines.run.folder import RunFolder
from pipelines.run.marker import is_marked, mark
from pipelines.training.state import load_trained
from vad_keras import spec

BATCH_SNIPPETS = 8


def run(config) -> Path:
    """Write the nodes of every prepared video, one "bag" record each, and return ``nodes/``.

    A second run keeps the finished shards while the extractor and the clips are the same. A video that fails is
    skipped, and tried again by the next run.

    Args:
        config: The run's ``Config``.

    Raises:
        UserError: The clips or the extractor are missing, or do not match.
    """
    start = time.monotonic()
    run_folder, clips = RunFolder.of(config), open_clips(config)
    folder, videos = run_folder.nodes, clips.manifest.videos
    extractor = _load_extractor(config)
    settings = _settings(config, clips, extractor)
    _remove_outdated(folder, settings)
    shards = _shards(config, clips, settings)
    reuse = _reuse(shards)
    todo, failed = [video for shard in reuse.todo for video in shard.videos], {}
    if todo:
        _check_space(folder, extractor, todo)
        (folder / MANIFEST_NAME).unlink(missing_ok=True)  # the manifest stands for complete records
        nodes = iter(track(_extract_each(config, extractor, todo, failed), "Extracting nodes", len(todo)))
        for shard in reuse.todo:
            _write_shard(shard, nodes)
        next(nodes, None)  # lets the progress bar end
    videos = _without(videos, failed)
    write_manifest(folder, videos, [*clips.manifest.skipped, *failed.items()], settings, extractor.channel_groups)
    done = f"{counted(len(videos), 'video')}, {counted(sum(video.num_sampled for video in videos), 'frame')}"
    seconds = time.monotonic() - start
    write_summary(config, "extract", f"{done}{reuse}", list(failed.items()), output=folder, seconds=seconds)
    return folder


def plan(config):
    """Return what ``run`` would do, in words; ``""`` if the nodes are up to date.

    Raises:
        UserError: The clips or the extractor are missing.
    """
    clips, run_folder = open_clips(config), RunFolder.of(config)
    videos = clips.manifest.videos
    todo = _shards(config, clips, _settings(config, clips, _load_extractor(config)))
    if is_marked(run_folder.nodes / FINGERPRINT_NAME, todo[0].fingerprint):
        todo = _reuse(todo).todo
    number = sum(len(shard.videos) for shard in todo)
    return f"extract {number:,} of {counted(len(videos), 'video')} into {run_folder.nodes}" if todo else ""


def _settings(config, clips, extractor):
    """Hash everything that decides the nodes."""
    facts = [clips.manifest.fingerprint.encode(), RunFolder.of(config).extractor.read_bytes()]
    if extractor.temporal_reach:
        facts.append(past_only(config))
    return fingerprint(*facts)


def _shards(config, clips, settings):
    folder, size = RunFolder.of(config).nodes, config.data.videos_per_shard
    return plan_shards(folder, "nodes", clips.manifest.videos, size, lambda group: settings)


def _without(videos, failed):
    """Return the videos that have nodes.

    Raises:
        UserError: None has.
    """
    kept = [video for video in videos if video.video_id not in failed]
    if not kept:
        video_id, reason = next(iter(failed.items()))
        raise UserError(f"none of the {len(videos)} videos has nodes. The first: {video_id}: {reason}.")
    return kept


def _extract_each(config, extractor, videos, failed):
    """Yield what ``extract_nodes`` yields; None for a video that fails, whose reason goes to ``failed``."""
    done = 0
    while done < len(videos):
        try:
            for result in extract_nodes(config, extractor, videos[done:]):
                done += 1
                yield result
        except Exception as error:  # of this video or, since batches are shared, of one of the next
            reason_of(error)
            yield _extract_one(config, extractor, videos[done], failed)
            done += 1


def _extract_one(config, extractor, video, failed):
    try:
        return next(iter(extract_nodes(config, extractor, [video])))
    except Exception as error:
        failed[video.video_id] = reason_of(error)


def _check_space(folder, extractor, videos):
    """Compute the size of the nodes of some videos, compare it with the free space, and print it."""
    values = 2 * sum(extractor.channel_groups) + (4 if extractor.has_prior else 0)  # bytes per patch
    size = sum(video.num_sampled for video in videos) * spec.num_patches(extractor.patches.scales) * values
    print_line(check_space(folder, size, "nodes/", "lower `data.frames_per_sec`."))


def extract_nodes(config, extractor, videos):
    """Compute the nodes of some prepared videos, in order.

    They are computed from the cached maps of a frozen backbone if these are complete, else from the frames. A video
    network sees its windows of the whole video, across the snippets.

    Args:
        config: The run's ``Config``; its ``work_dir`` holds the clips and the maps.
        extractor: ``RelationAwareExtractor``.
        videos: ``VideoInfo`` entries of the clips' manifest.

    Yields:
        ``(VideoInfo, nodes float16 (T, G, C), original frame indices (T,), prior float32 (T, G) or None)``.

    Raises:
        UserError: A shard of the clips is damaged.
    """
    clips = open_clips(config)
    with clips.naming_damage():
        yield from _nodes(config, clips, extractor, videos)


def _nodes(config, clips, extractor, videos):
    if not extractor.train_backbone:
        maps = MapCache(RunFolder.of(config).maps, clips, extractor, past_only(config))
        if maps.is_complete:
            cached = ((video, _cached(maps, video)) for video in videos)
            return _from_maps(clips.clip_frames, extractor, cached, maps.frame_indices)
    if extractor.temporal_reach:
        computed = _computed(clips, extractor, videos, past_only(config))
        return _from_maps(clips.clip_frames, extractor, computed, clips.frame_indices)
    return _from_frames(clips, extractor, videos)


def _cached(maps, video):
    """Yield the cached maps of a video as padded snippets, a few at a time, and their mask."""
    for first in range(0, maps.clips.num_snippets(video), BATCH_SNIPPETS):
        yield maps.read(video, first, min(BATCH_SNIPPETS, maps.clips.num_snippets(video) - first))


def _computed(clips, extractor, videos, past_only):
    """Yield each video with its maps, computed in windows, as padded snippets."""
    pieces = window_maps(clips, extractor, videos, past_only)
    for video in videos:
        count = len(plan_maps(extractor, video.num_sampled, clips.clip_frames, past_only))
        maps = (maps for _, _, maps in itertools.islice(pieces, count))
        yield video, padded_snippets(maps, clips.clip_frames, BATCH_SNIPPETS)


def _from_maps(clip_frames, extractor, maps_of_videos, frame_indices):
    """Compute nodes and their prior from the maps of each video, ``(VideoInfo, batches of maps and mask)``."""
    signature = [
        tf.TensorSpec([None, clip_frames, *extractor.map_shape], tf.float16),
        tf.TensorSpec([None, clip_frames], tf.bool),
    ]

    @tf.function(input_signature=signature)
    def compute(maps, mask):
        values = {spec.NODES: extractor.nodes_from_maps(tf.cast(maps, extractor.compute_dtype), mask)}
        values[spec.NODES] = tf.cast(values[spec.NODES], tf.float16)
        return values | ({spec.PRIOR: extractor.prior_from_maps(maps, mask)} if extractor.has_prior else {})

    for video, batches in maps_of_videos:
        parts = [compute(*batch) for batch in batches]
        values = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        values = {key: np.concatenate(value)[: video.num_sampled] for key, value in values.items()}
        yield video, values[spec.NODES], np.array(frame_indices(video)), values.get(spec.PRIOR)


def _from_frames(clips, extractor, videos):
    """Compute nodes from the frames, in batches that may hold snippets of several videos."""
    size, length = clips.image_size_px, clips.clip_frames
    signature = [tf.TensorSpec([None, length, size, size, 3], tf.uint8), tf.TensorSpec([None, length], tf.bool)]

    @tf.function(input_signature=signature)
    def compute(frames, mask):
        return tf.cast(extractor.nodes_from_maps(extractor.feature_maps(frames), mask), tf.float16)

    order = [(video.video_id, i) for video in videos for i in range(clips.num_snippets(video))]
    batches = clips.dataset(lambda: iter(order), videos).batch(BATCH_SNIPPETS).prefetch(2)
    snippets = (
        snippet
        for batch in batches
        for snippet in zip(compute(batch["frames"], batch["mask"]).numpy(), batch["frame_indices"].numpy(), strict=True)
    )
    for video in videos:
        parts, indices = zip(*(next(snippets) for _ in range(clips.num_snippets(video))), strict=True)
        count = video.num_sampled
        yield video, np.concatenate(parts)[:count], np.concatenate(indices)[:count], None


def _write_shard(shard, nodes):
    with replacing(shard.path) as temporary, tf.io.TFRecordWriter(str(temporary)) as writer:
        for _, result in zip(shard.videos, nodes, strict=False):
            if result is None:
                continue
            video, values, frame_indices, prior = result
            writer.write(serialize_bag(values, video.video_id, video.label, frame_indices, prior))


def _load_extractor(config):
    run_folder = RunFolder.of(config)
    path = run_folder.extractor
    extractor = load_trained(run_folder, path)
    wanted = (config.data.clip_frames, config.data.image_size_px)
    if (extractor.clip_frames, extractor.image_size) != wanted:
        raise UserError(
            f"{path} was trained on snippets of {extractor.clip_frames} frames of {extractor.image_size} px, but the "
            f"clips have {wanted[0]} frames of {wanted[1]} px. Run `vad train-extractor` again."
        )
    return extractor


def _reuse(shards):
    """Tell the shards that are there and not damaged from those to write."""
    finished = [shard for shard in shards if is_intact(shard.path, [video.video_id for video in shard.videos])]
    todo = [shard for shard in shards if shard not in finished]
    return Reuse(finished, todo, [shard.path.name for shard in todo if shard.path.exists()])


def _remove_outdated(folder, settings):
    """Remove nodes of another extractor or other clips."""
    if is_marked(folder / FINGERPRINT_NAME, settings):
        return
    for path in [*folder.glob("nodes-*-of-*"), *folder.glob(MANIFEST_NAME)]:
        path.unlink()
    mark(folder / FINGERPRINT_NAME, settings)
