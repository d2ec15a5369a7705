"""Tests of vad_keras.models.baselines.claws."""

import keras
import numpy as np
import pytest
from keras import ops

from tests.vad_keras.models.baselines import toy
from vad_keras.models.baselines import Claws

MASK = np.array([[True] * 4, [True, True, False, False]])
SCORES = np.array([[0.9, 0.2, 0.8, 0.3], [0.4, 0.1, 0.0, 0.0]], "float32")
GROUPS = np.array([[0, 0, 1, 1], [1, 0, 0, 0]], "float32")
HIDDEN = {"hidden_1": np.stack([GROUPS * 6.0, GROUPS * 8.0], axis=-1), "hidden_2": GROUPS[..., None] * 0.5}


def small(**kwargs):
    keras.utils.set_random_seed(0)
    return Claws(**{"units": (16, 8), "run_frames": 4, "rescale": True, "dropout": 0.0, **kwargs})


def suppression(logits, mask, **kwargs):
    return ops.convert_to_numpy(small(**kwargs).suppression(np.asarray(logits, "float32")[..., None], mask))[..., 0]


def test_suppression_is_a_softmax_over_the_run_by_hand():
    logits = np.log([[1.0, 3.0, 4.0, 2.0]])
    np.testing.assert_allclose(suppression(logits, MASK[:1], rescale=False), [[0.1, 0.3, 0.4, 0.2]], rtol=1e-5)
    np.testing.assert_allclose(suppression(logits, MASK[:1]), [[0.4, 1.2, 1.6, 0.8]], rtol=1e-5)
    np.testing.assert_allclose(suppression(logits, MASK[1:], rescale=False), [[0.25, 0.75, 0, 0]], rtol=1e-5)


def test_a_short_run_is_rescaled_by_the_frames_it_has():
    logits = np.log([[1.0, 3.0, 4.0, 2.0]])
    np.testing.assert_allclose(suppression(logits, MASK[1:]), [[0.5, 1.5, 0, 0]], rtol=1e-5)
    longer = np.log([[1.0, 3.0, 4.0, 2.0, 1.0, 3.0]])  # a run of 4 and one of 2
    expected = [[0.4, 1.2, 1.6, 0.8, 0.5, 1.5]]
    np.testing.assert_allclose(suppression(longer, np.ones((1, 6), bool)), expected, rtol=1e-5)


def test_runs_do_not_see_each_other_and_a_short_one_has_its_own_sum():
    mask = np.ones((1, 6), bool)
    logits = np.random.default_rng(0).normal(size=(1, 6))
    found = suppression(logits, mask, rescale=False)
    np.testing.assert_allclose([found[0, :4].sum(), found[0, 4:].sum()], [1, 1], rtol=1e-5)
    changed = logits + np.array([[5.0, 0, 0, 0, 0, 0]])
    np.testing.assert_array_equal(suppression(changed, mask, rescale=False)[0, 4:], found[0, 4:])


def test_what_the_attention_ignores_is_silenced():
    model = small(normalize=False)
    nodes = np.full((1, 4, 1, 1), 1.0, "float32")
    nodes[0, 2] = 1.1  # all alike to the first layer, but for the suppressor
    model({"nodes": nodes})
    model.suppressors[0].set_weights([np.full((1, 16), 100.0), np.zeros(16)])
    heard = toy.to_numpy(model({"nodes": nodes}))["hidden_1"][0].sum(axis=-1)
    assert (heard[[0, 1, 3]] < 1e-3 * heard[2]).all() and heard[2] > 0


def test_the_hidden_layers_by_hand():
    model = small(normalize=False, run_frames=7, rescale=False)
    outputs = toy.to_numpy(model(toy.INPUTS))
    x = toy.NODES[:, :, 0] * toy.MASK[..., None]
    for number, dense, suppressor in zip((1, 2), model.hidden, model.suppressors, strict=True):
        (w, b), (v, c) = dense.get_weights(), suppressor.get_weights()
        weights = np.exp(x @ v + c) * toy.MASK[..., None]
        x = np.maximum(weights / weights.sum(axis=1, keepdims=True) * (x @ w + b), 0)
        np.testing.assert_allclose(outputs[f"hidden_{number}"], x, atol=1e-5)


def test_the_loss_by_hand():
    outputs = {name: ops.convert_to_tensor(value) for name, value in {"anomaly_score": SCORES, **HIDDEN}.items()}
    found = small(distance_bound=0.3).loss_terms(np.array([1, 0]), outputs, ops.convert_to_tensor(MASK))
    found = {name: float(value) for name, value in found.items()}
    expected = {
        "regression": (np.square([0.1, 0.8, 0.2, 0.7]).mean() + np.square([0.4, 0.1]).mean()) / 2,
        "sparsity": (0.55 + 0.25) / 2,
        "temporal_smoothness": (np.square([0.7, 0.6, 0.5]).mean() + 0.09) / 2,
        "clustering": (0.1 + 0.3) / 2 + (2.0 + 0.3) / 2,  # 1 / 10 and 1 / 0.5, each beside the bound
    }
    expected["total"] = expected["regression"] + 8e-5 * sum(
        expected[name] for name in ("sparsity", "temporal_smoothness", "clustering")
    )
    assert found == pytest.approx(expected, rel=1e-3)


def test_temporal_consistency_draws_neighbours_of_one_video_together():
    rough, smooth = small(smoothness_weight=0.0), small(smoothness_weight=30.0)
    for model in (rough, smooth):
        toy.losses_of_fit(model, keras.optimizers.Adam(0.01), epochs=10)
    assert toy.terms_of(smooth)["temporal_smoothness"] < 0.5 * toy.terms_of(rough)["temporal_smoothness"]


def test_a_video_longer_than_a_run_is_its_runs_one_by_one():
    model = small(run_frames=3)
    nodes = toy.NODES[:2, :6]
    whole = toy.to_numpy(model({"nodes": nodes}))["anomaly_score"]
    parts = [toy.to_numpy(model({"nodes": nodes[:, first : first + 3]}))["anomaly_score"] for first in (0, 3)]
    np.testing.assert_allclose(whole, np.concatenate(parts, axis=1), atol=1e-6)


def test_losses_stay_inside_videos_and_are_finite_at_the_edges():
    toy.assert_sound_at_the_edges(small)
    toy.assert_order_of_bags_does_not_matter(small())


@pytest.mark.parametrize("rescale", [False, True])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_fit_lowers_the_loss(jit_compile, rescale):
    losses = toy.losses_of_fit(small(rescale=rescale), keras.optimizers.Adam(0.02), jit_compile, epochs=30)
    assert losses[-1] < 0.8 * losses[0]


def test_errors_name_what_came():
    with pytest.raises(ValueError, match=r"`units` must be a tuple of 2 integers of at least 1\. Received: \(8,\)"):
        Claws(units=(8,), run_frames=4)
