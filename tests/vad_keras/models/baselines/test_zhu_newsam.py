"""Tests of vad_keras.models.baselines.zhu_newsam."""

import keras
import numpy as np
import pytest

from tests.vad_keras.models.baselines import toy
from vad_keras.models.baselines import ZhuNewsamAttention

SCORES = np.array([[0.9, 0.2, 0.5], [0.4, 0.1, 0.0], [0.6, 0.3, 0.0]], "float32")
ATTENTION = np.array([[0.5, 0.3, 0.2], [0.75, 0.25, 0.0], [0.5, 0.5, 0.0]], "float32")
MASK = np.array([[True] * 3, [True, True, False], [True, True, False]])


def small(**kwargs):
    keras.utils.set_random_seed(0)
    return ZhuNewsamAttention(**{"units": (16, 4), "attention_units": 8, "dropout": 0.0, **kwargs})


def terms(labels, **kwargs):
    outputs = {"frame_score": SCORES, "attention": ATTENTION, "anomaly_score": SCORES}
    found = small(**kwargs).loss_terms(np.array(labels), outputs, MASK)
    return {name: float(value) for name, value in found.items()}


def test_the_score_of_a_video_is_the_attention_weighted_sum_by_hand():
    of_videos = [0.45 + 0.06 + 0.10, 0.3 + 0.025, 0.3 + 0.15]
    expected = ((1 - of_videos[0] + of_videos[1]) + (1 - of_videos[2] + of_videos[1])) / 2
    found = terms([1, 0, 1])
    assert found["ranking"] == pytest.approx(expected, rel=1e-5)
    assert found["sparsity"] == pytest.approx((1.6 + 0.9) / 2, rel=1e-5)
    assert found["temporal_smoothness"] == pytest.approx((0.7**2 + 0.3**2 + 0.3**2) / 2, rel=1e-5)
    assert found["total"] == pytest.approx(expected + 8e-5 * (1.25 + found["temporal_smoothness"]), rel=1e-5)


def test_attention_is_a_softmax_over_real_frames_by_hand():
    model = small(normalize=False)
    outputs = toy.to_numpy(model(toy.INPUTS))
    (w1, b1), (w2, b2) = (layer.get_weights() for layer in (model.attention_hidden, model.attention_logit))
    weights = np.exp((np.tanh(toy.NODES[:, :, 0] @ w1 + b1) @ w2 + b2)[..., 0]) * toy.MASK
    np.testing.assert_allclose(outputs["attention"], weights / weights.sum(axis=1, keepdims=True), atol=1e-6)
    np.testing.assert_allclose(outputs["attention"].sum(axis=1), 1.0, atol=1e-5)


def test_attention_learns_to_point_at_the_moment_that_scores_high_in_abnormal_videos():
    model = small(units=(2, 2), attention_units=32, normalize=False)
    model(toy.INPUTS)
    for layer, scale, bias in zip((*model.hidden, model.scorer), (1.0, 0.5, 0.25), (0.0, 0.0, -3.0), strict=True):
        layer.set_weights([np.full(layer.kernel.shape, scale), np.full(layer.bias.shape, bias)])  # sum of the channels
        layer.trainable = False
    before = toy.to_numpy(model(toy.INPUTS))
    toy.losses_of_fit(model, keras.optimizers.Adam(0.02), epochs=60)
    after = toy.to_numpy(model(toy.INPUTS))
    np.testing.assert_array_equal(after["frame_score"], before["frame_score"])
    gain = (after["attention"] - before["attention"])[toy.LABELS == 1]
    assert gain[:, 2].mean() > 0.1 and gain.sum(axis=1) == pytest.approx(0.0, abs=1e-5)


def test_what_is_reported_may_be_weighted_by_the_attention():
    plain, attended = (toy.to_numpy(small(score_from=source)(toy.INPUTS)) for source in ("scorer", "attended"))
    np.testing.assert_allclose(plain["anomaly_score"], plain["frame_score"])
    weight = plain["attention"] / plain["attention"].max(axis=1, keepdims=True)
    np.testing.assert_allclose(attended["anomaly_score"], plain["frame_score"] * weight, atol=1e-6)


def test_default_sizes_are_those_of_sultani_with_an_attention_block():
    model = ZhuNewsamAttention()
    model(toy.INPUTS)
    shapes = [tuple(weight.shape) for weight in model.weights if len(weight.shape) == 2]
    assert shapes == [(8, 512), (512, 32), (32, 1), (8, 256), (256, 1)]


def test_losses_stay_inside_videos_and_are_finite_at_the_edges():
    toy.assert_sound_at_the_edges(small)
    toy.assert_order_of_bags_does_not_matter(small())
    assert terms([0, 0, 0])["total"] == 0


@pytest.mark.parametrize("jit_compile", [False, True])
def test_fit_lowers_the_loss(jit_compile):
    losses = toy.losses_of_fit(small(), keras.optimizers.Adam(0.01), jit_compile)
    assert losses[-1] < 0.7 * losses[0]


def test_errors_name_what_came():
    with pytest.raises(ValueError, match=r"`score_from` must be one of.*'attention'"):
        ZhuNewsamAttention(score_from="attention")
    with pytest.raises(ValueError, match="`pairing` must be one of"):
        ZhuNewsamAttention(pairing="none")
