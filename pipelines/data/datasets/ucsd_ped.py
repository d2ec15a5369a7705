"""UCSD Ped2 (Mahadevan et al., CVPR 2010), weakly supervised split: 10 training and 18 test videos of one camera.

Videos, anywhere under ``data.root``: the folders of frames of the official release, ``UCSDped2/Train/Train001/001.tif``
to ``Train016`` and ``UCSDped2/Test/Test001`` to ``Test012``, or video files of these names (``Train001.mp4``).
``UCSDped1`` of the same release has folders of the same names and is ignored. The frame rate is 10 frames per second.
The release also contains hidden files (``._001.tif``) and pixel masks (``Test001_gt/*.bmp``), which are ignored.

Labels, under ``data.annotations`` or ``data.root``: ``UCSDped2.m`` of the release (in ``UCSDped2/Test``) with one line
``TestVideoFile{end+1}.gt_frame = [61:180];`` per test video, in order, with one or more ranges; or ``frame_labels.npz``
with one array per video. MATLAB ranges count from 1 and include their end, so ``61:180`` is ``[60, 180)``. All 12
``Test...`` videos contain an event, no ``Train...`` video does.

The official split trains on normal videos only, so it cannot be used for weak supervision. The split here is that of
TEVAD (Chen et al., CVPRW 2023, ``list/ped2-i3d.list``): four normal and six abnormal videos for training, the others
for testing. The names are those of the release, so a ``Test...`` video may belong to the training subset.
"""

import re

from pipelines.config import UserError
from pipelines.data.listing.dataset import About, ListedVideo
from pipelines.data.listing.files import DatasetFiles
from pipelines.data.listing.lists import frame_mask, read_arrays, read_lines, read_spans

GROUND_TRUTH, ARRAYS = "UCSDped2.m", "frame_labels.npz"
NORMAL = tuple(f"Train{number:03d}" for number in range(1, 17))
ABNORMAL = tuple(f"Test{number:03d}" for number in range(1, 13))
TRAINING = {
    *("Test002", "Test006", "Test009", "Test010", "Test011", "Test012"),
    *("Train007", "Train008", "Train014", "Train015"),
}
FPS = 10.0
RANGES = re.compile(r"TestVideoFile\{.*\}\.gt_frame\s*=\s*\[(?P<ranges>[^]]*)\]\s*;?")

ABOUT = About(
    title="28 short videos of one camera above a footpath",
    videos="UCSD_Anomaly_Dataset.v1p2: UCSDped2/Train, UCSDped2/Test",
    lists=f"UCSDped2/Test/{GROUND_TRUTH}, or {ARRAYS}",
    source="page `UCSD Anomaly Detection Dataset`, Statistical Visual Computing Lab, UC San Diego",
    paper="Mahadevan et al., CVPR 2010; split: Chen et al., CVPRW 2023",
    metric="frame AUC",
    needed=((GROUND_TRUTH, ARRAYS),),
    counts={("train", 0): 4, ("train", 1): 6, ("test", 0): 12, ("test", 1): 6},
)


def load(config, track=iter):
    """Load the 28 videos, abnormal ones with their abnormal frames.

    Raises:
        UserError: The labels are missing or invalid; the text names the file, the line and the fix.
    """
    files = DatasetFiles(config, without=("UCSDped1",))
    path = files.need(GROUND_TRUTH, ARRAYS)
    labels = _read_ranges(path) if path.name == GROUND_TRUTH else _read_arrays(path)
    names = sorted([*ABNORMAL, *NORMAL], key=lambda name: (name not in TRAINING, name))
    return [_video(files, name, labels.get(name, {})) for name in names]


def _video(files, name, labels):
    path = files.video(name)
    abnormal = name in ABNORMAL
    missing = "" if path else f"{name} is not under {files.root}"
    if abnormal and not labels and name not in TRAINING and not missing:
        missing = f"{name} has no frame labels in {ARRAYS}"
    if not abnormal:
        labels = {"intervals": ()}
    return ListedVideo(
        video_id=name,
        path=path or files.root / name,
        subset="train" if name in TRAINING else "test",
        label=int(abnormal),
        class_name="" if abnormal else "Normal",
        where="the split of 28 videos",
        fps=FPS,
        missing=missing,
        **labels,
    )


def _read_ranges(path):
    """Read the MATLAB list as ``{name: fields of its ListedVideo}``; its n-th entry is the n-th test video."""
    lines = [line for line in read_lines(path) if "gt_frame" in line.text]
    if len(lines) != len(ABNORMAL):
        raise UserError(
            f"{path} has {len(lines)} lines with `gt_frame`, expected one for each of {len(ABNORMAL)} test videos. "
            "Copy it from the dataset again."
        )
    found = {}
    for name, line in zip(ABNORMAL, lines, strict=True):
        match = RANGES.fullmatch(line.text)
        if match is None:
            raise line.error(
                f"expected `TestVideoFile{{end+1}}.gt_frame = [61:180];`. Received: `{line.text}`. Copy the file again."
            )
        words = re.split(r"[:,\s]+", match["ranges"].strip())
        found[name] = {"intervals": read_spans(line, words, first=1, inclusive=True), "labels_from": line.where}
    return found


def _read_arrays(path):
    """Read ``frame_labels.npz``, whose keys are the names of the videos, into the same form."""
    found = {}
    for name, array in read_arrays(path).items():
        mask = frame_mask(array, path, name)
        if name in NORMAL and mask.any():
            raise UserError(f"{path}: `{name}` is a normal video, but frames of it are marked. Correct the array.")
        found[name] = {"frame_labels": mask, "labels_from": f"{path}, `{name}`", "num_frames": len(mask)}
    return found
