"""A toy problem for published models: abnormal videos hold one moment unlike the others."""

import keras
import numpy as np
from keras import ops

from tests.gradients import gradients_of

RANDOM = np.random.default_rng(0)
LABELS = np.arange(12) % 2
NODES = RANDOM.normal(size=(12, 7, 2, 8)).astype("float32")
NODES[LABELS == 1, 2] += 3.0
MASK = np.arange(7) < RANDOM.integers(3, 8, size=(12, 1))
INPUTS = {"nodes": NODES, "mask": MASK}

# Of its last videos only the first frame is real, and what stands behind it is large.
SHORT = {"nodes": np.where(MASK[..., None, None], NODES, np.float32(50.0)), "mask": MASK.copy()}
SHORT["mask"][6:, 1:] = False


def to_numpy(outputs):
    """A dictionary of tensors as arrays."""
    return {name: ops.convert_to_numpy(value) for name, value in outputs.items()}


def terms_of(model, labels=LABELS, inputs=INPUTS, training=False):
    """The loss terms of a batch as numbers."""
    outputs = model(inputs, training=training)
    found = model.loss_terms(np.asarray(labels), outputs, ops.convert_to_tensor(inputs["mask"]))
    return {name: float(value) for name, value in found.items()}


def gradients_by_weight(model, labels=LABELS, inputs=INPUTS, term="total", training=True):
    """Gradients of a loss term by the trainable weights, in their order."""
    model(inputs)  # makes the weights
    mask = ops.convert_to_tensor(inputs["mask"])

    def loss(nodes):
        outputs = model({"nodes": nodes, "mask": mask}, training=training)
        return model.loss_terms(np.asarray(labels), outputs, mask)[term]

    return gradients_of(loss, [inputs["nodes"]], model.trainable_weights)[1:]


def assert_sound_at_the_edges(make):
    """Finite loss and gradients with videos of one frame, and with videos of one label only."""
    for labels in (LABELS, np.zeros(12), np.ones(12)):
        model = make()
        gradients = gradients_by_weight(model, labels, SHORT)
        assert all(np.isfinite(gradient).all() for gradient in gradients)
        assert all(np.isfinite(value) for value in terms_of(model, labels, SHORT, training=True).values())


def assert_order_of_bags_does_not_matter(model):
    """Shuffled bags have the same loss terms."""
    order = np.random.default_rng(1).permutation(12)
    shuffled = {name: value[order] for name, value in INPUTS.items()}
    found, expected = terms_of(model, LABELS[order], shuffled), terms_of(model)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, err_msg=name)


def losses_of_fit(model, optimizer, jit_compile=False, epochs=15):
    """The training loss of each epoch."""
    model.compile(optimizer, jit_compile=jit_compile)
    return model.fit(INPUTS, LABELS, epochs=epochs, batch_size=6, verbose=0).history["loss"]


def saved_and_loaded(model, path):
    """The model out of a `.keras` file."""
    model.save(path)
    return keras.models.load_model(path)
