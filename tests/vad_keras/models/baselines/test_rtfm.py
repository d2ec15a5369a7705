"""Tests of vad_keras.models.baselines.rtfm."""

import keras
import numpy as np
import pytest
from keras import ops

from tests.vad_keras.models.baselines import toy
from vad_keras.models.baselines import RTFM
from vad_keras.models.baselines.rtfm import MultiScaleTemporalNetwork


def small(**kwargs):
    keras.utils.set_random_seed(0)
    return RTFM(**{"units": (16, 8), "dropout": 0.0, **kwargs})


def network():
    keras.utils.set_random_seed(0)
    made = MultiScaleTemporalNetwork()
    made.build((None, None, 8))
    return made


@pytest.mark.parametrize(("form", "rate"), [("squared", 1e-5), ("printed", 1e-3)])
def test_one_step_makes_abnormal_magnitudes_grow_and_normal_ones_shrink(form, rate):
    model = small(magnitude_form=form, magnitude_weight=1.0)
    model.compile(keras.optimizers.SGD(rate), run_eagerly=True)
    before = toy.to_numpy(model(toy.INPUTS, training=True))["bag_magnitude"]  # with the statistics of the batch
    model.train_on_batch(toy.INPUTS, toy.LABELS)
    moved = toy.to_numpy(model(toy.INPUTS, training=True))["bag_magnitude"] - before
    assert moved[toy.LABELS == 1].mean() > 0 > moved[toy.LABELS == 0].mean()


def test_the_longest_real_features_speak_for_a_video_by_hand():
    for form in ("squared", "printed"):
        model = small(k=2, magnitude_form=form)
        found = toy.to_numpy(model(toy.INPUTS))
        features = ops.convert_to_numpy(model.network(toy.NODES[:, :, 0], mask=toy.MASK))
        lengths = np.linalg.norm(features, axis=-1)
        np.testing.assert_allclose(found["magnitude"], np.where(toy.MASK, lengths, 0), rtol=1e-5)
        for video in range(12):
            chosen = np.argsort(-lengths[video, : toy.MASK[video].sum()])[:2]
            mean = features[video, chosen].mean(axis=0)
            magnitude = np.linalg.norm(mean) if form == "squared" else lengths[video, chosen].mean()
            assert found["bag_magnitude"][video] == pytest.approx(magnitude, rel=1e-5)
            assert found["bag_score"][video] == pytest.approx(found["anomaly_score"][video, chosen].mean(), rel=1e-5)


def test_the_magnitude_loss_is_over_pairs_of_both_labels_by_hand():
    labels, magnitude = np.float32([1, 0, 1, 0]), np.float32([30, 10, 120, 20])
    squared = [(70 + 10) ** 2, (70 + 20) ** 2, (20 + 10) ** 2, (20 + 20) ** 2]
    assert float(small()._magnitude_loss(labels, magnitude)) == pytest.approx(np.mean(squared))
    printed = [100 - 20, 100 - 10, 0, 0]
    assert float(small(magnitude_form="printed")._magnitude_loss(labels, magnitude)) == pytest.approx(np.mean(printed))
    assert float(small()._magnitude_loss(np.ones(4, "float32"), magnitude)) == 0


def test_the_total_is_the_weighted_sum_with_the_published_weights():
    found = toy.terms_of(small())
    expected = found["bag_cross_entropy"] + 1e-4 * found["magnitude"] + 8e-3 * found["sparsity"]
    assert found["total"] == pytest.approx(expected + 8e-4 * found["temporal_smoothness"], rel=1e-5)


def test_sparsity_and_smoothness_are_sums_over_the_batch_by_hand():
    model = small()
    found, outputs = toy.terms_of(model), toy.to_numpy(model(toy.INPUTS))
    scores = [outputs["anomaly_score"][i, : toy.MASK[i].sum()] for i in np.flatnonzero(toy.LABELS)]
    assert found["sparsity"] == pytest.approx(np.linalg.norm(np.concatenate(scores)), rel=1e-5)
    steps = [np.square(np.diff(of_video)).sum() for of_video in scores]
    assert found["temporal_smoothness"] == pytest.approx(sum(steps), rel=1e-5)


