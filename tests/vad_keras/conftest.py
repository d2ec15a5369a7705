"""What tests of the core share: gradients and compilation on whichever backend Keras runs on."""

import keras
import pytest

from tests.gradients import gradients_of


def _compiled(function):
    """The function under XLA, where the backend has it."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True)
    if backend == "jax":
        import jax

        return jax.jit(function)
    return function


@pytest.fixture
def gradients():
    """`gradients(function, *arrays)`: derivative of a scalar function by each array."""
    return lambda function, *arrays: gradients_of(function, arrays)


@pytest.fixture
def compiled():
    """`compiled(function)`: the function under XLA."""
    return _compiled
