"""Gradients of the layers and losses in float64 against central differences of the float64 formulas.

The differences are taken of the formulas, never of the code under test, so a wrong layer with a right derivative fails.
"""

import numpy as np
import pytest
from keras import ops

from tests.oracles import formulas
from tests.oracles.formulas import slopes, to_numpy
from vad_keras.layers import CliqueSelfAttention, MeanFieldCRF, MultiScalePatchPooling, RelationGate, TemporalRelation
from vad_keras.losses import bag_contrast, bag_cross_entropy, sparsity, temporal_smoothness

CLOSE = {"rtol": 1e-6, "atol": 1e-8}  # what central differences of step 1e-6 are worth


def normal(*shape, seed=0, scale=1.0):
    return np.random.default_rng(seed).normal(0, scale, size=shape)


@pytest.mark.parametrize("normalization", ["softmax", "none"])
@pytest.mark.parametrize("alignment", ["centered", "causal"])
def test_attention_by_nodes_and_by_every_weight(float64, gradients64, alignment, normalization):
    layer = CliqueSelfAttention(2, 3, (1, 2, 4), alignment, normalization, dtype=float64)
    layer.build((None, None, 2, 3))
    weights = [layer.query.kernel, layer.key.kernel, layer.value.kernel, layer.locality_weights]
    values = [normal(*weight.shape, seed=seed) for seed, weight in enumerate(weights)]
    for weight, value in zip(weights, values, strict=True):
        weight.assign(value)
    nodes, direction = normal(5, 2, 3, seed=9), normal(5, 2, 3, seed=8)
    padded, mask = np.concatenate([nodes, normal(2, 2, 3)])[None], np.arange(7)[None] < 5

    def formula(*arrays):
        return np.sum(direction * formulas.attention(*arrays, layer.temporal_localities, alignment, normalization)[1])

    found = gradients64(lambda x: ops.sum(direction * layer(x, mask=mask)[0, :5]), [padded], weights)
    np.testing.assert_array_equal(found[0][0, 5:], 0)
    arrays = [nodes, *values]
    for position, gradient in enumerate([found[0][0, :5], *found[1:]]):

        def moved(x, position=position):
            return formula(*arrays[:position], x, *arrays[position + 1 :])

        np.testing.assert_allclose(gradient, slopes(moved, arrays[position]), **CLOSE)


def halting_graph():
    """Two videos that halt at different times: with little coupling and with much."""
    return normal(2, 3, 2, 2), np.abs(normal(2, 3, 2, 3, 2, seed=1)) * np.array([0.1, 0.5]).reshape(2, 1, 1, 1, 1)


def test_mean_field_through_the_halted_recurrence(float64, gradients64):
    (unary, affinity), direction, raw = halting_graph(), normal(2, 3, 2, seed=2), np.array([[-0.3, 1.6], [0.8, 0.2]])
    crf = MeanFieldCRF(20, 1e-3, dtype=float64)
    crf.build(unary.shape)
    crf.cell.raw_compatibility.assign(raw)
    counts = []

    def formula(unary, affinity, raw):
        total = 0.0
        for video in range(2):
            marginals, count = formulas.mean_field(unary[video], affinity[video], (raw + raw.T) / 2, 20, 1e-3)
            total += np.sum(direction[video] * marginals[..., 1])
            counts.append((video, count))
        return total

    found = gradients64(
        lambda u, a: ops.sum(direction * crf(u, a)[..., 1]), [unary, affinity], [crf.cell.raw_compatibility]
    )
    arrays = [unary, affinity, raw]
    for position, gradient in enumerate(found):

        def moved(x, position=position):
            return formula(*arrays[:position], x, *arrays[position + 1 :])

        np.testing.assert_allclose(gradient, slopes(moved, arrays[position]), **CLOSE)
    # no difference was taken across a change of the count, and the two videos did halt apart, before the last pass
    assert len(set(counts)) == 2
    assert 1 < min(count for _, count in counts) < max(count for _, count in counts) < 20


def test_algorithm_1_by_its_energies(float64, gradients64):
    unary, pairwise, direction = normal(1, 3, 2, 2), normal(1, 3, 2, 2, seed=1), normal(1, 3, 2, seed=2)
    crf = MeanFieldCRF(3, 0.0, inference="algorithm_1", dtype=float64)
    crf.build(unary.shape)
    found = gradients64(lambda u, p: ops.sum(direction * crf(u, p)[..., 1]), [unary, pairwise])

    def formula(unary, pairwise):
        return np.sum(direction * formulas.algorithm_1(unary, pairwise, passes=3)[..., 1])

    np.testing.assert_allclose(found[0], slopes(lambda u: formula(u, pairwise), unary), **CLOSE)
    np.testing.assert_allclose(found[1], slopes(lambda p: formula(unary, p), pairwise), **CLOSE)


