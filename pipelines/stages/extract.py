"""Stage 3: clips and extractor -> node features of every video (`nodes/nodes-*.tfrecord`) and their manifest."""

import hashlib
import os
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import vad_keras.models  # noqa: F401 - registers the extractor for load_model
from pipelines.config import UserError
from pipelines.data.clips import Clips
from pipelines.data.listing.manifest import FINGERPRINT_NAME, MANIFEST_NAME, shard_name, write_manifest
from pipelines.data.map_cache import MapCache
from pipelines.data.records import serialize_bag
from pipelines.report.terminal.progress import track
from pipelines.report.terminal.summary import write_summary

BATCH_SNIPPETS = 8


def run(config) -> Path:
    """Write the nodes of every prepared video, one "bag" record each, and return `nodes/`.

    A shard appears under its name only when it is whole; a second run keeps it while extractor and clips are the same.

    Args:
        config: The run's `Config`.

    Raises:
        UserError: The clips or the extractor are missing, or do not fit each other.
    """
    start = time.monotonic()
    folder, clips = config.work_path / "nodes", _open_clips(config)
    extractor, fingerprint = _load_extractor(config), _fingerprint(config, clips)
    _remove_outdated(folder, fingerprint)
    size = config.data.videos_per_shard
    videos = clips.manifest.videos
    groups = [videos[first : first + size] for first in range(0, len(videos), size)]
    shards = {folder / shard_name("nodes", index, len(groups)): group for index, group in enumerate(groups)}
    missing = {path: group for path, group in shards.items() if not path.exists()}
    todo = [video for group in missing.values() for video in group]
    if todo:
        (folder / MANIFEST_NAME).unlink(missing_ok=True)  # the manifest stands for complete records
        nodes = iter(track(extract_nodes(config, extractor, todo), "Extracting nodes", len(todo)))
        for path, group in missing.items():
            _write_shard(path, group, nodes)
        next(nodes, None)  # lets the progress bar end
    write_manifest(folder, videos, clips.manifest.skipped, fingerprint)
    done = f"{len(videos):,} videos, {sum(video.num_sampled for video in videos):,} frames"
    if len(missing) < len(shards):
        done += f"; {len(shards) - len(missing)} of {len(shards)} shards were finished before"
    write_summary(config, "extract", done, output=folder, seconds=time.monotonic() - start)
    return folder


def extract_nodes(config, extractor, videos):
    """Nodes of some of the prepared videos, in order; from the cached maps of a frozen backbone where there are any.

    Args:
        config: The run's `Config`; its `work_dir` holds the clips and the maps.
        extractor: `RelationAwareExtractor`.
        videos: `VideoInfo`s of the clips' manifest.

    Yields:
        `(VideoInfo, nodes float16 (T, G, C), original frame indices (T,))`.
    """
    clips = _open_clips(config)
    if not extractor.train_backbone:
        maps = MapCache(config.work_path / "maps", clips, extractor)
        if maps.is_complete:
            return _from_maps(maps, extractor, videos)
    return _from_frames(clips, extractor, videos)


def _from_maps(maps, extractor, videos):
    """Nodes from cached maps."""
    length = maps.clips.clip_frames
    signature = [tf.TensorSpec([None, length, *maps.shape], tf.float16), tf.TensorSpec([None, length], tf.bool)]

    @tf.function(input_signature=signature)
    def compute(values, mask):
        return tf.cast(extractor.nodes_from_maps(tf.cast(values, extractor.compute_dtype), mask), tf.float16)

    for video in videos:
        parts = []
        for first in range(0, maps.clips.num_snippets(video), BATCH_SNIPPETS):
            count = min(BATCH_SNIPPETS, maps.clips.num_snippets(video) - first)
            parts += list(compute(*maps.read(video, first, count)).numpy())
        yield video, np.concatenate(parts)[: video.num_sampled], np.array(maps.frame_indices(video))


def _from_frames(clips, extractor, videos):
    """Nodes from the decoded frames, in batches that run across videos."""
    size, length = clips.image_size_px, clips.clip_frames
    signature = [tf.TensorSpec([None, length, size, size, 3], tf.uint8), tf.TensorSpec([None, length], tf.bool)]

    @tf.function(input_signature=signature)
    def compute(frames, mask):
        return tf.cast(extractor.nodes_from_maps(extractor.feature_maps(frames), mask), tf.float16)

    places = [(video.video_id, i) for video in videos for i in range(clips.num_snippets(video))]
    batches = clips.dataset(lambda: iter(places)).batch(BATCH_SNIPPETS).prefetch(2)
    snippets = (
        snippet
        for batch in batches
        for snippet in zip(compute(batch["frames"], batch["mask"]).numpy(), batch["frame_indices"].numpy(), strict=True)
    )
    for video in videos:
        parts, indices = zip(*(next(snippets) for _ in range(clips.num_snippets(video))), strict=True)
        count = video.num_sampled
        yield video, np.concatenate(parts)[:count], np.concatenate(indices)[:count]


def _write_shard(path, videos, nodes):
    temporary = path.with_name(f".{path.name}.tmp")
    with tf.io.TFRecordWriter(str(temporary)) as writer:
        for _, (video, values, frame_indices) in zip(videos, nodes, strict=False):
            writer.write(serialize_bag(values, video.video_id, video.label, frame_indices))
    os.replace(temporary, path)


def _open_clips(config):
    return Clips(config.work_path / "clips", config.data.clip_frames, config.data.image_size_px)


def _load_extractor(config):
    path = config.work_path / "extractor.keras"
    if not path.exists():
        raise UserError(f"{path} does not exist. Run `train_extractor` first.")
    extractor = keras.saving.load_model(path, compile=False)
    wanted = (config.data.clip_frames, config.data.image_size_px)
    if (extractor.clip_frames, extractor.image_size) != wanted:
        raise UserError(
            f"{path} was trained on snippets of {extractor.clip_frames} frames of {extractor.image_size} px, the clips "
            f"have {wanted[0]} frames of {wanted[1]} px. Run `train_extractor` again."
        )
    return extractor


def _fingerprint(config, clips):
    digest = hashlib.sha256(clips.manifest.fingerprint.encode())
    with open(config.work_path / "extractor.keras", "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:16]


def _remove_outdated(folder, fingerprint):
    folder.mkdir(parents=True, exist_ok=True)
    marker = folder / FINGERPRINT_NAME
    if marker.exists() and marker.read_text() == fingerprint:
        return
    for path in [*folder.glob("nodes-*-of-*"), *folder.glob(MANIFEST_NAME)]:
        path.unlink()
    marker.write_text(fingerprint)
