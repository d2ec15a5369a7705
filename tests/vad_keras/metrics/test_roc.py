"""Tests of vad_keras.metrics.roc."""

import numpy as np
import pytest

from vad_keras.metrics.roc import counts_above, flatten


def test_counts_by_hand():
    false_positives, true_positives = counts_above([1, 0, 1, 0], [0.9, 0.5, 0.5, 0.1])
    np.testing.assert_array_equal(false_positives, [0, 0, 1, 2])
    np.testing.assert_array_equal(true_positives, [0, 1, 2, 2])


def test_videos_of_different_length_are_joined():
    np.testing.assert_array_equal(flatten([np.array([1, 2]), [3]]), [1, 2, 3])
    np.testing.assert_array_equal(flatten([[1, 2], [3, 4]]), [1, 2, 3, 4])
    np.testing.assert_array_equal(flatten(np.ones((2, 3))), np.ones(6))


def test_order_of_the_frames_changes_nothing():
    random = np.random.default_rng(0)
    labels, scores = random.integers(0, 2, 50), random.integers(0, 9, 50) / 9
    order = random.permutation(50)
    np.testing.assert_array_equal(counts_above(labels, scores), counts_above(labels[order], scores[order]))


def test_errors_name_what_came():
    with pytest.raises(ValueError, match="Received: 2 labels and 3 scores"):
        counts_above([0, 1], [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match=r"Received also: \[2\]"):
        counts_above([0, 2], [0.1, 0.2])
    with pytest.raises(ValueError, match="Received 1 of 2 that are not"):
        counts_above([0, 1], [0.1, np.nan])
