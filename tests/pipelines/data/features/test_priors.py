"""Tests of pipelines.data.features.priors."""

import numpy as np
import pytest

from pipelines.config import UserError
from pipelines.data.features.files import FeatureError
from pipelines.data.features.priors import PriorFolder
from pipelines.serving.engines.saved_model import SavedModelEngine
from pipelines.stages import export, import_features
from tests.pipelines.stages.test_import_features import small, train_and_evaluate, write_list

ROWS = [0.5, np.nan, -2.0]
PATCHES = [[0.0, 1.0], [np.nan, 3.0], [4.0, 5.0]]


def saved(root, name, values):
    root.mkdir(exist_ok=True)
    np.save(root / name, np.asarray(values))
    return root


def refusal(root, video_id="a", suffix=""):
    with pytest.raises(FeatureError) as caught:
        PriorFolder(root, suffix).read(video_id, 3, 2)
    return str(caught.value)


@pytest.mark.parametrize("values", [ROWS, [[number] for number in ROWS], np.array(ROWS, np.float16)])
def test_a_number_per_row_holds_for_every_patch_and_nan_stays_missing(tmp_path, values):
    prior = PriorFolder(saved(tmp_path, "a.npy", values)).read("train/a", 3, 2)
    assert prior.dtype == np.float32
    np.testing.assert_array_equal(prior, np.transpose([ROWS, ROWS]))


def test_a_number_per_row_and_patch_is_taken_as_it_is(tmp_path):
    np.testing.assert_array_equal(PriorFolder(saved(tmp_path, "a.npy", PATCHES)).read("a", 3, 2), PATCHES)


def test_one_file_per_crop_has_the_order_of_the_crops(tmp_path):
    for crop in range(2):
        saved(tmp_path, f"a__{crop}.npy", np.array(PATCHES)[:, crop])
    np.testing.assert_array_equal(PriorFolder(tmp_path).read("a", 3, 2), PATCHES)


@pytest.mark.parametrize("name", ["arr_0", "prior", "a"])
def test_an_archive_holds_one_video_or_many(tmp_path, name):
    np.savez(tmp_path / "a.npz", **{name: PATCHES})
    np.testing.assert_array_equal(PriorFolder(tmp_path).read("a", 3, 2), PATCHES)
    np.savez(tmp_path / "all.npz", a=PATCHES, b=ROWS)
    np.testing.assert_array_equal(PriorFolder(tmp_path / "all.npz").read("b", 3, 2)[:, 1], ROWS)


def test_a_text_file_has_one_row_per_line(tmp_path):
    (tmp_path / "a.txt").write_text("0.5\nnan\n-2\n")
    np.testing.assert_array_equal(PriorFolder(tmp_path).read("a", 3, 2)[:, 0], ROWS)


@pytest.mark.parametrize(("name", "suffix"), [("a", ""), ("a_i3d", ""), ("a", "_rgb"), ("a_rgb", "_rgb")])
def test_a_file_has_the_name_of_the_video_or_of_its_features(tmp_path, name, suffix):
    assert PriorFolder(saved(tmp_path, f"{name}.npy", ROWS), suffix).read("a", 3, 1).shape == (3, 1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros(48), r"a\.npy: has shape \(48,\), but the features have 3 rows of 2\. .*Of a score per frame, save"),
        (np.zeros((3, 10)), r"has shape \(3, 10\), .*a number per row, \(3,\), or per row and patch, \(3, 2\)"),
        (np.zeros((1, 3)), r"a\.npy: has shape \(1, 3\)"),
        (np.zeros((3, 2, 1)), r"a\.npy: has shape \(3, 2, 1\)"),
        (np.zeros(0), r"a\.npy: is empty"),
        ([0.0, np.inf, -np.inf], r"a\.npy: 2 values are infinite .*NaN means that a value is not known\."),
        ([0.0, 1e300, 0.0], r"a\.npy: 1 values are infinite or beyond float32\. Limit them"),
        (["high", "low", "low"], r"a\.npy: must hold real numbers\. Received dtype <U4"),
        (np.array([{}, {}, {}], object), r"a\.npy: holds Python objects, which are not loaded"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_file_and_the_fix(tmp_path, values, message):
    np.save(tmp_path / "a.npy", values, allow_pickle=True)
    with pytest.raises(FeatureError, match=message):
        PriorFolder(tmp_path).read("a", 3, 2)


def test_files_that_are_not_found_are_named_with_the_setting(tmp_path):
    with pytest.raises(UserError, match=r"`features\.prior_root` is neither a folder nor an \.npz file: .*none\."):
        PriorFolder(tmp_path / "none")
    with pytest.raises(UserError, match=r"no \.npy, .* is under .*Set `features\.prior_root` to the prior files"):
        PriorFolder(tmp_path)
    saved(tmp_path, "b_pose.npy", ROWS)
    assert refusal(tmp_path).startswith(f"no prior file named a is under {tmp_path}. Copy it there")
    assert refusal(tmp_path, "b").endswith("If b_pose holds it, remove `_pose` from its name.")
    for folder in ("one", "other"):
        saved(tmp_path / folder, "c.npy", ROWS)
    assert refusal(tmp_path, "c").endswith("Set `features.prior_root` to a folder that holds one of them.")
    (tmp_path / "d.npy").write_bytes(b"cut off")
    assert "d.npy: cannot be read" in refusal(tmp_path, "d")


def test_a_changed_or_absent_file_has_another_stamp(tmp_path):
    before = PriorFolder(saved(tmp_path, "a.npy", ROWS)).stamp("a")
    assert before == PriorFolder(tmp_path).stamp("a") != PriorFolder(saved(tmp_path, "a.npy", PATCHES)).stamp("a")
    assert "no prior file named b" in PriorFolder(tmp_path).stamp("b")


def test_a_prior_from_files_trains_scores_and_is_exported(tmp_path):
    videos = {f"v{number}": (str(number % 2), "train" if number < 8 else "test") for number in range(12)}
    write_list(tmp_path / "data", videos)
    abnormal = [name for name, (label, _) in videos.items() if label == "1"]
    lines = "".join(f"{name}.mp4,64,112\n" for name in abnormal)  # rows 4 to 6
    (tmp_path / "data" / "intervals.csv").write_text(f"file,start_frame,end_frame\n{lines}")
    random = np.random.default_rng(0)
    for folder in ("features", "priors"):
        (tmp_path / folder).mkdir()
    for name in videos:
        np.save(tmp_path / "features" / f"{name}.npy", random.normal(size=(12, 5, 4)))
        prior = random.normal(size=(12, 5))
        prior[4:7] += 9.0 * (name in abnormal)
        prior[0] = np.nan  # not known
        np.save(tmp_path / "priors" / f"{name}.npy", prior)
    paths = {"work_dir": "run", "data.root": "data", "features.root": "features", "export.root": "models"}
    paths = [f"{key}={tmp_path / name}" for key, name in (paths | {"features.prior_root": "priors"}).items()]
    config = small(*paths, "detector.unary_from=prior", "detector.score_from=marginals", "evaluate.images=false")
    import_features.run(config)
    assert train_and_evaluate(config)["frame_auc_abnormal_videos"]["mean"] == 1.0
    engine = SavedModelEngine(export.run(config))
    assert engine.info.takes_prior
    inputs = {"nodes": np.ones((10, 5, 4), np.float32), "prior": np.zeros((10, 5), np.float32)}
    inputs["prior"][4], inputs["prior"][8] = 9.0, np.nan
    scores = engine.score_nodes(inputs)["anomaly_score"]
    assert scores.argmax() == 4 and np.isfinite(scores).all()
