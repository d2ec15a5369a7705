"""Makes what a descriptor describes, with weights that every backend agrees on, and runs it."""

import functools
import inspect
import zlib

import keras
import numpy as np
from keras import ops

from vad_keras.cliques import BandedAffinity, dense_affinity


def fix_weights(thing):
    """Weights that depend on their number, name and shape alone, of the size that keeps activations near 1."""
    for number, weight in enumerate(thing.weights):
        if keras.backend.is_float_dtype(weight.dtype):
            shape = tuple(weight.shape)
            generator = np.random.default_rng(zlib.crc32(f"{number} {weight.name} {shape}".encode()))
            if len(shape) > 1:
                weight.assign(generator.normal(size=shape) / np.sqrt(np.prod(shape[:-1])))
            else:
                weight.assign(generator.uniform(0.1, 0.9, shape))


def make(case, fix=fix_weights):
    """The object with fixed weights; of a function, the function with its options."""
    thing = case.descriptor.thing
    if not inspect.isclass(thing):
        return functools.partial(thing, **case.options)
    thing = thing(**case.options)
    if isinstance(thing, keras.layers.Layer):
        # the call makes the weights; eager JAX would compile each operation by itself, elsewhere eager is quicker
        raw_outputs(case, thing, symbolic(case.inputs) if keras.backend.backend() == "jax" else case.inputs)
        fix(thing)
    return thing


def symbolic(inputs, free=()):
    """Symbolic inputs like these arrays; `free` axes have no size."""
    return {
        name: keras.Input(
            batch_shape=[None if axis in free else size for axis, size in enumerate(value.shape)],
            dtype=str(value.dtype),
            name=name,
        )
        for name, value in inputs.items()
    }


def outputs(case, thing, inputs=None, training=False):
    """What the thing gives: name -> tensor. The loss of a model is among them, and an affinity is written out."""
    inputs = case.inputs if inputs is None else inputs
    found = written_out(flat(raw_outputs(case, thing, inputs, training)), inputs)
    if isinstance(thing, keras.Model):
        found["loss"] = thing.compute_loss(features(inputs), inputs["labels"], found)
    return found


def free_axes(case, name):
    """Axes of an input that a model leaves free: videos and, where it can, frames."""
    if "cut" in case.descriptor.exempt:
        return (0,)
    return (0, 1, 3) if name == "affinity" else (0, 1)


def as_model(case, thing, kind=keras.Model):
    """A model as it is; a layer as a functional model of its own."""
    if isinstance(thing, keras.Model):
        return thing
    inputs = {name: symbolic({name: value}, free_axes(case, name))[name] for name, value in case.inputs.items()}
    return kind(inputs=inputs, outputs=flat(raw_outputs(case, thing, inputs)))


def written_out(found, inputs):
    """A banded affinity among flat outputs, whose blocks may be cut in many ways, in its one dense form."""
    if "affinity/0" not in found:
        return found
    banded = BandedAffinity(found["affinity/0"], found["affinity/1"])
    others = {name: value for name, value in found.items() if not name.startswith("affinity/")}
    return others | {"affinity": dense_affinity(banded, inputs["nodes"].shape[1])}


def features(inputs):
    """What a model is fed."""
    return {name: value for name, value in inputs.items() if name != "labels"}


def raw_outputs(case, thing, inputs, training=False):
    """What a user gets, by name."""
    descriptor = case.descriptor
    if isinstance(thing, keras.Model):
        found = dict(thing(features(inputs), training=training))
    elif isinstance(thing, keras.layers.Layer):
        options = descriptor.call_options
        if "training" in inspect.signature(thing.call).parameters:
            options = options | {"training": training}
        first, *others = inputs
        found = thing(inputs[first], **{name: inputs[name] for name in others}, **options)
    elif isinstance(thing, keras.losses.Loss):
        found = thing(inputs["labels"], inputs["scores"])
    elif isinstance(thing, keras.metrics.Metric):
        thing.reset_state()
        thing.update_state(**inputs)
        found = thing.result()
    else:
        found = descriptor.call(thing, inputs) if descriptor.call else thing(**inputs)
    if isinstance(found, dict):
        return found
    return dict(zip(descriptor.outputs, found if isinstance(found, tuple) else (found,), strict=True))


def flat(values):
    """Nested values as a flat dictionary."""
    return {"/".join(str(step) for step in path): value for path, value in keras.tree.flatten_with_path(values)}


def to_numpy(values):
    """Nested tensors as a flat dictionary of NumPy arrays."""
    return {name: ops.convert_to_numpy(value) for name, value in flat(values).items()}


def objective(found):
    """A scalar in which every number of every float output has a weight of its own."""
    total = 0.0
    for value in keras.tree.flatten(found):
        if keras.backend.is_float_dtype(keras.backend.standardize_dtype(value.dtype)):
            value = ops.reshape(ops.cast(value, "float32"), (-1,))
            total = total + ops.sum(value * ops.cos(ops.arange(value.shape[0], dtype="float32")))
    return total


def outputs_and_gradients(case, thing, training=False):
    """A function of `(weights, float inputs)`, and its arguments.

    It gives the outputs and the gradients of their `objective` by the trainable weights and by the float inputs.
    """
    floats = {name: value for name, value in case.inputs.items() if value.dtype.kind == "f"}
    variables = list(getattr(thing, "trainable_variables", []))

    def run(weights, floats):
        with keras.StatelessScope(zip(variables, weights, strict=True)):
            found = outputs(case, thing, case.inputs | floats, training)
        return objective(found), found

    weights = [ops.convert_to_tensor(variable.value) for variable in variables]
    floats = {name: ops.convert_to_tensor(value) for name, value in floats.items()}
    return _with_gradients(run), (weights, floats)


def _with_gradients(run):
    """`(outputs, gradients)` of `run(weights, floats) -> (scalar, outputs)` on the backend at hand."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        def differentiated(weights, floats):
            (_, found), gradients = jax.value_and_grad(run, argnums=(0, 1), has_aux=True)(weights, floats)
            return found, gradients

    elif backend == "torch":
        import torch

        def differentiated(weights, floats):
            arguments = (weights, floats)
            leaves = [leaf.detach().requires_grad_() for leaf in keras.tree.flatten(arguments)]
            value, found = run(*keras.tree.pack_sequence_as(arguments, leaves))
            gradients = [torch.zeros_like(leaf) for leaf in leaves]
            if value.requires_grad:
                gradients = torch.autograd.grad(value, leaves, materialize_grads=True)
            return found, keras.tree.pack_sequence_as(arguments, list(gradients))

    else:
        import tensorflow as tf

        def differentiated(weights, floats):
            with tf.GradientTape() as tape:
                tape.watch((weights, floats))
                value, found = run(weights, floats)
            return found, tape.gradient(value, (weights, floats), unconnected_gradients="zero")

    return differentiated


def along_frames(inputs, num_frames, change):
    """The arrays after `change(array, axis)` along each axis that counts frames."""
    found = {}
    for name, array in inputs.items():
        for axis in (1, 3) if name == "affinity" else (1,):
            if array.shape[axis : axis + 1] == (num_frames,):
                array = change(array, axis)
        found[name] = array
    return found


def assert_equal_numbers(found, expected, tolerance=1e-5):
    """Equal to `tolerance`, relative to the largest number of an array or 0.1, and of equal type."""
    assert sorted(found) == sorted(expected)
    for name, value in expected.items():
        scale = np.abs(value.astype("float64")).max(initial=0.1)
        assert found[name].dtype == value.dtype, name
        np.testing.assert_allclose(found[name], value, rtol=tolerance, atol=tolerance * scale, err_msg=name)
