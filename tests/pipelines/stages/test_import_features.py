import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipelines.config import UserError, load_config
from pipelines.data.bags import has_prior, node_shape
from pipelines.data.features.files import FeatureArray
from pipelines.data.listing.manifest import read_manifest, shard_paths
from pipelines.data.records import parse_bag
from pipelines.run.folder import RunFolder
from pipelines.stages import evaluate, import_features, train_detector

VIDEOS = {"a": ("1", "train"), "b": ("0", "train"), "c": ("1", "test"), "d": ("0", "test")}


def write_list(folder, videos=None, **columns):
    """`labels.csv` of some videos, without the videos; `columns` are `{video: value}`."""
    folder.mkdir(exist_ok=True)
    rows = [["file", "label", "subset", *columns]]
    for name, facts in (VIDEOS if videos is None else videos).items():
        rows.append([f"{name}.mp4", *facts, *(column.get(name, "") for column in columns.values())])
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture
def run_of(tmp_path):
    """Function of overrides that returns the `Config` of a run on feature files in `features/`."""
    write_list(tmp_path / "data")
    (tmp_path / "features").mkdir()

    def config(*overrides):
        paths = [f"{key}={tmp_path / name}" for key, name in (("work_dir", "run"), ("data.root", "data"))]
        settings = [*paths, f"features.root={tmp_path / 'features'}", "data.videos_per_shard=2"]
        return load_config(overrides=[*settings, *overrides])

    return config


def save(config, name, values):
    np.save(f"{config.features.root}/{name}.npy", np.asarray(values, np.float32))


def save_all(config):
    for number, name in enumerate(VIDEOS):
        save(config, name, np.full((3 + number, 2), number))


def bags_of(config, prior=False):
    records = tf.data.TFRecordDataset([str(path) for path in shard_paths(RunFolder.of(config).nodes, "nodes")])
    return [{key: value.numpy() for key, value in parse_bag(record, prior).items()} for record in records]


def summary(config):
    return json.loads((RunFolder.of(config).summaries / "import_features.json").read_text())


def test_each_listed_video_is_one_bag_of_its_own_rows(run_of):
    config = run_of()
    save_all(config)
    assert import_features.run(config) == RunFolder.of(config).nodes
    bags, manifest = bags_of(config), read_manifest(RunFolder.of(config).nodes)
    assert [bag["video_id"].decode() for bag in bags] == list("abcd") == [v.video_id for v in manifest.videos]
    assert bags[2]["nodes"].tolist() == [[[2, 2]]] * 5 and bags[2]["nodes"].dtype == np.float16
    assert bags[2]["frame_indices"].tolist() == [0, 16, 32, 48, 64] and bags[2]["label"] == 1
    video = manifest.by_id["c"]
    assert (video.subset, video.num_frames, video.num_sampled, video.fps) == ("test", 80, 5, 30.0)
    assert [video.frame_labels for video in manifest.videos] == [None, (), None, ()]
    assert summary(config)["done"].startswith("4 videos, 18 rows of 1 × 2, layout time_feature")


def test_ten_crops_become_ten_patches(run_of):
    config = run_of()
    for number, name in enumerate(VIDEOS):
        save(config, f"{name}_i3d", np.arange(7 * 10 * 4).reshape(7, 10, 4) + number)
    assert node_shape(import_features.run(config)) == (10, 4)
    assert bags_of(config)[1]["nodes"][6, 9].tolist() == [277, 278, 279, 280]


def test_the_true_length_comes_from_frame_labels_or_the_list_and_the_labels_are_cut_to_it(run_of, tmp_path):
    config = run_of("features.frames_per_feature=4", "features.video_fps=10")
    write_list(tmp_path / "data", num_frames={"a": 13, "d": 27})
    (tmp_path / "data" / "intervals.csv").write_text("file,start_frame,end_frame\na.mp4,2,99\nc.mp4,8,12\n")
    save_all(config)
    manifest = read_manifest(import_features.run(config))
    assert [video.num_frames for video in manifest.videos] == [13, 16, 20, 27]
    assert manifest.by_id["a"].frame_labels == ((2, 13),) and "cut to 13" in manifest.by_id["a"].warning
    assert manifest.by_id["c"].frame_labels == ((8, 12),) and manifest.by_id["c"].fps == 10
    (tmp_path / "data" / "intervals.csv").unlink()
    np.savez(tmp_path / "data" / "frame_labels.npz", c=np.array([0] * 15 + [1] * 4))
    manifest = read_manifest(import_features.run(config))
    assert (manifest.by_id["c"].num_frames, manifest.by_id["c"].frame_labels) == (19, ((15, 19),))


