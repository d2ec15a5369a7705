"""Manifest of a folder of records: facts about each video, and what was skipped and why. Imports no TensorFlow."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipelines.config import UserError
from pipelines.run.files import fingerprint, write_json

MANIFEST_NAME = "videos.json"
FINGERPRINT_NAME = "fingerprint"  # marker beside the nodes of `vad extract`: hash of the extractor and the clips
COMMANDS = {"clips": "`vad prepare`", "nodes": "`vad extract` or `vad import-features`"}  # that write the records


@dataclass(frozen=True)
class VideoInfo:
    """Facts about one decoded video.

    Args:
        video_id: Path under the data root without suffix, for example ``"train/Abuse030_x264"``.
        path: The file.
        subset: ``"train"``, ``"test"`` or ``""`` when unknown.
        label: 0 normal, 1 abnormal, None unknown.
        class_name: Kind of event, ``""`` when unknown.
        fps: Mean frames per second of the original video.
        num_frames: Number of original frames that could be decoded.
        width: Columns of the upright picture before resizing.
        height: Rows of the upright picture before resizing.
        num_sampled: Number of sampled frames, T.
        frame_labels: Abnormal original frames as ``((start, end_exclusive), ...)``; None when unknown.
        warning: Damage of a file that was used nevertheless; ``""`` when there is none.
    """

    video_id: str
    path: str
    subset: str
    label: int | None
    class_name: str
    fps: float
    num_frames: int
    width: int
    height: int
    num_sampled: int
    frame_labels: tuple[tuple[int, int], ...] | None
    warning: str = ""

    def frame_label_array(self):
        """Return the label of every original frame, uint8 ``(num_frames,)``, or None when unknown."""
        if self.frame_labels is None:
            return None
        return intervals_to_array(self.frame_labels, self.num_frames)

    @classmethod
    def from_json(cls, entry):
        """Build from an entry of the manifest; the inverse of ``dataclasses.asdict``.

        Raises:
            ValueError: A count or a size is no integer of at least 0.
        """
        for key in ("num_frames", "width", "height", "num_sampled"):
            if not isinstance(entry[key], int) or entry[key] < 0:
                raise ValueError(f"`{key}` must be an integer of at least 0. Received: {entry[key]!r}")
        intervals = entry["frame_labels"]
        if intervals is not None:
            intervals = tuple((int(start), int(end)) for start, end in intervals)
        return cls(**{**entry, "frame_labels": intervals})


@dataclass(frozen=True)
class Manifest:
    """Content of ``videos.json``.

    Args:
        videos: The videos of the records, in record order.
        skipped: Pairs of a file that was skipped and the reason.
        fingerprint: Hash of everything that decides the records.
        channel_groups: Of nodes, the sizes of the parts that lie side by side in a node, such as ``(1280, 512)`` for
            appearance and motion; empty when unknown.
    """

    videos: tuple[VideoInfo, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    fingerprint: str = ""
    channel_groups: tuple[int, ...] = ()
    by_id: dict = field(init=False, repr=False, compare=False)

    def __post_init__(self):
        object.__setattr__(self, "by_id", {video.video_id: video for video in self.videos})


def intervals_to_array(intervals, num_frames):
    """Convert ``((start, end_exclusive), ...)`` to 0/1 labels, uint8 ``(num_frames,)``."""
    labels = np.zeros(num_frames, np.uint8)
    for start, end in intervals:
        labels[start:end] = 1
    return labels


def array_to_intervals(labels):
    """Convert 0/1 labels ``(num_frames,)`` to ``((start, end_exclusive), ...)``."""
    steps = np.diff(np.concatenate([[0], (np.asarray(labels) > 0).astype(np.int8), [0]]))
    return tuple(zip(np.flatnonzero(steps == 1).tolist(), np.flatnonzero(steps == -1).tolist(), strict=True))


def write_manifest(folder, videos, skipped=(), fingerprint="", channel_groups=()):
    """Write ``videos.json``, with a checksum of its content, into a folder in one step and return its path."""
    content = {
        "videos": [dataclasses.asdict(video) for video in videos],
        "skipped": [{"file": str(file), "reason": reason} for file, reason in skipped],
        "config": fingerprint,
    }
    if channel_groups:
        content["channel_groups"] = list(channel_groups)
    return write_json(Path(folder) / MANIFEST_NAME, content | {"checksum": _checksum(content)})


def _checksum(content):
    return fingerprint(json.dumps(content, sort_keys=True).encode())


def read_manifest(folder):
    """Read ``videos.json`` of a folder of records.

    Raises:
        UserError: The folder has no manifest, or the file is damaged.
    """
    path = Path(folder) / MANIFEST_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        stated = content.pop("checksum", None)
        if stated not in (None, _checksum(content)):
            raise ValueError("its checksum does not match")
        videos = tuple(VideoInfo.from_json(entry) for entry in content["videos"])
        skipped = tuple((entry["file"], entry["reason"]) for entry in content["skipped"])
        return Manifest(videos, skipped, content["config"], tuple(content.get("channel_groups", ())))
    except FileNotFoundError:
        raise UserError(
            f"{path} does not exist. Run {COMMANDS['clips']} for clips, {COMMANDS['nodes']} for nodes."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{path} is damaged ({error}). Run {COMMANDS['clips']} again for clips, {COMMANDS['nodes']} for nodes: it "
            "writes the file again and keeps the records."
        ) from None


def shard_name(prefix, index, count):
    """Return the file name of a shard.

    Example:
    >>> shard_name("clips", 3, 12)
    'clips-00003-of-00012.tfrecord'
    """
    return f"{prefix}-{index:05d}-of-{count:05d}.tfrecord"


def shard_paths(folder, prefix):
    """Return the paths of a folder's shards, in order.

    Args:
        folder: A folder of records.
        prefix: ``"clips"`` or ``"nodes"``.

    Raises:
        UserError: There are none, or some of them are missing.
    """
    paths = sorted(Path(folder).glob(f"{prefix}-*-of-*.tfrecord"))
    if not paths:
        raise UserError(f"{folder} holds no {prefix}-*.tfrecord. Run {COMMANDS[prefix]} first.")
    count = int(paths[0].stem.rsplit("-", 1)[1])
    if [path.name for path in paths] != [shard_name(prefix, index, count) for index in range(count)]:
        raise UserError(
            f"{folder} holds {len(paths)} {prefix} files, expected {count} (names end in -of-{count:05d}). "
            f"Run {COMMANDS[prefix]} again."
        )
    return paths
