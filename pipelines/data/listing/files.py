"""Files of a dataset on disk: each folder is walked once, and a video is found by its name in whatever layout it lies.

A video is a file, or a folder of frames: one picture a frame, in the order of the numbers in their names. Hidden files
(`._001.tif`, which some archives carry) and links that lead back up are passed over.
"""

import os
import re
from pathlib import Path, PurePosixPath

from pipelines.config import UserError

VIDEO_SUFFIXES = (
    *(".3gp", ".asf", ".avi", ".flv", ".h264", ".m2ts", ".m4v", ".mkv", ".mov"),
    *(".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
)
FRAME_SUFFIXES = (".jpeg", ".jpg", ".png", ".tif", ".tiff")


def video_stem(name):
    """The name without the suffix of a video file; other dots stay.

    >>> video_stem("Bad.Boys.1995__#01.mp4"), video_stem("Bad.Boys.1995__#01")
    ('Bad.Boys.1995__#01', 'Bad.Boys.1995__#01')
    """
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in VIDEO_SUFFIXES else name


def frame_files(folder):
    """The pictures of a folder of frames, in order: `9.jpg` comes before `10.jpg`."""
    names = [name for name in os.listdir(folder) if _is_frame(name)]
    return [Path(folder) / name for name in sorted(names, key=_by_number)]


def stamp(path):
    """Numbers that change when a video changes; empty when it is not there.

    Of a file its size and time of change, of a folder of frames their number, their size and the newest time.
    """
    path = Path(path)
    if path.is_dir():
        stats = [file.stat() for file in frame_files(path)]
        return [len(stats), sum(stat.st_size for stat in stats), max((stat.st_mtime_ns for stat in stats), default=0)]
    return [path.stat().st_size, path.stat().st_mtime_ns] if path.exists() else []


class DatasetFiles:
    """What lies under `data.root`, and under `data.annotations` where that is set.

    Args:
        config: The run's configuration.
        without: Names of folders that are not looked into.

    Raises:
        UserError: One of the two is not a folder. `data.root` need not be one where `features.root` stands for videos.
    """

    def __init__(self, config, without=()):
        features_alone = config.features.root and config.data.annotations and not Path(config.data.root).is_dir()
        self.root = Path(config.data.root) if features_alone else _folder(config.data.root, "data.root")
        self._videos, root_files = _walk(self.root, without)
        self._files, self.searched = [root_files], [self.root]
        if config.data.annotations:
            annotations = _folder(config.data.annotations, "data.annotations")
            self._files.insert(0, _walk(annotations, without)[1])
            self.searched.insert(0, annotations)

    def find(self, *names):
        """A list or label file of one of these names: under `data.annotations` first; None when there is none."""
        for files in self._files:
            for name in names:
                if name in files:
                    return min(files[name], key=lambda path: (len(path.parts), path))
        return None

    def need(self, *names):
        """The same, for a file that must be there.

        Raises:
            UserError: It is not.
        """
        path = self.find(*names)
        if path is None:
            places = " or ".join(map(str, self.searched))
            raise UserError(
                f"{' or '.join(names)} is not under {places}. It comes with the dataset (`vad datasets` says where "
                "from): copy it there, or set `data.annotations` to its folder."
            )
        return path

    def videos(self):
        """Every video under `data.root`, as `{name without suffix: [paths]}`."""
        return self._videos

    def video(self, listed):
        """Path of the video that a list calls `listed`, in any folder and with any suffix; None when it is not there.

        Of several with this name, that in the listed folder is taken, and a file before a folder of frames.

        Raises:
            UserError: Several that differ are left.
        """
        listed = PurePosixPath(listed)
        found = self._videos.get(video_stem(listed.name), [])
        if len(found) > 1:
            depth = len(listed.parts)
            found = [path for path in found if path.parts[-depth:-1] == listed.parts[:-1]] or found
            found = [path for path in found if path.is_file()] or found
        if len({tuple(stamp(path)[:-1]) for path in found}) > 1:
            raise UserError(
                f"{found[0]} and {found[1]} have one name and differ. Keep the one that the list means "
                f"(`{listed}`) under {self.root}, or rename the folder of that one as in the list."
            )
        return found[0] if found else None

    def place(self, listed, line):
        """Where a listed video is.

        Args:
            listed: Its name in the list, with or without folders.
            line: The `Line` that lists it.

        Returns:
            `(path, missing)`; `missing` says what is missing and which line asks for it, `""` when nothing is.
        """
        path = self.video(listed)
        return (path, "") if path else (self.root / listed, missing_text(listed, line, self.root))


def missing_text(listed, line, root):
    """`"Abuse/Abuse001_x264.mp4 (line 1 of Anomaly_Train.txt) is not under videos"`."""
    return f"{listed} ({line.place}) is not under {root}"


def _folder(value, key):
    folder = Path(value)
    if not folder.is_dir():
        raise UserError(f"`{key}` is not a folder: {folder}. Set it to the folder of the dataset.")
    return folder


def _walk(root, without):
    """`({name of a video: [paths]}, {name of another file: [paths]})`."""
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
