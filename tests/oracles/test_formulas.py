"""Every layer in float64 equals its formula to rounding: no approximation hides behind a float32 tolerance."""

import keras
import numpy as np
import pytest

from tests.oracles import formulas
from tests.oracles.formulas import to_numpy
from vad_keras.layers import (
    CliqueSelfAttention,
    MeanFieldCRF,
    MultiScalePatchPooling,
    RelationGate,
    TemporalRelation,
    dense_affinity,
)

COMPATIBILITY = np.array([[-0.5, 2.0], [2.0, 0.2]])


def far_from_start(layer, shape, seed=0, scale=1.0):
    """The layer, built for `shape`, with random weights of order `scale`."""
    random = np.random.default_rng(seed)
    layer.build(shape)
    for weight in layer.trainable_weights:
        weight.assign(scale * random.normal(size=weight.shape))
    return layer


@pytest.mark.parametrize("normalization", ["softmax", "none"])
@pytest.mark.parametrize("alignment", ["centered", "causal"])
@pytest.mark.parametrize(("num_frames", "length"), [(1, 1), (7, 7), (21, 20), (40, 9)])
def test_attention_in_float64_equals_one_matrix_over_all_nodes(float64, num_frames, length, alignment, normalization):
    layer = CliqueSelfAttention(3, 4, (1, 2, 4, 6, 8), alignment, normalization, dtype=float64)
    far_from_start(layer, (None, None, 3, 5))
    nodes = np.random.default_rng(1).normal(size=(1, num_frames, 3, 5))
    mask = np.arange(num_frames)[None] < length
    h, affinity = layer(nodes, mask=mask, return_affinity=True)
    dense = to_numpy(dense_affinity(affinity, num_frames))[0]
    expected_affinity, expected = formulas.attention_of(layer, nodes[0, :length])
    assert keras.backend.standardize_dtype(h.dtype) == float64
    np.testing.assert_allclose(to_numpy(h)[0, :length], expected, rtol=1e-9, atol=1e-10 * np.abs(expected).max())
    np.testing.assert_allclose(dense[:length, :, :length], expected_affinity, rtol=1e-9, atol=1e-12)
    assert not dense[length:].any() and not dense[:, :, length:].any()


@pytest.mark.parametrize("tolerance", [0.0, 1e-3])
@pytest.mark.parametrize("length", [7, 4])
def test_mean_field_in_float64_equals_the_formula(float64, length, tolerance):
    random = np.random.default_rng(0)
    unary, affinity = random.normal(size=(1, 7, 3, 2)), random.uniform(0, 0.1, size=(1, 7, 3, 7, 3))
    crf = MeanFieldCRF(12, tolerance, dtype=float64)
    crf.build(unary.shape)
    crf.cell.raw_compatibility.assign([[-0.5, 3.0], [1.0, 0.2]])
    mask = np.arange(7)[None] < length
    affinity[:, length:] *= 2  # padding listens harder than any real frame, and would settle a pass later
    found, count = crf(unary, affinity, mask=mask, return_iterations=True)
    expected = formulas.mean_field(unary[0, :length], affinity[0, :length, :, :length], COMPATIBILITY, 12, tolerance)
    np.testing.assert_allclose(to_numpy(found)[0, :length], expected[0], rtol=0, atol=1e-13)
    assert to_numpy(count).tolist() == [expected[1]]
    assert (expected[1] < 12) == bool(tolerance)


@pytest.mark.parametrize("passes", [1, 2, 5])
def test_algorithm_1_in_float64_equals_the_print_line_by_line(float64, passes):
    random = np.random.default_rng(0)
    unary, pairwise = random.normal(size=(2, 4, 3, 2)), random.normal(size=(2, 4, 3, 2))
    crf = MeanFieldCRF(passes, 0.0, inference="algorithm_1", dtype=float64)
    crf.build(unary.shape)
    crf.cell.raw_compatibility.assign([[-0.5, 3.0], [1.0, 0.2]])
    expected = formulas.algorithm_1(unary, pairwise, COMPATIBILITY, passes)
    np.testing.assert_allclose(to_numpy(crf(unary, pairwise)), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("lengths", [(3, 3), (1, 2)])
def test_relation_gate_equals_the_explicit_matrix_of_inner_products(float64, lengths):
    layer = far_from_start(RelationGate(6, dtype=float64), (None, 3, 4, 2, 5), scale=0.5)
    maps = np.random.default_rng(1).normal(size=(2, 3, 4, 2, 5))
    mask = np.arange(3)[None] < np.array(lengths)[:, None]
    expected = formulas.gate(maps, formulas.gate_weights(layer), mask)
    # 2e-6: the sigmoid is taken in float32, whatever the dtype
    np.testing.assert_allclose(to_numpy(layer(maps, mask=mask)), expected, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("mode", ["max", "average"])
@pytest.mark.parametrize(("height", "width"), [(7, 7), (6, 9), (5, 7), (2, 3), (1, 1)])
def test_patch_pooling_in_float64_equals_bin_by_bin(float64, height, width, mode):
    maps = np.random.default_rng(0).normal(size=(6, height, width, 4))
    found = to_numpy(MultiScalePatchPooling(mode=mode, dtype=float64)(maps.reshape(2, 3, *maps.shape[1:])))
    expected = formulas.patches(maps, mode=mode).reshape(2, 3, 14, 4)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("max_tuples", [1, 3, 100])
def test_temporal_relation_in_float64_equals_tuple_by_tuple(float64, max_tuples):
    layer = far_from_start(TemporalRelation(6, 5, max_tuples, dtype=float64), (None, 5, 4))
    frames = np.random.default_rng(1).normal(size=(2, 5, 4))
    embedding, relations = formulas.relation_weights(layer)
    expected = formulas.temporal_relation(frames, embedding, relations, max_tuples)
    np.testing.assert_allclose(to_numpy(layer(frames)), expected, rtol=1e-12)
