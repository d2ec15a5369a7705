"""Tests of pipelines.training.optimizer."""

import dataclasses

import keras
import numpy as np
import pytest

from pipelines.config import choices
from pipelines.config.sections import TrainDetectorConfig
from pipelines.training.optimizer import build_optimizer
from vad_keras.models.baselines import AdamL2

OPTIONS = TrainDetectorConfig()


def test_adagrad_starts_from_empty_accumulators_so_that_its_first_step_is_the_learning_rate():
    options = dataclasses.replace(OPTIONS, optimizer="adagrad", learning_rate=1e-3)
    weight = keras.Variable(np.array([1.0, 2.0], "float32"))
    optimizer = build_optimizer(options)
    optimizer.apply([np.array([1e-4, -10.0], "float32")], [weight])
    np.testing.assert_allclose(weight.numpy(), [0.999, 2.001], rtol=1e-5)


@pytest.mark.parametrize("name", choices("train_detector.optimizer"))
def test_without_decay_a_weight_that_gets_no_gradient_stays(name):
    options = dataclasses.replace(OPTIONS, optimizer=name, weight_decay=0.0)
    weight = keras.Variable(np.array([1.0, 2.0], "float32"))
    build_optimizer(options).apply([np.zeros(2, "float32")], [weight])
    np.testing.assert_array_equal(weight.numpy(), [1.0, 2.0])


def test_the_optimizer_has_its_penalty_clipping_and_schedule():
    changes = {"optimizer": "adam_l2", "weight_decay": 0.5, "clip_norm": 2.0, "drop_steps": (2, 3)}
    changes["learning_rate"] = 0.1
    optimizer = build_optimizer(dataclasses.replace(OPTIONS, **changes))
    assert isinstance(optimizer, AdamL2) and (optimizer.l2, optimizer.global_clipnorm) == (0.5, 2.0)
    weight, rates = keras.Variable(np.array([1.0, 2.0], "float32")), []
    for _ in range(5):
        rates.append(float(optimizer.learning_rate))
        optimizer.apply([np.zeros(2, "float32")], [weight])
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.01, 0.001, 0.001], rtol=1e-5)
    assert build_optimizer(OPTIONS).global_clipnorm is None
