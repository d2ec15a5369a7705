"""Tests of pipelines.config.starter."""

import tomllib

import pytest

from pipelines.config import UserError, load_config
from pipelines.config.starter import FolderFacts, starter_toml


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "mobilenet_v2.weights.h5"
    path.touch()
    return path


def loaded(tmp_path, *arguments):
    path = tmp_path / "mine.toml"
    path.write_text(starter_toml("my_videos", *arguments), encoding="utf-8")
    return load_config(path)


def test_without_weights_the_backbone_needs_no_download(tmp_path):
    config = loaded(tmp_path, FolderFacts(100))
    assert (config.extractor.backbone, config.extractor.weights) == ("small", "none")
    assert (config.work_dir, config.data.root, config.data.frames_per_sec) == ("runs/my_videos", "my_videos", 5.0)
    assert "--weights" in starter_toml("my_videos", FolderFacts(100))


def test_with_weights_the_backbone_is_frozen_and_named_by_the_file(tmp_path, weights):
    config = loaded(tmp_path, FolderFacts(100), str(weights))
    assert (config.extractor.backbone, config.extractor.weights) == ("mobilenet_v2", str(weights))
    assert not config.extractor.train_backbone


def test_imagenet_weights_are_those_of_mobilenet_v2(tmp_path):
    config = loaded(tmp_path, FolderFacts(100), "imagenet")
    assert (config.extractor.backbone, config.extractor.weights) == ("mobilenet_v2", "imagenet")
    assert not config.extractor.train_backbone


def test_the_recipe_is_that_of_the_measured_subset(tmp_path, weights):
    from pipelines.cli.options import BUNDLED_CONFIGS

    measured = tomllib.loads((BUNDLED_CONFIGS / "ucf_crime_subset.toml").read_text(encoding="utf-8"))
    config = loaded(tmp_path, FolderFacts(100), str(weights))
    for section, keys in (("extractor", ("pooling", "train_backbone")), ("train_extractor", None), ("detector", None)):
        for key in keys or measured[section]:
            assert getattr(getattr(config, section), key) == measured[section][key], f"{section}.{key}"


@pytest.mark.parametrize(("videos", "batch"), [(1, 2), (2, 2), (7, 6), (16, 16), (31, 30), (500, 32)])
def test_a_batch_is_even_and_no_larger_than_the_training_part(tmp_path, videos, batch):
    assert loaded(tmp_path, FolderFacts(videos)).train_detector.batch_size == batch


@pytest.mark.parametrize(("videos", "fraction"), [(39, 0.0), (40, 0.15)])
def test_few_videos_choose_no_epoch(tmp_path, videos, fraction):
    config = loaded(tmp_path, FolderFacts(videos))
    assert config.train_extractor.validation_fraction == config.train_detector.validation_fraction == fraction


@pytest.mark.parametrize(("durations", "rate"), [((), 5.0), ((5.0, 60.0, 600.0), 5.0), ((5.0, 61.0, 600.0), 2.0)])
def test_long_videos_are_sampled_less_often(tmp_path, durations, rate):
    assert loaded(tmp_path, FolderFacts(50, durations)).data.frames_per_sec == rate


def test_weights_that_are_missing_or_tell_no_backbone_are_named(tmp_path):
    with pytest.raises(UserError, match=r"no weights file at nowhere\.h5.*--weights"):
        starter_toml("my_videos", FolderFacts(50), "nowhere.h5")
    (tmp_path / "best.h5").touch()
    with pytest.raises(UserError, match=r"best\.h5 tells no backbone.*resnet50\.weights\.h5 or mobilenet_v2"):
        starter_toml("my_videos", FolderFacts(50), str(tmp_path / "best.h5"))
