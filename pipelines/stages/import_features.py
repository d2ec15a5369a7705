"""Feature files -> nodes of every video (``nodes/nodes-*.tfrecord``) and their manifest; replaces stages 1 to 3."""

import dataclasses
import shutil
import time
from pathlib import Path

import tensorflow as tf

from pipelines.config import UserError
from pipelines.data.datasets import load_dataset
from pipelines.data.examples import serialize_bag
from pipelines.data.features.files import FeatureError, FeatureFolder, VideoFeatures
from pipelines.data.features.layouts import AUTO, SEGMENTS, choose_layout, common_width, row_frames, width_error
from pipelines.data.features.priors import PriorFolder
from pipelines.data.listing.manifest import FINGERPRINT_NAME, MANIFEST_NAME, VideoInfo
from pipelines.data.shards import describe_warnings, plan_shards, reuse_finished, write_manifest_of
from pipelines.report.terminal.progress import track
from pipelines.report.terminal.summary import counted, write_summary
from pipelines.run.failures import reason_of
from pipelines.run.files import fingerprint, replacing
from pipelines.run.folder import RunFolder

STAGE = "import_features"
RECORDS_VERSION = 1  # part of every fingerprint: increase it when the records change in meaning


def run(config) -> Path:
    """Write the features of every listed video as nodes, one "bag" record each, and return ``nodes/``.

    Labels, subsets and frame labels come from the configured dataset; its video files are not needed. Videos whose
    features cannot be used are skipped and listed. A second run keeps every shard whose files and settings are the
    same.

    Args:
        config: The run's ``Config``; ``features.root`` is the folder of the feature files, ``features.prior_root`` that
            of a prior, which every video then needs.

    Raises:
        UserError: There are no features, no common kind or layout, or no features that can be used.
    """
    start = time.monotonic()
    if not config.features.root:
        raise UserError("`features.root` is empty. Set it to the folder of the feature files.")
    folder = RunFolder.of(config).nodes
    source = _open_source(config, load_dataset(config))
    shards = _shards(config, source)
    reuse = reuse_finished(folder, "nodes", shards)
    (folder / FINGERPRINT_NAME).unlink(missing_ok=True)
    if reuse.todo:
        (folder / MANIFEST_NAME).unlink(missing_ok=True)  # the manifest stands for complete records
        num_videos = sum(len(shard.videos) for shard in reuse.todo)
        for _ in track(_import(config, source, reuse.todo), "Importing features", num_videos):
            pass
    try:
        held = write_manifest_of(folder, shards)
    except UserError:  # no video can be used
        shutil.rmtree(folder)
        raise
    done = f"{counted(len(held.videos), 'video')}, {sum(video.num_sampled for video in held.videos):,} rows of "
    done += f"{source.width[0]} × {source.width[1]}, layout {source.layout}"
    done += ", with a prior" * bool(source.priors)
    done += f"{reuse}{describe_warnings(held.videos)}"
    write_summary(config, STAGE, done, held.skipped, output=folder, seconds=time.monotonic() - start)
    return folder


def plan(config):
    """Return what ``run`` would do, in words; ``""`` if the nodes are up to date.

    Raises:
        UserError: As for ``run``.
    """
    source = _open_source(config, load_dataset(config))
    todo = [shard for shard in _shards(config, source) if shard.note() is None]
    number = sum(len(shard.videos) for shard in todo)
    total = counted(len(source.found), "video")
    return f"import the features of {number:,} of {total} into {RunFolder.of(config).nodes}" if todo else ""


def _shards(config, source):
    folder, size = RunFolder.of(config).nodes, config.data.videos_per_shard
    return plan_shards(folder, "nodes", list(source.found), size, lambda group: _fingerprint(config, source, group))


@dataclasses.dataclass(frozen=True)
class _Source:
    """Facts about all features, before any is read."""

    found: dict  # ListedVideo -> VideoFeatures, or the reason why there are none
    layout: str
    width: tuple  # (G, D)
    has_frame_labels: bool  # of any abnormal test video; else there is nothing that a score is compared with
    priors: PriorFolder | None


