"""Tests of the Ped2 adapter, on the real videos and on the layout of the official release."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from pipelines.config import UserError
from pipelines.data.datasets.ucsd_ped import ABNORMAL, ABOUT, NORMAL, TRAINING

EVENTS = [(61, 180), (95, 180), (1, 146), (31, 180), (1, 129), (1, 159), (46, 180), (1, 180), (1, 120), (1, 150)]
EVENTS += [(1, 180), (88, 180)]  # as published; MATLAB's ranges


def ground_truth(events):
    lines = [f"TestVideoFile{{end+1}}.gt_frame = [{start}:{end}];" for start, end in events]
    return "TestVideoFile = {};\n" + "\n".join(lines) + "\n"


@pytest.fixture
def released(tmp_path, stand_ins):
    """UCSD_Anomaly_Dataset.v1p2 in small: folders of 9 frames, hidden files, masks, and Ped1 with the same names."""
    root = tmp_path / "UCSD_Anomaly_Dataset.v1p2"
    for name in (*ABNORMAL, *NORMAL):
        folder = root / "UCSDped2" / name[:-3] / name
        folder.mkdir(parents=True)
        for number in range(1, 10):
            Image.new("L", (36, 24), 20 * number).save(folder / f"{number:03d}.tif")
        (folder / "._001.tif").write_bytes(b"hidden")
    for folder in ("UCSDped1/Test/Test001", "UCSDped2/Test/Test001_gt"):
        (root / folder).mkdir(parents=True)
        Image.new("L", (8, 8)).save(root / folder / ("001.tif" if "ped1" in folder else "001.bmp"))
    (root / "UCSDped2/Test/UCSDped2.m").write_text(ground_truth([(3, 7)] * 12))
    return root


def test_the_release_gives_the_28_videos_of_the_split(released, load):
    videos = load("ucsd_ped", released)
    assert Counter((video.subset, video.label) for video in videos) == ABOUT.counts
    assert {video.video_id for video in videos if video.subset == "train"} == TRAINING
    assert all(video.path.parts[-3] == "UCSDped2" and video.fps == 10.0 for video in videos)
    assert all(video.intervals == (((2, 7),) if video.label else ()) for video in videos)


def test_ranges_are_given_to_the_videos_in_their_order(released, load):
    (released / "UCSDped2/Test/UCSDped2.m").write_text(
        ground_truth(EVENTS).replace("[31:180]", "[31:90, 140:180]").replace("gt_frame = [1:146]", "gt_frame=[1:146]")
    )
    by_id = {video.video_id: video.intervals for video in load("ucsd_ped", released)}
    assert [by_id[name] for name in ABNORMAL[:4]] == [((60, 180),), ((94, 180),), ((0, 146),), ((30, 90), (139, 180))]


def test_the_stage_prepares_folders_of_tif_frames(released, prepared):
    manifest, _ = prepared("ucsd_ped", released, "data.frames_per_sec=5")
    assert len(manifest.videos) == 28
    facts = {(video.num_frames, video.num_sampled, video.fps, video.width, video.height) for video in manifest.videos}
    assert facts == {(9, 5, 10.0, 36, 24)}
    assert manifest.by_id["Test001"].frame_labels == ((2, 7),) and manifest.by_id["Train001"].frame_labels == ()


def test_the_real_videos_are_read_and_the_absent_ones_named(shared_data, load):
    root = shared_data / "videos" / "ucsd_ped2"
    with pytest.raises(UserError, match=r"Test003 is not under .*8 of 28 videos are missing"):
        load("ucsd_ped", root)
    videos = [video for video in load("ucsd_ped", root, "data.allow_missing=true") if not video.missing]
    assert len(videos) == 20 and sum(video.subset == "train" for video in videos) == 10
    for video in videos:
        if video.label:
            start, end = EVENTS[ABNORMAL.index(video.video_id)]
            expected = np.zeros(video.num_frames, np.uint8)
            expected[start - 1 : end] = 1
            assert np.array_equal(video.frame_labels, expected), video.video_id


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ground_truth(EVENTS[:11]), r"UCSDped2\.m has 11 lines with `gt_frame`, expected one for each of 12.*Copy it"),
        (ground_truth(EVENTS).replace("[95:180]", "95:180"), r"UCSDped2\.m, line 3: expected `TestVideoFile.*Copy"),
        (ground_truth(EVENTS).replace("[95:180]", "[95:]"), r"UCSDped2\.m, line 3: .*whole numbers"),
        (ground_truth(EVENTS).replace("[95:180]", "[95:18]"), r"line 3: an event must .*Received: 95 to 18"),
        (ground_truth(EVENTS).replace("[61:180]", "[0:180]"), r"line 2: an event must start at frame 1 or later"),
    ],
)
def test_a_faulty_ground_truth_is_told_by_file_line_and_remedy(released, load, text, message):
    (released / "UCSDped2/Test/UCSDped2.m").write_text(text)
    with pytest.raises(UserError, match=message):
        load("ucsd_ped", released)


def test_a_range_past_the_end_leaves_out_its_video_with_file_and_line(released, prepared):
    (released / "UCSDped2/Test/UCSDped2.m").write_text(ground_truth([(61, 180), *[(1, 9)] * 11]))
    manifest, summary = prepared("ucsd_ped", released)
    assert len(manifest.videos) == 27
    assert "UCSDped2.m, line 2: an abnormal interval starts at frame 60" in summary["skipped"][0]["reason"]


def test_arrays_must_agree_with_the_release(tmp_path, stand_ins, load):
    root = stand_ins(tmp_path / "mp4", [f"{name}.mp4" for name in (*ABNORMAL, *NORMAL)])
    np.savez(root / "frame_labels.npz", Train001=np.ones(9, int))
    with pytest.raises(
        UserError, match=r"frame_labels\.npz: `Train001` is a normal video, but frames of it are marked"
    ):
        load("ucsd_ped", root)
    np.savez(root / "frame_labels.npz", Test001=np.ones(9, int))
    with pytest.raises(UserError, match=r"Test003 has no frame labels in frame_labels\.npz.*5 of 28 videos"):
        load("ucsd_ped", root)


def test_labels_that_are_not_there_are_told(tmp_path, load):
    with pytest.raises(UserError, match=r"UCSDped2\.m or frame_labels\.npz is not under"):
        load("ucsd_ped", tmp_path)
