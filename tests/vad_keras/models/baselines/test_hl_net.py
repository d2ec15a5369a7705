"""Tests of vad_keras.models.baselines.hl_net."""

import keras
import numpy as np
import pytest
from keras import ops

from tests.vad_keras.models.baselines import toy
from vad_keras.models.baselines import HLNet
from vad_keras.models.baselines._temporal import proximity
from vad_keras.models.baselines.hl_net import GraphConvolution


def small(**kwargs):
    keras.utils.set_random_seed(0)
    return HLNet(**{"units": (16, 8), "branch_units": 4, "dropout": 0.0, **kwargs})


def test_the_online_branch_sees_no_later_frame_and_the_main_one_does():
    model = small()
    before = toy.to_numpy(model({"nodes": toy.NODES}))
    changed = toy.NODES.copy()
    changed[:, 4:] = 7.0
    after = toy.to_numpy(model({"nodes": changed}))
    np.testing.assert_array_equal(after["online_score"][:, :4], before["online_score"][:, :4])
    assert np.abs(after["online_score"][:, 4:] - before["online_score"][:, 4:]).min() > 1e-4
    assert np.abs(after["anomaly_score"][:, :4] - before["anomaly_score"][:, :4]).max() > 1e-4


def test_the_online_branch_looks_back_over_5_frames():
    model = small()
    before = toy.to_numpy(model({"nodes": toy.NODES}))["online_logit"]
    changed = toy.NODES.copy()
    changed[:, 0] += 1.0
    moved = np.abs(toy.to_numpy(model({"nodes": changed}))["online_logit"] - before).max(axis=0)
    assert (moved[:5] > 1e-5).all() and (moved[5:] == 0).all()


def test_the_score_of_the_online_branch_is_reported_on_demand():
    found = toy.to_numpy(small(online=True)(toy.INPUTS))
    np.testing.assert_array_equal(found["anomaly_score"], found["online_score"])
    expected = np.where(toy.MASK, 1 / (1 + np.exp(-found["online_logit"])), 0)
    np.testing.assert_allclose(found["online_score"], expected, atol=1e-6)


def test_only_similar_frames_are_neighbours_in_the_holistic_graph_by_hand():
    x = np.array([[[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 0.0]]], "float32")
    mask = np.array([[True, True, True, False]])
    found = ops.convert_to_numpy(small()._holistic(ops.convert_to_tensor(x), mask))[0, :, :3]
    weights = np.exp([[1, 1, 0], [1, 1, 0], [0, 0, 1]])  # cosines 1 and 0; 0 is not above 0.7
    np.testing.assert_allclose(found[:3], weights / weights.sum(axis=1, keepdims=True), rtol=1e-5)


def test_only_cosines_above_the_threshold_of_0_7_count_by_hand():
    x = np.array([[[1.0, 0.0], [0.8, 0.6], [0.6, 0.8]]], "float32")  # cosines 0.8, 0.6 and 0.96
    cosines = np.array([[1, 0.8, 0], [0.8, 1, 0.96], [0, 0.96, 1]])
    for threshold, expected in ((0.7, cosines), (0.9, np.where(cosines > 0.9, cosines, 0)), (0.5, x[0] @ x[0].T)):
        model = small() if threshold == 0.7 else small(similarity_threshold=threshold)
        found = ops.convert_to_numpy(model._holistic(ops.convert_to_tensor(x), np.ones((1, 3), bool)))[0]
        weights = np.exp(expected)
        np.testing.assert_allclose(found, weights / weights.sum(axis=1, keepdims=True), rtol=1e-5)


def test_the_holistic_graph_is_of_the_given_features_and_the_scores_follow_by_hand():
    model = small()
    outputs = toy.to_numpy(model(toy.INPUTS))
    x = ops.convert_to_tensor(np.where(toy.MASK[..., None], toy.NODES[:, :, 0], 0))
    mask, h = ops.convert_to_tensor(toy.MASK), x
    for dense in model.embed:
        h = dense(h)
    found = []
    graphs = (model._holistic(x, mask), proximity(mask), model._alike(model._approximate(h), mask))
    for graph, (first, second) in zip(graphs, model.branches, strict=True):
        found.append(second(first(h, graph=graph, mask=mask), graph=graph, mask=mask))
    logit = ops.convert_to_numpy(model.scorer(ops.concatenate(found, axis=-1))[..., 0])
    np.testing.assert_allclose(outputs["logit"], np.where(toy.MASK, logit, 0), atol=1e-5)


