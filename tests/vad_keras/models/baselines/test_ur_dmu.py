"""Tests of vad_keras.models.baselines.ur_dmu."""

import keras
import numpy as np
import pytest
from keras import ops

from tests.vad_keras.models.baselines import toy
from vad_keras.models.baselines import URDMU
from vad_keras.models.baselines.ur_dmu import MemoryUnit

SIZES = {"units": 16, "heads": 2, "head_dim": 8, "mlp_units": 16, "memory_slots": 6, "classifier_units": 8}


def small(**kwargs):
    keras.utils.set_random_seed(0)
    return URDMU(**{**SIZES, "dropout": 0.0, **kwargs})


def test_a_memory_is_read_by_hand_with_its_weights():
    unit = MemoryUnit(20)
    x = toy.NODES[:2, :, 0]
    strength, read = map(ops.convert_to_numpy, unit(x))
    (memory,) = unit.get_weights()
    weights = 1 / (1 + np.exp(-x @ memory.T / np.sqrt(8)))
    np.testing.assert_allclose(read, weights @ memory, atol=1e-5)
    np.testing.assert_allclose(strength, np.sort(weights, axis=-1)[..., -2:].mean(axis=-1), rtol=1e-5)  # 20 // 16 + 1


def test_scores_are_of_features_beside_the_sum_of_both_read_outs_by_hand():
    model = small(depth=0)
    found = toy.to_numpy(model(toy.INPUTS))["anomaly_score"]
    x = ops.convert_to_numpy(model.embed(np.where(toy.MASK[..., None], toy.NODES[:, :, 0], 0)))
    w, b = model.mu.get_weights()
    latents = sum(ops.convert_to_numpy(unit(x)[1]) @ w + b for unit in (model.abnormal, model.normal))
    (w1, b1), (w2, b2) = (layer.get_weights() for layer in (model.hidden, model.scorer))
    hidden = np.maximum(np.concatenate([x, latents], axis=-1) @ w1 + b1, 0)
    expected = 1 / (1 + np.exp(-(hidden @ w2 + b2)[..., 0]))
    np.testing.assert_allclose(found, np.where(toy.MASK, expected, 0), atol=1e-5)


def test_the_normal_latent_is_sampled_in_training_only():
    model = small()
    still = toy.to_numpy(model(toy.INPUTS))
    np.testing.assert_array_equal(np.where(toy.MASK, still["sampled_score"], 0), still["anomaly_score"])
    once, twice = (toy.to_numpy(model(toy.INPUTS, training=True)) for _ in range(2))
    np.testing.assert_allclose(once["anomaly_score"], still["anomaly_score"], atol=1e-6)
    assert np.abs(once["sampled_score"] - twice["sampled_score"]).max() > 1e-4


def test_the_normal_latent_is_drawn_with_the_root_of_the_variance():
    model = small()
    mu = np.full((200, 40, 16), 3.0, "float32")
    drawn = ops.convert_to_numpy(model._sample(ops.convert_to_tensor(mu), ops.full(mu.shape, np.log(0.25))))
    assert (drawn.mean(), drawn.std()) == (pytest.approx(3.0, abs=0.01), pytest.approx(0.5, rel=0.01))


def test_the_centers_are_means_where_each_memory_is_strongest_by_hand():
    model = small(depth=0)
    nodes = np.random.default_rng(0).normal(size=(2, 40, 1, 8)).astype("float32")
    mask = np.arange(40) < np.array([[33], [20]])
    outputs = toy.to_numpy(model({"nodes": nodes, "mask": mask}))
    x = ops.convert_to_numpy(model.embed(np.where(mask[..., None], nodes[:, :, 0], 0)))
    w, b = model.mu.get_weights()
    for kind, unit in (("abnormal", model.abnormal), ("normal", model.normal)):
        latent = ops.convert_to_numpy(unit(x)[1]) @ w + b
        for video, (length, number) in enumerate(((33, 3), (20, 2))):
            strongest = np.argsort(-outputs[f"{kind}_memory"][video, :length])[:number]
            center = x[video, strongest].mean(axis=0)
            np.testing.assert_allclose(outputs[f"{kind}_center"][video], center, atol=1e-5)
            mean = latent[video, strongest].mean(axis=0)
            assert outputs[f"{kind}_latent"][video] == pytest.approx(np.linalg.norm(mean), rel=1e-4)


def test_normal_videos_are_judged_by_the_sampled_score_and_abnormal_ones_by_the_mean():
    model = small()
    outputs = dict(model(toy.INPUTS))
    outputs["sampled_score"] = ops.zeros_like(outputs["sampled_score"])
    terms = {
        label: float(
            model.loss_terms(np.full(12, label), outputs, ops.convert_to_tensor(toy.MASK))["bag_cross_entropy"]
        )
        for label in (0, 1)
    }
    highest = toy.to_numpy(outputs)["anomaly_score"].max(axis=1)  # 7 frames: 1 speaks for a video
    assert terms[0] < 1e-6
    assert terms[1] == pytest.approx(-np.log(highest).mean(), rel=1e-5)


