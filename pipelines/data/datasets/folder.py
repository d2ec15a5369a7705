"""Your own videos: a folder with `labels.csv`, and frame labels where they are known.

`labels.csv` has a line for each video; more columns are ignored:

    file,label,subset,class
    train/door_017.mp4,normal,train,
    test/yard_002.mp4,abnormal,test,fight

* `file`: path under the folder.
* `label`: `0` or `normal`, `1` or `abnormal`.
* `subset` (optional): `train` or `test`. Without it, or where it is empty, `data.default_subset` holds ("train").
* `class` (optional): kind of event, for the table by class.
* `num_frames` (optional): true length of the video, read only beside feature files (`features.root`), where the videos
  themselves need not be there.

Frame labels are needed for evaluation only, and come from one of

* `frame_labels.npz`: an array of 0 and 1 for each video, one value for each original frame; its key is the file's stem
  (`yard_002`) or its path without suffix (`test/yard_002`);
* `intervals.csv` with columns `file,start_frame,end_frame`: abnormal frames, counted from 0, the end excluded; several
  lines a video are allowed. An abnormal video without a line has unknown frame labels.

A normal video without frame labels is normal in every frame.
"""

import csv
import dataclasses
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from pipelines.config import UserError
from pipelines.data.datasets import Video

LABELS = {"0": 0, "normal": 0, "1": 1, "abnormal": 1}
SUBSETS = ("train", "test")


@dataclass(frozen=True)
class _Line:
    """One line of a CSV file, which knows where it stands."""

    where: str
    values: dict

    def get(self, column):
        return (self.values.get(column) or "").strip()

    def error(self, text):
        return UserError(f"{self.where}: {text}")


def load(config, track=iter):
    """Read `labels.csv` and the frame labels under `data.root`.

    Raises:
        UserError: A file is missing or cannot be understood; the text names the file, the line and the way out.
    """
    root = Path(config.data.root)
    if not root.is_dir():
        raise UserError(f"`data.root` is not a folder: {root}. Set it to the folder that holds labels.csv.")
    videos = _read_labels(root, config.data.default_subset, need_files=not config.features.root)
    arrays, intervals = root / "frame_labels.npz", root / "intervals.csv"
    if arrays.exists() and intervals.exists():
        raise UserError(f"{root} holds both frame_labels.npz and intervals.csv. Keep one of them.")
    frame_labels = _read_arrays(arrays, videos) if arrays.exists() else {}
    spans = _read_intervals(intervals, videos) if intervals.exists() else {}
    return [_with_frame_labels(video, frame_labels, spans) for video in videos]


def _with_frame_labels(video, frame_labels, spans):
    labels, intervals = frame_labels.get(video.video_id), spans.get(video.video_id)
    if video.label == 0:
        if intervals or (labels is not None and labels.any()):
            raise UserError(
                f"{video.video_id} is labelled normal in labels.csv, but its frame labels mark abnormal frames. "
                "Correct one of the two."
            )
        intervals = None if labels is not None else ()
    return dataclasses.replace(video, frame_labels=labels, intervals=intervals)


def _read_labels(root, default_subset, need_files):
    if default_subset not in SUBSETS:
        raise UserError(f"`data.default_subset` must be train or test. Received: `{default_subset}`.")
    videos, seen, missing = [], {}, []
    for line in _read_csv(root / "labels.csv", ("file", "label")):
        video = _video(line, root, default_subset)
        if not need_files:
            video = dataclasses.replace(video, num_frames=_num_frames(line))
        if video.video_id in seen:
            raise line.error(
                f"`{line.get('file')}` has the same name as the file of {seen[video.video_id]}. "
                "Each video needs one line, and a name (without suffix) of its own: remove the line or rename the file."
            )
        seen[video.video_id] = line.where
        if need_files and not video.path.is_file():
            missing.append(line)
        videos.append(video)
    if missing:
        more = f" {len(missing) - 1} more files of the list are missing." if len(missing) > 1 else ""
        raise missing[0].error(
            f"`{missing[0].get('file')}` is not under {root}. Copy it there, correct the name or remove the line.{more}"
        )
    if not videos:
        raise UserError(f"{root / 'labels.csv'} lists no video. Add a line `file,label` for each.")
    return videos


