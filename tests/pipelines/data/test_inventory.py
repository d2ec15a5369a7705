"""Tests of pipelines.data.inventory."""

import csv
import os
import re

import numpy as np
import pytest

from pipelines.config import UserError, load_config
from pipelines.data import inventory
from pipelines.data.inventory import Inventory, Row, take_inventory


@pytest.fixture(scope="module")
def take():
    def run(dataset, root, *overrides):
        return take_inventory(load_config(overrides=[f"data.dataset={dataset}", f"data.root={root}", *overrides]))

    return run


@pytest.fixture
def folder(tmp_path, make_video):
    """A folder of six videos of 12 frames, with the labels of four."""
    (tmp_path / "labels.csv").write_text(
        "file,label,subset,class\na.mp4,1,train,fall\nb.mp4,1,test,fall\nc.mp4,0,test,\nd.mp4,1,train,fall\n"
        "e.mp4,0,train,\nf.mp4,0,train,\n"
    )
    for name in "abcdef":
        make_video(tmp_path / f"{name}.mp4", 12, size=(32, 32))
    return tmp_path


def test_a_folder_is_counted_by_part_label_and_class(folder, take):
    (folder / "c.mp4").unlink()
    inventory = take("folder", folder)
    assert [(row.name, row.depth, row.listed, row.there) for row in inventory.rows] == [
        ("train", 0, 4, 4),
        ("normal", 1, 2, 2),
        ("abnormal", 1, 2, 2),
        ("fall", 2, 2, 2),
        ("test", 0, 2, 1),
        ("normal", 1, 1, 0),
        ("abnormal", 1, 1, 1),
        ("fall", 2, 1, 1),
    ]
    assert inventory.missing == (f"c.mp4 (line 4 of labels.csv) is not under {folder}",)
    assert not inventory.is_complete and {row.official for row in inventory.rows} == {None}


@pytest.mark.parametrize(
    ("events", "cut", "unusable"),
    [
        ("a.mp4,2,12\n", "", ""),
        ("a.mp4,2,14\n", "a: .*intervals.csv: an interval up to frame 14 was cut to 12", ""),
        ("a.mp4,2,29\n", "", "a: .*an interval up to frame 29 was cut"),
        ("a.mp4,12,14\n", "", "a: .*starts at frame 12, but only 12"),
    ],
)
def test_labels_are_compared_with_the_length_of_their_video(folder, take, events, cut, unusable):
    (folder / "intervals.csv").write_text(f"file,start_frame,end_frame\n{events}")
    inventory = take("folder", folder)
    assert (inventory.num_measured, inventory.num_unmeasured) == (1, 0)
    for found, expected in ((inventory.cut, cut), (inventory.unusable, unusable)):
        assert len(found) == bool(expected)
        assert not expected or re.search(expected, found[0])
    assert inventory.is_complete == (not unusable)


def test_a_list_that_is_missing_stops_the_count(tmp_path, take):
    (tmp_path / "SH_Train.txt").write_text("01_001\n")
    inventory = take("shanghaitech", tmp_path)
    assert inventory.lists == ((("SH_Train.txt",), tmp_path / "SH_Train.txt"), (("SH_Test.txt",), None))
    assert not inventory.rows and not inventory.is_complete


def test_fewer_than_the_official_count_is_not_complete_though_nothing_is_listed_as_missing():
    assert Inventory(rows=(Row("train", 0, 3, 3, 3),)).is_complete
    assert not Inventory(rows=(Row("train", 0, 3, 3, 4),)).is_complete
    assert not Inventory(lists=((("a.txt",), None),)).is_complete
    for fault in ({"unreadable": ("a",)}, {"cut_off": ("a",)}, {"untrainable": "no abnormal video"}):
        assert not Inventory(**fault).is_complete


def test_what_makes_its_own_videos_is_not_checked(tmp_path, take):
    with pytest.raises(UserError, match="the videos of `synthetic` are generated, there is nothing to check"):
        take("synthetic", tmp_path)


