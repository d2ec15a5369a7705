"""Tests of vad_keras.losses.temporal_smoothness."""

import keras
import numpy as np
import pytest

from vad_keras.losses import temporal_smoothness

SCORES = np.array([[[0.0, 0.5], [1.0, 0.5], [0.0, 0.5]], [[0.1, 0.1], [0.9, 0.9], [0.2, 0.2]]], "float32")
MASK = np.array([[True, True, True], [True, True, False]])


def value(*args):
    return keras.ops.convert_to_numpy(temporal_smoothness(*args))


def test_value_by_hand():
    # two steps of (1 + 0) / 2; one real step of .8 ** 2
    np.testing.assert_allclose(value(SCORES, MASK), [1.0, 0.64], rtol=1e-6)
    np.testing.assert_allclose(value(SCORES[..., 0]), [2.0, 0.64 + 0.49], rtol=1e-6)


def test_shuffling_the_bags_changes_nothing():
    np.testing.assert_array_equal(value(SCORES[::-1], MASK[::-1]), value(SCORES, MASK)[::-1])


def test_one_video_does_not_feel_its_neighbour_in_the_batch():
    other = SCORES.copy()
    other[1] = 0.77
    np.testing.assert_array_equal(value(other)[0], value(SCORES)[0])


def test_step_into_padding_counts_nothing_whatever_the_padding_holds():
    padded = np.concatenate([SCORES, np.full((2, 2, 2), np.nan, "float32")], axis=1)
    mask = np.concatenate([MASK, np.zeros((2, 2), bool)], axis=1)
    np.testing.assert_array_equal(value(padded, mask), value(SCORES, MASK))


def test_single_frame_is_smooth():
    np.testing.assert_array_equal(value(np.array([[0.7]], "float32")), [0])


def test_gradient_is_finite_and_zero_in_padding(gradients):
    (found,) = gradients(lambda s: keras.ops.sum(temporal_smoothness(s, MASK)), SCORES)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[1, 2], 0)
    np.testing.assert_allclose(found[1, :2, 0], [-0.8, 0.8], rtol=1e-6)


def test_compiled_value_equals_the_eager_one(compiled):
    found = keras.ops.convert_to_numpy(compiled(lambda s, m: temporal_smoothness(s, m))(SCORES, MASK))
    np.testing.assert_allclose(found, value(SCORES, MASK), rtol=1e-6)


def test_mask_of_another_length_is_refused():
    with pytest.raises(ValueError, match="`mask` must have the first two axes"):
        temporal_smoothness(SCORES, MASK[:, :2])
