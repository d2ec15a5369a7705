import numpy as np
import pytest
from keras import ops

from vad_keras.layers import PriorLogit


def test_the_prior_is_standardized_and_weighed():
    layer = PriorLogit(initial_weight=2.0)
    layer.adapt(np.array([[1.0, 3.0], [np.nan, np.inf]]))
    result = ops.convert_to_numpy(layer(np.array([[1.0, 2.0, 5.0]], "float32")))
    np.testing.assert_allclose(result, [[-2.0, 0.0, 6.0]], rtol=1e-6)


def test_a_missing_prior_gives_zero_whatever_the_mean():
    layer = PriorLogit()
    layer.adapt(np.array([10.0, 30.0]))
    result = ops.convert_to_numpy(layer(np.array([np.nan, np.inf, -np.inf, 20.0], "float32")))
    np.testing.assert_array_equal(result, np.zeros(4))


def test_only_the_weight_is_trained():
    layer = PriorLogit()
    layer.build()
    assert [weight.name for weight in layer.trainable_weights] == ["weight"]


def test_equal_values_keep_a_deviation_of_one():
    layer = PriorLogit()
    layer.adapt(np.full(3, 4.0))
    assert float(layer(np.float32(6.0))) == 2.0


def test_values_without_a_number_are_refused():
    with pytest.raises(ValueError, match="at least one finite number"):
        PriorLogit().adapt(np.array([np.nan]))
