"""Tests of pipelines.config.sections_results: no setting decides a result, and its choices are those of the code."""

import pytest

from pipelines.config import choices
from pipelines.config.sections import find_settings


@pytest.mark.parametrize(
    "section", ["evaluate", "repeat", "compare", "ablate", "alarms", "export", "score", "bench"]
)
def test_what_is_made_of_trained_models_decides_nothing(section):
    assert not any(setting.decides for setting in find_settings(section))


def test_backbones_that_are_timed_are_those_of_the_extractor():
    assert choices("bench.backbones") == choices("extractor.backbone")


def test_the_backends_are_those_of_keras():
    assert choices("repeat.backend") == ("", "tensorflow", "jax", "torch")
