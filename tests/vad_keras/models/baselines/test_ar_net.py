"""Tests of vad_keras.models.baselines.ar_net."""

import keras
import numpy as np
import pytest
from keras import ops

from tests.vad_keras.models.baselines import toy
from vad_keras.models.baselines import ARNet

MASK = np.array([[True] * 5, [True, True, True, False, False], [True, True, False, False, False]])
SCORES = np.array([[0.9, 0.2, 0.8, 0.1, 0.3], [0.4, 0.1, 0.1, 0.9, 0.9], [0.6, 0.2, 0.9, 0.9, 0.9]], "float32")


def small(**kwargs):
    keras.utils.set_random_seed(0)
    return ARNet(**{"units": 16, "dropout": 0.0, **kwargs})


def terms(labels, **kwargs):
    found = small(**kwargs).loss_terms(np.array(labels), {"anomaly_score": ops.convert_to_tensor(SCORES)}, MASK)
    return {name: float(value) for name, value in found.items()}


def test_scores_are_two_dense_layers_by_hand():
    model = small()
    found = toy.to_numpy(model(toy.INPUTS))["anomaly_score"]
    (w1, b1), (w2, b2) = (layer.get_weights() for layer in (model.hidden, model.scorer))
    expected = 1 / (1 + np.exp(-(np.maximum(toy.NODES[:, :, 0] @ w1 + b1, 0) @ w2 + b2)[..., 0]))
    np.testing.assert_allclose(found, np.where(toy.MASK, expected, 0), atol=1e-6)


def test_the_hidden_layer_is_as_wide_as_the_features_by_default():
    model = ARNet()
    model(toy.INPUTS)
    assert (tuple(model.hidden.kernel.shape), tuple(model.scorer.kernel.shape)) == ((8, 8), (8, 1))


def test_one_in_alpha_moments_of_a_video_speaks_for_it_by_hand():
    first = (-np.log(0.9) - np.log(0.8)) / 2  # 2 of 5 moments, abnormal
    second, third = -np.log(1 - 0.4), -np.log(1 - 0.6)  # 1 of 3 and 1 of 2, normal
    assert terms([1, 0, 0])["dynamic_mil"] == pytest.approx((first + second + third) / 3, rel=1e-5)
    assert terms([1, 0, 0], alpha=1)["dynamic_mil"] > terms([1, 0, 0])["dynamic_mil"]


def test_the_center_loss_is_the_spread_of_normal_videos_by_hand():
    spreads = [np.var([0.4, 0.1, 0.1]), np.var([0.6, 0.2])]
    found = terms([1, 0, 0])
    assert found["center"] == pytest.approx(np.mean(spreads), rel=1e-5)
    assert found["total"] == pytest.approx(found["dynamic_mil"] + 20 * np.mean(spreads), rel=1e-5)
    assert terms([1, 1, 1])["center"] == 0


def test_the_center_loss_draws_the_scores_of_normal_videos_together():
    model = small(center_weight=1000.0)
    model.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    before = toy.terms_of(model)["center"]
    model.fit(toy.INPUTS, toy.LABELS, epochs=10, verbose=0)
    assert toy.terms_of(model)["center"] < 0.5 * before


@pytest.mark.parametrize("jit_compile", [False, True])
def test_fit_lowers_the_loss(jit_compile):
    losses = toy.losses_of_fit(small(), keras.optimizers.Adam(0.01), jit_compile)
    assert losses[-1] < 0.8 * losses[0]


def test_loss_and_gradients_are_sound_at_the_edges():
    toy.assert_sound_at_the_edges(lambda: small(dropout=0.5))


def test_the_order_of_bags_does_not_matter():
    toy.assert_order_of_bags_does_not_matter(small())


def test_an_alpha_below_1_is_refused():
    with pytest.raises(ValueError, match=r"`alpha` must be a number in \[1, inf\)\. Received: 0\.5"):
        ARNet(alpha=0.5)
