import numpy as np
import pytest

from pipelines.data.listing.dataset import ListedVideo


def test_frame_labels_are_cut_to_the_true_length():
    video = ListedVideo("a", "a.mp4", "test", 1, frame_labels=np.array([0, 1, 1, 0, 1], np.uint8), labels_from="x.npz")
    assert video.frame_intervals(3) == (((1, 3),), "x.npz: 5 frame labels cut to 3 decoded frames")
    assert video.frame_intervals(5) == (((1, 3), (4, 5)), "")
    with pytest.raises(ValueError, match=r"x\.npz: 5 frame labels for 6 decoded frames\. Give one label per frame"):
        video.frame_intervals(6)
    with pytest.raises(ValueError, match=r"all abnormal frames of its 5 labels lie after the end: only 1 frames were"):
        video.frame_intervals(1)


def test_intervals_are_cut_to_the_true_length():
    video = ListedVideo("a", "a.mp4", "test", 1, intervals=((2, 12),))
    assert video.frame_intervals(10) == (((2, 10),), "an interval up to frame 12 was cut to 10 decoded frames")
    assert video.frame_intervals(12) == (((2, 12),), "")
    with pytest.raises(ValueError, match="starts at frame 2, but only 2 frames were decoded"):
        video.frame_intervals(2)


def test_unknown_intervals_stay_unknown_and_normal_is_normal():
    assert ListedVideo("a", "a.mp4", "train", 1).frame_intervals(10) == (None, "")
    assert ListedVideo("a", "a.mp4", "train", 0, intervals=()).frame_intervals(10) == ((), "")
