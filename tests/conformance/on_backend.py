"""Runs every descriptor on the backend named by KERAS_BACKEND, `python on_backend.py OUT.pickle`.

The file holds `{case: {mode: {name: array}}}`; in place of the numbers of a case that fails stands its traceback.
"""

import functools
import pickle
import sys
import traceback
from pathlib import Path

import harness
import keras
from cases import choices


def modes():
    """How a function can be run on this backend: mode -> wrapper."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return {"XLA": jax.jit}  # eager JAX compiles each operation by itself, which takes minutes
    if backend == "tensorflow":
        import tensorflow as tf

        return {
            "eager": lambda function: function,
            "compiled": functools.partial(tf.function, autograph=False),  # like the training step of Keras
            "XLA": functools.partial(tf.function, autograph=False, jit_compile=True),
        }
    return {"eager": lambda function: function}


def numbers(case):
    """Outputs and gradients in every mode; of a choice in the first mode only, which saves compilations."""
    function, arguments = harness.outputs_and_gradients(case, harness.make(case))
    found = {}
    for mode, wrap in modes().items():
        if not found or case.label == "described":
            function = wrap(function)  # XLA compiles the graph of the mode before
            values, gradients = function(*arguments)
            found[mode] = harness.to_numpy({"output": values, "gradient": gradients})
    return found


def main(path):
    found = {}
    for case in choices("backends"):
        try:
            found[str(case)] = numbers(case)
        except Exception:
            found[str(case)] = traceback.format_exc()
    path.write_bytes(pickle.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