def test_the_pyramid_reaches_as_far_as_its_dilations():
    made, mask = network(), np.ones((1, 21), bool)
    for convolution in (*made.pyramid, made.fuse):
        convolution.kernel.assign(ops.ones(convolution.kernel.shape))
    x = np.zeros((1, 21, 8), "float32")
    before = ops.convert_to_numpy(made(x, mask=mask))
    x[0, 10] = 1.0
    moved = np.abs(ops.convert_to_numpy(made(x, mask=mask)) - before)[0].max(axis=-1)
    assert set(np.flatnonzero(moved)) == {10 + d + f for d in (-4, -2, -1, 0, 1, 2, 4) for f in (-1, 0, 1)}


def test_the_network_adds_to_its_input():
    made, x = network(), toy.NODES[:, :, 0]
    made.fuse.kernel.assign(ops.zeros(made.fuse.kernel.shape))
    expected = np.where(toy.MASK[..., None], x, 0)
    np.testing.assert_array_equal(ops.convert_to_numpy(made(x, mask=toy.MASK)), expected)


def test_the_attention_starts_as_an_identity_and_is_the_printed_product_by_hand():
    made, mask = network(), toy.MASK
    x = np.where(mask[..., None], toy.NODES[:, :, 0, :2], 0).astype("float32")
    np.testing.assert_array_equal(ops.convert_to_numpy(made._attend(ops.convert_to_tensor(x), mask, False)), x)
    made.attention_norm.gamma.assign([1.0, 2.0])
    found = ops.convert_to_numpy(made._attend(ops.convert_to_tensor(x), mask, False))
    for video, length in enumerate(mask.sum(axis=1)):
        real = x[video, :length]
        theta, phi, g = (real @ w + b for w, b in (layer.get_weights() for layer in (made.theta, made.phi, made.g)))
        w, b = made.back.get_weights()
        expected = (theta @ phi.T / length @ g @ w + b) / np.sqrt(1 + 1e-5) * [1.0, 2.0] + real
        np.testing.assert_allclose(found[video, :length], expected, atol=1e-5)


def test_batch_statistics_are_of_real_frames_only():
    longer = np.concatenate([toy.NODES, np.full((12, 3, 2, 8), 90.0, "float32")], axis=1)
    padded = {"nodes": longer, "mask": np.concatenate([toy.MASK, np.zeros((12, 3), bool)], axis=1)}
    found, expected = (toy.to_numpy(small()(inputs, training=True)) for inputs in (padded, toy.INPUTS))
    np.testing.assert_allclose(found["anomaly_score"][:, :7], expected["anomaly_score"], atol=1e-5)


def test_training_hides_moments_from_the_choice():
    model = small(dropout=0.5, k=1)
    found = [toy.to_numpy(model(toy.INPUTS, training=True)) for _ in range(10)]
    longest = [np.all(f["bag_magnitude"] >= f["magnitude"].max(axis=1) * (1 - 1e-5)) for f in found]
    assert not all(longest)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_fit_lowers_the_loss(jit_compile):
    losses = toy.losses_of_fit(small(), keras.optimizers.Adam(0.01), jit_compile)
    assert losses[-1] < 0.8 * losses[0]


def test_default_sizes_are_the_published_ones():
    model = RTFM()
    model.build({"nodes": (None, None, 1, 2048)})
    shapes = [tuple(layer.kernel.shape) for layer in (*model.network.pyramid, model.network.reduce, model.network.fuse)]
    assert shapes == [(3, 2048, 512)] * 3 + [(1, 2048, 512), (3, 2048, 2048)]
    assert tuple(model.network.theta.kernel.shape) == (512, 256)
    assert [tuple(layer.kernel.shape) for layer in model.hidden] == [(2048, 512), (512, 128)]


def test_loss_and_gradients_are_sound_at_the_edges():
    toy.assert_sound_at_the_edges(lambda: small(dropout=0.5))


def test_the_order_of_bags_does_not_matter():
    toy.assert_order_of_bags_does_not_matter(small())


def test_an_unknown_form_of_the_magnitude_loss_is_refused():
    with pytest.raises(ValueError, match=r"`magnitude_form` must be one of.*Received: 'hinge'"):
        RTFM(magnitude_form="hinge")