def _video(line, root, default_subset):
    file = PurePosixPath(_file(line))
    label = line.get("label").lower()
    if label not in LABELS:
        raise line.error(f"`label` must be 0, 1, normal or abnormal. Received: `{line.get('label')}`.")
    subset = line.get("subset").lower() or default_subset
    if subset not in SUBSETS:
        raise line.error(
            f"`subset` must be train or test, or empty for `data.default_subset`. Received: `{line.get('subset')}`."
        )
    return Video(str(file.with_suffix("")), root / file, subset, LABELS[label], line.get("class"), where=line.where)


def _num_frames(line):
    """The column `num_frames`; None where it is absent or empty."""
    text = line.get("num_frames")
    if text and not (text.isascii() and text.isdigit() and int(text)):
        raise line.error(f"`num_frames` must be a whole number from 1 on, or empty. Received: `{text}`.")
    return int(text) if text else None


def _file(line):
    """The path of a line, with the separators of any system."""
    text = line.get("file").replace("\\", "/")
    file = PurePosixPath(text)
    if not file.name or file.is_absolute() or ".." in file.parts:
        raise line.error(f"`file` must be a path under the folder of the list. Received: `{line.get('file')}`.")
    return str(file)


def _read_csv(path, columns):
    """Lines of a CSV file with a header. UTF-8 with or without a mark, any line ends, commas or semicolons."""
    if not path.is_file():
        raise UserError(f"{path} does not exist. Write it with the columns {','.join(columns)}.")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = path.read_bytes()[: error.start].count(b"\n") + 1
        raise UserError(f"{path}, line {number}: not UTF-8 text. Save the file as `CSV UTF-8`.") from None
    lines = text.splitlines()
    header = lines[0] if lines else ""
    reader = csv.reader(lines, delimiter=";" if ";" in header and "," not in header else ",", strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: {error}. Correct the quotes of this line.") from None
    names = [name.strip().lower() for name in rows[0][1]] if rows else []
    absent = [column for column in columns if column not in names]
    if absent:
        raise UserError(
            f"{path}, line 1: column `{absent[0]}` is missing. "
            f"Expected: {','.join(columns)}. Received: `{header.strip()}`."
        )
    return [
        _Line(f"{path}, line {number}", dict(zip(names, row, strict=False)))
        for number, row in rows[1:]
        if any(value.strip() for value in row)
    ]


def _read_arrays(path, videos):
    """`frame_labels.npz` -> {video_id: uint8 array}."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise UserError(f"{path} cannot be read ({error}). Write it again with numpy.savez.") from None
    stems = [PurePosixPath(video.video_id).name for video in videos]
    found = {}
    for video, stem in zip(videos, stems, strict=True):
        key = video.video_id if video.video_id in arrays else stem
        if key not in arrays:
            continue
        if key != video.video_id and stems.count(stem) > 1:
            raise UserError(
                f"{path}: key `{stem}` fits several files. Use the path without suffix: `{video.video_id}`."
            )
        if arrays[key].ndim != 1 or not np.isin(arrays[key], (0, 1)).all():
            raise UserError(f"{path}: `{key}` must be one 0 or 1 for each frame. Received shape {arrays[key].shape}.")
        found[video.video_id] = arrays[key].astype(np.uint8)
    if not found:
        raise UserError(
            f"{path}: no key is a file of labels.csv. Expected keys like `{stems[0]}`, got {list(arrays)[:3]}."
        )
    return found


def _read_intervals(path, videos):
    """`intervals.csv` -> {video_id: ((start, end_exclusive), ...)}."""
    known = {video.video_id for video in videos}
    spans = {}
    for line in _read_csv(path, ("file", "start_frame", "end_frame")):
        video_id = str(PurePosixPath(_file(line)).with_suffix(""))
        if video_id not in known:
            raise line.error(f"`{line.get('file')}` is not in labels.csv. Correct the name or remove the line.")
        try:
            start, end = int(line.get("start_frame")), int(line.get("end_frame"))
        except ValueError:
            start, end = 0, 0
        if not 0 <= start < end:
            raise line.error(
                "`start_frame` and `end_frame` must be whole numbers, 0 <= start < end (the end is excluded). "
                f"Received: `{line.get('start_frame')}`, `{line.get('end_frame')}`."
            )
        spans.setdefault(video_id, []).append((start, end))
    return {video_id: tuple(sorted(found)) for video_id, found in spans.items()}