def test_rows_past_the_end_of_a_video_are_cut_from_its_end(run_of, tmp_path):
    config = run_of()
    write_list(tmp_path / "data", num_frames={"a": 40})
    save_all(config)
    save(config, "a", [[0, 1], [2, 3], [4, 5], [6, 7]])  # the last row begins at frame 48
    import_features.run(config)
    bag = bags_of(config)[0]
    assert bag["nodes"].tolist() == [[[0, 1]], [[2, 3]], [[4, 5]]]
    assert bag["frame_indices"].tolist() == [0, 16, 32]


def test_segments_cover_equal_parts_of_a_known_length(run_of, tmp_path):
    config = run_of()
    write_list(tmp_path / "data", num_frames={"c": 100, "d": 64})
    for number, name in enumerate(VIDEOS):
        save(config, name, np.full((32, 2), number))
    manifest = read_manifest(import_features.run(config))
    assert bags_of(config)[2]["frame_indices"].tolist() == [t * 100 // 32 for t in range(32)]
    assert [video.num_frames for video in manifest.videos] == [512, 512, 100, 64]
    assert manifest.by_id["b"].frame_labels is None, "a guessed length must not enter a measure"
    warning = "its length is unknown and assumed to be 512 frames; its frame labels are ignored"
    assert manifest.by_id["b"].warning == warning
    write_list(tmp_path / "data", num_frames={"c": 100})
    assert len(read_manifest(import_features.run(config)).videos) == 4, "no frame label to compare with"
    (tmp_path / "data" / "intervals.csv").write_text("file,start_frame,end_frame\nc.mp4,10,30\n")
    assert [video.video_id for video in read_manifest(import_features.run(config)).videos] == ["a", "b", "c"]
    (lost,) = summary(config)["skipped"]
    assert lost["input"] == f"d ({tmp_path / 'data' / 'labels.csv'}, line 5)"
    assert "d.npy: belongs to a test video of unknown length" in lost["reason"] and "`num_frames`" in lost["reason"]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (None, r"^no feature file named d is under .*features\. Copy it there"),
        (np.array([{}], object), r"d\.npy: holds Python objects, which are not loaded\. Save"),
        ([[0, np.nan]], r"d\.npy: 1 values are NaN or infinite, the first at \(0, 1\)\. Extract"),
        ([[np.inf, 0]], r"d\.npy: 1 values are NaN or infinite"),
        ([[1e5, 0]], r"d\.npy: holds 100000, beyond float16 \(65504\)\. Scale"),
        (np.zeros((0, 2)), r"d\.npy: is empty: shape \(0, 2\)\. Extract"),
        (np.zeros((3, 5)), r"d\.npy: has width 5, but the other videos have width 2\. Extract"),
        (np.zeros((3, 10, 2)), r"d\.npy: has shape \(3, 10, 2\), but layout `time_feature` is \(T, D\)\. Extract"),
    ],
)
def test_one_bad_file_is_named_and_the_others_are_imported(run_of, values, reason):
    config = run_of()
    save_all(config)
    path = Path(config.features.root) / "d.npy"
    path.unlink() if values is None else np.save(path, np.asarray(values), allow_pickle=True)
    import_features.run(config)
    assert [bag["video_id"].decode() for bag in bags_of(config)] == list("abc")
    (lost,) = summary(config)["skipped"]
    assert lost["input"].startswith("d (") and lost["input"].endswith("labels.csv, line 5)")
    assert re.search(reason, lost["reason"])


@pytest.mark.parametrize("method", ["shape", "read"])
@pytest.mark.parametrize("error", [MemoryError(), AssertionError(), RecursionError("deep"), UnicodeError("x")])
def test_any_exception_of_one_video_is_recorded_and_the_others_go_on(run_of, monkeypatch, method, error):
    config = run_of()
    save_all(config)
    original = getattr(FeatureArray, method)

    def fail(array):
        if array.path.name == "b.npy":
            raise error
        return original(array)

    monkeypatch.setattr(FeatureArray, method, fail)
    import_features.run(config)
    assert [bag["video_id"].decode() for bag in bags_of(config)] == list("acd")
    assert [entry["input"][0] for entry in summary(config)["skipped"]] == ["b"]


