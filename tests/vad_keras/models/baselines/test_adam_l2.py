"""Tests of vad_keras.models.baselines._adam_l2."""

import keras
import numpy as np
import pytest

from vad_keras.models.baselines import AdamL2


def test_two_steps_by_hand_have_the_penalty_in_the_gradient():
    variable = keras.Variable(np.array([2.0, -1.0], "float32"))
    optimizer = AdamL2(0.1, l2=0.5, epsilon=1e-7)
    weight, m, v = np.array([2.0, -1.0]), np.zeros(2), np.zeros(2)
    for step, gradient in enumerate(np.array([[0.0, 0.2], [-3.0, 0.0]]), start=1):
        optimizer.apply([keras.ops.convert_to_tensor(gradient.astype("float32"))], [variable])
        gradient = gradient + 0.5 * weight
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        weight = weight - 0.1 * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-7)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), weight, rtol=1e-4)


def test_without_a_penalty_it_is_adam_and_a_config_keeps_it():
    ends = []
    for optimizer in (keras.optimizers.Adam(0.1), AdamL2(0.1), AdamL2.from_config(AdamL2(0.1, l2=0.3).get_config())):
        variable = keras.Variable(np.ones(3, "float32"))
        optimizer.apply([keras.ops.convert_to_tensor(np.float32([1.0, -2.0, 0.0]))], [variable])
        ends.append(keras.ops.convert_to_numpy(variable))
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-6)
    assert ends[2][2] < ends[1][2] == 1.0


def test_a_negative_penalty_is_refused():
    with pytest.raises(ValueError, match=r"`l2` must be a number in \[0, inf\)\. Received: -1"):
        AdamL2(l2=-1)
