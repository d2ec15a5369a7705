"""Your own videos: a folder with ``labels.csv``, and frame labels if they are known.

``labels.csv`` has one line per video; other columns are ignored:

    file,label,subset,class
    train/door_017.mp4,normal,train,
    test/yard_002.mp4,abnormal,test,fight

* ``file``: path under the folder, or an absolute path. A name that holds a comma needs quotes.
* ``label``: ``0`` or ``normal``, ``1`` or ``abnormal``.
* ``subset`` (optional): ``train`` or ``test``. If it is absent or empty, ``data.default_subset`` applies ("train").
* ``class`` (optional): kind of event, for the metrics per class.
* ``num_frames`` (optional): true length of the video. It is read only with feature files (``features.root``), which
  need no video files.

Frame labels are used for evaluation only. They are read from one of

* ``frame_labels.npz``: one array of 0 and 1 per video, one value per original frame. Its key is the path of the file
  (``test/yard_002.mp4``) or its name (``yard_002.mp4``) if that is unique, both with or without suffix;
* ``intervals.csv`` with columns ``file,start_frame,end_frame``: abnormal frames, counted from 0, end excluded. A video
  may have several lines. The frame labels of an abnormal video without a line are unknown.

A normal video without frame labels is normal in every frame.
"""

import dataclasses
import os
from pathlib import Path, PurePosixPath

from pipelines.config import UserError
from pipelines.data.listing.dataset import About, ListedVideo
from pipelines.data.listing.files import missing_text
from pipelines.data.listing.lists import frame_mask, match_keys, read_arrays, read_csv

LABELS = {"0": 0, "normal": 0, "1": 1, "abnormal": 1}
SUBSETS = ("train", "test")
MAX_DIGITS = 12  # of a number of frames


ABOUT = About(
    title="your own videos",
    videos="a folder of video files",
    lists="labels.csv; frame_labels.npz or intervals.csv (optional)",
    source="you",
)


def load(config, track=iter):
    """Read ``labels.csv`` and the frame labels under ``data.root``.

    Raises:
        UserError: A file is missing or invalid; the text names the file, the line and the fix.
    """
    root = Path(config.data.root)
    if not root.is_dir():
        raise UserError(f"`data.root` is not a folder: {root}. Set it to the folder that holds labels.csv.")
    videos = _read_labels(root, config.data.default_subset, need_files=not config.features.root)
    arrays, intervals = root / "frame_labels.npz", root / "intervals.csv"
    if arrays.exists() and intervals.exists():
        raise UserError(f"{root} holds both frame_labels.npz and intervals.csv. Keep one of them.")
    frame_labels = _read_arrays(arrays, videos) if arrays.exists() else {}
    spans = _read_intervals(intervals, videos, root) if intervals.exists() else {}
    source = str(arrays if frame_labels else intervals) if frame_labels or spans else ""
    return [_with_frame_labels(video, frame_labels, spans, source) for video in videos]


def _with_frame_labels(video, frame_labels, spans, source):
    labels, intervals = frame_labels.get(video.video_id), spans.get(video.video_id)
    if video.label == 0:
        if intervals or (labels is not None and labels.any()):
            raise UserError(
                f"{video.video_id} is labelled normal in labels.csv, but its frame labels mark abnormal frames. "
                "Correct one of the two files."
            )
        intervals = None if labels is not None else ()
    labels_from = source if intervals or labels is not None else ""
    return dataclasses.replace(video, frame_labels=labels, intervals=intervals, labels_from=labels_from)


def _read_labels(root, default_subset, need_files):
    if default_subset not in SUBSETS:
        raise UserError(f"`data.default_subset` must be train or test. Received: `{default_subset}`.")
    videos, seen = [], {}
    for line in read_csv(root / "labels.csv", ("file", "label")):
        video = _video(line, root, default_subset)
        if not need_files:
            video = dataclasses.replace(video, num_frames=_num_frames(line))
        if video.video_id in seen:
            raise line.error(
                f"`{line.get('file')}` has the same name, without suffix, as the file in {seen[video.video_id]}. "
                "Names must be unique: remove the line or rename the file."
            )
        seen[video.video_id] = line.where
        if need_files and not _is_file(video.path):
            video = dataclasses.replace(video, missing=missing_text(line.get("file"), line, root))
        videos.append(video)
    if not videos:
        raise UserError(f"{root / 'labels.csv'} lists no video. Add a line `file,label` for each.")
    return videos


def _is_file(path):
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long
        return False


def _video(line, root, default_subset):
    path, video_id = _file(line, root)
    label = line.get("label").lower()
    if label not in LABELS:
        received = f"Received: `{line.get('label')}`.{line.quotes_hint}"
        raise line.error(f"`label` must be 0, 1, normal or abnormal. {received}")
    subset = line.get("subset").lower() or default_subset
    if subset not in SUBSETS:
        raise line.error(
            f"`subset` must be train or test, or empty for `data.default_subset`. Received: `{line.get('subset')}`."
        )
    return ListedVideo(video_id, path, subset, LABELS[label], line.get("class"), where=line.where)


def _num_frames(line):
    """Read the column ``num_frames``; None when it is absent or empty."""
    text = line.get("num_frames")
    if text and not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS and int(text)):
        raise line.error(f"`num_frames` must be a whole number of at least 1, or empty. Received: `{text}`.")
    return int(text) if text else None


def _file(line, root):
    """Return path and id of the video of a line, written with the separators of any system."""
    text = line.get("file").replace("\\", "/")
    if "://" in text:
        raise line.error(f"`file` is a URL, but only files are read. Download it first. Received: `{text}`.")
    file = PurePosixPath(text)
    if not file.name or ".." in file.parts:
        raise line.error(
            f"`file` must be a path under the folder of the list, or an absolute path. Received: `{line.get('file')}`."
        )
    for base in (os.path.abspath(root), os.path.realpath(root)):
        if file.is_absolute() and file.is_relative_to(base):
            file = file.relative_to(base)
    return root / file, str(file.with_suffix("")).lstrip("/")


def _read_arrays(path, videos):
    """Read ``frame_labels.npz`` as ``{video_id: uint8 array}``."""
    arrays = read_arrays(path)
    keys = match_keys(path, arrays, videos)
    if not keys:
        expected = PurePosixPath(videos[0].video_id).name
        raise UserError(
            f"{path}: no key matches a file of labels.csv. Expected keys like `{expected}`. "
            f"Received: {list(arrays)[:3]}."
        )
    return {video_id: frame_mask(arrays[key], path, key) for video_id, key in keys.items()}


def _read_intervals(path, videos, root):
    """Read ``intervals.csv`` as ``{video_id: ((start, end_exclusive), ...)}``."""
    known = {video.video_id for video in videos}
    spans = {}
    for line in read_csv(path, ("file", "start_frame", "end_frame")):
        _, video_id = _file(line, root)
        if video_id not in known:
            raise line.error(
                f"`{line.get('file')}` is not in labels.csv. Correct the name or remove the line.{line.quotes_hint}"
            )
        try:
            start, end = int(line.get("start_frame")), int(line.get("end_frame"))
        except ValueError:
            start, end = 0, 0
        if not 0 <= start < end:
            raise line.error(
                "`start_frame` and `end_frame` must be whole numbers, 0 <= start < end (the end is excluded). "
                f"Received: `{line.get('start_frame')}`, `{line.get('end_frame')}`.{line.quotes_hint}"
            )
        spans.setdefault(video_id, []).append((start, end))
    return {video_id: tuple(sorted(found)) for video_id, found in spans.items()}