def test_an_array_that_claims_more_than_its_file_holds_is_not_read(run_of):
    config = run_of()
    save_all(config)
    path = Path(config.features.root) / "d.npy"
    path.write_bytes(path.read_bytes().replace(b"(6, 2), }" + 12 * b" ", b"(6000000000000, 2), }"))
    import_features.run(config)
    (lost,) = summary(config)["skipped"]
    assert "d.npy: cannot be read (it claims 48,000,000,000,000 bytes, but has" in lost["reason"]


def test_a_repaired_file_is_imported_and_the_other_shards_stay(run_of):
    config = run_of()
    save_all(config)
    save(config, "d", [[0, np.nan]])
    folder = import_features.run(config)
    first = (folder / "nodes-00000-of-00002.tfrecord").stat().st_mtime_ns
    save(config, "d", np.ones((3, 2)))
    import_features.run(config)
    assert [bag["video_id"].decode() for bag in bags_of(config)] == list("abcd")
    assert (folder / "nodes-00000-of-00002.tfrecord").stat().st_mtime_ns == first
    assert "1 of 2 shards were finished before" in summary(config)["done"] and not summary(config)["skipped"]


def test_a_killed_import_keeps_its_finished_shards(run_of, monkeypatch):
    config, read = run_of(), FeatureArray.read
    save_all(config)

    def killed_at_c(array):
        if array.path.stem == "c":
            raise KeyboardInterrupt
        return read(array)

    monkeypatch.setattr(FeatureArray, "read", killed_at_c)
    with pytest.raises(KeyboardInterrupt):
        import_features.run(config)
    folder = RunFolder.of(config).nodes
    assert not (folder / "videos.json").exists()
    kept = (folder / "nodes-00000-of-00002.tfrecord").stat().st_mtime_ns
    monkeypatch.setattr(FeatureArray, "read", read)
    import_features.run(config)
    assert (folder / "nodes-00000-of-00002.tfrecord").stat().st_mtime_ns == kept
    assert [bag["video_id"].decode() for bag in bags_of(config)] == list("abcd")


