"""Tests of vad_keras.losses.sparsity."""

import keras
import numpy as np
import pytest

from vad_keras.losses import sparsity

SCORES = np.array([[[0.2, 0.4], [1.0, 0.0], [0.3, 0.3]], [[0.5, 0.7], [0.9, 0.9], [0.9, 0.9]]], "float32")
MASK = np.array([[True, True, True], [True, False, False]])


def value(*args):
    return keras.ops.convert_to_numpy(sparsity(*args))


def test_value_by_hand():
    # means over patches .3 + .5 + .3; .6 alone
    np.testing.assert_allclose(value(SCORES, MASK), [1.1, 0.6], rtol=1e-6)
    np.testing.assert_allclose(value(SCORES[..., 0]), [1.5, 2.3], rtol=1e-6)


def test_shuffling_the_bags_changes_nothing():
    np.testing.assert_array_equal(value(SCORES[::-1], MASK[::-1]), value(SCORES, MASK)[::-1])


def test_padding_changes_nothing_whatever_it_holds():
    padded = np.concatenate([SCORES, np.full((2, 2, 2), np.nan, "float32")], axis=1)
    mask = np.concatenate([MASK, np.zeros((2, 2), bool)], axis=1)
    np.testing.assert_array_equal(value(padded, mask), value(SCORES, MASK))


def test_gradient_is_one_share_a_real_node_and_none_in_padding(gradients):
    (found,) = gradients(lambda s: keras.ops.sum(sparsity(s, MASK)), SCORES)
    np.testing.assert_allclose(found, 0.5 * MASK[..., None] * np.ones_like(SCORES))


def test_compiled_value_equals_the_eager_one(compiled):
    found = keras.ops.convert_to_numpy(compiled(lambda s, m: sparsity(s, m))(SCORES, MASK))
    np.testing.assert_allclose(found, value(SCORES, MASK), rtol=1e-6)


def test_scores_without_a_time_axis_are_refused():
    with pytest.raises(ValueError, match=r"Received shape: \(3,\)"):
        sparsity(np.zeros(3))
