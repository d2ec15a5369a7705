"""Tests of the UCF-Crime adapter, on the official lists."""

import csv
from collections import Counter
from pathlib import PurePosixPath

import numpy as np
import pytest

from pipelines.config import UserError
from pipelines.data.datasets.ucf_crime import ABOUT, SIZES
from pipelines.data.listing.manifest import intervals_to_array

PAST_THE_END = {"Arson011_x264", "Arson016_x264", "Explosion033_x264", "Fighting003_x264", "Shooting015_x264"}


@pytest.fixture(scope="module")
def lists(shared_data):
    return shared_data / "annotations" / "ucf_crime"


@pytest.fixture(scope="module")
def unpacked(lists, stand_ins, tmp_path_factory):
    """All videos as the archives unpack: parts with class folders, normal videos without, 50 of them a second time."""
    names = []
    for name in ("Anomaly_Train.txt", "Anomaly_Test.txt"):
        for index, listed in enumerate((lists / name).read_text().split()):
            path = PurePosixPath(listed)
            if path.parent.name == "Training_Normal_Videos_Anomaly":
                names.append(f"Training-Normal-Videos-Part-{1 + index % 2}/{path.name}")
            elif path.parent.name == "Testing_Normal_Videos_Anomaly":
                names.append(listed)
                names += [f"Normal_Videos_event/{path.name}"] if index % 3 == 0 else []
            else:
                names.append(f"Anomaly-Videos-Part-{1 + index % 4}/{listed}")
    return stand_ins(tmp_path_factory.mktemp("ucf"), names)


@pytest.fixture(scope="module")
def videos(load, unpacked, lists):
    return load("ucf_crime", unpacked, f"data.annotations={lists}")


@pytest.fixture(scope="module")
def true_lengths(lists):
    with open(lists / "test_temporal.csv", newline="") as file:
        return {row["video"]: (int(row["n_frames"]), row) for row in csv.DictReader(file)}


def test_the_official_counts_are_met(videos):
    assert len(videos) == 1900
    assert Counter((video.subset, video.label) for video in videos) == ABOUT.counts
    assert Counter((video.subset, video.class_name) for video in videos) == ABOUT.classes
    assert len({video.class_name for video in videos if video.label}) == 13
    assert sum(train for train, _ in SIZES.values()) == 1610 and sum(test for _, test in SIZES.values()) == 290


def test_no_video_is_in_both_parts(videos):
    parts = {subset: {video.video_id for video in videos if video.subset == subset} for subset in ("train", "test")}
    assert not parts["train"] & parts["test"] and sum(map(len, parts.values())) == 1900


def test_every_video_is_found_as_the_archives_unpack(videos, unpacked):
    assert all(video.path.is_file() and not video.missing for video in videos)
    by_id = {video.video_id: video for video in videos}
    assert by_id["Abuse001_x264"].path == unpacked / "Anomaly-Videos-Part-1/Abuse/Abuse001_x264.mp4"
    assert by_id["Normal_Videos_003_x264"].path.parent.name == "Testing_Normal_Videos_Anomaly"  # not the second copy


def test_ends_are_included_and_frames_count_from_1(videos):
    by_id = {video.video_id: video for video in videos}
    assert by_id["Abuse028_x264"].intervals == ((164, 240),)  # 165 240 in the file
    assert by_id["Burglary035_x264"].intervals == ((0, 1740),)  # 1 1740
    assert by_id["Vandalism036_x264"].intervals == ((539, 780), (989, 1080))
    assert by_id["Normal_Videos_003_x264"].intervals == ()
    assert by_id["Abuse001_x264"].intervals is None and by_id["Normal_Videos001_x264"].intervals == ()
    assert sum(len(video.intervals) == 2 for video in videos if video.intervals) == 16


def test_only_five_annotations_end_past_the_end_and_are_cut_with_a_warning(videos, true_lengths):
    warned = {}
    for video in videos:
        if video.subset == "test":
            num_frames, row = true_lengths[video.video_id]
            intervals, warning = video.frame_intervals(num_frames)
            labels = intervals_to_array(intervals, num_frames)
            expected = np.zeros(num_frames, int)
            for event in "12":
                if int(row[f"start{event}"]) > 0:
                    expected[int(row[f"start{event}"]) - 1 : int(row[f"end{event}"])] = 1
            assert np.array_equal(labels, expected)
            if warning:
                warned[video.video_id] = warning
    assert set(warned) == PAST_THE_END
    assert warned["Shooting015_x264"].endswith(
        "Temporal_Anomaly_Annotation_for_Testing_Videos.txt, line 244: "
        "an interval up to frame 1715 was cut to 1713 decoded frames"
    )


