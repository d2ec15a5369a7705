"""What tests of the core share: gradients and compilation on whichever backend Keras runs on."""

import keras
import numpy as np
import pytest


def _gradients(function, *arrays):
    """Gradients of a scalar function with respect to each of its float arguments, as NumPy arrays."""
    backend = keras.backend.backend()
    arrays = [np.asarray(array, "float32") for array in arrays]
    if backend == "tensorflow":
        import tensorflow as tf

        tensors = [tf.constant(array) for array in arrays]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            value = function(*tensors)
        found = tape.gradient(value, tensors, unconnected_gradients="zero")
    elif backend == "jax":
        import jax

        found = jax.grad(function, argnums=tuple(range(len(arrays))))(*arrays)
    else:
        import torch

        tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
        found = torch.autograd.grad(function(*tensors), tensors, materialize_grads=True)
    return [keras.ops.convert_to_numpy(gradient) for gradient in found]


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
    return _gradients


@pytest.fixture
def compiled():
    """`compiled(function)`: the function under XLA."""
    return _compiled
