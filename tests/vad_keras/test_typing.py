"""Tests of vad_keras.typing: the types of all signatures, as a checker and an editor see them."""

import importlib
import inspect
import pkgutil
from typing import Any, get_args, get_type_hints

import pytest

import vad_keras
from vad_keras import typing
from vad_keras.models.backbones import BACKBONES, Backbone
from vad_keras.models.video_networks import STAGES, VIDEO_BACKBONES, Stage, VideoBackbone

MODULES = [module.name for module in pkgutil.walk_packages(vad_keras.__path__, "vad_keras.")]


def functions_of(module):
    """Functions and methods that a module defines."""
    for _, value in inspect.getmembers(module, lambda value: getattr(value, "__module__", "") == module.__name__):
        if inspect.isfunction(value):
            yield value
        elif inspect.isclass(value):
            members = (getattr(one, "fget", getattr(one, "__func__", one)) for one in vars(value).values())
            yield from (one for one in members if inspect.isfunction(one) and one.__module__ == module.__name__)


@pytest.mark.parametrize("name", MODULES)
def test_every_parameter_and_result_has_a_type_that_python_can_read(name):
    for function in functions_of(importlib.import_module(name)):
        if function.__name__ != "<lambda>" and not hasattr(function, "__wrapped__"):
            given = [one for one in inspect.signature(function).parameters if one not in ("self", "cls")]
            assert {*given, "return"} <= set(get_type_hints(function)), function.__qualname__


@pytest.mark.parametrize(
    ("choices", "known"),
    [(Backbone, BACKBONES), (VideoBackbone, VIDEO_BACKBONES), (Stage, STAGES)],
    ids=["Backbone", "VideoBackbone", "Stage"],
)
def test_choices_are_the_keys_that_the_code_knows(choices, known):
    assert get_args(choices) == tuple(known)


def test_a_detector_shows_its_choices():
    hints = get_type_hints(vad_keras.models.AnomalyDetector.__init__)
    assert get_args(hints["frame_pooling"]) == ("max", "mean", "whole_frame")
    assert get_type_hints(vad_keras.models.AnomalyDetector.call)["return"] == dict[str, typing.Tensor] == dict[str, Any]