def test_changed_labels_or_settings_are_imported_again(run_of, tmp_path):
    config = run_of()
    save_all(config)
    before = read_manifest(import_features.run(config))
    write_list(tmp_path / "data", {**VIDEOS, "a": ("0", "train")})
    assert read_manifest(import_features.run(config)).by_id["a"].label == 0
    after = read_manifest(import_features.run(run_of("features.frames_per_feature=8")))
    assert [video.num_frames for video in after.videos] == [video.num_frames // 2 for video in before.videos]
    assert after.fingerprint != before.fingerprint


def test_nodes_of_an_extractor_are_removed(run_of):
    config = run_of()
    save_all(config)
    folder = RunFolder.of(config).nodes
    folder.mkdir(parents=True)
    (folder / "nodes-00000-of-00001.tfrecord").touch()
    (folder / "fingerprint").write_text("of an extractor")
    import_features.run(config)
    assert len(bags_of(config)) == 4 and not (folder / "fingerprint").exists()


def test_an_import_without_usable_features_fails(run_of):
    with pytest.raises(UserError, match=r"`features\.root` is empty\. Set it"):
        import_features.run(run_of("features.root="))
    config = run_of()
    with pytest.raises(UserError, match=r"no \.npy, \.npz, \.txt is under"):
        import_features.run(config)
    save(config, "x", np.ones((3, 2)))
    with pytest.raises(UserError, match=r"none of the 4 videos has features\. The first: a \(.*, line 2\): no feature"):
        import_features.run(config)
    for name in VIDEOS:
        save(config, name, np.full((3, 2), np.nan))
    with pytest.raises(UserError, match=r"none of the 4 videos can be used\. The first: a \(.*, line 2\): .*NaN"):
        import_features.run(config)


def test_ambiguous_axes_and_widths_fail(run_of):
    config = run_of()
    for name in VIDEOS:
        save(config, name, np.ones((10, 10, 2)))
    with pytest.raises(UserError, match=r"a\.npy \(10, 10, 2\) .*`time_crop_feature` .*or `crop_time_feature`"):
        import_features.run(config)
    import_features.run(run_of("features.layout=crop_time_feature"))
    with pytest.raises(UserError, match=r"a\.npy: has shape \(10, 10, 2\), but layout `segments` is \(parts, D\)"):
        import_features.run(run_of("features.layout=segments"))
    for number, name in enumerate(VIDEOS):
        save(config, name, np.ones((9, 2 + number % 2)))
    with pytest.raises(UserError, match=r"several kinds: width 2 in .*a\.npy, width 3 in .*b\.npy"):
        import_features.run(config)


@pytest.fixture
def priors(tmp_path):
    """Folder of one prior per video of `save_all`, the number of the row."""
    (tmp_path / "priors").mkdir()
    for number, name in enumerate(VIDEOS):
        np.save(tmp_path / "priors" / f"{name}.npy", np.arange(3.0 + number))
    return tmp_path / "priors"


def test_a_prior_beside_the_features_is_stored_with_its_rows(run_of, priors, tmp_path):
    config = run_of(f"features.prior_root={priors}")
    write_list(tmp_path / "data", num_frames={"d": 40})
    save_all(config)
    np.save(priors / "b.npy", [[0.5], [np.nan], [1.5], [2.5]])
    save(config, "d", np.ones((4, 2)))  # the last row starts after the end
    np.save(priors / "d.npy", [7, 8, 9, 10])
    assert has_prior(import_features.run(config))
    bags = bags_of(config, prior=True)
    assert bags[0]["prior"].tolist() == [[0.0], [1.0], [2.0]] and bags[3]["prior"].tolist() == [[7.0], [8.0], [9.0]]
    np.testing.assert_array_equal(bags[1]["prior"], [[0.5], [np.nan], [1.5], [2.5]])
    assert "layout time_feature, with a prior" in summary(config)["done"] and not summary(config)["skipped"]


def test_a_video_whose_prior_does_not_fit_is_skipped_until_it_is_repaired(run_of, priors):
    config = run_of(f"features.prior_root={priors}")
    save_all(config)
    np.save(priors / "c.npy", np.zeros(80))
    (priors / "d.npy").unlink()
    folder = import_features.run(config)
    first = (folder / "nodes-00000-of-00002.tfrecord").stat().st_mtime_ns
    short, absent = summary(config)["skipped"]
    assert "c.npy: has shape (80,), but the features have 5 rows of 1. Save a number" in short["reason"]
    assert absent["reason"].startswith(f"no prior file named d is under {priors}. Copy it there")
    np.save(priors / "c.npy", np.zeros(5))
    np.save(priors / "d.npy", np.zeros(6))
    import_features.run(config)
    assert not summary(config)["skipped"] and len(bags_of(config, prior=True)) == 4
    assert (folder / "nodes-00000-of-00002.tfrecord").stat().st_mtime_ns == first, "kept"
    import_features.run(run_of())
    assert not has_prior(folder), "without the setting"


def test_the_features_of_a_run_need_no_prior_and_a_prior_needs_features(run_of, priors):
    with pytest.raises(UserError, match=r"`features\.prior_root` needs `features\.root`: .* `extractor\.prior_labels`"):
        run_of(f"features.prior_root={priors}", "features.root=")
    config = run_of(f"features.prior_root={priors / 'none'}")
    save_all(config)
    with pytest.raises(UserError, match=r"`features\.prior_root` is neither a folder nor"):
        import_features.run(config)


def small(*overrides):
    """Return a configuration whose detector trains in seconds."""
    detector = {"key_dim": 8, "value_dim": 8, "projection_dim": 16, "hidden_units": 8, "max_iterations": 2}
    training = {"epochs": 2, "batch_size": 4, "bag_frames": 16, "validation_fraction": 0.3}
    settings = [f"detector.{key}={value}" for key, value in detector.items()]
    settings += [f"train_detector.{key}={value}" for key, value in training.items()]
    return load_config(overrides=[*settings, *overrides])


def train_and_evaluate(config):
    """Return the metrics of a detector on the imported nodes."""
    train_detector.run(config)
    return json.loads(evaluate.run(config).read_text())["systems"]["anomaly_detector"]["metrics"]


def test_real_c3d_segments_train_a_detector_end_to_end(shared_data, tmp_path):
    archive = shared_data / "features" / "ucf_crime_c3d_32seg_10_test_videos.npz"
    with (shared_data / "annotations" / "ucf_crime" / "test_temporal.csv").open() as file:
        facts = {row["video"]: row for row in csv.DictReader(file)}
    with np.load(archive) as features:
        names = list(features)
    test = {"Explosion025_x264", "Normal_Videos_024_x264", "Shooting033_x264"}
    videos = {name: (facts[name]["label"], "test" if name in test else "train") for name in names}
    write_list(tmp_path / "data", videos, num_frames={name: facts[name]["n_frames"] for name in names})
    lines = [f"{name}.mp4,{facts[name]['start1']},{facts[name]['end1']}" for name in names if videos[name][0] == "1"]
    (tmp_path / "data" / "intervals.csv").write_text("\n".join(["file,start_frame,end_frame", *lines]) + "\n")
    paths = [f"work_dir={tmp_path / 'run'}", f"data.root={tmp_path / 'data'}", f"features.root={archive}"]
    config = small(*paths, "train_detector.validation_fraction=0")
    manifest = read_manifest(import_features.run(config))
    assert len(manifest.videos) == 10 and node_shape(RunFolder.of(config).nodes) == (1, 4096)
    assert "layout segments" in summary(config)["done"] and not summary(config)["skipped"]
    assert 0 <= train_and_evaluate(config)["frame_auc"]["mean"] <= 1
    folder = RunFolder.of(config)
    assert (folder.evaluation / "timelines.png").exists()
    assert "no heat maps" in json.loads((folder.summaries / "evaluate.json").read_text())["done"]
    with np.load(folder.evaluation_scores) as scores:
        assert {name: len(scores[name]) for name in scores} == {name: int(facts[name]["n_frames"]) for name in test}
        assert len(np.unique(scores["Explosion025_x264"])) > 16, "every segment has a score of its own"


def test_official_lists_need_no_video_and_no_column(shared_data, tmp_path):
    rows = {"Abuse028_x264_i3d": 88, "Abuse001_x264_i3d": 170, "Normal_Videos_003_x264_i3d": 60}
    for name, count in rows.items():
        np.save(tmp_path / f"{name}.npy", np.ones((count, 10, 3)))
    settings = [f"work_dir={tmp_path / 'run'}", f"data.root={shared_data / 'annotations' / 'ucf_crime'}"]
    config = load_config(overrides=[*settings, f"features.root={tmp_path}", "data.dataset=ucf_crime"])
    manifest = read_manifest(import_features.run(config))
    assert {video.video_id: (video.subset, video.num_frames, video.frame_labels) for video in manifest.videos} == {
        "Abuse001_x264": ("train", 2720, None),
        "Abuse028_x264": ("test", 1408, ((164, 240),)),
        "Normal_Videos_003_x264": ("test", 960, ()),
    }
    assert len(manifest.skipped) == 1900 - 3


@pytest.mark.parametrize(
    ("archive", "videos", "count"),
    [
        ("ucsd_ped2_mobilenetv2_16f", "ucsd_ped2", 20),
        ("surveillance_fight_untrimmed_mobilenetv2_16f", "surveillance_fight_untrimmed", 108),
    ],
)
def test_real_feature_archives_train_beside_their_lists(shared_data, tmp_path, archive, videos, count):
    paths = [f"features.root={shared_data / 'features' / archive}.npz", f"data.root={shared_data / 'videos' / videos}"]
    config = small(f"work_dir={tmp_path}", *paths, "train_detector.epochs=1", "evaluate.images=false")
    manifest = read_manifest(import_features.run(config))
    assert len(manifest.videos) == count and not manifest.skipped
    with np.load(shared_data / "videos" / videos / "frame_labels.npz") as labels:
        lengths = {key: len(labels[key]) for key in labels}
    assert all(video.num_frames == lengths[video.video_id.split("/")[-1]] for video in manifest.videos)
    assert 0 <= train_and_evaluate(config)["frame_auc_abnormal_videos"]["mean"] <= 1
