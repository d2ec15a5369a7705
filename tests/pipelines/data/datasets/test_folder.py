import numpy as np
import pytest

from pipelines.config import UserError, load_config
from pipelines.data.datasets import load_dataset


@pytest.fixture
def folder(tmp_path):
    for name in ("train/a.mp4", "train/b.mp4", "test/c.avi"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def load(folder, labels=None, *overrides):
    if labels is not None:
        (folder / "labels.csv").write_bytes(labels.encode() if isinstance(labels, str) else labels)
    return load_dataset(load_config(overrides=[f"data.root={folder}", *overrides]))


ALL = "file,label,subset,class\ntrain/a.mp4,0,train,\ntrain/b.mp4,1,train,fight\ntest/c.avi,1,test,fall\n"


def facts(videos):
    return [(video.video_id, video.subset, video.label, video.class_name) for video in videos]


def test_a_list_in_full_is_read_as_it_stands(folder):
    videos = load(folder, ALL)
    assert facts(videos) == [
        ("train/a", "train", 0, ""),
        ("train/b", "train", 1, "fight"),
        ("test/c", "test", 1, "fall"),
    ]
    assert videos[2].path == folder / "test" / "c.avi"
    assert videos[0].intervals == () and videos[1].intervals is None  # normal is normal throughout; the rest is unknown


@pytest.mark.parametrize(
    "text",
    [
        "\ufefffile,label\r\ntrain/a.mp4,normal\r\ntrain/b.mp4,Abnormal\r\n",
        "file;label;note\ntrain/a.mp4;0;a, b\n\ntrain/b.mp4;1;\n",
        'label , FILE\nnormal,"train/a.mp4"\n1,train\\b.mp4',
    ],
)
def test_lists_of_any_program_mean_the_same(folder, text):
    assert facts(load(folder, text)) == [("train/a", "train", 0, ""), ("train/b", "train", 1, "")]


def test_videos_without_a_subset_take_the_configured_one(folder):
    text = "file,label,subset\ntrain/a.mp4,0,\ntrain/b.mp4,1,TRAIN\n"
    assert [video.subset for video in load(folder, text, "data.default_subset=test")] == ["test", "train"]
    with pytest.raises(UserError, match=r"`data\.default_subset`"):
        load(folder, text, "data.default_subset=val")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "file,label\ntrain/a.mp4,0\ntrain/x.mp4,1\ny.mp4,1\n",
            r"train/x\.mp4 \(line 3 of labels\.csv\) is not under .*\(2 of 3 videos are missing\)",
        ),
        (
            "file,label\ntrain/a.mp4,0\ntrain/a.mp4,1\n",
            r"line 3: `train/a\.mp4` has the same name, without suffix, as .*labels\.csv, line 2\.",
        ),
        ("file,label\ntrain/a.mp4,maybe\n", "line 2: `label` must be 0, 1, normal or abnormal. Received: `maybe`"),
        ("file,label\ntrain/a.mp4\n", "line 2: `label` must be .* Received: ``"),
        ("file,label,subset\ntrain/a.mp4,0,val\n", "line 2: `subset` must be train or test.* Received: `val`"),
        (
            "file,class\ntrain/a.mp4,0\n",
            "line 1: column `label` is missing. Expected: file,label. Received: `file,class`",
        ),
        ("", "line 1: column `file` is missing"),
        ("file,label\n", "lists no video"),
        ("file,label\n../a.mp4,0\n", r"line 2: `file` must be a path under the folder.*`\.\./a\.mp4`"),
        ("file,label\nrtsp://camera/1,0\n", r"line 2: `file` is a URL, but only files are read.*`rtsp://camera/1`"),
        ("file,label,class\na, b.mp4,0\n", r"line 2: `label` must .*`b\.mp4`\. A name .* quotes: `\"a, b\.mp4\"`"),
        ('file,label\n"train/a.mp4,0\n', "line 2: .*Correct the quotes"),
        ("file,label\ntrain/a.mp4,0\ntrain/\xe9.mp4,0\n".encode("latin-1"), "line 3: not UTF-8 text. Save the file as"),
        (None, r"labels\.csv does not exist. Create it with the columns file,label"),
    ],
)
def test_a_faulty_list_is_told_by_file_line_and_remedy(folder, text, message):
    with pytest.raises(UserError, match=message):
        load(folder, text)


