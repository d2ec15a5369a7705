"""Tests of the ShanghaiTech adapter, on the lists of the weakly supervised split and the official masks."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from pipelines.config import UserError
from pipelines.data.datasets.shanghaitech import ABOUT, LISTS

MASKED = "01_0014"


@pytest.fixture(scope="module")
def lists(shared_data):
    return shared_data / "annotations" / "shanghaitech"


@pytest.fixture(scope="module")
def names(lists):
    return {subset: (lists / name).read_text().split() for subset, name in LISTS.items()}


@pytest.fixture(scope="module")
def masks(lists):
    with np.load(lists / "test_frame_masks.npz") as arrays:
        return {key: arrays[key] for key in arrays.files}


@pytest.fixture(scope="module")
def released(names, stand_ins, tmp_path_factory):
    """The layout of the release: videos for training, and where it has folders of frames, video files."""
    listed = [*names["train"], *names["test"]]
    files = [f"{'testing' if len(name) == 7 else 'training'}/videos/{name}.avi" for name in listed]
    return stand_ins(tmp_path_factory.mktemp("shanghaitech"), files)


@pytest.fixture(scope="module")
def videos(load, released, lists):
    return load("shanghaitech", released, f"data.annotations={lists}")


def test_the_counts_of_the_split_are_met(videos):
    assert Counter((video.subset, video.label) for video in videos) == ABOUT.counts
    assert Counter(video.subset for video in videos) == {"train": 238, "test": 199}
    assert len({video.video_id for video in videos}) == 437


def test_the_107_masks_are_kept_as_they_are(videos, masks):
    labelled = {video.video_id: video for video in videos if video.frame_labels is not None}
    assert len(labelled) == 107 and labelled.keys() == masks.keys()
    assert all(np.array_equal(video.frame_labels, masks[name]) for name, video in labelled.items())
    assert all(video.num_frames == len(masks[name]) for name, video in labelled.items())
    assert sum(len(video.frame_labels) for video in labelled.values()) == 40791
    assert sum(int(video.frame_labels.sum()) for video in labelled.values()) == 17326


def test_a_video_is_abnormal_where_it_has_a_mask(videos, masks):
    assert {video.video_id for video in videos if video.label} == set(masks)
    assert all(video.intervals == () for video in videos if not video.label)


def test_the_masks_in_the_order_of_the_list_are_the_array_of_the_repository(videos, lists, masks):
    """The array of another project rounds each video to 16 frames; inside each its abnormal frames are those here."""
    order = (lists / "test_list_order_of_concatenated_gt.txt").read_text().split()
    by_id = {video.video_id: video for video in videos}
    with np.load(lists / "concatenated_gt_rtfm.npz") as arrays:
        array = arrays[arrays.files[0]]
    here = sum(int(by_id[name].frame_labels.sum()) for name in order if by_id[name].label)
    assert len(order) == 199 and abs(here - int(array.sum())) <= 16 * 44


def frames(folder, count):
    folder.mkdir(parents=True)
    for number in range(count):
        Image.new("RGB", (16, 12), (10 * number, 0, 0)).save(folder / f"{number:03d}.jpg")


@pytest.fixture
def small(tmp_path, stand_ins):
    """Two training and two test videos in the layout of the release, one of them a folder of 8 frames."""
    root = stand_ins(tmp_path / "sh", ["training/videos/01_001.avi", "training/videos/02_002.avi"])
    stand_ins(root, ["testing/videos/01_0015.mp4"])
    frames(root / "testing/frames" / MASKED, 8)
    (root / "SH_Train.txt").write_text("01_001\n01_0015\n")
    (root / "SH_Test.txt").write_text(f"02_002\n{MASKED}\n")
    for folder in ("test_frame_mask", "test_pixel_mask"):
        (root / "testing" / folder).mkdir(parents=True)
    np.save(root / f"testing/test_frame_mask/{MASKED}.npy", np.array([0, 0, 1, 1, 1, 0, 0, 1], np.int8))
    np.save(root / f"testing/test_pixel_mask/{MASKED}.npy", np.zeros((8, 12, 16), np.uint8))
    return root


def test_the_stage_prepares_files_and_folders_of_frames(small, prepared):
    manifest, _ = prepared("shanghaitech", small)
    facts = {video.video_id: (video.subset, video.label, video.frame_labels) for video in manifest.videos}
    assert facts == {
        "01_001": ("train", 0, ()),
        "01_0015": ("train", 1, None),  # no mask is needed for training
        "02_002": ("test", 0, ()),
        MASKED: ("test", 1, ((2, 5), (7, 8))),
    }
    folder = manifest.by_id[MASKED]
    assert (folder.num_frames, folder.fps, folder.width, folder.height, folder.warning) == (8, 24.0, 16, 12, "")


def test_another_picture_in_a_folder_prepares_its_video_again(small, prepared):
    prepared("shanghaitech", small, "data.videos_per_shard=1")
    Image.new("RGB", (16, 12)).save(small / f"testing/frames/{MASKED}/008.jpg")
    _, summary = prepared("shanghaitech", small, "data.videos_per_shard=1")
    assert "3 of 4 shards were finished before" in summary["done"]
    assert f"{MASKED}.npy, `{MASKED}`: 8 frame labels for 9 decoded frames" in summary["skipped"][0]["reason"]


def test_a_mask_longer_than_its_video_is_cut_with_a_warning_that_names_it(small, prepared):
    np.save(small / f"testing/test_frame_mask/{MASKED}.npy", np.repeat([0, 1], 5))
    manifest, _ = prepared("shanghaitech", small)
    warning = manifest.by_id[MASKED].warning
    assert warning.endswith(f"{MASKED}.npy, `{MASKED}`: 10 frame labels cut to 8 decoded frames")
    assert manifest.by_id[MASKED].frame_labels == ((5, 8),)


def test_a_mask_of_another_video_leaves_it_out(small, prepared):
    np.save(small / f"testing/test_frame_mask/{MASKED}.npy", np.repeat([0, 1], 200))
    manifest, summary = prepared("shanghaitech", small)
    assert MASKED not in manifest.by_id
    assert "all abnormal frames of its 400 labels lie after the end" in summary["skipped"][0]["reason"]


def test_a_test_video_without_its_mask_is_missing(small, load, prepared):
    (small / f"testing/test_frame_mask/{MASKED}.npy").unlink()
    with pytest.raises(UserError, match=rf"the frame mask {MASKED}\.npy of {MASKED} \(line 2 of SH_Test\.txt\) is not"):
        load("shanghaitech", small)
    manifest, summary = prepared("shanghaitech", small, "data.allow_missing=true")
    assert MASKED not in manifest.by_id and "the frame mask" in summary["skipped"][0]["reason"]


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ("01_001\n1_15\n", "02_002\n", r"SH_Train\.txt, line 2: expected a name .*`1_15`\. Correct or"),
        ("01_001\n", "02_002\n\n01_001\n", r"SH_Test\.txt, line 3: `01_001` is already in line 1 of SH_Train\.txt"),
        ("01_001\n99_999.avi\n", "02_002\n", r"99_999\.avi \(line 2 of SH_Train\.txt\) is not under .*Download it or"),
        ("", "02_002\n", r"SH_Train\.txt is empty"),
    ],
)
def test_faulty_lists_are_told_by_file_line_and_remedy(small, load, train, test, message):
    (small / "SH_Train.txt").write_text(train)
    (small / "SH_Test.txt").write_text(test)
    with pytest.raises(UserError, match=message):
        load("shanghaitech", small)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros(8), rf"{MASKED}\.npy: the mask `{MASKED}` marks no frame.*Copy it again"),
        (np.zeros((8, 2)), rf"{MASKED}\.npy: `{MASKED}` must hold one 0 or 1 per frame\. .* shape \(8, 2\)"),
    ],
)
def test_faulty_masks_are_told(small, load, mask, message):
    np.save(small / f"testing/test_frame_mask/{MASKED}.npy", mask)
    with pytest.raises(UserError, match=message):
        load("shanghaitech", small)
