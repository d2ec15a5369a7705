"""Tests of pipelines.experiments.fold; `test_repeats.py` tests that no test video is trained on."""

import dataclasses
import json

import numpy as np

from pipelines.config import change_config, load_config
from pipelines.data.listing.manifest import Manifest
from pipelines.experiments import fold
from pipelines.experiments.fold import RESULT, Fold
from pipelines.experiments.systems import System, full_model, read_systems

CONFIG = load_config(overrides=["extractor.train_backbone=false"])


def new_fold(tmp_path, test_ids=("a",), seed=3):
    return Fold(tmp_path / "fold", seed, tmp_path / "clips", Manifest([], [], "clips"), frozenset(test_ids))


def changed(*overrides):
    return System("changed", "changed", change_config(CONFIG, overrides))


def test_a_training_has_its_own_folder_and_the_seed_of_its_fold(tmp_path):
    config = new_fold(tmp_path).config_of(full_model(CONFIG))
    assert (config.work_dir, config.seed) == (str(tmp_path / "fold" / "anomaly_detector"), 3)
    assert not config.evaluate.images and config.train_extractor == CONFIG.train_extractor


def test_systems_with_equal_extractors_share_a_folder_and_a_frozen_one_without_gate_is_not_trained(tmp_path):
    fold = new_fold(tmp_path)

    def group(system):
        return fold.group_of(system).path

    ours = group(full_model(CONFIG))
    assert ours.parent == tmp_path / "fold"
    assert group(changed("detector.key_dim=3", "train_detector.epochs=2")) == ours
    assert group(changed("extractor.scales=[1]")) != ours != group(changed("train_extractor.epochs=3"))
    plain = changed("extractor.gate_dim=0")
    assert fold.config_of(plain).train_extractor.epochs == 0
    moving = changed("extractor.gate_dim=0", "extractor.train_backbone=true")
    assert fold.config_of(moving).train_extractor.epochs == CONFIG.train_extractor.epochs
    sultani, rtfm = read_systems("rivals", CONFIG, ["sultani", "rtfm"])
    assert group(sultani) == group(rtfm)


def test_a_result_holds_for_its_settings_videos_and_records_only(tmp_path):
    fold, system = new_fold(tmp_path), full_model(CONFIG)
    assert fold.result_of(system) is None
    folder = tmp_path / "fold" / system.name / "evaluation"
    folder.mkdir(parents=True)
    np.savez(folder / "scores.npz", a=np.array([0.25, 0.5]))
    result = {"settings": fold._settings(system), "facts": {"parameters": 5}}
    (folder.parent / RESULT).write_text(json.dumps(result))
    facts, scores = fold.result_of(system)
    assert facts == {"parameters": 5} and scores["a"].tolist() == [0.25, 0.5]
    moved = dataclasses.replace(CONFIG, work_dir="elsewhere", export=dataclasses.replace(CONFIG.export, name="other"))
    assert fold.result_of(full_model(moved)) is not None
    assert fold.result_of(dataclasses.replace(system, config=change_config(CONFIG, ["detector.key_dim=3"]))) is None
    unimportant = ["data.root=elsewhere", "data.workers=3", "repeat.jobs=2", "compare.max_bag_frames=3"]
    assert fold.result_of(dataclasses.replace(system, config=change_config(CONFIG, unimportant))) is not None
    result["settings"]["config"] |= {"export": {"name": "other"}, "work_dir": "written by an earlier version"}
    (folder.parent / RESULT).write_text(json.dumps(result))
    assert fold.result_of(system) is not None
    for other in (
        new_fold(tmp_path, test_ids=("a", "b")),
        new_fold(tmp_path, seed=4),
        dataclasses.replace(fold, manifest=Manifest([], [], "other clips")),
    ):
        assert other.result_of(system) is None


def test_broken_links_of_a_moved_run_are_replaced(tmp_path):
    link = tmp_path / "maps"
    link.symlink_to(tmp_path / "gone")
    (tmp_path / "here").mkdir()
    for _ in range(2):
        fold._link(link, tmp_path / "here")
        assert link.resolve() == tmp_path / "here"