def test_a_wrong_root_is_told(tmp_path):
    with pytest.raises(UserError, match=r"`data\.root` is not a folder: .*nowhere\. Set it to the folder"):
        load(tmp_path / "nowhere")


def test_two_files_of_one_name_are_refused(folder):
    (folder / "train" / "a.avi").touch()
    with pytest.raises(UserError, match=r"Names must be unique"):
        load(folder, "file,label\ntrain/a.mp4,0\ntrain/a.avi,1\n")


def test_frame_labels_are_found_by_stem_or_path(folder):
    np.savez(folder / "frame_labels.npz", a=np.zeros(4, int), **{"train/b": np.array([0, 1, 1, 0])})
    videos = load(folder, ALL)
    assert videos[1].frame_labels.tolist() == [0, 1, 1, 0] and videos[1].frame_labels.dtype == np.uint8
    assert videos[1].frame_intervals(4) == (((1, 3),), "")
    assert videos[2].frame_labels is None and videos[2].frame_intervals(9) == (None, "")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": [0, 1]}, "train/a is labelled normal .* mark abnormal frames"),
        ({"b": [0, 2]}, "`b` must hold one 0 or 1 per frame"),
        ({"b": [[0, 1]]}, r"`b` must hold one 0 or 1 per frame\. Received an array of shape \(1, 2\)"),
        ({"z": [0, 1]}, r"no key matches a file of labels\.csv. Expected keys like `a`"),
    ],
)
def test_faulty_frame_labels_are_told(folder, arrays, message):
    np.savez(folder / "frame_labels.npz", **{key: np.asarray(value) for key, value in arrays.items()})
    with pytest.raises(UserError, match=message):
        load(folder, ALL)


def test_an_unreadable_or_ambiguous_archive_is_told(folder):
    (folder / "frame_labels.npz").write_bytes(b"PK no archive")
    with pytest.raises(UserError, match=r"frame_labels\.npz cannot be read"):
        load(folder, ALL)
    (folder / "test" / "b.mp4").touch()
    np.savez(folder / "frame_labels.npz", b=np.zeros(3))
    with pytest.raises(UserError, match=r"key `b` matches several files\. Use the path without suffix: `train/b`"):
        load(folder, "file,label\ntrain/b.mp4,1\ntest/b.mp4,1\n")


def test_intervals_exclude_their_end_and_may_be_several(folder):
    (folder / "intervals.csv").write_text("file,start_frame,end_frame\ntrain/b.mp4,8,9\ntrain/b.mp4,0,3\n")
    videos = load(folder, ALL)
    assert videos[1].frame_intervals(20) == (((0, 3), (8, 9)), "")
    assert videos[2].frame_intervals(20) == (None, "")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train/b.mp4,5,5", "line 2: .*0 <= start < end .*Received: `5`, `5`"),
        ("train/b.mp4,-1,5", "line 2: .*0 <= start < end"),
        ("train/b.mp4,1.5,5", "line 2: .*whole numbers"),
        ("train/x.mp4,1,5", r"line 2: `train/x\.mp4` is not in labels\.csv"),
        ("train/a.mp4,1,5", "train/a is labelled normal"),
    ],
)
def test_faulty_intervals_are_told(folder, line, message):
    (folder / "intervals.csv").write_text(f"file,start_frame,end_frame\n{line}\n")
    with pytest.raises(UserError, match=message):
        load(folder, ALL)


def test_only_one_kind_of_frame_labels_may_be_there(folder):
    (folder / "intervals.csv").touch()
    (folder / "frame_labels.npz").touch()
    with pytest.raises(UserError, match="Keep one of them"):
        load(folder, ALL)


