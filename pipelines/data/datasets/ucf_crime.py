"""UCF-Crime (Sultani, Chen, Shah, CVPR 2018): 1,610 training and 290 test videos, 13 kinds of crime and accident.

Videos are found by file name anywhere under ``data.root``, in every folder layout of the archives:
``Abuse/Abuse001_x264.mp4`` as in the lists, the same inside ``Anomaly-Videos-Part-1`` to ``-4``, normal videos in
``Training-Normal-Videos-Part-1`` and ``-2``, ``Training_Normal_Videos_Anomaly`` or ``Testing_Normal_Videos_Anomaly``.
The archive for event recognition (``Normal_Videos_event``) holds copies of 50 videos; the copy in the listed folder is
used.

Lists and labels, under ``data.annotations`` or ``data.root``:

* ``Anomaly_Train.txt``: one path per line, 810 abnormal, 800 normal;
* ``Temporal_Anomaly_Annotation_for_Testing_Videos.txt`` (also ``Temporal_Anomaly_Annotation.txt``): name, class and two
  intervals per line, -1 for none, separated by white space;
* ``Anomaly_Test.txt``: 140 abnormal, 150 normal. Without it, the videos of the file above form the test subset.

The class comes from the file name, because the folder of a normal video is not a class. Frames count from 1 and the end
is included: the authors' evaluation (Evaluate_Anomaly_Detector.m) marks ``GT(max(start, 1) : min(end, frames))`` in
MATLAB, and no start is 0. So ``165 240`` is ``[164, 240)`` here. Five intervals end one or two frames after the end of
their video; ``ListedVideo.frame_intervals`` cuts them with a warning. Training videos have no frame labels.
"""

import difflib
import re
from pathlib import PurePosixPath

from pipelines.data.listing.dataset import About, ListedVideo
from pipelines.data.listing.files import DatasetFiles, video_stem
from pipelines.data.listing.lists import read_lines, read_spans, refuse_twice

TRAIN_LIST, TEST_LIST = "Anomaly_Train.txt", "Anomaly_Test.txt"
ANNOTATIONS = ("Temporal_Anomaly_Annotation_for_Testing_Videos.txt", "Temporal_Anomaly_Annotation.txt")
NORMAL_CLASS = "Normal"
SIZES = {  # class: number of training and test videos
    "Abuse": (48, 2),
    "Arrest": (45, 5),
    "Arson": (41, 9),
    "Assault": (47, 3),
    "Burglary": (87, 13),
    "Explosion": (29, 21),
    "Fighting": (45, 5),
    "RoadAccidents": (127, 23),
    "Robbery": (145, 5),
    "Shooting": (27, 23),
    "Shoplifting": (29, 21),
    "Stealing": (95, 5),
    "Vandalism": (45, 5),
    NORMAL_CLASS: (800, 150),
}
NAME = re.compile(r"(?P<kind>[A-Za-z]+)(_Videos_?)?[0-9]+(_x264)?")

ABOUT = About(
    title="1,900 surveillance videos, 13 kinds of crime and accident",
    videos="Anomaly-Videos-Part-1 to -4, Training-Normal-Videos-Part-1 and -2, Testing_Normal_Videos",
    lists=f"{TRAIN_LIST}, {TEST_LIST}, {ANNOTATIONS[0]}",
    source="page `Real-world Anomaly Detection in Surveillance Videos`, Center for Research in Computer Vision, UCF",
    paper="Sultani, Chen, Shah, CVPR 2018",
    metric="frame AUC",
    needed=(TRAIN_LIST, ANNOTATIONS),
    counts={("train", 0): 800, ("train", 1): 810, ("test", 0): 150, ("test", 1): 140},
    classes={(subset, name): sizes[i] for i, subset in enumerate(("train", "test")) for name, sizes in SIZES.items()},
)


def load(config, track=iter):
    """Load the videos of both lists, test videos with their abnormal frames.

    Raises:
        UserError: A list is missing or invalid; the text names the file, the line and the fix.
    """
    files = DatasetFiles(config)
    train = [(line.text, line) for line in read_lines(files.need(TRAIN_LIST))]
    events = _read_annotations(files.need(*ANNOTATIONS))
    test_list = files.find(TEST_LIST)
    if test_list:
        test = [(line.text, line) for line in read_lines(test_list)]
    else:
        test = [(line.text.split()[0], line) for line, _ in events.values()]
    refuse_twice((_stem(listed), line) for listed, line in train + test)
    videos = [_video(files, listed, line, "train") for listed, line in train]
    return videos + [_video(files, listed, line, "test", events) for listed, line in test]


def _video(files, listed, line, subset, events=None):
    name, class_name = _stem(listed), _class(_stem(listed), line)
    normal = class_name == NORMAL_CLASS
    intervals, labels_from = () if normal else None, ""
    if events is not None:
        if name not in events:
            raise line.error(f"`{name}` has no line in {ANNOTATIONS[0]}. Add it there or remove this line.")
        annotated, intervals = events[name]
        labels_from = annotated.where
    path, missing = files.locate(listed.replace("\\", "/"), line)
    return ListedVideo(
        video_id=name,
        path=path,
        subset=subset,
        label=int(not normal),
        class_name=class_name,
        intervals=intervals,
        where=line.where,
        labels_from=labels_from,
        missing=missing,
    )


def _stem(listed):
    """Return ``"Abuse001_x264"`` for ``"Abuse/Abuse001_x264.mp4"``."""
    return video_stem(PurePosixPath(listed.replace("\\", "/")).name)


def _class(name, line):
    match = NAME.fullmatch(name)
    kind = match["kind"] if match else name
    if kind not in SIZES:
        near = difflib.get_close_matches(kind, SIZES, n=1)
        hint = f"Did you mean `{near[0]}`?" if near else f"Classes are: {', '.join(SIZES)}."
        raise line.error(f"`{name}` has no known class. Expected a class and a number, such as Abuse001_x264. {hint}")
    return kind


def _read_annotations(path):
    """Read the annotations as ``{name: (Line, intervals)}``."""
    events = {}
    lines = read_lines(path)
    refuse_twice((_stem(line.text.split()[0]), line) for line in lines)
    for line in lines:
        words = line.text.split()
        if len(words) != 6:
            raise line.error(
                f"expected name, class, start, end, start, end. Received {len(words)} words: `{line.text}`. "
                "Copy the file from the dataset again, or correct the line."
            )
        name, class_name = _stem(words[0]), words[1]
        if class_name != _class(name, line):
            raise line.error(f"`{name}` is listed with the class `{class_name}`. Correct the name or the class.")
        spans = [word for pair in (words[2:4], words[4:6]) if pair != ["-1", "-1"] for word in pair]
        if bool(spans) == (class_name == NORMAL_CLASS):
            expected = "a normal video has none" if spans else "an abnormal video has one or two"
            raise line.error(f"`{name}` has {len(spans) // 2} intervals, but {expected}. Correct the line.")
        events[name] = line, read_spans(line, spans, first=1, inclusive=True) if spans else ()
    return events