@pytest.fixture(scope="module")
def ucf(shared_data, make_video, tmp_path_factory):
    """All of UCF-Crime under its own names; videos whose events reach nearest to their ends have their true length."""
    lists, root = shared_data / "annotations/ucf_crime", tmp_path_factory.mktemp("ucf")
    long = make_video(root / "long.mp4", 26000, size=(16, 16), preset="ultrafast", g="250")
    with open(lists / "test_temporal.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["label"] == "1"]
    margin = {row["video"]: int(row["n_frames"]) - max(int(row["end1"]), int(row["end2"])) for row in rows}
    nearest = sorted(margin, key=margin.get)[:16]
    lengths = {
        row["video"]: int(row["n_frames"]) for row in rows if row["video"] in nearest and int(row["n_frames"]) < 9000
    }
    for name in ("Anomaly_Train.txt", "Anomaly_Test.txt"):
        for listed in (lists / name).read_text().split():
            (root / listed).parent.mkdir(exist_ok=True)
            length = lengths.get(listed.rpartition("/")[2].removesuffix(".mp4"))
            if length:
                make_video(root / listed, length, size=(16, 16), preset="ultrafast", g="250")
            else:
                os.link(long, root / listed)
    return root, lists, len(lengths)


class LinksOnce(inventory.DecodePool):
    """Opens each file once, however many names it has."""

    def run(self, videos):
        names = {}
        for number, video in enumerate(videos):
            names.setdefault(video.path.stat().st_ino, []).append(number)
        files = list(names.values())
        for job, result in super().run([videos[numbers[0]] for numbers in files]):
            yield from ((number, result) for number in files[job])


def test_the_whole_of_ucf_crime_is_complete_with_five_ends_to_cut(ucf, take, monkeypatch):
    monkeypatch.setattr(inventory, "DecodePool", LinksOnce)
    root, lists, num_true = ucf
    found = take("ucf_crime", root, f"data.annotations={lists}")
    assert num_true >= 10 and found.is_complete
    assert [text.partition(":")[0] for text in found.cut] == [
        "Arson011_x264",
        "Arson016_x264",
        "Explosion033_x264",
        "Fighting003_x264",
        "Shooting015_x264",
    ]
    assert (found.missing, found.unusable, found.num_measured) == ((), (), 140)
    assert [(row.name, row.there) for row in found.rows if not row.depth] == [("train", 1610), ("test", 290)]
    assert len({row.name for row in found.rows if row.depth == 2}) == 13


def test_the_masks_of_shanghaitech_fit_their_true_lengths(shared_data, make_video, tmp_path, take):
    lists = shared_data / "annotations/shanghaitech"
    with np.load(lists / "test_frame_masks.npz") as arrays:
        lengths = {key: len(arrays[key]) for key in arrays.files}
    by_length = {}
    for name in (lists / "SH_Train.txt").read_text().split() + (lists / "SH_Test.txt").read_text().split():
        length = lengths.get(name, 12)
        if length not in by_length:
            by_length[length] = make_video(tmp_path / f"{length}_frames.mp4", length, size=(16, 16), preset="ultrafast")
        os.link(by_length[length], tmp_path / f"{name}.mp4")
    inventory = take("shanghaitech", tmp_path, f"data.annotations={lists}")
    assert (inventory.cut, inventory.unusable, inventory.missing) == ((), (), ())
    assert inventory.num_measured == 107 and inventory.is_complete


def test_each_video_is_opened_and_what_cannot_be_used_is_named(folder, take, make_video):
    assert (take("folder", folder).num_opened, take("folder", folder).is_complete) == (6, True)
    whole = make_video(folder / "long.mkv", 60, size=(32, 32), g="10").read_bytes()
    (folder / "a.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (folder / "b.mp4").write_bytes(b"")
    (folder / "c.mp4").write_bytes((folder / "c.mp4").read_bytes()[:-300])
    (folder / "e.mp4").write_bytes(whole[: len(whole) // 2])
    inventory, seen = take("folder", folder), []
    assert not inventory.is_complete and inventory.num_opened == 3
    assert [text.partition(" (")[0] for text in inventory.unreadable] == [
        "a.mp4: not a video, or cut off before its index",
        "b.mp4: the file is empty",
        "c.mp4: not a video, or cut off before its index",
    ]
    (cut_off,) = inventory.cut_off
    assert re.match(r"e\.mp4: cut off: it ends at [123]\.\d of 6\.0 s", cut_off)
    config = load_config(overrides=["data.dataset=folder", f"data.root={folder}"])
    take_inventory(config, lambda loop, text, total: seen.append((text, total)) or loop)
    assert ("Opening videos", 6) in seen


def test_videos_that_cannot_be_read_cannot_be_trained_on(folder, take):
    (folder / "labels.csv").write_text("file,label\n" + "".join(f"{name}.mp4,{name in 'ab':d}\n" for name in "abcdef"))
    assert not take("folder", folder).untrainable
    for name in "ab":
        (folder / f"{name}.mp4").write_bytes(b"no video")
    assert "4 normal and 0 abnormal training videos" in take("folder", folder).untrainable


def test_videos_that_cannot_be_trained_on_are_told(folder, take):
    (folder / "labels.csv").write_text("file,label\n" + "".join(f"{name}.mp4,0\n" for name in "abcdef"))
    inventory = take("folder", folder)
    assert "6 normal and 0 abnormal training videos" in inventory.untrainable and not inventory.is_complete