def test_one_frame_in_16_and_one_more_speak_for_a_video_by_hand():
    model, labels = small(), np.array([1, 0])
    nodes = np.random.default_rng(0).normal(size=(2, 40, 1, 8)).astype("float32")
    inputs = {"nodes": nodes, "mask": np.arange(40) < np.array([[33], [20]])}
    terms, outputs = toy.terms_of(model, labels, inputs), toy.to_numpy(model(inputs))
    for term, name in (("bag_cross_entropy", "logit"), ("online_cross_entropy", "online_logit")):
        highest = [np.sort(outputs[name][0, :33])[-3:].mean(), np.sort(outputs[name][1, :20])[-2:].mean()]
        p = 1 / (1 + np.exp(-np.array(highest)))
        assert terms[term] == pytest.approx(np.mean([-np.log(p[0]), -np.log(1 - p[1])]), rel=1e-4)


def test_frames_of_like_scores_are_neighbours_in_the_score_graph_by_hand():
    logits, mask = np.array([[0.0, 2.0, -9.0]], "float32"), np.array([[True, True, False]])
    found = ops.convert_to_numpy(small()._alike(ops.convert_to_tensor(logits), mask))[0]
    apart = 1 / (1 + np.exp(-2.0)) - 0.5
    near, far = (1 / (1 + np.exp(-(1 - distance - 0.5) / 0.1)) for distance in (0.0, apart))
    share = np.exp(near) / (np.exp(near) + np.exp(far))
    np.testing.assert_allclose(found[:2], [[share, 1 - share, 0], [1 - share, share, 0]], atol=1e-6)


def test_a_graph_convolution_is_the_printed_one_by_hand():
    layer = GraphConvolution(2)
    h, graph = np.random.default_rng(0).normal(size=(1, 3, 2)).astype("float32"), np.full((1, 3, 3), 0.5, "float32")
    found = ops.convert_to_numpy(layer(h, graph=graph, mask=np.ones((1, 3), bool)))
    np.testing.assert_allclose(found, np.maximum(graph @ h @ layer.dense.get_weights()[0] + h, 0), atol=1e-6)


def test_distillation_by_hand_teaches_the_online_branch_alone():
    model = small()
    found, outputs = toy.terms_of(model), toy.to_numpy(model(toy.INPUTS))
    p, q = (1 / (1 + np.exp(-outputs[name])) for name in ("logit", "online_logit"))
    by_video = [np.mean((-p * np.log(q))[i][toy.MASK[i]]) for i in range(12)]
    assert found["distillation"] == pytest.approx(np.mean(by_video), rel=1e-4)
    assert found["total"] == pytest.approx(
        found["bag_cross_entropy"] + found["online_cross_entropy"] + 5 * found["distillation"], rel=1e-5
    )
    gradients = toy.gradients_by_weight(model, term="distillation", training=False)
    moved = {id(w): np.abs(g).max() for w, g in zip(model.trainable_weights, gradients, strict=True)}
    assert all(moved[id(weight)] > 0 for weight in model.causal.weights)
    assert all(moved[id(weight)] == 0 for weight in model.scorer.weights)


def test_the_main_loss_does_not_teach_the_online_branch_through_the_score_graph():
    model = small()
    gradients = toy.gradients_by_weight(model, term="bag_cross_entropy", training=False)
    moved = {id(w): np.abs(g).max() for w, g in zip(model.trainable_weights, gradients, strict=True)}
    online = [*model.causal.weights, *(weight for dense in model.approximator for weight in dense.weights)]
    assert all(moved[id(weight)] == 0 for weight in online)
    assert all(moved[id(weight)] > 0 for weight in model.scorer.weights)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_fit_lowers_the_loss(jit_compile):
    losses = toy.losses_of_fit(small(), keras.optimizers.Adam(0.01), jit_compile)
    assert losses[-1] < 0.8 * losses[0]


def test_default_sizes_are_the_published_ones():
    model = HLNet()
    model({"nodes": toy.NODES[:1]})
    shapes = [tuple(weight.shape) for weight in model.weights if len(weight.shape) > 1]
    branch = [(128, 32), (5, 128, 32), (32, 32)]
    assert shapes == [(8, 512), (512, 128), (128, 64), (64, 32), (5, 32, 1), *(3 * branch), (96, 1)]


def test_loss_and_gradients_are_sound_at_the_edges():
    toy.assert_sound_at_the_edges(lambda: small(dropout=0.5))


def test_the_order_of_bags_does_not_matter():
    toy.assert_order_of_bags_does_not_matter(small())


def test_a_threshold_that_is_no_cosine_is_refused():
    with pytest.raises(ValueError, match=r"`similarity_threshold` must be a number in \[0, 1\)\. Received: 1\.5"):
        HLNet(similarity_threshold=1.5)
