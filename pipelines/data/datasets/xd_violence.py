"""XD-Violence (Wu et al., ECCV 2020): 3,954 training and 800 test videos from films and the web. Metric: frame AP.

Videos, anywhere under ``data.root``, in the folders of the archives: training videos in ``1-1004``, ``1005-2004``,
``2005-2804``, ``2805-3319`` and ``3320-3954`` (or a folder ``train...``), test videos in ``videos`` (or ``test...``).

Labels, under ``data.annotations`` or ``data.root``:

* ``annotations.txt``: one line per abnormal test video (500): the name, with or without ``.mp4``, then the first and
  last frame of each event;
* ``rgb.list`` and ``rgb_test.list`` (optional): the authors' lists of feature files. They contain the videos of both
  subsets. With them, missing videos are found, and videos may be in any folder.

Labels are part of a video's name: ``..._label_B1-B2-0`` is fighting and shooting, ``label_A`` is normal. The class is
the first code, because the authors order codes by importance. A video in ``annotations.txt`` is a test video; a normal
video is a test video if its folder or list says so. Frames count from 0 and the end is excluded: the authors'
make_gt.py marks ``gt[start:end]``, and 88 events start at 0. So ``0 1517`` is ``[0, 1517)``. Their array drops up to 16
frames at the end of a video; here all frames are evaluated.
"""

import re

from pipelines.config import UserError
from pipelines.data.listing.dataset import About, ListedVideo
from pipelines.data.listing.files import DatasetFiles, video_stem
from pipelines.data.listing.lists import Line, read_lines, read_spans, refuse_twice

ANNOTATIONS = "annotations.txt"
LISTS = {"train": "rgb.list", "test": "rgb_test.list"}
CLASSES = {
    "A": "Normal",
    "B1": "Fighting",
    "B2": "Shooting",
    "B4": "Riot",
    "B5": "Abuse",
    "B6": "CarAccident",
    "G": "Explosion",
}
LABEL = re.compile(r".+_label_(?P<codes>[A-Z0-9-]+)")
CROP = re.compile(r"__[0-9]$")
TRAIN_FOLDER, TEST_FOLDER = re.compile(r"[0-9]+-[0-9]+|train.*", re.I), re.compile(r"videos|test.*", re.I)

ABOUT = About(
    title="4,754 videos from films and the web, six kinds of violence",
    videos="Training Videos 1-1004 to 3320-3954, Test Videos",
    lists=f"{ANNOTATIONS}; {' and '.join(LISTS.values())} (optional)",
    source="page `XD-Violence` of its authors; lists: repository XDVioDet",
    paper="Wu et al., ECCV 2020",
    metric="frame AP",
    needed=(ANNOTATIONS,),
    counts={("train", 0): 2049, ("train", 1): 1905, ("test", 0): 300, ("test", 1): 500},
)


def load(config, track=iter):
    """Load the videos that are listed or found, test videos with their abnormal frames.

    Raises:
        UserError: A list is missing or invalid, or the subset of a video is unknown; the text names the file, the line
            and the fix.
    """
    files = DatasetFiles(config)
    events = _read_annotations(files.need(ANNOTATIONS))
    listed = {subset: _read_list(files.find(name)) for subset, name in LISTS.items()}
    listed["test"] |= {name: line for name, (line, _) in events.items()}
    refuse_twice((name, line) for lines in listed.values() for name, line in lines.items())
    parts = {name: (subset, line) for subset, lines in listed.items() for name, line in lines.items()}
    for name, paths in sorted(files.videos().items()):
        if LABEL.fullmatch(name) and name not in parts:
            parts[name] = _part_of(files.root, paths[0]), None
    videos = [_video(files, name, subset, line, events.get(name)) for name, (subset, line) in parts.items()]
    return sorted(videos, key=lambda video: (video.subset != "train", video.video_id))


def _video(files, name, subset, line, event):
    class_name = _class(name, line or Line(files.root, 0))
    path, missing = files.locate(f"{name}.mp4", line) if line else (files.video(name), "")
    normal = class_name == CLASSES["A"]
    if subset == "test" and not normal and event is None:
        raise UserError(
            f"{name} is an abnormal test video, but has no line in {ANNOTATIONS}. Add the line or remove the video. If "
            "it is a training video, move it to the folder of its archive (1-1004 ...)."
        )
    return ListedVideo(
        video_id=name,
        path=path,
        subset=subset,
        label=int(not normal),
        class_name=class_name,
        intervals=() if normal else event[1] if event else None,
        where=line.where if line else str(path),
        labels_from=event[0].where if event else "",
        missing=missing,
    )


def _part_of(root, path):
    """Return the subset that the folders of a video name, starting at the innermost."""
    for folder in reversed(path.relative_to(root).parts[:-1]):
        if TRAIN_FOLDER.fullmatch(folder):
            return "train"
        if TEST_FOLDER.fullmatch(folder):
            return "test"
    raise UserError(
        f"{path} is neither in {ANNOTATIONS} nor in a folder that names its subset. Move it to the folder of its "
        f"archive (1-1004 ... for training, videos for testing), or put {' and '.join(LISTS.values())} beside "
        f"{ANNOTATIONS}."
    )


def _class(name, line):
    match = LABEL.fullmatch(name)
    codes = [code for code in match["codes"].split("-") if code != "0"] if match else []
    if not codes or any(code not in CLASSES for code in codes):
        raise line.error(
            f"the name `{name}` has no known label. It must end in codes such as `_label_B1-0-0`, each one of "
            f"{', '.join(CLASSES)}. Correct the name."
        )
    return CLASSES[codes[0]]


def _read_annotations(path):
    """Read the annotations as ``{name: (Line, intervals)}``."""
    lines = read_lines(path)
    words = [(line, *line.text.split()) for line in lines]
    refuse_twice((video_stem(name), line) for line, name, *_ in words)
    events = {}
    for line, name, *numbers in words:
        if _class(video_stem(name), line) == CLASSES["A"]:
            raise line.error(
                f"`{name}` is normal by its name, but has abnormal frames here. Correct the name or remove the line."
            )
        events[video_stem(name)] = line, read_spans(line, numbers, first=0, inclusive=False)
    return events


def _read_list(path):
    """Read a list of feature files, five crops ``__0`` to ``__4`` per video, as ``{name: Line}``."""
    names = {}
    for line in read_lines(path) if path else ():
        stem = line.text.replace("\\", "/").rpartition("/")[2].removesuffix(".npy")
        names.setdefault(CROP.sub("", video_stem(stem)), line)
    return names
