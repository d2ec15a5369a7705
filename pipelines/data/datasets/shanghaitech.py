"""ShanghaiTech Campus, weakly supervised split (Zhong et al., CVPR 2019): 238 training and 199 test videos.

Videos, anywhere under `data.root`, found by name: `training/videos/01_001.avi` and, as the official release has the
others, folders of frames `testing/frames/01_0014/000.jpg`. A video file of that name does as well. The rate of a folder
of frames is that of the release, 24 a second.

Lists and labels, under `data.annotations` or `data.root`:

* `SH_Train.txt` and `SH_Test.txt`: a name a line (63 + 44 abnormal, 175 + 155 normal);
* the 107 frame masks of the release, `test_frame_mask/01_0014.npy`, or all in one `test_frame_masks.npz`: 0 or 1 for
  each frame, at the true length of the video.

The lists hold no labels. The release keeps normal videos for training, with three digits behind the camera, and numbers
its own test part with four; all 107 of those hold an event. So a name with four digits is abnormal, and its mask is
checked to say the same. The split puts 63 of them into training, where the mask is not needed; where it is there, it is
kept for the evaluation of folds. Pixel masks (`test_pixel_mask`) have the same names and are passed over. Arrays of all
test videos in a row, as repositories ship them, are not read: they differ in length (140,112 to 144,032 frames) by how
each rounds a video, and nothing in them says where one begins.
"""

import re

from pipelines.config import UserError
from pipelines.data.datasets import About, Video
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
    """The videos of both lists, with the masks of those that hold an event.

    Raises:
        UserError: A list or mask is missing or cannot be understood; the text names the file, the line and the way out.
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
            f"`{line.text}` is no name of this dataset: camera and number, as 01_0014. Correct or remove the line."
        )
    abnormal = len(match["number"]) == 4
    path, missing = files.place(line.text, line)
    mask, labels_from = _mask(files, name, bundle) if abnormal else (None, "")
    if abnormal and mask is None and subset == "test" and not missing:
        missing = (
            f"the frame mask {name}.npy of {name} ({line.place}) is not under {' or '.join(map(str, files.searched))}"
        )
    return Video(
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
    """`(labels, file)` of an abnormal video; `(None, "")` where there is none."""
    path = files.find(f"{name}.npy")
    if path is None and name not in bundle[1]:
        return None, ""
    array = read_arrays(path)[name] if path else bundle[1][name]
    path = path or bundle[0]
    mask = frame_mask(array, path, name)
    if not mask.any():
        raise UserError(f"{path}: the mask `{name}` marks no frame, but the video holds an event. Copy it again.")
    return mask, f"{path}, `{name}`"
