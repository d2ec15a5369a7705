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


class ByVideo(Thermometer):
    """Also returns one vector per video."""

    OF_VIDEO = ("of_video",)

    def score_frames(self, x, mask, training):
        of_video = ops.ones((ops.shape(x)[0], 3))
        return {**super().score_frames(x, mask, training), "of_video": of_video, "one": x[:, 0, 0]}


def test_the_score_of_a_segment_is_that_of_its_mean_and_of_each_of_its_frames():
    found = scores(ByVideo(segments=2), mask=MASK)
    np.testing.assert_allclose(found["anomaly_score"], [[0, 3, 3], [6, 8, 0]])  # 3 frames are 1 + 2
    np.testing.assert_allclose(found["seen"][..., 0], found["anomaly_score"])
    np.testing.assert_array_equal(found["patch_score"], np.repeat(found["anomaly_score"][..., None], 2, axis=-1))
    assert found["of_video"].shape == (2, 3) and found["one"].tolist() == [0, 6]
    x = np.random.default_rng(0).normal(size=(1, 4, 1, 3)).astype("float32")
    seen = ops.convert_to_numpy(ByVideo(segments=2, normalize=True)({"nodes": x})["seen"])[0]
    means = x[0, :, 0].reshape(2, 2, 3).mean(axis=1)  # scaled as in training: after the mean
    np.testing.assert_allclose(seen[::2], means / np.linalg.norm(means, axis=1, keepdims=True), rtol=1e-4)
    whole = scores(ByVideo(segments=3))["anomaly_score"]
    np.testing.assert_array_equal(whole, scores(ByVideo())["anomaly_score"])
    assert ByVideo.from_config(ByVideo(segments=2).get_config()).segments == 2


class Sure(Thermometer):
    """Scores in (0, 1)."""

    def score_frames(self, x, mask, training):
        return {"anomaly_score": ops.sigmoid(x[..., 0] - 5.0)}


def test_the_standardized_prior_is_added_to_the_logit_outside_of_training():
    prior = np.random.default_rng(0).normal(size=(2, 3, 2)).astype("float32")
    inputs = {"nodes": NODES, "mask": MASK, "prior": prior}
    plain = ops.convert_to_numpy(Sure()(inputs)["anomaly_score"])
    model = Sure(late_prior=True)
    model.adapt_prior([np.array([[2.0, 0.25], [2.25, 0.0]]), np.array([-1.75, -1.5])])  # highest: 2, 2.25, -1.75, -1.5
    logits = NODES[:, :, 0, 0] - 5.0 + (prior.max(axis=2) - 0.25) / np.std([2.0, 2.25, -1.75, -1.5])
    found = {name: ops.convert_to_numpy(value) for name, value in model(inputs).items()}
    np.testing.assert_allclose(found["anomaly_score"], np.where(MASK, 1 / (1 + np.exp(-logits)), 0), rtol=1e-4)
    np.testing.assert_array_equal(found["patch_score"][..., 1], found["anomaly_score"])
    assert Sure.from_config(model.get_config()).uses_prior and not model.prior.trainable_weights
    np.testing.assert_allclose(ops.convert_to_numpy(model(inputs, training=True)["anomaly_score"]), plain, rtol=1e-6)
    with pytest.raises(ValueError, match=r"lack the key .prior."):
        model({"nodes": NODES, "mask": MASK})


def test_a_late_prior_is_the_highest_known_one_of_the_patches():
    nodes, mask = np.full((1, 3, 2, 1), 5.0, "float32"), np.ones((1, 3), bool)
    model = Sure(late_prior=True)
    model.build(nodes.shape)
    model.adapt_prior([np.array([[np.nan, -1.0], [np.nan, np.nan], [1.0, 0.0]])])  # highest: -1, none, 1
    prior = np.array([[[np.nan, 2.0], [np.nan, np.nan], [-1.0, -np.inf]]], "float32")
    scores = ops.convert_to_numpy(model({"nodes": nodes, "mask": mask, "prior": prior})["anomaly_score"])
    np.testing.assert_allclose(scores[0], 1 / (1 + np.exp([-2.0, 0.0, 1.0])), rtol=1e-4)
