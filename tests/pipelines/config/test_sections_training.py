"""Tests of pipelines.config.sections_training: its choices and defaults are those of the models."""

import dataclasses
import inspect
from typing import get_args

import pytest

from pipelines.config import choices
from pipelines.config.sections import find_settings
from pipelines.config.sections_training import DetectorConfig, ExtractorConfig
from pipelines.data.bags import SAMPLINGS
from vad_keras.models import AnomalyDetector, RelationAwareExtractor
from vad_keras.models.anomaly_detector import FramePooling, NodeNormalization, ScoreSource
from vad_keras.models.backbones import BACKBONES
from vad_keras.models.baselines import BASELINES
from vad_keras.models.video_networks import VIDEO_BACKBONES


def test_choices_are_those_of_the_code_that_takes_them():
    assert set(choices("train_detector.model")) == {"anomaly_detector", *BASELINES}
    assert choices("train_detector.sampling") == SAMPLINGS
    assert set(choices("extractor.backbone")) == set(BACKBONES)
    assert set(choices("extractor.video_backbone")) == {"none", *VIDEO_BACKBONES}
    assert choices("detector.frame_pooling") == get_args(FramePooling)
    assert choices("detector.score_from") == get_args(ScoreSource)
    assert choices("detector.node_normalization") == get_args(NodeNormalization)


@pytest.mark.parametrize("key", [setting.key for setting in find_settings("detector") if setting.choices])
def test_the_detector_takes_every_choice_and_no_other(key):
    name = key.rpartition(".")[2]
    for choice in choices(key):
        AnomalyDetector(**{name: choice})
    with pytest.raises(ValueError, match=name):
        AnomalyDetector(**{name: "nothing"})


NONE_IN_TOML = {"weights", "video_backbone", "video_weights", "backbone_layer"}  # "none" stands for None


@pytest.mark.parametrize(
    ("section", "model", "chosen_here"),
    [(DetectorConfig, AnomalyDetector, set()), (ExtractorConfig, RelationAwareExtractor, NONE_IN_TOML)],
)
def test_each_setting_of_a_model_is_an_argument_of_it_with_the_same_default(section, model, chosen_here):
    arguments = inspect.signature(model).parameters
    for field in dataclasses.fields(section):
        assert field.name in arguments
        if field.name not in chosen_here:
            assert arguments[field.name].default == field.default, field.name


@pytest.mark.parametrize("section", ["extractor", "train_extractor", "detector", "train_detector"])
def test_every_setting_of_a_training_decides(section):
    assert all(setting.decides for setting in find_settings(section))
