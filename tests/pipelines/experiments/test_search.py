"""Tests of pipelines.experiments.search."""

import dataclasses
import json

import numpy as np
import pytest

from pipelines.config import load_config
from pipelines.data.listing.manifest import VideoInfo, write_manifest
from pipelines.experiments import search
from pipelines.run.folder import RunFolder

VIDEOS = {f"{kind}{number}": int(kind == "a") for kind in "an" for number in range(4)}
TESTED = {"a3", "n3"}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Function that searches with curves that are looked up instead of trained; it returns what was trained."""
    videos = [
        VideoInfo(name, name, "test" if name in TESTED else "train", label, "", 8.0, 4, 2, 2, 4, None)
        for name, label in VIDEOS.items()
    ]
    write_manifest(tmp_path / "nodes", videos, fingerprint="nodes")

    def start(curves, settings=None, *overrides):
        sizes = ["search.inner_folds=3", "search.max_steps=30", "search.every_steps=10", f"work_dir={tmp_path}"]
        trained = []

        def curve(config, training, held_out):
            if len(trained) == len(curves):
                raise KeyboardInterrupt
            trained.append((config.train_detector, {v.video_id for v in training}, {v.video_id for v in held_out}))
            return curves[len(trained) - 1]

        monkeypatch.setattr(search, "_curve", curve)
        config = load_config(overrides=[*sizes, "train_detector.learning_rate=3e-4", *overrides])
        try:
            return search.run(config, settings or {"of": "one"}), trained
        except KeyboardInterrupt:
            return None, trained

    return start


FLAT, GOOD = [0.5, 0.5, 0.5], [0.5, 0.75, 0.75]


def test_the_best_point_of_the_mean_curves_is_trained_on_all_videos_without_validation(run):
    uneven = [[1.0, 0.5, 0.5], [0.0, 0.75, 0.5], [0.0, 0.75, 0.5]]  # its best single point is noise of one fold
    (config, found), trained = run([FLAT] * 3 + uneven + [FLAT] * 3)
    options = config.train_detector
    assert (options.learning_rate, options.steps_per_epoch, options.epochs) == (1e-4, 10, 2)
    assert options.validation_fraction == 0
    assert found["curves"]["0.0001"] == pytest.approx([1 / 3, 2 / 3, 0.5])
    assert list(found["curves"]) == ["0.0003", "0.0001", "0.001"]
    assert [one.learning_rate for one, *_ in trained] == [3e-4] * 3 + [1e-4] * 3 + [1e-3] * 3
    assert all((one.epochs, one.steps_per_epoch, one.validation_fraction) == (3, 10, 0.0) for one, *_ in trained)


def test_each_training_video_is_held_out_once_per_candidate_and_test_videos_are_not_read(run):
    _, trained = run([FLAT] * 9)
    for first in (0, 3, 6):
        assert sorted(name for *_, held_out in trained[first : first + 3] for name in held_out) == sorted(
            set(VIDEOS) - TESTED
        )
    for _, training, held_out in trained:
        assert not training & held_out and training | held_out == set(VIDEOS) - TESTED
        assert {VIDEOS[name] for name in held_out} == {0, 1}


def test_a_stopped_search_resumes_after_its_last_inner_training_and_other_settings_start_again(run, tmp_path):
    assert run([FLAT] * 4)[0] is None
    (config, _), trained = run([GOOD] * 5)
    assert len(trained) == 5 and config.train_detector.learning_rate == 1e-3
    assert len(run([], {"of": "one"})[1]) == 0
    assert len(run([FLAT] * 9, {"of": "two"})[1]) == 9
    content = json.loads((tmp_path / search.NAME).read_text())
    assert content["settings"] == {"of": "two"} and content["seconds"] >= 0


def test_of_equal_points_the_one_of_fewest_steps_is_chosen_then_the_published_rate():
    assert search.best_point({"0.1": FLAT, "0.2": GOOD}) == ("0.2", 2)
    assert search.best_point({"0.1": GOOD, "0.2": GOOD}) == ("0.1", 2)
    assert search.best_point({"0.1": [0.2, 0.9], "0.2": [0.9, 0.2]}) == ("0.2", 1)


def test_a_curve_has_a_point_per_so_many_steps_of_a_real_training(tmp_path, write_nodes):
    videos = {f"train/{name}": ("train", label, 5 + 2 * label) for name, label in VIDEOS.items()}
    infos = write_nodes(tmp_path / "nodes", videos)
    sizes = ["model=sultani", "batch_size=2", "bag_frames=4", "epochs=3", "steps_per_epoch=2", "learning_rate=0.01"]
    config = load_config(overrides=[f"work_dir={tmp_path}", *(f"train_detector.{size}" for size in sizes)])
    curves = [search._curve(config, infos[::2], infos[1::2]) for _ in range(2)]
    assert len(curves[0]) == 3 and all(0 <= value <= 1 for value in curves[0])
    np.testing.assert_allclose(*curves)
    assert not RunFolder.of(config).detector.exists()
    still = dataclasses.replace(config.train_detector, learning_rate=0.0)
    assert len(set(search._curve(dataclasses.replace(config, train_detector=still), infos[::2], infos[1::2]))) == 1