def test_the_labels_agree_with_those_of_the_sampled_videos(videos, shared_data):
    """Frame k of these stands for original frames 16 k to 16 k + 15, labelled by the one in their middle."""
    by_id = {video.video_id: video for video in videos}
    compared = 0
    with np.load(shared_data / "videos/ucf_crime_test_subset_16f/frame_labels.npz") as arrays:
        for key in arrays.files:
            video = by_id[key.rpartition("/")[2]]
            labels = intervals_to_array(video.intervals, 16 * len(arrays[key]) + 16)
            middle = labels[8 : 16 * len(arrays[key]) : 16]
            assert np.sum(middle != arrays[key]) <= 2 * len(video.intervals)
            compared += 1
    assert compared == 91


def small(tmp_path, stand_ins, train=(), test=(), annotations=()):
    """A set of a few videos with lists of its own."""
    listed = [line.split()[0] for line in (*train, *test) if line.endswith(".mp4")]
    root = stand_ins(tmp_path / "videos", listed)
    (root / "Anomaly_Train.txt").write_text("".join(f"{line}\n" for line in train))
    if test:
        (root / "Anomaly_Test.txt").write_text("".join(f"{line}\n" for line in test))
    (root / "Temporal_Anomaly_Annotation.txt").write_text("".join(f"{line}\n" for line in annotations))
    return root


TRAIN = ("Abuse/Abuse001_x264.mp4", "Training_Normal_Videos_Anomaly/Normal_Videos001_x264.mp4")
TEST = ("Arson/Arson011_x264.mp4", "Testing_Normal_Videos_Anomaly/Normal_Videos_003_x264.mp4")
EVENTS = ("Arson011_x264.mp4\tArson  3 6\t9  14  ", "Normal_Videos_003_x264.mp4  Normal  -1  -1  -1  -1")


def test_the_stage_prepares_them_and_says_what_was_cut(tmp_path, stand_ins, prepared):
    manifest, _ = prepared("ucf_crime", small(tmp_path, stand_ins, TRAIN, TEST, EVENTS))
    facts = {video.video_id: (video.subset, video.label, video.frame_labels) for video in manifest.videos}
    assert facts == {
        "Abuse001_x264": ("train", 1, None),
        "Normal_Videos001_x264": ("train", 0, ()),
        "Arson011_x264": ("test", 1, ((2, 6), (8, 12))),
        "Normal_Videos_003_x264": ("test", 0, ()),
    }
    assert manifest.by_id["Arson011_x264"].warning.endswith("up to frame 14 was cut to 12 decoded frames")


def test_an_event_past_the_end_leaves_out_its_video_with_file_line_and_remedy(tmp_path, stand_ins, prepared):
    late = ("Arson011_x264.mp4  Arson  400  700  -1  -1", EVENTS[1])
    manifest, summary = prepared("ucf_crime", small(tmp_path, stand_ins, TRAIN, TEST, late))
    assert len(manifest.videos) == 3
    (skipped,) = summary["skipped"]
    assert "Temporal_Anomaly_Annotation.txt, line 1: an abnormal interval starts at frame 399" in skipped["reason"]
    assert "Correct or remove the line" in skipped["reason"]


def test_without_a_test_list_the_annotated_videos_are_the_test_part(tmp_path, stand_ins, load):
    root = small(tmp_path, stand_ins, TRAIN, (), EVENTS)
    stand_ins(root, TEST)
    assert [video.video_id for video in load("ucf_crime", root) if video.subset == "test"] == [
        "Arson011_x264",
        "Normal_Videos_003_x264",
    ]


def test_missing_videos_stop_it_with_line_count_and_remedy(tmp_path, stand_ins, load):
    root = small(tmp_path, stand_ins, TRAIN, TEST, EVENTS)
    (root / TRAIN[1]).unlink()
    (root / TEST[0]).unlink()
    with pytest.raises(UserError) as caught:
        load("ucf_crime", root)
    assert str(caught.value) == (
        f"Training_Normal_Videos_Anomaly/Normal_Videos001_x264.mp4 (line 2 of Anomaly_Train.txt) is not under {root}. "
        "Download it or remove the line (2 of 4 videos are missing). "
        f"`vad datasets check ucf_crime --root {root}` lists what is missing; "
        "`--set data.allow_missing=true` skips missing videos."
    )


