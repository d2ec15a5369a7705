"""Gradients on whichever backend Keras runs on."""

import keras
import numpy as np


def gradients_of(function, arrays, weights=(), dtype="float32"):
    """Gradients of a scalar function by each array and by each Keras weight, 0 where there is none, as NumPy arrays."""
    backend = keras.backend.backend()
    arrays = [np.asarray(array, dtype) for array in arrays]
    if backend == "tensorflow":
        import tensorflow as tf

        tensors = [tf.constant(array) for array in arrays]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            value = function(*tensors)
        by = [*tensors, *(weight.value for weight in weights)]
        found = tape.gradient(value, by, unconnected_gradients="zero")
    elif backend == "torch":
        import torch

        tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
        by = [*tensors, *(weight.value for weight in weights)]
        found = torch.autograd.grad(function(*tensors), by, materialize_grads=True)
    else:
        import jax

        values = [weight.value for weight in weights]

        def stateless(tensors, values):
            with keras.StatelessScope(state_mapping=list(zip(weights, values, strict=True))):
                return function(*tensors)

        by_array, by_weight = jax.grad(stateless, argnums=(0, 1))(arrays, values)
        found = [*by_array, *by_weight]
    return [keras.ops.convert_to_numpy(gradient) for gradient in found]