@pytest.mark.parametrize(
    ("name", "count", "train", "abnormal", "with_frame_labels"),
    [
        ("ucf_crime_test_subset_16f", 91, 61, 48, 91),
        ("ucsd_ped2", 20, 10, 9, 20),
        ("surveillance_fight_untrimmed", 108, 78, 54, 108),
        ("surveillance_fight_clips", 220, 159, 110, 110),
    ],
)
def test_real_sets_load_unchanged(shared_data, name, count, train, abnormal, with_frame_labels):
    videos = load(shared_data / "videos" / name)
    assert len(videos) == count
    assert sum(video.subset == "train" for video in videos) == train
    assert sum(video.label for video in videos) == abnormal
    assert sum(video.frame_labels is not None or video.intervals is not None for video in videos) == with_frame_labels


def test_beside_feature_files_no_video_need_exist_and_lengths_are_read(tmp_path):
    text = "file,label,num_frames\na.mp4,0,160\nb,1,\n"
    videos = load(tmp_path, text, "features.root=features")
    assert facts(videos) == [("a", "train", 0, ""), ("b", "train", 1, "")]
    assert [video.num_frames for video in videos] == [160, None]
    assert videos[1].where == f"{tmp_path / 'labels.csv'}, line 3"
    with pytest.raises(UserError, match=r"a\.mp4 \(line 2 of labels\.csv\) is not under"):
        load(tmp_path, text)


@pytest.mark.parametrize("number", ["0", "-5", "16.0", "many", "²"])
def test_a_length_that_is_no_whole_number_is_told(tmp_path, number):
    with pytest.raises(UserError, match=r"`num_frames` must be a whole number of at least 1, or empty\. Received"):
        load(tmp_path, f"file,label,num_frames\na.mp4,0,{number}\n", "features.root=features")


def test_an_absolute_path_is_taken(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("other") / "d.mp4"
    elsewhere.touch()
    (folder / "intervals.csv").write_text(f"file,start_frame,end_frame\n{elsewhere},2,4\n{folder}/train/b.mp4,1,3\n")
    videos = load(folder, f"file,label\n{folder}/train/a.mp4,0\n{elsewhere},1\ntrain/b.mp4,1\n")
    assert [video.path for video in videos] == [folder / "train/a.mp4", elsewhere, folder / "train/b.mp4"]
    assert [video.video_id for video in videos] == ["train/a", str(elsewhere)[1:-4], "train/b"]
    assert [video.intervals for video in videos] == [(), ((2, 4),), ((1, 3),)]


@pytest.mark.parametrize("key", ["train/b", "train/b.mp4", "b", "b.mp4", "./train/b.mp4"])
def test_frame_labels_are_found_by_path_or_name_with_or_without_suffix(folder, key):
    np.savez(folder / "frame_labels.npz", **{key: np.array([0, 1])})
    assert load(folder, ALL)[1].frame_labels.tolist() == [0, 1]


@pytest.mark.parametrize("name", ["a" * 300 + ".mp4", "a/" * 3000 + "b.mp4", "a\0b.mp4"])
def test_a_name_that_no_file_can_have_is_missing_and_costs_no_other_video(tmp_path, name):
    (tmp_path / "b.mp4").touch()
    (tmp_path / "labels.csv").write_text(f"file,label\n{name},0\nb.mp4,1\n")
    one, other = load_dataset(load_config(overrides=[f"data.root={tmp_path}", "data.allow_missing=true"]))
    assert "(line 2 of labels.csv) is not under" in one.missing and not other.missing


def test_a_name_may_hold_what_unicode_calls_a_line_break(tmp_path):
    (tmp_path / "labels.csv").write_text('file,label\na\u2028b.mp4,0\n"c\x0c, d.mp4",1\n', encoding="utf-8")
    videos = load_dataset(load_config(overrides=[f"data.root={tmp_path}", "features.root=features"]))
    assert [video.video_id for video in videos] == ["a\u2028b", "c\x0c, d"]


def test_a_length_with_too_many_digits_is_refused(tmp_path):
    (tmp_path / "labels.csv").write_text(f"file,label,num_frames\na.mp4,0,{'9' * 5000}\n")
    with pytest.raises(UserError, match="line 2: `num_frames` must be a whole number"):
        load_dataset(load_config(overrides=[f"data.root={tmp_path}", "features.root=features"]))
