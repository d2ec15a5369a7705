"""Results of scored videos: which files they are, whose they are, and what decides them.

A result belongs to one source, the path of its video, which ``<name>.json`` names. No two sources share a file.
"""

import hashlib
import json
import os
from pathlib import Path, PurePath

from pipelines.config import UserError

CSV_HEADER = ("frame", "time_sec", "score")
TOP_FRAMES = "_top_frames"
SUFFIXES = (".json", ".csv", ".png", f"{TOP_FRAMES}.png")
THUMBNAILS = "_thumbnails.jpg"  # pictures of report.html
ANNOTATED = "_annotated.mp4"
REPORT_NAMES = ("alarms",)  # a result of that name would take the place of alarms.csv and alarms.json
MAX_NAME_BYTES = 200  # file systems take 255, with the suffix, a number and the mark of a temporary file
NO_FOOTAGE = "no scores: name videos, folders, or JSON files of `vad score` to `vad calibrate`."


def with_suffix(target, suffix):
    """Return the path of a result's file; ``target`` is its path without a suffix."""
    return target.with_name(target.name + suffix)


def source_of(path):
    """Return the absolute path of a video, by which its results know it."""
    return Path(os.path.abspath(path)).as_posix()


def result_names(found, output):
    """Give each video a name for its results that no other video has, in this command or in an earlier one.

    It is the stem of its listed name; with the suffix where videos share a stem; numbered where it is taken. Upper and
    lower case are the same, as on some disks, and a very long name is cut.

    Args:
        found: ``{path of a video: its listed name}``, relative paths.
        output: Folder of the results.

    Returns:
        List of ``(path, name)``.

    Example:
    >>> found = {Path("a/door.mp4"): Path("door.mp4"), Path("a/door_top_frames.mp4"): Path("door_top_frames.mp4")}
    >>> [name for _, name in result_names(found, Path("nowhere"))]
    ['door', 'door_top_frames_2']
    """
    stems = [name.with_suffix("").as_posix().casefold() for name in found.values()]
    inputs = {source_of(path) for path in found}
    taken, named = set(REPORT_NAMES), []
    for (path, name), stem in zip(found.items(), stems, strict=True):
        shared = stems.count(stem) > 1
        wanted = _shortened(name.as_posix().replace(".", "_") if shared else name.with_suffix("").as_posix())
        unique, number = wanted, 2
        while unique.casefold() in taken or not _is_free(Path(output) / unique, source_of(path), inputs):
            unique, number = f"{wanted}_{number}", number + 1
        taken.add(unique.casefold())
        named.append((path, unique))
    return named


def read_result(target):
    """Return the content of ``<target>.json``; None when it is not the result of a video."""
    try:
        result = json.loads(with_suffix(target, ".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return result if isinstance(result, dict) and isinstance(result.get("video"), str) else None


def finished_result(target, identity):
    """Return the complete result of an earlier run if it has this identity, else None.

    Args:
        target: Path without suffix.
        identity: Facts that decide a result; its JSON file holds them.
    """
    result = read_result(target)
    if result is None or {key: result.get(key) for key in identity} != identity:
        return None
    suffixes = SUFFIXES if result.get("top_frames") else SUFFIXES[:-1]
    suffixes += (ANNOTATED,) if result.get("annotated") else ()
    return result if all(with_suffix(target, suffix).is_file() for suffix in suffixes) else None


def is_annotated(path):
    """Whether a video is the annotated copy that an earlier ``vad score`` wrote."""
    if not path.name.endswith(ANNOTATED):
        return False
    return (read_result(path.with_name(path.name.removesuffix(ANNOTATED))) or {}).get("annotated") == path.name


def _is_free(target, source, inputs):
    """Whether a source may write its results at ``target``: no file of another is there."""
    if target.name.casefold().endswith(TOP_FRAMES):  # its timeline would be another video's picture
        return False
    files = {suffix: with_suffix(target, suffix) for suffix in (*SUFFIXES, THUMBNAILS, ANNOTATED)}
    if inputs & set(map(source_of, files.values())):
        return False
    if files[".json"].exists():
        result = read_result(target)
        return result is not None and source_of(result["video"]) == source
    # A stopped run may leave files without the JSON file, which comes last: the CSV file is the first of them.
    return _is_scores(files[".csv"]) if files[".csv"].exists() else not any(map(Path.exists, files.values()))


def _is_scores(path):
    try:
        with path.open(encoding="utf-8") as file:
            return file.readline().strip() == ",".join(CSV_HEADER)
    except (OSError, UnicodeDecodeError):
        return False


def _shortened(name):
    """Cut the last part of a long name; a hash of the whole name keeps it unique."""
    path = PurePath(name)
    part = os.fsencode(path.name)
    if len(part) <= MAX_NAME_BYTES:
        return name
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
    cut = part[:MAX_NAME_BYTES].decode("utf-8", "ignore")
    return path.with_name(f"{cut}-{digest}").as_posix()


def check_footage(inputs):
    """Raise a ``UserError`` if there are no inputs, or one does not exist."""
    if not inputs:
        raise UserError(NO_FOOTAGE)
    missing = next((entry for entry in map(Path, inputs) if not entry.exists()), None)
    if missing:
        raise UserError(f"{missing} does not exist. Check the path given to `vad calibrate`.")