def test_allowed_to_miss_videos_the_stage_names_what_it_left_out(tmp_path, stand_ins, prepared):
    root = small(tmp_path, stand_ins, TRAIN, TEST, EVENTS)
    (root / TEST[0]).unlink()
    manifest, summary = prepared("ucf_crime", root, "data.allow_missing=true")
    assert [video.video_id for video in manifest.videos] == [
        "Abuse001_x264",
        "Normal_Videos001_x264",
        "Normal_Videos_003_x264",
    ]
    (skipped,) = summary["skipped"]
    assert "Arson/Arson011_x264.mp4 (line 1 of Anomaly_Test.txt) is not under" in skipped["reason"]


def test_a_video_that_arrives_later_is_prepared_by_the_next_run(tmp_path, stand_ins, prepared):
    root = small(tmp_path, stand_ins, TRAIN, TEST, EVENTS)
    (root / TEST[0]).unlink()
    prepared("ucf_crime", root, "data.allow_missing=true", "data.videos_per_shard=2")
    stand_ins(root, TEST[:1])
    manifest, summary = prepared("ucf_crime", root, "data.videos_per_shard=2")
    assert len(manifest.videos) == 4 and not summary["skipped"]
    assert "1 of 2 shards were finished before" in summary["done"]


def test_an_empty_root_is_told_as_such(lists, tmp_path, load):
    with pytest.raises(UserError, match=r"None of the 1,900 videos was found: check `data\.root`\."):
        load("ucf_crime", tmp_path, f"data.annotations={lists}", "data.allow_missing=true")


@pytest.mark.parametrize(
    ("train", "annotations", "message"),
    [
        (("Abuze/Abuze001_x264.mp4",), EVENTS, r"Anomaly_Train\.txt, line 1: .*no known class.*Did you mean `Abuse`\?"),
        (("nothing like it",), EVENTS, r"Anomaly_Train\.txt, line 1: .*Classes are: Abuse, Arrest"),
        (
            (*TRAIN, TEST[0]),
            EVENTS,
            r"Anomaly_Test\.txt, line 1: `Arson011_x264` is already in line 3 of Anomaly_Train",
        ),
        (
            TRAIN,
            (EVENTS[0][:-6], EVENTS[1]),
            r"Annotation\.txt, line 1: expected name, class, .*Received 5 words.*Copy",
        ),
        (TRAIN, (EVENTS[0].replace("3", "three"), EVENTS[1]), r"line 1: .*whole numbers.*Received: `three 6 9 14`"),
        (TRAIN, (EVENTS[0].replace("3 6", "7 6"), EVENTS[1]), r"line 1: an event must .* Received: 7 to 6\. Correct"),
        (TRAIN, (EVENTS[0].replace("3 6", "0 6"), EVENTS[1]), r"line 1: an event must start at frame 1 or later"),
        (
            TRAIN,
            (EVENTS[0].replace("Arson ", "Abuse "), EVENTS[1]),
            r"line 1: `Arson011_x264` is listed with the class `Abuse`",
        ),
        (TRAIN, (EVENTS[0], EVENTS[1].replace("-1  -1  -1", "5  9  -1")), r"line 2: .*a normal video has none"),
        (TRAIN, ("Arson011_x264.mp4 Arson -1 -1 -1 -1", EVENTS[1]), r"line 1: .*an abnormal video has one or two"),
        (TRAIN, EVENTS[:1], r"Anomaly_Test\.txt, line 2: `Normal_Videos_003_x264` has no line in"),
        (TRAIN, (*EVENTS, EVENTS[0]), r"line 3: `Arson011_x264` is already in line 1 of Temporal"),
    ],
)
def test_faulty_lists_are_told_by_file_line_and_remedy(tmp_path, stand_ins, load, train, annotations, message):
    root = small(tmp_path, stand_ins, (), TEST, annotations)
    (root / "Anomaly_Train.txt").write_text("".join(f"{line}\n" for line in train))
    with pytest.raises(UserError, match=message):
        load("ucf_crime", root)


def test_a_list_that_is_not_there_is_told(tmp_path, load):
    with pytest.raises(UserError, match=r"Anomaly_Train\.txt is not under .*`vad datasets` names the source"):
        load("ucf_crime", tmp_path)
