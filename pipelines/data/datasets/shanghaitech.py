"""ShanghaiTech Campus, weakly supervised split (Zhong et al., CVPR 2019): 238 training and 199 test videos.

Videos are found by name anywhere under ``data.root``: ``training/videos/01_001.avi`` and, for the other part of the
official release, folders of frames such as ``testing/frames/01_0014/000.jpg``. A video file of that name is accepted
too. Folders of frames have the frame rate of the release, 24 frames per second.

Lists and labels, under ``data.annotations`` or ``data.root``:

* ``SH_Train.txt`` and ``SH_Test.txt``: one name per line (63 + 44 abnormal, 175 + 155 normal);
* the 107 frame masks of the release, ``test_frame_mask/01_0014.npy``, or a single ``test_frame_masks.npz``: 0 or 1 per
  frame, at the true length of the video.

The lists hold no labels. In the release, normal videos are for training and have three digits after the camera number;
the test part has four digits, and all 107 videos of it contain an event. So a name with four digits is abnormal, and
its mask must mark at least one frame. The split moves 63 of them to training, where the mask is optional; if it exists,
it is kept for cross-validation. Pixel masks (``test_pixel_mask``) have the same names and are ignored. Concatenated
arrays of all test videos, as some repositories ship them, are not supported: their lengths differ (140,112 to 144,032
frames) because each rounds the videos in another way, and they do not store where a video starts.
"""

import re

from pipelines.config import UserError
from pipelines.data.listing.dataset import About, ListedVideo
from pipelines.data.listing.files import DatasetFiles, video_stem
from pipelines.data.listing.lists import frame_mask, read_arrays, read_lines, refuse_twice

LISTS = {"train": "SH_Train.txt", "test": "SH_Test.txt"}
MASKS = "test_frame_masks.npz"
FPS = 24.0
NAME = re.compile(r"[0-9]{2}_(?P<number>[0-9]{3,4})")

ABOUT = About(
    title="437 videos of 13 cameras on a campus, weakly supervised split",
    videos="shanghaitech: training/videos, testing/frames",
    lists=f"{', '.join(LISTS.values())}; testing/test_frame_mask (107 .npy) or {MASKS}",
    source="page `ShanghaiTech Campus dataset`, SVIP Lab, ShanghaiTech University; lists: GCN-Anomaly-Detection",
    paper="Liu et al., CVPR 2018; split: Zhong et al., CVPR 2019",
    metric="frame AUC",
    needed=tuple(LISTS.values()),
    counts={("train", 0): 175, ("train", 1): 63, ("test", 0): 155, ("test", 1): 44},
)


def load(config, track=iter):
    """Load the videos of both lists, with the masks of those that contain an event.

    Raises:
        UserError: A list or mask is missing or invalid; the text names the file, the line and the fix.
    """
    files = DatasetFiles(config, without=("test_pixel_mask",))
    listed = [(subset, line) for subset, name in LISTS.items() for line in read_lines(files.need(name))]
    refuse_twice((video_stem(line.text), line) for _, line in listed)
    bundle = files.find(MASKS)
    bundle = (bundle, read_arrays(bundle)) if bundle else (None, {})
    return [_video(files, line, subset, bundle) for subset, line in listed]


def _video(files, line, subset, bundle):
    name = video_stem(line.text)
    match = NAME.fullmatch(name)
    if match is None:
        raise line.error(
            f"expected a name made of camera and number, such as 01_0014. Received: `{line.text}`. "
            "Correct or remove the line."
        )
    abnormal = len(match["number"]) == 4
    path, missing = files.locate(line.text, line)
    mask, labels_from = _mask(files, name, bundle) if abnormal else (None, "")
    if abnormal and mask is None and subset == "test" and not missing:
        folders = " or ".join(map(str, files.searched))
        missing = f"the frame mask {name}.npy of {name} ({line.location}) is not under {folders}"
    return ListedVideo(
        video_id=name,
        path=path,
        subset=subset,
        label=int(abnormal),
        class_name="" if abnormal else "Normal",
        frame_labels=mask,
        intervals=None if abnormal else (),
        num_frames=None if mask is None else len(mask),
        where=line.where,
        labels_from=labels_from,
        fps=FPS,
        missing=missing,
    )


def _mask(files, name, bundle):
    """Return ``(labels, source)`` of an abnormal video; ``(None, "")`` when it has no mask."""
    path = files.find(f"{name}.npy")
    if path is None and name not in bundle[1]:
        return None, ""
    array = read_arrays(path)[name] if path else bundle[1][name]
    path = path or bundle[0]
    mask = frame_mask(array, path, name)
    if not mask.any():
        raise UserError(f"{path}: the mask `{name}` marks no frame, but the video contains an event. Copy it again.")
    return mask, f"{path}, `{name}`"
