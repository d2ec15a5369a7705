"""Gradients in float64 on whichever backend Keras runs on, for the oracles."""

import functools
import os

import keras
import pytest

from tests.gradients import gradients_of


@pytest.fixture
def float64():
    """The dtype `"float64"`, skipping where the backend has none."""
    backend = keras.backend.backend()
    if backend == "jax" and not os.environ.get("JAX_ENABLE_X64"):
        pytest.skip("JAX computes in float32 here; set JAX_ENABLE_X64=1")
    if backend == "torch":
        pytest.skip("Keras multiplies float64 matrices in float32 on PyTorch")
    return "float64"


@pytest.fixture
def gradients64():
    """`gradients64(function, arrays, weights=())`: derivatives of a scalar by each of them."""
    return functools.partial(gradients_of, dtype="float64")
