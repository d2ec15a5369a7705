"""Tests of the XD-Violence adapter, on the official annotations."""

from collections import Counter

import pytest

from pipelines.config import UserError
from pipelines.data.datasets.xd_violence import ABOUT
from pipelines.data.listing.files import video_stem

FIGHT = "Film.1999__#00-01-00_00-02-00_label_B1-B2-0"
CALM = "v=abc__#1_label_A"


@pytest.fixture(scope="module")
def annotations(shared_data):
    return shared_data / "annotations" / "xd_violence" / "annotations.txt"


@pytest.fixture(scope="module")
def videos(annotations, stand_ins, load, tmp_path_factory):
    """The official test part as its archive unpacks, stand-ins for its 300 normal videos and for 3,954 of training."""
    abnormal = [video_stem(line.split()[0]) for line in annotations.read_text().splitlines()]
    names = [f"videos/{name}.mp4" for name in abnormal] + [f"videos/v=t{i}__#1_label_A.mp4" for i in range(300)]
    names += [f"1-1004/v=n{i}__#1_label_A.mp4" for i in range(2049)]
    names += [f"3320-3954/v=a{i}__#1_label_{('B1-0-0', 'G-B2-B6')[i % 2]}.mp4" for i in range(1905)]
    root = stand_ins(tmp_path_factory.mktemp("xd"), names)
    return load("xd_violence", root, f"data.annotations={annotations.parent}")


def test_the_official_counts_are_met(videos):
    assert Counter((video.subset, video.label) for video in videos) == ABOUT.counts
    assert sum(ABOUT.counts.values()) == len(videos) == 4754


def test_every_annotated_video_is_a_test_video_with_its_events(videos, annotations):
    by_id = {video.video_id: video for video in videos}
    lines = annotations.read_text().splitlines()
    assert len(lines) == 500
    for line in lines:
        name, *numbers = line.split()
        video = by_id[name.removesuffix(".mp4")]
        pairs = zip(map(int, numbers[::2]), map(int, numbers[1::2]), strict=True)
        assert (video.subset, video.label, video.intervals) == ("test", 1, tuple(pairs))
    assert sum(line.split()[0].endswith(".mp4") for line in lines) == 14  # named with their suffix there
    assert sum(video.intervals[0][0] == 0 for video in videos if video.subset == "test" and video.label) == 88


def test_the_class_is_the_first_label(videos):
    by_id = {video.video_id: video for video in videos}
    assert by_id["Bad.Boys.1995__#01-11-55_01-12-40_label_G-B2-B6"].class_name == "Explosion"
    assert Counter(video.class_name for video in videos if video.subset == "test") == {
        "Fighting": 120,
        "Riot": 101,
        "CarAccident": 96,
        "Explosion": 91,
        "Shooting": 84,
        "Abuse": 8,
        "Normal": 300,
    }


@pytest.fixture
def small(tmp_path, stand_ins):
    names = [f"1-1004/{CALM}.mp4", f"1-1004/{FIGHT.replace('1999', '2000')}.mp4", f"videos/{FIGHT}.mp4"]
    root = stand_ins(tmp_path / "xd", [*names, "videos/v=def__#1_label_A.mp4"])
    (root / "annotations.txt").write_text(f"{FIGHT}.mp4 0 3 5 20\n")
    return root


def test_the_stage_prepares_them(small, prepared):
    manifest, _ = prepared("xd_violence", small)
    facts = {video.video_id: (video.subset, video.class_name, video.frame_labels) for video in manifest.videos}
    assert facts == {
        CALM: ("train", "Normal", ()),
        FIGHT.replace("1999", "2000"): ("train", "Fighting", None),
        FIGHT: ("test", "Fighting", ((0, 3), (5, 12))),
        "v=def__#1_label_A": ("test", "Normal", ()),
    }
    assert manifest.by_id[FIGHT].warning.endswith(
        "annotations.txt, line 1: an interval up to frame 20 was cut to 12 decoded frames"
    )


def test_the_lists_of_the_authors_tell_the_parts_without_folders(small, load, stand_ins, tmp_path):
    flat = stand_ins(tmp_path / "flat", [f"{CALM}.mp4", f"{FIGHT}.mp4", "v=def__#1_label_A.mp4"])
    (flat / "annotations.txt").write_text(f"{FIGHT} 0 3\n")
    with pytest.raises(
        UserError, match=r"is neither in annotations\.txt nor in a folder .* put rgb\.list and rgb_test"
    ):
        load("xd_violence", flat)
    crops = [f"/disk/RGB/{CALM}__{crop}.npy" for crop in range(5)]
    (flat / "rgb.list").write_text("\n".join([*crops, "/disk/RGB/v=gone__#1_label_A__0.npy"]))
    (flat / "rgb_test.list").write_text(f"/disk/RGBTest/v=def__#1_label_A__0.npy\n/disk/RGBTest/{FIGHT}__0.npy\n")
    with pytest.raises(
        UserError, match=r"v=gone__#1_label_A\.mp4 \(line 6 of rgb\.list\) is not under .*remove the line"
    ):
        load("xd_violence", flat)
    (flat / "rgb.list").write_text("\n".join(crops))
    assert [(video.video_id, video.subset) for video in load("xd_violence", flat)] == [
        (CALM, "train"),
        (FIGHT, "test"),
        ("v=def__#1_label_A", "test"),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"{FIGHT} 0 3 5", r"annotations\.txt, line 1: expected the first and last frame .*Received: `0 3 5`\. Copy"),
        (f"{FIGHT} 3 3", r"line 1: an event must start at frame 0 or later and end after its start\. Received: 3 to 3"),
        (f"{FIGHT}", r"line 1: expected the first and last frame"),
        (f"{FIGHT}9 0 3", r"line 1: the name .* has no known label.*each one of A, B1, B2"),
        ("v=x__#1_label_B3-0-0 0 3", r"line 1: the name `v=x__#1_label_B3-0-0` has no known label.*Correct the name"),
        (f"{CALM} 0 3", r"line 1: `v=abc__#1_label_A` is normal by its name, but has abnormal frames"),
        (f"{FIGHT} 0 3\n{FIGHT}.mp4 0 3", r"line 2: `Film.* is already in line 1 of annotations\.txt"),
        (f"{FIGHT} 0 3\nv=gone__#1_label_G-0-0 0 9", r"label_G-0-0\.mp4 \(line 2 of annotations\.txt\) is not under"),
        ("v=gone__#1_label_G-0-0 0 9", r"Film\.1999.* is an abnormal test video, but has no line"),
    ],
)
def test_faulty_annotations_are_told_by_file_line_and_remedy(small, load, line, message):
    (small / "annotations.txt").write_text(f"{line}\n")
    with pytest.raises(UserError, match=message):
        load("xd_violence", small)


def test_a_training_list_that_holds_a_test_video_is_told(small, load):
    (small / "rgb.list").write_text(f"x/{FIGHT}__0.npy\n")
    with pytest.raises(UserError, match=r"annotations\.txt, line 1: .* is already in line 1 of rgb\.list"):
        load("xd_violence", small)