def test_attention_and_mean_field_together(float64, gradients64):
    # the path that trains: nodes -> affinity -> marginals, the affinity in its banded form
    layer, crf = CliqueSelfAttention(2, 3, (1, 3), dtype=float64), MeanFieldCRF(4, 0.0, dtype=float64)
    layer.build((None, None, 2, 3))
    layer.query.kernel.assign(normal(3, 2, seed=1))
    layer.key.kernel.assign(normal(3, 2, seed=2))
    nodes, unary, direction = normal(5, 2, 3), normal(5, 2, 2, seed=3), normal(5, 2, seed=4)

    def objective(x):
        return ops.sum(direction * crf(unary[None], layer(x, return_affinity=True)[1])[0, ..., 1])

    def formula(x):
        marginals, _ = formulas.mean_field(unary, formulas.attention_of(layer, x)[0], formulas.POTTS, 4, 0.0)
        return np.sum(direction * marginals[..., 1])

    (found,) = gradients64(objective, [nodes[None]])
    np.testing.assert_allclose(found[0], slopes(formula, nodes), **CLOSE)


def test_relation_gate_by_maps_and_by_every_weight(float64, gradients64):
    layer = RelationGate(2, dtype=float64)
    layer.build((None, 2, 2, 1, 3))
    for seed, weight in enumerate(layer.weights):
        weight.assign(normal(*weight.shape, seed=seed, scale=0.5))
    maps, direction = normal(1, 2, 2, 1, 3), normal(1, 2, 2, 1, 3, seed=1)
    weights = formulas.gate_weights(layer)
    found = gradients64(lambda x: ops.sum(direction * layer(x)), [maps], layer.weights)
    loose = {"rtol": 1e-5, "atol": 1e-6}  # the sigmoid is taken in float32
    np.testing.assert_allclose(found[0], slopes(lambda x: np.sum(direction * formulas.gate(x, weights)), maps), **loose)
    for weight, gradient in zip(layer.weights, found[1:], strict=True):

        def moved(value, name=weight.name):
            return np.sum(direction * formulas.gate(maps, weights | {name: value}))

        np.testing.assert_allclose(gradient, slopes(moved, weights[weight.name]), **loose, err_msg=weight.name)


@pytest.mark.parametrize("mode", ["max", "average"])
@pytest.mark.parametrize("size", [7, 5])
def test_patch_pooling_by_maps(float64, gradients64, size, mode):
    maps, direction = normal(1, size, size, 2), normal(1, 14, 2, seed=1)
    layer = MultiScalePatchPooling(mode=mode, dtype=float64)
    (found,) = gradients64(lambda x: ops.sum(direction * layer(x)), [maps])
    expected = slopes(lambda x: np.sum(direction * formulas.patches(x, mode=mode)), maps)
    np.testing.assert_allclose(found, expected, **CLOSE)


def test_temporal_relation_by_frames_and_by_every_weight(float64, gradients64):
    layer = TemporalRelation(3, 4, dtype=float64)
    layer.build((None, 4, 2))
    for seed, weight in enumerate(layer.trainable_weights):
        weight.assign(normal(*weight.shape, seed=seed + 20))
    frames, direction = normal(2, 4, 2), normal(2, 3, seed=1)
    weights = [weight for dense in (layer.embedding, *layer.relations) for weight in dense.weights]
    values = [to_numpy(weight) for weight in weights]

    def formula(frames, *values):
        embedding, *relations = zip(values[::2], values[1::2], strict=True)
        return np.sum(direction * formulas.temporal_relation(frames, embedding, relations, 3))

    found = gradients64(lambda x: ops.sum(direction * layer(x)), [frames], weights)
    arrays = [frames, *values]
    for position, gradient in enumerate(found):

        def moved(x, position=position):
            return formula(*arrays[:position], x, *arrays[position + 1 :])

        np.testing.assert_allclose(gradient, slopes(moved, arrays[position]), **CLOSE)


def loss_formulas():
    """Losses of scores `(B, T)` that lie apart, so that no step changes the order; each with its formula."""
    labels, y = np.array([1, 0]), np.array([1.0, 0.0])

    def cross_entropy(scores):
        p = np.sort(scores, axis=1)[:, -2:].mean(axis=1)
        return -np.sum(y * np.log(p) + (1 - y) * np.log(1 - p))

    def smooth(scores):
        return np.sum(np.diff(scores, axis=1) ** 2)

    def hinge(scores):
        return np.mean(np.maximum(0, 2 - np.linalg.norm(scores[:1] - scores[1:], axis=1)) ** 2)

    def printed(scores):
        return np.sum((scores[0] - scores[1]) ** 2)

    return {
        "bag_cross_entropy": (lambda s: ops.sum(bag_cross_entropy(labels, s, k=2)), cross_entropy),
        "sparsity": (lambda s: ops.sum(sparsity(s)), np.sum),
        "temporal_smoothness": (lambda s: ops.sum(temporal_smoothness(s)), smooth),
        "hinge": (lambda s: bag_contrast(s[:1], s[1:], margin=2.0), hinge),
        "printed": (lambda s: bag_contrast(s[:1], s[1:], form="printed"), printed),
    }


@pytest.mark.parametrize("name", loss_formulas())
def test_losses_by_their_scores(gradients64, name):
    loss, formula = loss_formulas()[name]
    scores = np.random.default_rng(0).permutation(np.linspace(0.1, 0.9, 10)).reshape(2, 5)
    (found,) = gradients64(loss, [scores])
    # the losses are taken in float32
    np.testing.assert_allclose(found, slopes(formula, scores), rtol=1e-5, atol=1e-6)