def _open_source(config, videos):
    """Find the features of all videos and check their shapes."""
    files = FeatureFolder(config.features.root, config.features.suffix)
    options = config.features
    priors = PriorFolder(options.prior_root, options.suffix) if options.prior_root else None
    found = {}
    for video in videos:
        found[video] = _try(files.find, video.video_id)
    usable = {video: features for video, features in found.items() if isinstance(features, VideoFeatures)}
    if not usable:
        video, reason = next(iter(found.items()))
        raise UserError(f"none of the {len(found)} videos has features. The first: {_listed(video)}: {reason}")
    layout = config.features.layout
    if layout == AUTO:
        layout = choose_layout({features.arrays[0]: features.shapes for features in usable.values()})
    widths = {}
    for video, features in usable.items():
        shape = _try(features.node_shape, layout)
        if isinstance(shape, str):
            found[video] = shape
        else:
            widths[features.arrays[0]] = shape[1:]
    if not widths:
        raise UserError(next(reason for reason in found.values() if isinstance(reason, str)))
    width = common_width(widths)
    for video, features in usable.items():
        other = widths.get(features.arrays[0], width)
        if other != width:
            found[video] = str(features.arrays[0].error(width_error(other, width)))
    labelled = any(video.intervals or video.frame_labels is not None for video in videos if video.subset == "test")
    return _Source(found, layout, width, labelled, priors)


def _try(function, *arguments):
    """Return the result of a function of one video or, when it fails, the reason as a string."""
    try:
        return function(*arguments)
    except FeatureError as error:
        return str(error)
    except Exception as error:  # a file may be wrong in any way; the other videos must not suffer
        return reason_of(error)


def _import(config, source, shards):
    """Write the shards; yield once per video, written or skipped."""
    for shard in shards:
        infos, skipped = [], []
        with replacing(shard.path) as temporary, tf.io.TFRecordWriter(str(temporary)) as writer:
            for video in shard.videos:
                result = _try(_record, config, source, video)
                if isinstance(result, str):
                    skipped.append((_listed(video), result.rstrip(".")))
                else:
                    writer.write(result[0])
                    infos.append(result[1])
                yield
        shard.write_note(infos, skipped)


def _record(config, source, video):
    """Return the serialized nodes of a video and its ``VideoInfo``."""
    features = source.found[video]
    if isinstance(features, str):
        raise FeatureError(features)
    first = features.arrays[0]
    nodes = features.read(source.layout)
    known = video.num_frames if video.frame_labels is None else len(video.frame_labels)
    try:
        frames, num_frames, warning = row_frames(len(nodes), source.layout, known, config.features.frames_per_feature)
    except ValueError as error:
        raise first.error(str(error)) from None
    if known is None and source.layout == SEGMENTS:
        if video.subset == "test" and source.has_frame_labels and video.intervals is not None:
            raise first.error(
                "belongs to a test video of unknown length, so its segments cannot be compared with frame labels. "
                "Add its length to the column `num_frames` of labels.csv"
            )
        intervals, cut = None, "" if video.intervals is None else "its frame labels are ignored"
    else:
        intervals, cut = _intervals(video, num_frames, known, first)
    info = VideoInfo(
        video_id=video.video_id,
        path=str(first.path),
        subset=video.subset,
        label=video.label,
        class_name=video.class_name,
        fps=video.fps or config.features.video_fps,
        num_frames=num_frames,
        width=0,
        height=0,
        num_sampled=len(frames),
        frame_labels=intervals,
        warning="; ".join(text for text in (warning, cut) if text),
    )
    prior = source.priors.read(video.video_id, *nodes.shape[:2])[: len(frames)] if source.priors else None
    return serialize_bag(nodes[: len(frames)], video.video_id, video.label, frames, prior), info


def _intervals(video, num_frames, known, first):
    """Return the abnormal intervals inside the video, and a warning when some were cut off."""
    try:
        return video.frame_intervals(num_frames)
    except ValueError as error:
        length = "" if known else f" Its length was taken from {first}: if it is wrong, list `num_frames`"
        raise FeatureError(f"{str(error).rstrip('.')}.{length}") from None


def _listed(video):
    """Name a video and the line that lists it."""
    return f"{video.video_id} ({video.where})" if video.where else video.video_id


def _stamps(features):
    try:
        return [array.stamp() for array in features.arrays]
    except OSError as error:  # such as a file that was removed since it was found
        raise FeatureError(str(error)) from None


def _fingerprint(config, source, videos):
    """Hash everything that decides the content of a shard: settings, feature files and labels."""
    options = config.features
    facts: list = [[RECORDS_VERSION, source.layout, source.width, options.frames_per_feature, options.video_fps]]
    for video in videos:
        features = source.found[video]
        files = features if isinstance(features, str) else _try(_stamps, features)
        labels = [video.video_id, video.subset, video.label, video.class_name, video.intervals, video.num_frames]
        facts.append([*labels, video.fps, video.where, files])
        facts.append(b"none" if video.frame_labels is None else video.frame_labels.tobytes())
        if source.priors:
            facts.append(source.priors.stamp(video.video_id))
    return fingerprint(*facts)
