"""Tests of vad_keras.metrics.average_precision."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from vad_keras.metrics import average_precision


def test_value_by_hand():
    # half the recall at precision 1, the other half at 2/3
    assert average_precision([1, 0, 1], [0.9, 0.8, 0.1]) == pytest.approx(0.5 + 0.5 * 2 / 3)


@settings(max_examples=30, deadline=None)
@given(size=st.integers(1, 400), levels=st.integers(1, 50), seed=st.integers(0, 10_000))
def test_equals_scikit_learn(size, levels, seed):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, size)
    labels[0] = 1
    scores = random.integers(0, levels, size) / levels
    assert average_precision(labels, scores) == pytest.approx(average_precision_score(labels, scores), abs=1e-12)


def test_monotone_change_of_the_scores_changes_nothing():
    random = np.random.default_rng(0)
    labels, scores = random.integers(0, 2, 99), random.uniform(size=99)
    assert average_precision(labels, scores) == average_precision(labels, np.exp(scores))


def test_without_an_abnormal_frame_it_is_nan():
    assert np.isnan(average_precision([0, 0], [0.1, 0.2]))


def test_score_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="`scores` must be finite"):
        average_precision([0, 1], [np.inf, 0.2])
