"""What `fit` and `compile` take works as in any Keras model or is refused, alike on TensorFlow, JAX and PyTorch."""

import functools
import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("training_on_backend.py")
BAG_MODELS = ("AnomalyDetector", "SultaniRanker")


@functools.cache
def found_on(backend):
    """Model -> what was tried -> loss or error."""
    if not importlib.util.find_spec(backend):
        pytest.skip(f"{backend} is not installed: make backends")
    environment = os.environ | {"KERAS_BACKEND": backend}
    result = subprocess.run(
        [sys.executable, SCRIPT], env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout.splitlines()[-1].removeprefix("FOUND "))


pytestmark = pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])


@pytest.mark.parametrize("name", BAG_MODELS)
def test_bag_models_refuse_weights_of_videos(backend, name):
    found = found_on(backend)[name]
    assert found["class_weight"] == f"{name} takes no `class_weight`"
    assert found["sample_weight"] == f"{name} takes no `sample_weight`"
    assert found["weights of a generator"] == f"{name} takes no `sample_weight`"


def test_the_extractor_honours_weights(backend):
    found = found_on(backend)["RelationAwareExtractor"]
    assert all(isinstance(value, float) for value in found.values())
    assert len({round(found[name], 5) for name in ("plain", "class_weight", "sample_weight")}) == 3


@pytest.mark.parametrize("name", [*BAG_MODELS, "RelationAwareExtractor"])
def test_a_regularizer_counts(backend, name):
    found = found_on(backend)[name]
    assert found["regularizer"] > found["plain"] + 1e-4


@pytest.mark.parametrize("name", BAG_MODELS)
def test_wrong_labels_of_a_generator_make_the_loss_nan(backend, name):
    found = found_on(backend)[name]
    assert math.isnan(found["labels of a generator"])
    assert found["array"].startswith("the inputs must be a dict")


def test_the_losses_are_those_of_tensorflow(backend):
    for name, found in found_on(backend).items():
        for tried, value in found.items():
            expected = found_on("tensorflow")[name][tried]
            assert value == (pytest.approx(expected, rel=1e-4, nan_ok=True) if isinstance(value, float) else expected)
