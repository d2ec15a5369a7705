"""Tests of vad_keras.models.baselines._base."""

import keras
import numpy as np
import pytest
from keras import ops

from vad_keras.models.baselines._base import Baseline

NODES = np.arange(2 * 3 * 2 * 1, dtype="float32").reshape(2, 3, 2, 1)
MASK = np.array([[True, True, True], [True, True, False]])


class Thermometer(Baseline):
    """Scores a moment by its one channel; the loss is the highest score of the normal videos."""

    LOSS_TERMS = ("warmth",)

    def build_frames(self, feature_dim):
        self.scale = self.add_weight(shape=(feature_dim,), initializer="ones", regularizer=keras.regularizers.L2(0.5))

    def score_frames(self, x, mask, training):
        return {"anomaly_score": ops.sum(x * self.scale, axis=-1), "seen": x}

    def loss_terms(self, labels, outputs, mask):
        warmth = ops.max(ops.where(ops.equal(labels, 0)[:, None], outputs["anomaly_score"], 0.0))
        return {"warmth": warmth, "total": 2.0 * warmth}


def scores(model, **inputs):
    return {name: ops.convert_to_numpy(value) for name, value in model({"nodes": NODES, **inputs}).items()}


def test_scores_are_those_of_the_first_patch_or_of_their_mean():
    np.testing.assert_array_equal(scores(Thermometer())["anomaly_score"], [[0, 2, 4], [6, 8, 10]])
    np.testing.assert_array_equal(scores(Thermometer("mean"))["anomaly_score"], [[0.5, 2.5, 4.5], [6.5, 8.5, 10.5]])


def test_vectors_of_length_1_keep_their_direction():
    model = Thermometer("mean", normalize=True)
    np.testing.assert_allclose(scores(model)["seen"], np.where(NODES.mean(2) > 0, 1.0, 0.0), atol=1e-6)
    assert Thermometer.from_config(model.get_config()).normalize and not Thermometer().normalize


def test_padding_is_0_before_and_after_scoring():
    outputs = scores(Thermometer(), mask=MASK)
    np.testing.assert_array_equal(outputs["seen"][..., 0], [[0, 2, 4], [6, 8, 0]])
    np.testing.assert_array_equal(outputs["patch_score"], np.repeat(outputs["anomaly_score"][..., None], 2, axis=-1))
    assert outputs["anomaly_score"][1, 2] == 0


def test_regularisers_count_in_training_only_and_terms_are_metrics():
    model, labels = Thermometer(), np.array([1, 0])
    model.compile(keras.optimizers.SGD(0.0))
    inputs = {"nodes": NODES, "mask": MASK}
    trained = model.train_on_batch(inputs, labels, return_dict=True)
    held_out = model.test_on_batch(inputs, labels, return_dict=True)
    assert (float(trained["loss"]), float(held_out["loss"])) == (16.5, 16.0)
    assert float(held_out["warmth"]) == 8.0 and "bag_auc" in held_out


def test_errors_name_what_came():
    with pytest.raises(ValueError, match=r"`patches` must be one of.*'last'"):
        Thermometer("last")
    with pytest.raises(ValueError, match=r"`nodes` must have shape \(B, T, G, C\)\. Received: \(2, 5, 8\)"):
        Thermometer()({"nodes": np.ones((2, 5, 8))})


def test_a_baseline_without_a_loss_cannot_be_made():
    class Half(Baseline):
        build_frames, score_frames = Thermometer.build_frames, Thermometer.score_frames

    with pytest.raises(TypeError, match="loss_terms"):
        Half()
