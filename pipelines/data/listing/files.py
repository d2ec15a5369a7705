"""Files of a dataset on disk. Each folder is scanned once, and a video is found by its name in any folder layout.

A video is a file, or a folder of frames: one picture per frame, in the order of the numbers in their names. Hidden
files (``._001.tif``, which some archives contain) and links to a parent folder are ignored.
"""

import os
import re
from pathlib import Path, PurePosixPath

from pipelines.config import UserError

VIDEO_SUFFIXES = (
    *(".264", ".265", ".3gp", ".asf", ".avi", ".flv", ".h264", ".h265", ".hevc", ".m2ts", ".m2v", ".m4v", ".mkv"),
    *(".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
)
FRAME_SUFFIXES = (".jpeg", ".jpg", ".png", ".tif", ".tiff")


def video_stem(name):
    """Remove the suffix of a video file from a name; other dots stay.

    Example:
    >>> video_stem("Bad.Boys.1995__#01.mp4"), video_stem("Bad.Boys.1995__#01")
    ('Bad.Boys.1995__#01', 'Bad.Boys.1995__#01')
    """
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in VIDEO_SUFFIXES else name


def frame_files(folder):
    """Return the pictures of a folder of frames, in order: ``9.jpg`` comes before ``10.jpg``."""
    names = [name for name in os.listdir(folder) if _is_frame(name)]
    return [Path(folder) / name for name in sorted(names, key=_by_number)]


def stamp(path):
    """Return numbers that change when a video changes; an empty list when it does not exist.

    They are the size and modification time of a file, or the number, total size and latest modification time of the
    pictures in a folder of frames.
    """
    path = Path(path)
    if path.is_dir():
        stats = [file.stat() for file in frame_files(path)]
        return [len(stats), sum(stat.st_size for stat in stats), max((stat.st_mtime_ns for stat in stats), default=0)]
    return [path.stat().st_size, path.stat().st_mtime_ns] if path.exists() else []


def size_bytes(path):
    """Return the size of a video file, or of the pictures in a folder of frames; 0 when it cannot be read."""
    try:
        files = frame_files(path) if Path(path).is_dir() else [Path(path)]
        return sum(file.stat().st_size for file in files)
    except OSError:
        return 0


def find_videos(inputs, without=lambda path: False):
    """Find video files.

    Args:
        inputs: Files (of any suffix) and folders (searched for video suffixes).
        without: Function that is true for a file to leave out of a folder.

    Returns:
        ``{path: name}``; the name is that of the file, or its path under the folder that was given.

    Raises:
        UserError: There are none, or one does not exist.
    """
    if not inputs:
        raise UserError("nothing to score: name video files or folders, such as `vad score door.mp4 videos/`.")
    found = {}
    url = next((entry for entry in inputs if "://" in str(entry)), None)
    if url:
        raise UserError(f"{url} is a URL, but `vad score` reads files. Save the video or stream to a file first.")
    for entry in map(Path, inputs):
        if entry.is_dir():
            files = sorted(path for path in entry.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
            files = [path for path in files if path not in found and path.is_file() and not without(path)]
            found |= {path: path.relative_to(entry) for path in files}
        elif entry.is_file():
            found.setdefault(entry, Path(entry.name))
        else:
            raise UserError(f"{entry} does not exist. Check the path given to `vad score`.")
    if not found:
        raise UserError(f"no video in {', '.join(map(str, inputs))}. Known suffixes: {' '.join(VIDEO_SUFFIXES)}.")
    return found


class DatasetFiles:
    """The files under ``data.root``, and under ``data.annotations`` if that is set.

    Args:
        config: The run's ``Config``.
        without: Names of folders to ignore.

    Raises:
        UserError: One of the two is not a folder. ``data.root`` may be absent when ``features.root`` replaces the
            videos.
    """

    def __init__(self, config, without=()):
        features_only = config.features.root and config.data.annotations and not Path(config.data.root).is_dir()
        self.root = Path(config.data.root) if features_only else _folder(config.data.root, "data.root")
        self._videos, root_files = _walk(self.root, without)
        self._files, self.searched = [root_files], [self.root]
        if config.data.annotations:
            annotations = _folder(config.data.annotations, "data.annotations")
            self._files.insert(0, _walk(annotations, without)[1])
            self.searched.insert(0, annotations)

    def find(self, *names):
        """Find a list or label file by any of its names, under ``data.annotations`` first; None when there is none."""
        for files in self._files:
            for name in names:
                if name in files:
                    return min(files[name], key=lambda path: (len(path.parts), path))
        return None

    def need(self, *names):
        """Find a required list or label file.

        Raises:
            UserError: It does not exist.
        """
        path = self.find(*names)
        if path is None:
            folders = " or ".join(map(str, self.searched))
            raise UserError(
                f"{' or '.join(names)} is not under {folders}. `vad datasets` names the source of this file: copy it "
                "there, or set `data.annotations` to its folder."
            )
        return path

    def videos(self):
        """Return every video under ``data.root``, as ``{name without suffix: [paths]}``."""
        return self._videos

    def video(self, listed):
        """Find the video that a list calls ``listed``, in any folder and with any suffix; None when there is none.

        Among several videos of this name, the one in the listed folder is preferred, then a file to a folder of frames.

        Raises:
            UserError: Several different videos remain.
        """
        listed = PurePosixPath(listed)
        found = self._videos.get(video_stem(listed.name), [])
        if len(found) > 1:
            depth = len(listed.parts)
            found = [path for path in found if path.parts[-depth:-1] == listed.parts[:-1]] or found
            found = [path for path in found if path.is_file()] or found
        if len({tuple(stamp(path)[:-1]) for path in found}) > 1:
            raise UserError(
                f"{found[0]} and {found[1]} have the same name but differ. Keep only the listed video (`{listed}`) "
                f"under {self.root}, or give its folder the name in the list."
            )
        return found[0] if found else None

    def locate(self, listed, line):
        """Find a listed video, or say what is missing.

        Args:
            listed: Name in the list, with or without folders.
            line: The ``Line`` that lists it.

        Returns:
            ``(path, missing)``; ``missing`` names the missing file and the line that lists it, ``""`` when it was
                found.
        """
        path = self.video(listed)
        return (path, "") if path else (self.root / listed, missing_text(listed, line, self.root))


def missing_text(listed, line, root):
    """Say which video is missing: ``"Abuse/Abuse001.mp4 (line 1 of Anomaly_Train.txt) is not under videos"``."""
    return f"{listed} ({line.location}) is not under {root}"


def _folder(value, key):
    folder = Path(value)
    if not folder.is_dir():
        raise UserError(f"`{key}` is not a folder: {folder}. Set it to the folder of the dataset.")
    return folder


def _walk(root, without):
    """Return ``({name of a video: [paths]}, {name of another file: [paths]})``."""
    videos, others, seen = {}, {}, set()
    for folder, folders, names in os.walk(root, followlinks=True):
        if os.path.realpath(folder) in seen:
            folders.clear()
            continue
        seen.add(os.path.realpath(folder))
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")) and name not in without)
        folder, visible = Path(folder), sorted(name for name in names if not name.startswith("."))
        for name in visible:
            if name.lower().endswith(VIDEO_SUFFIXES):
                videos.setdefault(video_stem(name), []).append(folder / name)
            elif not _is_frame(name):
                others.setdefault(name, []).append(folder / name)
        if any(map(_is_frame, visible)):
            videos.setdefault(folder.name, []).append(folder)
    return videos, others


def _is_frame(name):
    return name.lower().endswith(FRAME_SUFFIXES) and not name.startswith(".")


def _by_number(name):
    return [int(part) if part.isdigit() else part for part in re.split(r"([0-9]+)", name)]