def test_the_latent_of_normal_videos_is_drawn_to_the_standard_gaussian_by_hand():
    model = small(depth=0)
    found = toy.terms_of(model)["kl"]
    x = ops.convert_to_numpy(model.embed(np.where(toy.MASK[..., None], toy.NODES[:, :, 0], 0)))
    read = ops.convert_to_numpy(model.normal(x)[1])
    mu, log_variance = (read @ w + b for w, b in (layer.get_weights() for layer in (model.mu, model.log_variance)))
    kl = 0.5 * (mu**2 + np.exp(log_variance) - 1 - log_variance).mean(axis=-1)
    by_video = np.where(toy.MASK, kl, 0).sum(axis=1)
    assert found == pytest.approx(by_video[toy.LABELS == 0].mean(), rel=1e-4)


def test_the_memory_loss_asks_each_memory_for_its_videos_by_hand():
    model = small()
    found, outputs = toy.terms_of(model)["memory"], toy.to_numpy(model(toy.INPUTS))
    abnormal, normal = [], []
    for video in range(12):
        s_a, s_n = (outputs[name][video][toy.MASK[video]] for name in ("abnormal_memory", "normal_memory"))
        if toy.LABELS[video]:
            abnormal.append(-np.log(s_a.max()) - np.log(1 - s_n.min()))
        else:
            normal.append(-np.log(s_n).mean() - np.log(1 - s_a).mean())
    assert found == pytest.approx(np.mean(abnormal) + np.mean(normal), rel=1e-5)


def test_triplet_and_distance_are_over_pairs_of_both_labels_by_hand():
    model = small()
    found, outputs = toy.terms_of(model), toy.to_numpy(model(toy.INPUTS))
    n, a = (
        outputs[name] / np.linalg.norm(outputs[name], axis=1)[:, None] for name in ("normal_center", "abnormal_center")
    )
    triplets, distances = [], []
    for i in np.flatnonzero(toy.LABELS == 1):
        for j in np.flatnonzero(toy.LABELS == 0):
            triplets.append(max(0, np.linalg.norm(n[j] - n[i]) - np.linalg.norm(n[j] - a[i]) + 1))
            distances.append(max(0, 100 - outputs["abnormal_latent"][i] + outputs["normal_latent"][j]))
    assert found["triplet"] == pytest.approx(np.mean(triplets), rel=1e-5)
    assert found["distance"] == pytest.approx(np.mean(distances), rel=1e-5)
    expected = found["bag_cross_entropy"] + 0.1 * found["memory"] + 0.1 * found["triplet"]
    assert found["total"] == pytest.approx(expected + 1e-3 * found["kl"] + 1e-4 * found["distance"], rel=1e-5)


def test_training_fills_each_memory_with_its_moments():
    model = small(memory_weight=10.0)
    model.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    model.fit(toy.INPUTS, toy.LABELS, epochs=10, batch_size=6, verbose=0)
    found = toy.to_numpy(model(toy.INPUTS))
    normal = np.logical_and(toy.MASK, (toy.LABELS == 0)[:, None])
    assert found["normal_memory"][normal].mean() > 0.6 > 0.4 > found["abnormal_memory"][normal].mean()


@pytest.mark.parametrize("jit_compile", [False, True])
def test_fit_lowers_the_loss(jit_compile):
    losses = toy.losses_of_fit(small(), keras.optimizers.Adam(0.005), jit_compile)
    assert losses[-1] < 0.8 * losses[0]


def test_default_sizes_are_the_published_ones():
    model = URDMU()
    model.build({"nodes": (None, None, 1, 8)})
    assert tuple(model.abnormal.memory.shape) == tuple(model.normal.memory.shape) == (60, 512)
    assert tuple(model.blocks[0].to_qkvt.kernel.shape) == (512, 4 * 4 * 128) and len(model.blocks) == 2
    assert (tuple(model.hidden.kernel.shape), tuple(model.mu.kernel.shape)) == ((1024, 128), (512, 512))


def test_loss_and_gradients_are_sound_at_the_edges():
    toy.assert_sound_at_the_edges(lambda: small(dropout=0.5))


def test_the_order_of_bags_does_not_matter():
    toy.assert_order_of_bags_does_not_matter(small())


def test_an_empty_memory_is_refused():
    with pytest.raises(ValueError, match=r"`memory_slots` must be an integer of at least 1\. Received: 0"):
        URDMU(memory_slots=0)
