"""Tests of vad_keras.models.baselines.zhang."""

import keras
import numpy as np
import pytest

from tests.vad_keras.models.baselines import toy
from vad_keras.losses import ranking_mil
from vad_keras.models.baselines import ZhangInnerBag

MASK = np.array([[True] * 4, [True] * 4, [True, True, False, False], [True, False, False, False]])
SCORES = np.array([[0.9, 0.2, 0.8, 0.3], [0.4, 0.1, 0.3, 0.2], [0.6, 0.2, 0.0, 1.0], [0.7, 0, 1, 0]], "float32")


def small(**kwargs):
    keras.utils.set_random_seed(0)
    return ZhangInnerBag(**{"channels": (8, 4), "dropout": 0.0, **kwargs})


def terms(labels, **kwargs):
    found = small(**kwargs).loss_terms(np.array(labels), {"anomaly_score": SCORES}, MASK)
    return {name: float(value) for name, value in found.items()}


@pytest.mark.parametrize(("channels", "kernel_size", "expected"), [((8, 4), 2, 7), ((8,), 3, 5), ((4, 4, 4), 3, 29)])
def test_a_score_sees_exactly_its_receptive_field(channels, kernel_size, expected):
    model = small(channels=channels, kernel_size=kernel_size, normalize=False)
    assert model.receptive_field == expected
    nodes = np.abs(np.random.default_rng(2).normal(size=(1, 40, 1, 5))).astype("float32")
    model({"nodes": nodes})
    for layer in (*model.convolutions, *model.shortcuts, model.scorer):  # no ReLU is shut
        layer.set_weights([np.abs(weight) * 0.2 for weight in layer.get_weights()])
    before = toy.to_numpy(model({"nodes": nodes}))["anomaly_score"][0]
    nodes[0, 5] += 20.0
    after = toy.to_numpy(model({"nodes": nodes}))["anomaly_score"][0]
    assert np.flatnonzero(after != before).tolist() == list(range(5, 5 + expected))


def test_one_block_by_hand():
    model = small(channels=(2,), normalize=False)
    nodes = np.random.default_rng(2).normal(size=(1, 4, 1, 3)).astype("float32")
    found = toy.to_numpy(model({"nodes": nodes}))["anomaly_score"][0]
    x = nodes[0, :, 0].astype("float64")
    y = x
    for convolution in model.convolutions:
        kernel, bias = convolution.get_weights()
        past = np.concatenate([np.zeros_like(y[:1]), y[:-1]])
        y = np.maximum(past @ kernel[0] + y @ kernel[1] + bias, 0)
    kernel, bias = model.shortcuts[0].get_weights()
    y = np.maximum(y + x @ kernel + bias, 0)
    kernel, bias = model.scorer.get_weights()
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-(y @ kernel + bias)[:, 0])), atol=1e-6)


def test_the_inner_bag_loss_by_hand():
    abnormal = ((1 - 0.7) + (1 - 0.4)) / 2  # gaps 0.9 - 0.2 and 0.6 - 0.2
    normal = (0.3 + 0.0) / 2  # gaps 0.4 - 0.1 and, of one frame, 0
    found = terms([1, 0, 1, 0])
    assert found["inner_bag"] == pytest.approx(abnormal + normal, rel=1e-5)
    assert terms([1, 0, 1, 0], inner_margin=0.5)["inner_bag"] == pytest.approx(0.05 + normal, rel=1e-5)


def test_the_total_is_the_ranking_loss_of_sultani_plus_the_inner_bag_loss():
    found = terms([1, 0, 1, 0], inner_weight=3.0)
    outer = float(ranking_mil(np.array([1, 0, 1, 0]), SCORES, MASK)["total"])
    assert found["total"] == pytest.approx(outer + 3.0 * found["inner_bag"], rel=1e-5)


def test_labels_of_one_kind_leave_only_their_own_gap():
    assert terms([0, 0, 0, 0])["ranking"] == 0
    assert terms([0, 0, 0, 0])["inner_bag"] == pytest.approx((0.7 + 0.3 + 0.4 + 0.0) / 4, rel=1e-5)


def test_losses_stay_inside_videos_and_are_finite_at_the_edges():
    toy.assert_sound_at_the_edges(small)
    toy.assert_order_of_bags_does_not_matter(small())


@pytest.mark.parametrize("jit_compile", [False, True])
def test_fit_lowers_the_loss(jit_compile):
    losses = toy.losses_of_fit(small(channels=(16, 8)), keras.optimizers.Adam(0.01), jit_compile, epochs=40)
    assert losses[-1] < 0.7 * losses[0]


def test_errors_name_what_came():
    with pytest.raises(ValueError, match=r"`kernel_size` must be an integer of at least 1\. Received: 0"):
        ZhangInnerBag(kernel_size=0)
    with pytest.raises(ValueError, match="`pairing` must be one of"):
        ZhangInnerBag(pairing="none")
