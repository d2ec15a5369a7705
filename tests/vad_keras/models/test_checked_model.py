"""Tests of vad_keras.models.checked_model. tests/conformance/test_wrong_inputs.py holds every model to it."""

import keras
import numpy as np
import pytest

from vad_keras.models.checked_model import CheckedModel, check_features, check_keys, check_mask

NODES = np.zeros((2, 3, 4, 5), "float32")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (NODES, r"must be a dict with the key 'nodes'\. Received: an array of shape \(2, 3, 4, 5\)"),
        ([NODES], r"must be a dict with the key 'nodes'\. Received: list"),
        ({"node": NODES}, r"unknown key 'node' in the inputs\. Did you mean 'nodes'\?"),
        ({"nodes": NODES, "weights": NODES}, r"unknown key 'weights' in the inputs\. The model reads 'nodes', 'mask'"),
        ({"mask": NODES}, r"lack the key 'nodes'\. Received: \['mask'\]"),
        ({"nodes": [[1.0]]}, r"`nodes` must be an array or a tensor\. Received: list"),
    ],
)
def test_inputs_without_the_right_keys_are_refused(inputs, message):
    check_keys({"nodes": NODES, "mask": None}, ("nodes", "mask"), ("nodes",))
    with pytest.raises(ValueError, match=message):
        check_keys(inputs, ("nodes", "mask"), ("nodes",))


def test_features_have_their_axes_and_are_numbers():
    check_features("nodes", NODES.astype("uint8"), "(B, T, G, C)")
    with pytest.raises(ValueError, match=r"`nodes` must have shape \(B, T, G, C\)\. Received: \(3, 4, 5\)\. Add one\."):
        check_features("nodes", NODES[0], "(B, T, G, C)", "Add one.")
    with pytest.raises(ValueError, match=r"`nodes` must hold numbers\. Received: <U"):
        check_features("nodes", NODES.astype(str), "(B, T, G, C)")


def test_a_mask_has_one_boolean_per_frame():
    symbolic = [keras.KerasTensor((None, None), dtype) for dtype in ("bool", "float32")]  # Keras exports with floats
    for mask in (np.ones((2, 3), bool), np.ones((2, 3), "int8"), *symbolic):
        check_mask(mask, "nodes", NODES)
    for mask in (np.ones((2, 4), bool), np.ones((3,), bool), np.ones((2, 3, 1), bool)):
        with pytest.raises(ValueError, match=r"first two axes of `nodes`, \(2, 3\)\. Received shape"):
            check_mask(mask, "nodes", NODES)
    with pytest.raises(ValueError, match=r"`mask` must be boolean.*Received: float32"):
        check_mask(np.ones((2, 3), "float32"), "nodes", NODES)


class Mean(CheckedModel):
    """Its score is the mean of its nodes."""

    def check_inputs(self, inputs):
        check_keys(inputs, ("nodes",), ("nodes",))

    def call(self, inputs):
        return keras.ops.mean(inputs["nodes"], axis=(1, 2, 3))[:, None]


def test_arrays_are_checked_before_the_first_step_and_labels_may_be_a_list():
    model = Mean()
    model.compile(loss="mse")
    for run in (model.fit, model.evaluate, model.train_on_batch, model.test_on_batch):
        with pytest.raises(ValueError, match="must be a dict"):
            run(NODES, np.array([0, 1]))
        with pytest.raises(ValueError, match=r"Received also: \[255\]"):
            run({"nodes": NODES}, np.array([0, 255]))
    with pytest.raises(ValueError, match=r"Received also: \[2\]"):
        model.fit({"nodes": NODES}, [0, 1], validation_data=({"nodes": NODES}, np.array([2, 0])), verbose=0)
    with pytest.raises(ValueError, match="must be a dict"):
        model.predict(NODES, verbose=0)
    assert model.evaluate({"nodes": NODES}, [0, 1], verbose=0) == 0.5
