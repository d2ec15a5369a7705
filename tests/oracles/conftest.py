"""Gradients in float64 on whichever backend Keras runs on, for the oracles."""

import os

import keras
import numpy as np
import pytest

from tests.oracles.formulas import to_numpy


@pytest.fixture
def float64():
    """The dtype `"float64"`, skipping where the backend has none."""
    backend = keras.backend.backend()
    if backend == "jax" and not os.environ.get("JAX_ENABLE_X64"):
        pytest.skip("JAX computes in float32 here; set JAX_ENABLE_X64=1")
    if backend == "torch":
        pytest.skip("Keras multiplies float64 matrices in float32 on PyTorch")
    return "float64"


def _gradients(function, arrays, weights=()):
    """Gradients of a scalar function by each float64 array and by each Keras weight, as NumPy arrays."""
    backend = keras.backend.backend()
    arrays = [np.asarray(array, "float64") for array in arrays]
    if backend == "tensorflow":
        import tensorflow as tf

        tensors = [tf.constant(array) for array in arrays]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            value = function(*tensors)
        found = tape.gradient(value, [*tensors, *(weight.value for weight in weights)])
    elif backend == "torch":
        import torch

        tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
        found = torch.autograd.grad(function(*tensors), [*tensors, *(weight.value for weight in weights)])
    else:
        import jax

        values = [weight.value for weight in weights]

        def stateless(tensors, values):
            with keras.StatelessScope(state_mapping=list(zip(weights, values, strict=True))):
                return function(*tensors)

        by_array, by_weight = jax.grad(stateless, argnums=(0, 1))(arrays, values)
        found = [*by_array, *by_weight]
    return [to_numpy(one) for one in found]


@pytest.fixture
def gradients64():
    """`gradients64(function, arrays, weights=())`: derivatives of a scalar by each of them."""
    return _gradients
